"""The functions of :mod:`dicomkit.pixels` in a process of their own: what its requests mean."""

from __future__ import annotations

from typing import Any

from dicomkit.pixels import FileRange, Source, Viewport, frame_bytes, frame_count, opened, render
from dicomkit.processes.worker import Answer, Worker

__all__ = ["settle"]


def settle(_settings: dict[str, Any], _blocks: list[bytes]) -> Worker:
    """The function that answers; what it will need is imported."""
    import imagecodecs
    from PIL import Image, JpegImagePlugin, PngImagePlugin

    from dicomkit.pixels import rendering, transcoding

    for codec in ("jpeg8", "jpeg2k", "jpegls"):
        getattr(imagecodecs, f"{codec}_decode")
    del Image, JpegImagePlugin, PngImagePlugin, rendering, transcoding
    return _answer


def _answer(request: dict[str, Any], blocks: list[bytes]) -> Answer:
    place = request["file"]
    source: Source = FileRange(*place) if place is not None else blocks[0]
    method = request["method"]
    if method == "frame_count":
        return {"value": frame_count(source)}, ()
    if method == "frame_bytes":
        return {}, frame_bytes(source, request["frames"], transfer_syntax=request["syntax"])
    if method == "render":
        viewport = Viewport(*request["viewport"]) if request["viewport"] is not None else None
        return {}, [render(source, request["frame"], media_type=request["media_type"], viewport=viewport)]
    from dicomkit.pixels.transcoding import transcode_image

    with opened(source) as image:
        return {}, [transcode_image(image, request["syntax"])]
