"""An upload: batches by bytes, one row per file, and nothing lost sight of.

Source: Cloud Healthcare API v1, ``dicomStores.storeInstances``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dicomkit.client.rest import Rest
from dicomkit.client.sources import HEAD_BYTES, Item, SourceLike, expand, head_fault, written
from dicomkit.client.stow import FAILED, Outcome, store_parts
from dicomkit.errors import (
    ApiError,
    DicomFormatError,
    Internal,
    InvalidArgument,
    PayloadTooLarge,
    UnsupportedMediaType,
    UploadError,
)
from dicomkit.frames.columns import UPLOAD
from dicomkit.frames.tables import table
from dicomkit.progress import Progress

__all__ = ["BATCH_BYTES", "BATCH_FILES", "upload"]

BATCH_BYTES = 16 << 20
"""Bytes of one request, unless a single file has more."""

BATCH_FILES = 100
"""Most files of one request."""

STREAM_BYTES = 4 << 20
"""A file above this is read from disk while it is sent."""

# What one file of a request may bring upon all of it: the others are then sent without it.
_BLAMED_ON_A_FILE = (InvalidArgument, PayloadTooLarge, UnsupportedMediaType, Internal)


@dataclass(slots=True)
class _Row:
    item: Item
    part: bytes | Path = b""
    size: int | None = None
    outcome: Outcome | None = None


def upload(
    rest: Rest,
    web: str,
    sources: SourceLike,
    *,
    batch_bytes: int = BATCH_BYTES,
    progress: bool | None = None,
    raise_for_failures: bool = False,
) -> pd.DataFrame:
    """Send *sources* to the store at *web*; see ``Store.upload``."""
    if batch_bytes < 1:
        raise InvalidArgument(f"batch_bytes must be at least 1; got {batch_bytes}")
    expanded = expand(sources)
    rows = [_Row(item) for item in expanded.items]
    acknowledged = 0
    with Progress(len(rows), "upload", unit="files", show=progress) as bar:
        for batch in _batches(rows, batch_bytes):
            try:
                _send(rest, web, [row for row in batch if row.outcome is None])
            except ApiError as error:
                error.add_note(
                    f"{acknowledged} of {len(rows)} files were acknowledged before. Upload the same again to go on: "
                    "what is stored already is not stored twice"
                )
                raise
            for row in batch:
                row.part = b""
            acknowledged += len(batch)
            bar.advance(len(batch))
    frame = _frame(rows)
    frame.attrs["hidden_files"] = expanded.hidden
    failed = [row for row in rows if row.outcome and row.outcome.outcome == FAILED]
    if raise_for_failures and failed:
        first = str(failed[0].item.path or "from memory")
        reason = failed[0].outcome and failed[0].outcome.reason
        raise UploadError(f"{len(failed)} of {len(rows)} files failed; the first, {first}: {reason}", frame=frame)
    return frame


def _batches(rows: list[_Row], batch_bytes: int) -> Iterator[list[_Row]]:
    """The rows in groups of one request each, made ready; what cannot be sent has its outcome already."""
    batch: list[_Row] = []
    size = 0
    for row in rows:
        _make_ready(row)
        if batch and (size + (row.size or 0) > batch_bytes or len(batch) >= BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size or 0 if row.outcome is None else 0
    if batch:
        yield batch


def _make_ready(row: _Row) -> None:
    """Read a small file, look at the head of a large one; a fault becomes the row's outcome."""
    item = row.item
    fault = item.fault
    try:
        if fault is None and item.path is not None:
            with item.path.open("rb") as file:
                row.size = file.seek(0, 2)
                file.seek(0)
                head = file.read(HEAD_BYTES)
                fault = head_fault(head, was_found=item.was_found) if head else "is empty"
                if fault is None:
                    row.part = item.path if row.size > STREAM_BYTES else head + file.read()
        elif fault is None:
            row.part = item.value if isinstance(item.value, bytes) else written(item.value)  # type: ignore[arg-type]
            row.size = len(row.part)
    except OSError as error:
        fault = f"cannot be read: {error.strerror or type(error).__name__}"
    except DicomFormatError as error:
        fault = error.message
    if fault is not None:
        row.outcome = Outcome(FAILED, fault)


def _send(rest: Rest, web: str, rows: list[_Row], *, is_second_try: bool = False) -> None:
    if not rows:
        return
    try:
        outcomes = store_parts(rest, web, [row.part for row in rows], attempts=1 if is_second_try else None)
    except _BLAMED_ON_A_FILE as error:
        if len(rows) == 1:
            rows[0].outcome = Outcome(FAILED, error.message)
            return
        for row in rows:
            _send(rest, web, [row], is_second_try=True)
        return
    for row, outcome in zip(rows, outcomes, strict=True):
        row.outcome = outcome


def _frame(rows: list[_Row]) -> pd.DataFrame:
    outcomes = [row.outcome or Outcome(FAILED, "was not sent") for row in rows]
    return table(
        UPLOAD,
        {
            "path": [None if row.item.path is None else str(row.item.path) for row in rows],
            "outcome": [outcome.outcome for outcome in outcomes],
            "reason": [outcome.reason for outcome in outcomes],
            "StudyInstanceUID": [outcome.study for outcome in outcomes],
            "SeriesInstanceUID": [outcome.series for outcome in outcomes],
            "SOPInstanceUID": [outcome.instance for outcome in outcomes],
            "size_bytes": [row.size for row in rows],
        },
    )
