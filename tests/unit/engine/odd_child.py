"""What a child process runs that does what its request says: answers, refuses, fails, dies, hangs."""

from __future__ import annotations

import os
import time
from typing import Any

from dicomkit.errors import DicomFormatError, NotFound
from dicomkit.processes.worker import Answer, Worker


def settle(settings: dict[str, Any], first: list[bytes]) -> Worker:
    """A file with the word in it counts as the request; the answer is the settings' blocks and the request's."""
    if settings.get("never"):
        raise RuntimeError("there is nothing to answer with")

    def answer(request: dict[str, Any], blocks: list[bytes]) -> Answer:
        data = blocks[0]
        if b"DIE" in data:
            os._exit(3)
        if b"HANG" in data:
            time.sleep(600)
        if b"REFUSE" in data:
            raise DicomFormatError("no", offset=3, tag="00100010")
        if b"GONE" in data:
            raise NotFound("not there")
        if b"DEFECT" in data:
            raise LookupError("DEFECT of Smith^John")
        if b"MEMORY" in data:
            raise MemoryError
        return {"request": request}, [b"".join(first) + data]

    return answer
