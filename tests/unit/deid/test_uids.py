"""UIDs: one map for all files of an operation."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomkit.deid import Deidentifier, UidMap
from dicomkit.names import is_uid
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10

ROOT = Path(__file__).resolve().parents[3]


def study() -> list[Dataset]:
    """Four images of two series which refer to each other in a ring."""
    found = []
    for number in range(4):
        ds = planted.ct(Marks())
        ds.SeriesInstanceUID = f"1.2.3.4.5.2.{number % 2}"
        ds.SOPInstanceUID = f"1.2.3.4.5.3.{number}"
        ds.FrameOfReferenceUID = "1.2.3.4.5.6"
        ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = f"1.2.3.4.5.3.{(number + 1) % 4}"
        series = Dataset()
        series.SeriesInstanceUID = f"1.2.3.4.5.2.{(number + 1) % 2}"
        ds.ReferencedSeriesSequence = Sequence([series])
        found.append(ds)
    return found


def uids(dataset: Dataset, path: str = "") -> Iterator[tuple[str, str]]:
    """Each UID with the path of its attribute."""
    for element in dataset:
        if element.VR == "UI":
            yield path + element.keyword, str(element.value)
        elif element.VR == "SQ" and element.keyword != "DeidentificationMethodCodeSequence":
            for index, item in enumerate(element.value):
                yield from uids(item, f"{path}{element.keyword}[{index}].")


def run(config: dict, key: bytes = KEY) -> list[tuple[Dataset, Dataset]]:
    deidentifier = Deidentifier(DeidentifyConfig.from_api(config), key=key)
    pairs = []
    for source in study():
        data = part10(source, Marks())
        result = deidentifier.instance(data)
        pairs.append((pydicom.dcmread(io.BytesIO(data)), pydicom.dcmread(io.BytesIO(result))))
    return pairs


@pytest.mark.parametrize("config", [BASIC, {"dicom": {"filterProfile": "KEEP_ALL_PROFILE"}}, {}])
def test_uid_graph_is_isomorphic(config: dict) -> None:
    """Over all files, equal UIDs become equal and different ones different, wherever they stand."""
    forward: dict[str, str] = {}
    for before, after in run(config):
        old, new = dict(uids(before)), dict(uids(after))
        assert {"ReferencedImageSequence[0].ReferencedSOPInstanceUID", "FrameOfReferenceUID"} <= set(new)
        for path, uid in new.items():
            assert forward.setdefault(old[path], uid) == uid
            assert (uid == old[path]) == old[path].startswith("1.2.840.10008.")
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert len(set(forward.values())) == len(forward)


def test_second_run_gives_the_same_bytes() -> None:
    """What a crash interrupts can be done again: the key alone decides."""
    data = part10(planted.ct(Marks()), Marks())
    first, second = (Deidentifier(DeidentifyConfig.from_api(BASIC), key=KEY).instance(data) for _ in range(2))
    assert first == second


def test_other_process_has_the_same_map() -> None:
    """Workers agree without talking to each other."""
    code = "from dicomkit.deid import UidMap; print(UidMap(bytes(range(32)))('1.2.3.4'))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == UidMap(KEY)("1.2.3.4")


LARGE = """
import io, json, sys
import pydicom
from dicomkit.deid import Deidentifier
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.unit.deid.planted import BASIC, KEY, Marks, part10
from tests.unit.deid.test_uids import large_study, uids
deidentifier = Deidentifier(DeidentifyConfig.from_api(BASIC), key=KEY)
pairs = set()
for source in large_study(reverse=sys.argv[1] == "reverse"):
    new = dict(uids(pydicom.dcmread(io.BytesIO(deidentifier.instance(part10(source, Marks()))))))
    pairs |= {(old, new[path]) for path, old in uids(source) if path in new}
print(json.dumps(sorted(pairs)))
"""
"""De-identifies the study below in a process of its own, and prints its map of UIDs."""


def large_study(*, reverse: bool = False) -> Iterator[Dataset]:
    """300 images of 3 series, each of which refers to two others and to another series."""
    for number in reversed(range(300)) if reverse else range(300):
        ds = planted.ct(Marks())
        ds.SOPInstanceUID, ds.SeriesInstanceUID = f"1.2.3.4.5.3.{number}", f"1.2.3.4.5.2.{number % 3}"
        targets = []
        for other in ((number + 1) % 300, (number * 7 + 3) % 300):
            target = Dataset()
            target.ReferencedSOPClassUID = ds.SOPClassUID
            target.ReferencedSOPInstanceUID = f"1.2.3.4.5.3.{other}"
            targets.append(target)
        ds.ReferencedImageSequence = Sequence(targets)
        series = Dataset()
        series.SeriesInstanceUID = f"1.2.3.4.5.2.{(number + 1) % 3}"
        ds.ReferencedSeriesSequence = Sequence([series])
        yield ds


def test_two_processes_map_a_large_study_alike() -> None:
    """Each in its own order; the map is one to one, so that the graph of references stays (check C41)."""
    maps = []
    for order in ("forward", "reverse"):
        out = subprocess.run(
            [sys.executable, "-c", LARGE, order], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
        )
        maps.append(json.loads(out.stdout))
    assert maps[0] == maps[1]
    old, new = {pair[0] for pair in maps[0]}, {pair[1] for pair in maps[0]}
    assert len(old) == len(new) == len(maps[0])
    assert len([uid for uid in old if uid.startswith("1.2.3.4.5.3.")]) == 300
    assert old & new == {uid for uid in old if uid.startswith("1.2.840.10008.")}


def test_other_key_gives_other_uids() -> None:
    """Two operations cannot be joined by their UIDs."""
    new = [after.SOPInstanceUID for key in (KEY, b"x" * 32) for _, after in run(BASIC, key)]
    assert len(set(new)) == 8


def test_new_uids_are_valid_and_below_2_25() -> None:
    """PS3.5 section B.2: 2.25 and a number of 128 bits, 64 characters at most."""
    for number in range(200):
        uid = UidMap(KEY)(f"1.2.3.{number}")
        assert uid.startswith("2.25.") and is_uid(uid) and int(uid[5:]) < 2**128


def test_short_key_is_refused() -> None:
    """A key that can be guessed gives the old UIDs away."""
    with pytest.raises(ValueError, match="16 bytes"):
        UidMap(b"short")


def test_skipped_ids_stay_with_their_references() -> None:
    """skipIdRedaction keeps the three levels and what points at them; the Basic Profile still maps the others."""
    for before, after in run({"dicom": BASIC["dicom"] | {"skipIdRedaction": True}}):
        old, new = dict(uids(before)), dict(uids(after))
        assert {path for path in new if new[path] != old[path]} == {"FrameOfReferenceUID"}
        assert [c.CodeValue for c in after.DeidentificationMethodCodeSequence] == ["113100", "113110"]
    for before, after in run({"dicom": {"skipIdRedaction": True}}):
        assert dict(uids(before)) == dict(uids(after))
