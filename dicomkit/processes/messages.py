"""What a worker process and its owner say to each other: JSON with blocks of bytes behind it, over pipes.

No pickle: a decoder that was taken over by hostile bytes can answer nonsense, and nothing worse.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import IO, Any

__all__ = ["BrokenMessage", "read_message", "write_message"]

_HEAD = struct.Struct("<I")
_MOST_JSON = 64 << 20


class BrokenMessage(Exception):
    """The other side ended, or said something that is no message."""


def write_message(stream: IO[bytes], content: dict[str, Any], blocks: Sequence[bytes | bytearray] = ()) -> None:
    """Send *content*, and *blocks* behind it."""
    text = json.dumps([content, [len(block) for block in blocks]]).encode("ascii")
    stream.write(_HEAD.pack(len(text)) + text)
    for block in blocks:
        stream.write(block)
    stream.flush()


def read_message(stream: IO[bytes], most_bytes: int) -> tuple[dict[str, Any], list[bytes]]:
    """The next message.

    Raises
    ------
    BrokenMessage
        There is none, or its blocks have more than *most_bytes*.
    """
    (length,) = _HEAD.unpack(_exactly(stream, _HEAD.size))
    if length > _MOST_JSON:
        raise BrokenMessage("a message is too long")
    try:
        content, sizes = json.loads(_exactly(stream, length))
    except (ValueError, RecursionError) as exc:
        raise BrokenMessage("a message is none") from exc
    if not (
        isinstance(content, dict)
        and isinstance(sizes, list)
        and all(isinstance(size, int) and size >= 0 for size in sizes)
        and sum(sizes) <= most_bytes
    ):
        raise BrokenMessage("a message is none")
    return content, [_exactly(stream, size) for size in sizes]


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BrokenMessage("the other side ended")
    return data
