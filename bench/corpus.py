"""Instances to measure with: ~2,000 of about 30 KB with ~200 elements, and the real files of the pydicom wheel.

The headers are real ones of several modalities and makers. Each is written once with placeholders; an instance is the
template with fresh UIDs, names, dates and random pixels put in, so that 2,000 cost a second and no two are equal.
They are clones all the same: what caches or compresses looks better on them than on real data.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

__all__ = ["MIXED", "STUDY", "Instance", "ct_series", "instances", "mean_elements", "real_files", "write"]

INSTANCE_BYTES = 34_000
"""Size that an instance with pixels is filled up to; with reports and plans the mean is about 30 KB."""

SMALL_SIDE = 8
"""Rows and columns of an image where pixels do not matter. An image without any is refused as cut off."""

STUDY = 40
"""Instances of a study."""

PLAN: tuple[tuple[str, int], ...] = (
    ("CT_small.dcm", 10),  # GE, 262 elements, private groups
    ("CT_small.dcm", 10),
    ("examples_overlay.dcm", 6),  # MR, Siemens
    ("JPEG2000.dcm", 4),  # NM, GE, nested sequences
    ("test-SR.dcm", 4),  # structured report, 305 elements, deep
    ("liver_1frame.dcm", 2),  # SEG
    ("rtplan.dcm", 2),  # RT plan, Implicit VR
    ("dicomdirtests/77654033/CR1/6154", 2),  # CR, Agfa
)
"""Series of one study: header and number of instances."""

MIXED: tuple[tuple[tuple[str, int], ...], ...] = (
    (("CT_small.dcm", 20), ("CT_small.dcm", 18), ("test-SR.dcm", 2)),
    (("examples_overlay.dcm", 12), ("examples_overlay.dcm", 14), ("examples_overlay.dcm", 12), ("liver_1frame.dcm", 2)),
    (("CT_small.dcm", 36), ("rtplan.dcm", 2), ("rtplan.dcm", 2)),
    (("JPEG2000.dcm", 36), ("CT_small.dcm", 4)),
    (("dicomdirtests/77654033/CR1/6154", 2), ("CT_small.dcm", 12), ("CT_small.dcm", 12), ("CT_small.dcm", 14)),
)
"""Studies as a hospital has them: each kind has modalities that others lack. Every one has ``STUDY`` instances."""

# Placeholders of fixed length, so that no length field changes when they are replaced.
_STUDY_UID, _SERIES_UID, _SOP_UID = (UID(f"2.25.{digit * 38}") for digit in "123")
_PATIENT_ID, _PATIENT_NAME, _DATE, _NUMBER = "PLACEHOLDER-ID", "PLACEHOLDER^NAME", "19010203", "987654"
_PIXELS = b"\xa5\x5a\xc3\x3c" * 8

SURNAMES = ("ANDERSEN", "BERGMANN", "CARDOSO_", "DUBOIS__", "ERIKSSON", "FERRARI_", "GARCIA__", "HOFFMANN")


@dataclass(frozen=True, slots=True)
class Instance:
    """One generated instance: its UIDs and its bytes."""

    study: str
    series: str
    uid: str
    data: bytes


def _uid(rng: random.Random) -> str:
    return f"2.25.{rng.randrange(10**37, 10**38)}"


@cache
def _template(name: str, side: int | None) -> tuple[bytes, bytes, int]:
    """(bytes before the pixels, bytes after, length of the pixels) of a header with placeholders.

    An image is square, with *side* rows and columns; ``None`` for what fills ``INSTANCE_BYTES``.
    """
    path = get_testdata_file(name, download=False)
    if path is None:
        raise FileNotFoundError(f"the installed pydicom wheel lacks {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = _STUDY_UID, _SERIES_UID, _SOP_UID
        ds.PatientID, ds.PatientName, ds.StudyDate, ds.InstanceNumber = _PATIENT_ID, _PATIENT_NAME, _DATE, _NUMBER
        ds.file_meta.MediaStorageSOPInstanceUID = _SOP_UID
        implicit = ds.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        has_pixels = "PixelData" in ds
        for element in [e for e in ds if e.tag.group >> 8 == 0x60 or e.tag == 0x7FE00010]:
            del ds[element.tag]
        length = 0
        if has_pixels:
            side = side or int(((INSTANCE_BYTES - _size(ds, implicit)) / 2) ** 0.5)
            ds.Rows = ds.Columns = side
            ds.SamplesPerPixel, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 16, 16, 15
            length = side * side * 2
            ds.add_new("PixelData", "OW", (_PIXELS * (length // len(_PIXELS) + 1))[:length])
        data = _encode(ds, implicit)
    if not length:
        return data, b"", 0
    start = data.index(_PIXELS)
    return data[:start], data[start + length :], length


def _encode(ds: Dataset, implicit: bool) -> bytes:
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    out = BytesIO()
    ds.save_as(out, implicit_vr=implicit, little_endian=True, enforce_file_format=True)
    return out.getvalue()


def _size(ds: Dataset, implicit: bool) -> int:
    return len(_encode(ds, implicit))


def instances(
    count: int,
    *,
    seed: int,
    pixels: bool = True,
    side: int | None = None,
    kinds: Sequence[Sequence[tuple[str, int]]] = (PLAN,),
) -> Iterator[Instance]:
    """Yield *count* fresh instances, study after study.

    Parameters
    ----------
    seed
        Another seed gives other UIDs and patients: each timed cell needs its own, since stores answer known
        instances faster.
    pixels
        ``False`` shrinks images to 8 x 8, for tests of scale that are not about bytes.
    side
        Rows and columns of the images; what fills ``INSTANCE_BYTES`` when left out.
    kinds
        What studies are made of, in turn: header and number of instances of each series.
    """
    rng = random.Random(seed)
    made = 0
    study_number = 0
    while made < count:
        plan = kinds[study_number % len(kinds)]
        study, study_number = _uid(rng), study_number + 1
        patient = f"BENCH-{rng.randrange(10**8):08d}"
        name = f"{SURNAMES[study_number % len(SURNAMES)]}^{rng.randrange(10**7):07d}"
        date = f"{rng.randrange(2000, 2026)}{rng.randrange(1, 13):02d}{rng.randrange(1, 29):02d}"
        for header, of_series in plan:
            head, tail, length = _template(header, side if pixels else SMALL_SIDE)
            series = _uid(rng)
            for number in range(of_series):
                if made == count:
                    return
                made += 1
                uid = _uid(rng)
                changed = (
                    head.replace(_STUDY_UID.encode(), study.encode())
                    .replace(_SERIES_UID.encode(), series.encode())
                    .replace(_SOP_UID.encode(), uid.encode())
                    .replace(_PATIENT_ID.encode(), patient.encode())
                    .replace(_PATIENT_NAME.encode(), name.encode())
                    .replace(_DATE.encode(), date.encode())
                    .replace(_NUMBER.encode(), f"{number + 1:06d}".encode())
                )
                yield Instance(study, series, uid, changed + rng.randbytes(length) + tail)


def ct_series(count: int, *, seed: int, side: int = 512) -> Iterator[Instance]:
    """The slices of one CT series, *side* x *side* pixels of 16 bits each."""
    return instances(count, seed=seed, side=side, kinds=((("CT_small.dcm", count),),))


def write(folder: Path, count: int, *, seed: int, pixels: bool = True) -> list[Path]:
    """The instances as files in *folder*, in order; returns their paths."""
    folder.mkdir(parents=True)
    paths = []
    for number, instance in enumerate(instances(count, seed=seed, pixels=pixels)):
        path = folder / f"{number:06d}.dcm"
        path.write_bytes(instance.data)
        paths.append(path)
    return paths


def mean_elements(sample: list[Instance]) -> float:
    """Mean number of elements, those in sequences included, as pydicom counts them."""
    total = 0
    for instance in sample:
        total += sum(1 for _ in pydicom.dcmread(BytesIO(instance.data)).iterall())
    return total / len(sample)


def real_files() -> dict[str, list[tuple[str, bytes]]]:
    """Real files of the pydicom wheel by maker: ``{manufacturer: [(name, bytes)]}``.

    Only files that pydicom opens without force are taken; those without a maker are grouped as such.
    """
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    groups: dict[str, list[tuple[str, bytes]]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name == "DICOMDIR":
            continue
        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ds = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
                maker = str(ds.get("Manufacturer") or "").strip()
            except (pydicom.errors.InvalidDicomError, OSError, ValueError, AttributeError, NotImplementedError):
                continue
        maker = {"G.E. Medical Systems": "GE Medical Systems", "GE MEDICAL SYSTEMS": "GE Medical Systems"}.get(
            maker, maker or "(none named)"
        )
        groups.setdefault(maker, []).append((str(path.relative_to(folder)).replace(os.sep, "/"), data))
    return groups
