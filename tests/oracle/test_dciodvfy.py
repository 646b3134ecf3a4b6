"""dciodvfy, an IOD checker that is none of ours, finds no error in a copy that is not in its original (check C42)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dicomkit.deid import Deidentifier
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError
from dicomkit.resources.deidentify_config import DeidentifyConfig
from tests.conftest import WHEEL
from tests.contract.instances import ct_slice
from tests.contract.instances import part10 as file_of
from tests.unit.deid import planted
from tests.unit.deid.planted import BASIC, KEY, Marks, part10

pytestmark = pytest.mark.skipif(
    "CI" not in os.environ and shutil.which("dciodvfy") is None, reason="needs the Debian package dicom3tools"
)

CONFIGS = {
    "basic": BASIC,
    "basic, dates moved": BASIC | {"text": {"additionalTransformations": [{"dateShiftConfig": {}}]}},
    "basic, ids kept": {"dicom": BASIC["dicom"] | {"skipIdRedaction": True}},
    "keep all": {"dicom": {"filterProfile": "KEEP_ALL_PROFILE"}},
}
_UID = re.compile(r"\b[0-9]+(\.[0-9]+)*\b(?=>?$)")


def _is_instance(path: Path) -> bool:
    try:
        read_part10(path.read_bytes())
    except DicomFormatError:
        return False
    return True


WHEELS = [path.name for path in sorted(WHEEL.glob("*.dcm")) if _is_instance(path)]


def source(name: str) -> bytes:
    """A file of pydicom's wheel, or one that is made here."""
    if name == "slice":
        return file_of(ct_slice())
    marks = Marks()
    make = getattr(planted, name, None)
    return part10(make(marks), marks) if make else (WHEEL / name).read_bytes()


def errors(data: bytes, path: Path) -> set[str]:
    """What dciodvfy calls an error, with the UIDs at the ends of its lines taken out."""
    path.write_bytes(data)
    try:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.fail("dciodvfy is missing: install the Debian package dicom3tools")
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert lines, "dciodvfy said nothing, not even which IOD it is"
    return {_UID.sub("UID", line) for line in lines if line.startswith("Error")}


@pytest.mark.filterwarnings("ignore:Expected (ex|im)plicit VR")
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", [*WHEELS, "ct", "report", "document", "slice"])
def test_copy_has_no_error_that_the_original_has_not(tmp_path: Path, name: str, config: str) -> None:
    """Files of many kinds and makers, most of them with errors of their own."""
    original = source(name)
    copy = Deidentifier(DeidentifyConfig.from_api(CONFIGS[config]), key=KEY).instance(original)
    assert errors(copy, tmp_path / "copy.dcm") - errors(original, tmp_path / "original.dcm") == set()


def test_the_checker_finds_what_is_wrong(tmp_path: Path) -> None:
    """A date that is none is an error to it, so that a clean comparison says something."""
    good, bad = file_of(ct_slice()), file_of(ct_slice()).replace(b"20240101", b"00010199")
    new = errors(bad, tmp_path / "bad.dcm") - errors(good, tmp_path / "good.dcm")
    assert any("Study Date" in line for line in new)
