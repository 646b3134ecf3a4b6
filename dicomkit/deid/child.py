"""De-identification in a process of its own: requests come in by a pipe, results go out by another.

A file that makes pydicom run for hours, take all memory or crash ends this process and not the engine. The config and
the secret key come by the pipe as well, as neither a command line nor an environment is secret. Nothing is written to
the standard error: the texts of warnings and tracebacks may hold values.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import warnings
from typing import BinaryIO

from dicomkit.errors import DicomFormatError, Unimplemented
from dicomkit.resources.deidentify_config import DeidentifyConfig

__all__ = ["FAILED", "MEMORY_BYTES", "OK", "main", "read_block", "settings", "write_block"]

MEMORY_BYTES = 6 << 30
"""Address space that the process may use, where the system can limit it."""

ORPHAN_S = 600
"""How long one request may take when nobody is left to end the process before; the system ends it then."""

OK, FAILED = b"+", b"-"
"""How the block of an answer begins."""


def read_block(stream: BinaryIO) -> bytes | None:
    """One block; ``None`` when the other side has gone."""
    head = stream.read(8)
    size = int.from_bytes(head, "big")
    data = stream.read(size) if len(head) == 8 else b""
    return data if len(head) == 8 and len(data) == size else None


def write_block(stream: BinaryIO, *pieces: bytes) -> None:
    """Write *pieces* as one block."""
    stream.write(sum(map(len, pieces)).to_bytes(8, "big"))
    for piece in pieces:
        stream.write(piece)
    stream.flush()


def settings(config: DeidentifyConfig, key: bytes, *, preview: bool) -> bytes:
    """The first block that a child is sent."""
    value = {"config": config.to_api(), "key": base64.b64encode(key).decode(), "preview": preview}
    return json.dumps(value).encode()


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever a library prints must not get in between.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    warnings.simplefilter("ignore")
    _limit_memory()
    first = read_block(requests)
    if first is None:
        return
    from dicomkit.deid.deidentifier import Deidentifier

    given = json.loads(first)
    deidentifier = Deidentifier(DeidentifyConfig.from_api(given["config"]), key=base64.b64decode(given["key"]))
    write_block(answers, OK)
    while (data := read_block(requests)) is not None:
        _set_alarm(ORPHAN_S)
        try:
            if given["preview"]:
                result = json.dumps(deidentifier.preview_of(data)).encode()
            else:
                result = deidentifier.instance(data)
        except (DicomFormatError, Unimplemented) as error:
            write_block(answers, FAILED, str(error).encode())
        except MemoryError:
            write_block(answers, FAILED, b"the instance needs more memory than there is for it")
        except Exception as error:  # noqa: BLE001 - a defect; its text may hold values
            write_block(answers, FAILED, f"the instance cannot be rewritten ({type(error).__name__})".encode())
        else:
            write_block(answers, OK, result)
        _set_alarm(0)


def _set_alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):  # not on Windows
        signal.alarm(seconds)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (OSError, ValueError):  # macOS has the constant, and refuses
        return
