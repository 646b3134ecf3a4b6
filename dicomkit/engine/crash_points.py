"""Named points where a test may kill the process, so that the promise "200 means on disk" can be checked.

``DICOMKIT_CRASH_AT=point:n`` makes the process send itself SIGKILL when it passes *point* for the n-th time.
Without the variable a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

__all__ = ["ENVIRONMENT", "POINTS", "arm", "armed", "crash_point"]

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
    "pre_copy",  # compaction: live instances read from an old segment, nothing appended
    "mid_copy",  # compaction: one of them, or some, appended
    "post_copy",  # compaction: all appended and on disk, rows still point to the old segment
    "in_move",  # compaction: rows moved, not committed
    "post_move",  # compaction: move committed; the old segment is still there
    "post_drop",  # compaction: the old segment is removed
)


_name = ""
_left = 0


def arm(spec: str) -> None:
    """Choose where to die: ``point:n``, or nothing for nowhere."""
    global _name, _left
    name, _, count = spec.partition(":")
    if name and name not in POINTS:
        raise ValueError(f"there is no crash point {name!r}")
    _name, _left = name, int(count or 1)


def armed(name: str) -> bool:
    """Whether the process will die at *name*; lets a point in the middle of one write split that write."""
    return _name == name


def crash_point(name: str) -> None:
    """Pass a named point."""
    global _left
    if name == _name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(ENVIRONMENT, ""))
