"""An index of up to a million real series, written through the persistence layer: nobody uploads a million files.

The rows are those of the Imaging Data Commons (PyPI ``idc-index-data``, extra ``bench``): UIDs, patients, dates,
descriptions, modalities and their distributions are real. Names and numbers, which it lacks, are made from the UIDs,
so that every run has the same. A series has one instance here, of which there are no bytes: it can be found, not
retrieved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from typing import Any

import duckdb
import orjson

from bench.corpus import SURNAMES
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.blob_reader import Place
from dicomkit.engine.persistence.index import NewInstance
from dicomkit.engine.persistence.level_rows import INSTANCE_TAGS, integer, lines, modality, parent_facts
from dicomkit.engine.persistence.metadata import Dictionary
from dicomkit.engine.persistence.storage import Storage
from dicomkit.names import DicomStoreName

__all__ = ["ALL_SERIES", "fill"]

ALL_SERIES = 1_044_191
"""Series of the index of 2026."""

PORTION = 10_000
"""Series of one transaction."""

_ATTRIBUTES = (
    ("00080020", "DA", "StudyDate"),
    ("00080060", "CS", "Modality"),
    ("00080070", "LO", "Manufacturer"),
    ("00081030", "LO", "StudyDescription"),
    ("0008103E", "LO", "SeriesDescription"),
    ("00081090", "LO", "ManufacturerModelName"),
    ("00100020", "LO", "PatientID"),
    ("00100040", "CS", "PatientSex"),
    ("00180015", "CS", "BodyPartExamined"),
    ("0020000D", "UI", "StudyInstanceUID"),
    ("0020000E", "UI", "SeriesInstanceUID"),
    ("00200011", "IS", "SeriesNumber"),
    ("00080016", "UI", "SOPClassUID"),
    ("00020010", "UI", "TransferSyntaxUID"),
)
_GIVEN = ("ANNA", "BEN", "CLARA", "DAVID", "EVA", "FELIX", "GRETA", "HUGO", "IDA", "JONAS", "KLARA", "LEON")


def _rows(count: int) -> Iterator[dict[str, Any]]:
    """Elements of *count* series in the DICOM JSON model, study after study in an order that means nothing."""
    try:
        path = import_module("idc_index_data").IDC_INDEX_PARQUET_FILEPATH
    except ModuleNotFoundError:
        raise SystemExit("the rows come from idc-index-data: pip install 'dicomkit[bench]'") from None
    names = ", ".join(name for _, _, name in _ATTRIBUTES)
    sql = f"SELECT {names} FROM read_parquet(?) ORDER BY md5(StudyInstanceUID), SeriesInstanceUID LIMIT ?"  # noqa: S608
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        found = connection.execute(sql, [str(path), count])
        while portion := found.fetchmany(PORTION):
            for row in portion:
                yield _elements(row)


def _elements(row: tuple[Any, ...]) -> dict[str, Any]:
    elements: dict[str, Any] = {}
    for (tag, vr, _), value in zip(_ATTRIBUTES, row, strict=True):
        text = str(value or "").replace("-", "") if vr == "DA" else str(value or "")
        if text and (vr != "IS" or text.lstrip("-").isdigit()):
            elements[tag] = {"vr": vr, "Value": [int(text) if vr == "IS" else text]}
    chance = _chance(elements["00100020"]["Value"][0])
    name = f"{SURNAMES[chance % 8].rstrip('_')}{chance // 8 % 5000:04d}^{_GIVEN[chance // 40_000 % 12]}"
    elements["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": name}]}
    series = elements["0020000E"]["Value"][0]
    elements["00080018"] = {"vr": "UI", "Value": [f"2.25.{_chance(series)}"]}
    elements["00080030"] = {
        "vr": "TM",
        "Value": [f"{_chance(elements['0020000D']['Value'][0]) % 86_400 // 3600:02d}3015"],
    }
    elements["00200013"] = {"vr": "IS", "Value": [1]}
    elements["00280010"] = elements["00280011"] = {"vr": "US", "Value": [512]}
    elements["00280100"] = {"vr": "US", "Value": [16]}
    return elements


def _chance(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:12], "big")


def _instance(store_key: int, elements: dict[str, Any], dictionary: Dictionary) -> NewInstance:
    def first(tag: str) -> str:
        return str(elements[tag]["Value"][0])

    text = orjson.dumps(elements)
    return NewInstance(
        store_key=store_key,
        study_uid=first("0020000D"),
        series_uid=first("0020000E"),
        sop_uid=first("00080018"),
        sop_class=first("00080016"),
        transfer_syntax=first("00020010"),
        number=integer(elements, "00200013"),
        length=1,
        sha256=hashlib.sha256(text).digest(),
        storage_class="STANDARD",
        updated=1_700_000_000_000_000,
        lines=lines(elements, INSTANCE_TAGS),
        packed=dictionary.pack(text),
        dictionary=dictionary,
        modality=modality(elements),
        parents=parent_facts(elements),
    )


def fill(storage: Storage, name: DicomStoreName, count: int) -> None:
    """Put *count* series of one instance each into the index of a store."""
    with storage.database.read() as connection:
        store_key = catalog.store(connection, name).key
    # One dictionary for all: the metadata is of no interest here, and a state of deflate takes 256 KiB.
    dictionary = Dictionary(b"")
    rows = _rows(count)
    place = Place(1 << 40, 0, 1)
    while portion := [_instance(store_key, elements, dictionary) for elements in islice(rows, PORTION)]:
        with storage.transaction() as connection:
            plan = storage.index.plan(connection, portion)
            storage.index.write(connection, plan, [place] * len(plan.new))
        storage.index.remember(plan)
