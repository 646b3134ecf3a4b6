"""Searches for attributes that no index has, against what pydicom reads in the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

import dicomkit as dk
from tests.conftest import WHEEL

pytestmark = [
    pytest.mark.filterwarnings("ignore::dicomkit.errors.LenientValueWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),  # the wheel has files with values that break rules
]

MAX_KEYS = 400
"""Match keys that are tried; each is one that some file has."""

TEXT = {"AE", "CS", "LO", "SH", "ST", "LT", "UI", "DA", "TM", "AS"}
NUMBERS = {"IS", "US", "SS", "UL", "SL"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dk.Store]:
    """The wheel's files in a store."""
    with dk.connect(tmp_path_factory.mktemp("any") / "home") as dataset:
        store = dataset.create_store("wheel")
        store.upload(WHEEL)
        yield store


@pytest.fixture(scope="module")
def read(store: dk.Store) -> dict[tuple[str, str, str], Dataset]:
    """What pydicom reads of each stored instance, by its UIDs."""
    found = {}
    for path in sorted(WHEEL.rglob("*")):
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
        except Exception:  # noqa: BLE001 - not DICOM, or none that is stored
            continue
        found.setdefault(uids, ds)
    instances = store.search_instances()
    stored = set(zip(*(instances[f"{level}InstanceUID"] for level in ("Study", "Series", "SOP")), strict=True))
    return {uids: ds for uids, ds in found.items() if uids in stored}


def values(ds: Dataset, path: tuple[str, ...]) -> Iterator[str]:
    """Values of an attribute as text, wherever the path leads."""
    if path[0] not in ds:
        return
    value = ds[path[0]].value
    if len(path) > 1:
        for item in value if isinstance(value, Items) else ():
            yield from values(item, path[1:])
    elif value is not None and value != "":
        yield from map(str, value if isinstance(value, pydicom.multival.MultiValue) else [value])


def equal(a: str, b: str) -> bool:
    """Whether two texts of numbers are the same number."""
    try:
        return float(a) == float(b)
    except ValueError:
        return False


def keys(ds: Dataset, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Paths of keywords in a data set, with a value that can be asked for."""
    for element in ds:
        if element.tag.is_private or not element.keyword or element.tag.group == 2:
            continue
        path = (*above, element.keyword)
        if element.VR == "SQ" and len(path) < 4:
            for item in element.value:
                yield from keys(item, path)
        elif element.VR in TEXT | NUMBERS:
            for text in values(ds, (element.keyword,)):
                # These would be read as a wildcard, a range or a list.
                if not set(text) & set("*?\\,-") and text.isprintable() and text == text.strip() and len(text) < 64:
                    yield path, text


def test_instances_with_a_value_are_found_and_no_others(
    store: dk.Store, read: dict[tuple[str, str, str], Dataset]
) -> None:
    """One attribute after another, in sequences too, until there are enough of them."""
    tried: dict[tuple[str, ...], str] = {}
    for ds in read.values():
        for path, text in keys(ds):
            tried.setdefault(path, text)
    nested = [path for path in tried if len(path) > 1]
    chosen = sorted(nested)[: MAX_KEYS // 2] + sorted(path for path in tried if len(path) == 1)[: MAX_KEYS // 2]
    assert len(nested) > 50
    wrong = []
    for path in chosen:
        text = tried[path]
        is_number = pydicom.datadict.dictionary_VR(path[-1]) in NUMBERS | {"DS", "US or SS"}
        expected = {
            uids
            for uids, ds in read.items()
            if any(equal(v, text) if is_number else v == text for v in values(ds, path))
        }
        try:
            frame = store.search_instances(**{"__".join(path): text})
        except dk.InvalidArgument as error:
            wrong.append((path, text, error.message))
            continue
        found = set(zip(*(frame[f"{level}InstanceUID"] for level in ("Study", "Series", "SOP")), strict=True))
        # A study's attributes are those of the instance that was stored first (conformance statement).
        if found != expected and not (len(path) == 1 and found and found >= expected):
            wrong.append((path, text, f"{len(found)} for {len(expected)}"))
    assert wrong == []


def test_studies_and_series_match_by_any_of_their_instances(
    store: dk.Store, read: dict[tuple[str, str, str], Dataset]
) -> None:
    """The parents of the instances that have the value."""
    having = {uids for uids, ds in read.items() if "SliceThickness" in ds and ds.SliceThickness == 5}
    assert having
    studies = store.search_studies(SliceThickness=5)["StudyInstanceUID"]
    series = store.search_series(SliceThickness=5)["SeriesInstanceUID"]
    assert set(studies) == {study for study, _, _ in having}
    assert set(series) == {series for _, series, _ in having}


def test_private_attributes_are_found_by_their_creator(
    store: dk.Store, read: dict[tuple[str, str, str], Dataset]
) -> None:
    """As pydicom finds them in the creator's block."""
    found = 0
    for uids, ds in read.items():
        for element in ds:
            creator = element.private_creator if element.tag.is_private else None
            if not creator or element.VR not in ("LO", "SH", "CS", "IS", "DS") or not element.value:
                continue
            if isinstance(element.value, pydicom.multival.MultiValue) or not str(element.value).isalnum():
                continue
            key = f"{element.tag.group:04X}xx{element.tag.element & 0xFF:02X}[{creator}]"
            frame = store.search_instances(**{key: str(element.value)})
            assert uids[2] in set(frame["SOPInstanceUID"]), key
            found += 1
            if found == 40:
                return
    assert found > 10


def test_files_that_are_read_here_are_in_the_store(read: dict[tuple[str, str, str], Dataset]) -> None:
    """The comparison is not about nothing."""
    assert len(read) > 60
    assert Path(WHEEL).is_dir()
