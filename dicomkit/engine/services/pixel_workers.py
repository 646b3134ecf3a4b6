"""Pixels decoded in processes of their own, which may be killed: decoders are C libraries that meet hostile bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dicomkit.engine.services.worker_pool import Failure, WorkerPool, cpus
from dicomkit.errors import FailedPrecondition, Internal, InvalidArgument, ResourceExhausted
from dicomkit.pixels import FileRange, Source, Viewport
from dicomkit.pixels.limits import FILE_BYTES, RESULT_BYTES

__all__ = ["PixelWorkers"]

_MOST_WORKERS = 4
_MOST_BYTES = RESULT_BYTES + (64 << 20)
_LESS = "retrieve single frames, or ask for transfer-syntax=*"


class PixelWorkers:
    """The functions of :mod:`dicomkit.pixels`, each call in one of a few child processes.

    Parameters
    ----------
    workers
        Most processes; the CPUs of this process, and no more than 4, when left out.
    time_limit_s
        Longest that one call may run; waiting for a free process may take as long again.
    memory_bytes
        Address space of a process, where the system can limit it.
    idle_s
        How long a process waits for work before it ends.
    """

    def __init__(
        self,
        *,
        workers: int | None = None,
        time_limit_s: float = 60.0,
        memory_bytes: int = 4 << 30,
        idle_s: float = 30.0,
    ) -> None:
        self._pool = WorkerPool(
            "dicomkit.pixels.worker",
            {},
            error_of=_error_of,
            workers=workers or cpus(_MOST_WORKERS),
            time_limit_s=time_limit_s,
            memory_bytes=memory_bytes,
            most_bytes=_MOST_BYTES,
            idle_s=idle_s,
        )

    def transcode(self, source: Source, transfer_syntax: str) -> bytes:
        """See :func:`dicomkit.pixels.transcode`.

        Raises
        ------
        ResourceExhausted
            The call took too long, wanted too much memory, or no process became free; of all four methods.
        InvalidArgument
            The process died of the image; of all four methods.
        """
        return self._call("transcode", source, syntax=transfer_syntax)[1][0]

    def frame_count(self, source: Source) -> int:
        """See :func:`dicomkit.pixels.frame_count`."""
        return int(self._call("frame_count", source)[0]["value"])

    def frame_bytes(self, source: Source, frames: Sequence[int], *, transfer_syntax: str) -> list[bytes]:
        """See :func:`dicomkit.pixels.frame_bytes`."""
        return self._call("frame_bytes", source, frames=list(frames), syntax=transfer_syntax)[1]

    def render(self, source: Source, frame: int, *, media_type: str, viewport: Viewport | None = None) -> bytes:
        """See :func:`dicomkit.pixels.render`."""
        box = None
        if viewport is not None:
            region = (viewport.left, viewport.top, viewport.region_width, viewport.region_height)
            box = [viewport.width, viewport.height, *region]
        return self._call("render", source, frame=frame, media_type=media_type, viewport=box)[1][0]

    def close(self) -> None:
        """End all processes; calls that run end with an error."""
        self._pool.close()

    def _call(self, method: str, source: Source, **arguments: Any) -> tuple[dict[str, Any], list[bytes]]:
        length = source.length if isinstance(source, FileRange) else len(source)
        if length > FILE_BYTES:
            raise FailedPrecondition(
                f"the file has {length} bytes; up to {FILE_BYTES} are transcoded or rendered. "
                "Ask for transfer-syntax=* to get it as it was stored"
            )
        if isinstance(source, FileRange):
            place = [source.path, source.offset, source.length]
            return self._pool.call({"method": method, "file": place, **arguments})
        return self._pool.call({"method": method, "file": None, **arguments}, [source])


def _error_of(failure: Failure) -> Exception:
    match failure.why:
        case "time":
            return ResourceExhausted(f"decoding took longer than {failure.limit_s:g} s and was stopped; {_LESS}")
        case "memory":
            return ResourceExhausted(f"the image needs more memory than it is given; {_LESS}")
        case "system":
            return ResourceExhausted("decoding was stopped by the system, which is short of memory; try again later")
        case "crash":
            return InvalidArgument("the decoder died of this image: its pixel data are damaged")
        case "defect":
            return Internal("the image could not be worked on: a defect of dicomkit")
