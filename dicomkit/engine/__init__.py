"""The embedded engine: the Cloud Healthcare API's DICOM stores and a part of BigQuery over a folder.

The engine is one WSGI application. In-process clients call it through a transport adapter; ``dicomkit serve``
runs the same object under a WSGI server.
"""

from __future__ import annotations

from dicomkit.engine.app import Engine

__all__ = ["Engine"]
