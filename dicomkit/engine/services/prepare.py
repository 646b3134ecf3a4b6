"""From the bytes of a part to what the index, the blobs and the tables keep of it. No I/O but the part's own file."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from dicomkit.bigquery.columns import MAX_ROW_BYTES
from dicomkit.bigquery.row import build_json_row, build_row
from dicomkit.dicom.multipart import Part
from dicomkit.dicom.reader import Part10, read_part10
from dicomkit.engine.persistence.index import NewInstance
from dicomkit.engine.persistence.level_rows import INSTANCE_TAGS, integer, lines, modality, parent_facts
from dicomkit.engine.persistence.metadata import Metadata
from dicomkit.engine.persistence.outbox import NewRow
from dicomkit.engine.services.notifications import Audience
from dicomkit.errors import DicomFormatError

__all__ = ["RowForm", "StorePlan", "deleted_rows", "prepare", "row_forms", "row_of", "rows_of"]

_log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOO_LARGE = f"the row of an instance is larger than {MAX_ROW_BYTES} bytes and was not streamed"
_OF_CONTENT = frozenset({"StorageClass", "BlobStorageSize", "Metadata", "StructuredStorageSize"})
_UID_TAGS = ("0020000D", "0020000E", "00080018")
_NO_ROW = "no row could be made of an instance"


class RowForm(NamedTuple):
    """One form of a row, and the streams that take it."""

    is_json: bool
    source_store: str | None
    streams: tuple[int, ...]


class StorePlan(NamedTuple):
    """What has to be known of a store to prepare an instance for it."""

    key: int
    generation: int
    forms: Sequence[RowForm]
    audience: Audience


def row_forms(store_name: str, streams: Iterable[tuple[int, Mapping[str, Any]]]) -> list[RowForm]:
    """The different rows that (key, destination) of *streams* ask for; streams that ask for the same share one."""
    forms: dict[tuple[bool, bool], list[int]] = {}
    for key, config in streams:
        forms.setdefault(("schemaJson" in config, bool(config.get("includeSourceStore"))), []).append(key)
    return [
        RowForm(is_json, store_name if with_source else None, tuple(keys))
        for (is_json, with_source), keys in forms.items()
    ]


def prepare(part: Part, store: StorePlan, storage_class: str, metadata: Metadata) -> NewInstance:
    """Read one part and make everything of it that will be written.

    Raises
    ------
    DicomFormatError
        The part is no DICOM file that can be stored.
    """
    if part.file is not None:
        # Not through the map, whose pages would count as this process's memory.
        with part.file.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").digest()
    else:
        sha256 = hashlib.sha256(part.buffer()).digest()
    found = read_part10(part.buffer())
    updated = time.time_ns() // 1_000
    rows = rows_of(found, store.forms, updated, storage_class, part.size)
    found.use_numbers()
    elements = found.elements
    try:
        text = orjson.dumps({**found.meta, **elements})
    except (TypeError, ValueError, RecursionError) as exc:
        raise DicomFormatError("the metadata cannot be written as JSON") from exc
    dictionary = metadata.dictionary((store.key, found.study_instance_uid, found.series_instance_uid), text)
    return NewInstance(
        store_key=store.key,
        study_uid=found.study_instance_uid,
        series_uid=found.series_instance_uid,
        sop_uid=found.sop_instance_uid,
        sop_class=found.sop_class_uid,
        transfer_syntax=found.transfer_syntax_uid,
        number=integer(elements, "00200013"),
        length=part.size,
        sha256=sha256,
        storage_class=storage_class,
        updated=updated,
        lines=lines(elements, INSTANCE_TAGS),
        packed=dictionary.pack(text),
        dictionary=dictionary,
        rows=rows,
        modality=modality(elements) if store.audience else None,
        # The first of a series is asked for more than its own lines.
        parents=parent_facts(elements) if text.startswith(dictionary.data) else None,
    )


def row_of(
    found: Part10, form: RowForm, updated: int, storage_class: str, size: int, event: str = "CREATE"
) -> dict[str, Any]:
    """The row of an instance, while its numbers are still the text of the file.

    Parameters
    ----------
    updated
        When the instance was stored or moved, in microseconds since 1970.
    size
        Bytes of the file.
    event
        ``Type`` of the row.
    """
    return (build_json_row if form.is_json else build_row)(
        found.meta,
        found.elements,
        event=event,
        last_updated=_EPOCH + timedelta(microseconds=updated),
        storage_class=storage_class,
        blob_size=size,
        dropped=found.dropped,
        source_store=form.source_store,
    )


def deleted_rows(forms: Sequence[RowForm], uids: Iterable[tuple[str, str, str]], updated: int) -> Iterator[NewRow]:
    """Rows that say of instances, by their UIDs (study, series, instance), that they were deleted.

    Their other columns are empty: a row that an instance had before stays as it is, and the newer one says that it is
    gone (Cloud Healthcare API, "Streaming DICOM metadata": ``Type`` and ``LastUpdated`` tell the rows apart).
    """
    for names in uids:
        elements = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in zip(_UID_TAGS, names, strict=True)}
        for form in forms:
            build = build_json_row if form.is_json else build_row
            row = build(
                {},
                elements,
                event="DELETE",
                last_updated=_EPOCH + timedelta(microseconds=updated),
                storage_class="",
                blob_size=0,
                source_store=form.source_store,
            )
            text = orjson.dumps({n: None if n in _OF_CONTENT else value for n, value in row.items()})
            yield NewRow(form.streams, text)


def rows_of(
    found: Part10, forms: Sequence[RowForm], updated: int, storage_class: str, size: int, event: str = "CREATE"
) -> list[NewRow]:
    """Rows of an instance for tables, while its numbers are still the text of the file.

    An instance that has no row is stored all the same: streaming never fails a store request.
    """
    made: list[NewRow] = []
    uids = found.study_instance_uid, found.series_instance_uid, found.sop_instance_uid
    for form in forms:
        try:
            text = orjson.dumps(row_of(found, form, updated, storage_class, size, event))
        except Exception:  # noqa: BLE001 - whatever it is, the instance is stored
            # The traceback would hold values of the file.
            _log.error("no row could be made of an instance, by a defect of the row builder")
            made.append(NewRow(form.streams, None, _NO_ROW, uids))
            continue
        is_small = len(text) <= MAX_ROW_BYTES
        made.append(NewRow(form.streams, text) if is_small else NewRow(form.streams, None, _TOO_LARGE, uids, len(text)))
    return made
