"""The ``dicomkit`` command."""
