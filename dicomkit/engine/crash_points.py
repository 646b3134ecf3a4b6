"""Named points where a test may kill the process, so that the promise "200 means on disk" can be checked.

``DICOMKIT_CRASH_AT=point:n`` makes the process send itself SIGKILL when it passes *point* for the n-th time.
Without the variable a point costs one call of an empty function.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

__all__ = ["ENVIRONMENT", "POINTS", "armed", "crash_point"]

ENVIRONMENT = "DICOMKIT_CRASH_AT"
"""Name of the environment variable."""

POINTS = (
    "pre_blob",  # parsed and hashed, nothing written
    "mid_blob",  # half of a batch is in the segment file
    "post_blob",  # written, not yet on disk
    "post_rename",  # a large instance has its own file, which no row names
    "post_fsync",  # on disk, no transaction begun
    "in_txn",  # rows written, not committed
    "post_commit",  # committed, answer not built
    "pre_ack",  # answer built, not sent
    "pre_flush",  # rows read from the outbox, table not touched
    "mid_flush",  # table ready, rows not inserted
    "post_send_pre_mark",  # rows in the table, still in the outbox
    "post_mark",  # rows out of the outbox
    "in_delete",  # delete not committed
    "post_delete",  # delete committed, files not removed
)


def _armed_from_environment() -> tuple[str, int]:
    name, _, count = os.environ.get(ENVIRONMENT, "").partition(":")
    return name, int(count or 1)


_name, _left = _armed_from_environment()
if _name and _name not in POINTS:
    raise ValueError(f"{ENVIRONMENT} names no crash point: {_name!r}")


def armed(name: str) -> bool:
    """Whether the process will die at *name*; lets a point in the middle of one write split that write."""
    return _name == name


def _pass(name: str) -> None:
    global _left
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _nothing(name: str) -> None:
    """The point is not armed."""


crash_point: Callable[[str], None] = _pass if _name else _nothing
"""Pass a named point."""
