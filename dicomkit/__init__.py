"""DICOM stores as DataFrames: one API over the Cloud Healthcare API and an embedded engine."""
