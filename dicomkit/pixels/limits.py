"""How large an image may be, before any pixel is decoded.

Sources: quotas page of the Cloud Healthcare API (read 2026-04) for files, frames and viewports; the total of a
transcoded file is our own.
"""

from __future__ import annotations

__all__ = ["FILE_BYTES", "FRAME_BYTES", "RESULT_BYTES", "VIEWPORT_FRAME_BYTES", "VIEWPORT_SIDE"]

FILE_BYTES = 1 << 30
"""Bytes of a file that is transcoded: 1 GB."""

FRAME_BYTES = 150_000_000
"""Bytes of one frame, uncompressed, that is transcoded or rendered: 150 MB."""

VIEWPORT_FRAME_BYTES = 50_000_000
"""Bytes of one frame, uncompressed, that is rendered with a viewport: 50 MB."""

VIEWPORT_SIDE = 10_000
"""Pixels a side of a frame that is rendered with a viewport."""

RESULT_BYTES = 2 << 30
"""Bytes of pixel data of a transcoded file: what the service allows a de-identified image."""
