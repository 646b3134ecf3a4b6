"""The server of ``dicomkit serve``."""
