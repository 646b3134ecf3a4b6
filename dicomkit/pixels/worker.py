"""The process that decodes: reads requests from its standard input, answers until that is closed.

It is started with ``BOOTSTRAP``, which needs neither the caller's ``__main__`` nor an installed command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from dicomkit.errors import ApiError, DicomFormatError, ResourceExhausted, to_body
from dicomkit.pixels import FileRange, Source, Viewport, frame_bytes, frame_count, render
from dicomkit.pixels.messages import BrokenMessage, read_message, write_message

__all__ = ["BOOTSTRAP", "main"]

BOOTSTRAP = (
    "import sys, json, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "path, memory, most = json.loads(sys.stdin.buffer.readline()); sys.path[:] = path; "
    "from dicomkit.pixels.worker import main; main(memory, most)"
)
"""Python source for ``-c``; the first line of the input is ``[sys.path, memory limit, most bytes of a message]``."""

_TOO_MUCH_MEMORY = "the image needs more memory than it is given; retrieve single frames, or ask for transfer-syntax=*"


def main(memory_bytes: int, most_bytes: int) -> None:
    """Answer requests until the input ends."""
    requests = sys.stdin.buffer
    # A codec that prints must not do so into the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    _load()
    _limit(memory_bytes)
    while True:
        try:
            request, blocks = read_message(requests, most_bytes)
        except (BrokenMessage, MemoryError):
            return
        content, results = _answer(request, blocks)
        del blocks
        try:
            write_message(answers, content, results)
        except BrokenPipeError:
            os._exit(0)


def _load() -> None:
    """Import what requests will need, while there is no limit in the way."""
    import imagecodecs
    from PIL import Image, JpegImagePlugin, PngImagePlugin

    from dicomkit.pixels import rendering

    for codec in ("jpeg8", "jpeg2k", "jpegls"):
        getattr(imagecodecs, f"{codec}_decode")
    del Image, JpegImagePlugin, PngImagePlugin, rendering


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:
        return  # not on this system; the time limit is what remains
    # A core dump would hold pixels and names.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (OSError, ValueError):
        return  # macOS has the name and not the limit


def _answer(request: dict[str, Any], blocks: list[bytes]) -> tuple[dict[str, Any], Sequence[bytes | bytearray]]:
    try:
        return _result(request, blocks)
    except ApiError as exc:
        return {"error": to_body(exc)}, ()
    except DicomFormatError as exc:
        return {"format": [exc.message, exc.offset, exc.tag]}, ()
    except MemoryError:
        return {"error": to_body(ResourceExhausted(_TOO_MUCH_MEMORY))}, ()


def _result(request: dict[str, Any], blocks: list[bytes]) -> tuple[dict[str, Any], Sequence[bytes | bytearray]]:
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
    from dicomkit.pixels import opened
    from dicomkit.pixels.transcoding import transcode_image

    with opened(source) as image:
        return {}, [transcode_image(image, request["syntax"])]
