"""Facts of a table that the Cloud Healthcare API really made.

Picked by hand from the published schema of Imaging Data Commons' ``dicom_metadata`` tables: ``dicom_all`` in
github.com/ImagingDataCommons/etl_flow at b903f621 (Apache-2.0), ``idc_v17.dicom_metadata`` in
github.com/xlang-ai/Spider2 at e12c5f1e (MIT).
"""

from __future__ import annotations

COLUMNS: dict[str, tuple[str, str]] = {
    "MediaStorageSOPClassUID": ("STRING", "NULLABLE"),
    "TransferSyntaxUID": ("STRING", "NULLABLE"),
    "SourceApplicationEntityTitle": ("STRING", "NULLABLE"),
    "LengthToEnd": ("INTEGER", "NULLABLE"),
    "SpecificCharacterSet": ("STRING", "REPEATED"),
    "ImageType": ("STRING", "REPEATED"),
    "RecognitionCode": ("STRING", "NULLABLE"),
    "InstanceCreationDate": ("DATE", "NULLABLE"),
    "InstanceCreationTime": ("TIME", "NULLABLE"),
    "SOPClassUID": ("STRING", "NULLABLE"),
    "StudyDate": ("DATE", "NULLABLE"),
    "AcquisitionDateTime": ("TIMESTAMP", "NULLABLE"),
    "StudyTime": ("TIME", "NULLABLE"),
    "DataSetType": ("INTEGER", "NULLABLE"),
    "AccessionNumber": ("STRING", "NULLABLE"),
    "FailedSOPInstanceUIDList": ("STRING", "REPEATED"),
    "Modality": ("STRING", "NULLABLE"),
    "ReferringPhysicianName": ("RECORD", "NULLABLE"),
    "ProcedureCodeSequence": ("RECORD", "REPEATED"),
    "PerformingPhysicianName": ("RECORD", "REPEATED"),
    "OperatorsName": ("RECORD", "REPEATED"),
    "AdmittingDiagnosesDescription": ("STRING", "REPEATED"),
    "IrradiationEventUID": ("STRING", "REPEATED"),
    "PatientName": ("RECORD", "NULLABLE"),
    "PatientID": ("STRING", "NULLABLE"),
    "PatientBirthDate": ("DATE", "NULLABLE"),
    "PatientAge": ("STRING", "NULLABLE"),
    "PatientSize": ("STRING", "NULLABLE"),
    "PregnancyStatus": ("INTEGER", "NULLABLE"),
    "LongitudinalTemporalOffsetFromEvent": ("FLOAT", "NULLABLE"),
    "DeidentificationMethod": ("STRING", "REPEATED"),
    "SliceThickness": ("STRING", "NULLABLE"),
    "KVP": ("STRING", "NULLABLE"),
    "EchoNumbers": ("STRING", "REPEATED"),
    "DateOfLastCalibration": ("DATE", "REPEATED"),
    "TimeOfLastCalibration": ("TIME", "REPEATED"),
    "AcquisitionMatrix": ("INTEGER", "REPEATED"),
    "TagThickness": ("FLOAT", "NULLABLE"),
    "DiffusionGradientOrientation": ("FLOAT", "REPEATED"),
    "VelocityEncodingDirection": ("FLOAT", "REPEATED"),
    "SpiralPitchFactor": ("FLOAT", "NULLABLE"),
    "ContributingEquipmentSequence": ("RECORD", "REPEATED"),
    "StudyInstanceUID": ("STRING", "NULLABLE"),
    "SeriesNumber": ("STRING", "NULLABLE"),
    "ImagePositionPatient": ("STRING", "REPEATED"),
    "ImageComments": ("STRING", "NULLABLE"),
    "SamplesPerPixel": ("INTEGER", "NULLABLE"),
    "NumberOfFrames": ("STRING", "NULLABLE"),
    "FrameIncrementPointer": ("INTEGER", "REPEATED"),
    "Rows": ("INTEGER", "NULLABLE"),
    "PixelSpacing": ("STRING", "REPEATED"),
    "SmallestImagePixelValue": ("INTEGER", "NULLABLE"),
    "PixelPaddingValue": ("INTEGER", "NULLABLE"),
    "WindowCenter": ("STRING", "REPEATED"),
    "RedPaletteColorLookupTableDescriptor": ("INTEGER", "REPEATED"),
    "LossyImageCompressionRatio": ("STRING", "REPEATED"),
    "VOILUTSequence": ("RECORD", "REPEATED"),
    "EnergyWindowVector": ("INTEGER", "REPEATED"),
    "GridFrameOffsetVector": ("STRING", "REPEATED"),
    "CurveDimensions": ("RECORD", "REPEATED"),
    "SharedFunctionalGroupsSequence": ("RECORD", "REPEATED"),
    "OverlayRows": ("RECORD", "REPEATED"),
    "Tag_00091110": ("RECORD", "REPEATED"),
    "OtherElements": ("RECORD", "REPEATED"),
    "DroppedTags": ("RECORD", "REPEATED"),
    "Type": ("STRING", "NULLABLE"),
    "LastUpdated": ("TIMESTAMP", "NULLABLE"),
    "StorageClass": ("STRING", "NULLABLE"),
    "BlobStorageSize": ("INTEGER", "NULLABLE"),
}
"""Column -> (type, mode); the order is the table's."""

GROUP_VALUES: dict[str, tuple[str, str]] = {
    "CurveDimensions": ("INTEGER", "NULLABLE"),
    "NumberOfFramesInOverlay": ("STRING", "NULLABLE"),
    "OverlayRows": ("INTEGER", "NULLABLE"),
    "OverlayType": ("STRING", "NULLABLE"),
    "OverlayOrigin": ("INTEGER", "REPEATED"),
}
"""Repeating group -> (type, mode) of ``Value``; ``Id`` is STRING NULLABLE."""

NAME_GROUPS = ["Alphabetic", "Ideographic", "Phonetic"]
NAME_COMPONENTS = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]

VOI_LUT = [("LUTDescriptor", "INTEGER", "REPEATED"), ("LUTExplanation", "STRING", "NULLABLE")]
"""The whole of VOILUTSequence there: LUTData, "US or OW" and required beside these, has no column."""

DIMENSION_INDEX = [
    ("DimensionOrganizationUID", "STRING", "NULLABLE"),
    ("DimensionIndexPointer", "INTEGER", "NULLABLE"),
    ("FunctionalGroupPointer", "INTEGER", "NULLABLE"),
    ("DimensionDescriptionLabel", "STRING", "NULLABLE"),
]
"""The whole of DimensionIndexSequence there, in its order."""
