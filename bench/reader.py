"""Header to DICOM JSON: our bounded reader, all checks on, against pydicom with its validation off."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO

import pydicom
import pydicom.config

from bench import corpus
from bench.measure import Row, alternate, seconds
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError

__all__ = ["run"]

TARGET = ">= 15"


def ours(data: bytes) -> dict[str, dict[str, object]]:
    """Metadata in the DICOM JSON model, numbers as numbers, as the engine makes it."""
    part10 = read_part10(data)
    part10.use_numbers()
    return part10.elements


def pydicoms(data: bytes) -> dict[str, dict[str, object]]:
    """The same by pydicom."""
    json: dict[str, dict[str, object]] = pydicom.dcmread(BytesIO(data), stop_before_pixels=True).to_json_dict()
    return json


@contextmanager
def validation_off() -> Iterator[None]:
    """pydicom at its fastest: values are not validated, and its warnings are not shown."""
    mode = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom.config.settings.reading_validation_mode = mode


def _all(read: Callable[[bytes], object], files: Sequence[bytes], times: int) -> None:
    for _ in range(times):
        for data in files:
            read(data)


def _both_read(data: bytes) -> bool:
    """Whether both readers make JSON of the file; only those files are timed."""
    try:
        mine = ours(data)
    except DicomFormatError:
        return False
    try:
        theirs = pydicoms(data)
    except Exception:  # noqa: BLE001 - which errors a lenient reader raises on a broken value is not documented
        return False
    # The same work: pydicom's keys are ours, but for group lengths, which nobody needs, and what follows the pixels.
    missing = {key for key in theirs if key not in mine and not key.endswith("0000")}
    if missing:
        raise AssertionError(f"our reader left out {sorted(missing)[:5]}: the comparison would not be fair")
    return True


def _compare(what: str, files: Sequence[bytes], repeat: int, times: int, target: str) -> Row:
    found = alternate(
        {
            "ours": partial(seconds, partial(_all, ours, files, times)),
            "pydicom": partial(seconds, partial(_all, pydicoms, files, max(1, times // 10))),
        },
        repeat,
    )
    mine = [value / times / len(files) for value in found["ours"]]
    theirs = [value / max(1, times // 10) / len(files) for value in found["pydicom"]]
    middle = repeat // 2
    return Row(
        what=what,
        ours=f"{sorted(mine)[middle] * 1e6:.0f} us a file",
        theirs=f"pydicom {pydicom.__version__}: {sorted(theirs)[middle] * 1e6:.0f} us",
        ratios=[b / a for a, b in zip(mine, theirs, strict=True)],
        target=target,
    )


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield one row for the corpus, and one for each maker of the real files."""
    with validation_off():
        clones = [instance.data for instance in corpus.instances(80 if quick else 400, seed=1)]
        if not all(_both_read(data) for data in clones[: corpus.STUDY]):
            raise AssertionError("the corpus has a file that one of the readers refuses")
        yield _compare(f"reader, {len(clones)} generated files", clones, repeat, 1, TARGET)
        readable: list[bytes] = []
        for maker, files in sorted(corpus.real_files().items()):
            good = [data for _, data in files if _both_read(data)]
            readable += good
            if good:
                left_out = f", {len(files) - len(good)} left out: one reader refuses" if len(good) < len(files) else ""
                times = 10 if quick else max(10, 200 // len(good))
                yield _compare(f"reader, real, {maker} ({len(good)} files{left_out})", good, repeat, times, "")
        yield _compare(f"reader, real, all makers ({len(readable)} files)", readable, repeat, 10, TARGET)
