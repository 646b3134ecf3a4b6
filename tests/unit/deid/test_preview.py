"""The preview: what would happen, told without values and without doing it."""

from __future__ import annotations

import io

import pydicom
import pytest

from dicomkit.deid import Deidentifier, preview
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10

CONFIGS = [
    BASIC,
    BASIC | {"text": {"additionalTransformations": [{"dateShiftConfig": {}}, {"cryptoHashConfig": {}}]}},
    {"dicom": {"filterProfile": "MINIMAL_KEEP_LIST_PROFILE"}},
    {"dicom": {"removeList": {"tags": ["PatientName", "RequestAttributesSequence"]}}},
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("kind", ["ct", "report", "document"])
def test_preview_shows_no_value_and_changes_nothing(kind: str, config: dict) -> None:
    """No mark is in any row, and the dataset still writes the bytes that it was read from."""
    marks = Marks()
    data = part10(getattr(planted, kind)(marks), marks)
    ds = pydicom.dcmread(io.BytesIO(data))
    rows = preview(ds, DeidentifyConfig.from_api(config))
    assert marks.found_in(repr(rows).encode()) == []
    out = io.BytesIO()
    ds.save_as(out)
    assert out.getvalue() == data


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("kind", ["ct", "report"])
def test_preview_tells_what_happens(kind: str, config: dict) -> None:
    """At the top level, what is told to go is gone, what is told to be emptied is empty, what stays is the same."""
    data = part10(getattr(planted, kind)(Marks()), Marks())
    before = pydicom.dcmread(io.BytesIO(data))
    parsed = DeidentifyConfig.from_api(config)
    rows = {row.tag: row for row in preview(before, parsed) if "[" not in row.path and row.tag > "0003"}
    after = pydicom.dcmread(io.BytesIO(Deidentifier(parsed, key=KEY).instance(data)))
    assert {f"{tag:08X}" for tag in after.keys()} == {t for t, row in rows.items() if row.action != "remove"}
    for element in after:
        action = rows[f"{element.tag:08X}"].action
        if action == "empty":
            assert element.is_empty
        elif action == "keep" and element.VR != "SQ":
            assert element.value == before[element.tag].value
        elif action in ("remap", "replace", "transform") and element.VR != "SQ":
            assert element.value != before[element.tag].value


def test_preview_names_nested_private_and_meta() -> None:
    """Paths are keywords with item numbers, numbers for private elements; reasons cite the table."""
    ds = pydicom.dcmread(io.BytesIO(part10(planted.ct(Marks()), Marks())))
    rows = {row.path: row for row in preview(ds, DeidentifyConfig.from_api(BASIC))}
    assert rows["FilePreamble"].action == "empty"
    assert rows["SourceApplicationEntityTitle"].action == "remove"
    assert rows["ReferencedImageSequence[0].ReferencedSOPInstanceUID"].action == "remap"
    assert rows["ReferencedImageSequence[0].(0009,1001)"].action == "remove"
    assert rows["StudyDescription"].reason == "PS3.15 E.1-1 (2026c): X"
    assert rows["PatientIdentityRemoved"].action == "set"
