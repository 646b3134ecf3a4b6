"""Pixels as arrays, volumes and pictures, and the geometry of a series."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

import dicomkit as dk
from dicomkit.errors import FailedPrecondition, InvalidArgument, NotFound
from dicomkit.frames import GEOMETRY
from tests.conftest import Loaded
from tests.contract.instances import ROOT, ct_slice
from tests.contract.volumes import AXIAL, OBLIQUE, ORIGIN, enhanced, normal_of, pixels_of, series

SERIES = (f"{ROOT}.1", f"{ROOT}.1.1")
SHUFFLED = [3, 0, 5, 1, 4, 2]
LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


def report() -> Dataset:
    """A structured report in the series, which is no image."""
    return ct_slice(1, 1, 9, SOPClassUID=BasicTextSRStorage, Modality="SR", Rows=None, Columns=None, PixelData=None)


def store_of(conn: dk.Dataset, instances: list[Dataset]) -> dk.Store:
    """A store with these instances."""
    store = conn.create_store("ct")
    assert set(store.upload(instances)["outcome"]) == {"stored"}
    return store


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_are_the_arrays_of_pydicom(loaded: Loaded) -> None:
    """Every image of the wheel that both can decode, to the last value; lossy JPEG within what decoders differ."""
    compared = 0
    for row in loaded.stored.itertuples():
        try:
            want = pydicom.dcmread(row.path, force=True).pixel_array
        except Exception:  # noqa: BLE001 - whatever pydicom raises: no image, or none that it decodes
            continue
        file = pydicom.dcmread(row.path, force=True, stop_before_pixels=True)
        try:
            got = loaded.store.frames(row.StudyInstanceUID, row.SeriesInstanceUID, row.SOPInstanceUID)
        except dk.errors.ApiError as error:
            raise AssertionError(row.path) from error
        assert got.shape[0] == int(file.get("NumberOfFrames", 1) or 1)
        want = want.reshape(got.shape)
        off = np.abs(got.astype(np.float64) - want.astype(np.float64)).max()
        assert off <= (3 if file.file_meta.get("TransferSyntaxUID") in LOSSY else 0), row.path
        compared += 1
    assert compared > 50


def test_frames_that_are_chosen_come_in_the_order_asked_for(conn: dk.Dataset) -> None:
    """One by its number, some of them, one twice, and more than one request holds."""
    count = 150
    image = ct_slice(NumberOfFrames=count)
    image.PixelData = b"".join(pixels_of(k).tobytes() for k in range(count))
    store = store_of(conn, [image])
    uids = (*SERIES, f"{ROOT}.1.1.1")
    assert (store.frames(*uids, numbers=[3, 1, 3]) == np.stack([pixels_of(2), pixels_of(0), pixels_of(2)])).all()
    assert store.frames(*uids, numbers=np.int64(7)).shape == (1, 4, 4)
    assert (store.frames(*uids) == np.stack([pixels_of(k) for k in range(count)])).all()
    for numbers in (0, count + 1, [], [1.5], ["1"], [True]):
        with pytest.raises(InvalidArgument, match="counted from 1; this image has 150"):
            store.frames(*uids, numbers=numbers)


def test_frames_of_what_is_no_image_are_refused(conn: dk.Dataset) -> None:
    """Without pixels, and without an instance."""
    store = store_of(conn, [report()])
    with pytest.raises(FailedPrecondition, match="no pixel data"):
        store.frames(*SERIES, f"{ROOT}.1.1.9")
    with pytest.raises(NotFound):
        store.frames(*SERIES, "1.2.3")


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_volume_is_in_the_order_of_space(conn: dk.Dataset, orientation: tuple[float, ...]) -> None:
    """Stored and numbered in disorder: slices ascend along the normal, and each voxel is where PS3.3 puts it."""
    store = store_of(conn, series(SHUFFLED, orientation))
    volume = store.pixels(*SERIES)
    assert volume.shape == (6, 4, 4)
    assert (volume.array == np.stack([pixels_of(k).astype(int) - 1024 for k in range(6)])).all()
    assert volume.array.dtype == np.int16  # 12 bits stored, whole slope and intercept
    assert volume.spacing == pytest.approx((2.5, 0.5, 0.75), abs=1e-4)
    assert volume.origin == pytest.approx(tuple(ORIGIN), abs=1e-4)
    assert volume.sop_instance_uids == tuple(f"{ROOT}.1.1.{SHUFFLED.index(k) + 1}" for k in range(6))
    along_row, down_column = np.array(orientation[:3]), np.array(orientation[3:])
    for k, row, column in ((0, 0, 0), (5, 0, 0), (2, 3, 1)):
        # PS3.3 equation C.7.6.2.1-1: the column index goes along the row, with the distance of columns.
        want = ORIGIN + normal_of(orientation) * 2.5 * k + along_row * 0.75 * column + down_column * 0.5 * row
        assert volume.affine @ [k, row, column, 1] == pytest.approx([*want, 1], abs=1e-3)
    assert volume.orientation.T @ volume.orientation == pytest.approx(np.eye(3), abs=1e-6)
    assert (np.asarray(volume) == volume.array).all()
    assert repr(volume) == "<Volume of 6 x 4 x 4 voxels, int16, 2.5 x 0.5 x 0.75 mm>"


def test_values_are_rescaled_or_left(conn: dk.Dataset) -> None:
    """Stored values without it; float32 where slope or intercept are no whole numbers; never bits above BitsStored."""
    slices = series([0, 1])
    slices[0].PixelData = (pixels_of(0) | 0xF000).tobytes()
    slices[1].RescaleSlope = "0.5"
    store = store_of(conn, slices)
    stored = store.pixels(*SERIES, rescale=False)
    assert (stored.array.dtype, stored.is_rescaled) == (np.uint16, False)
    assert (stored.array == np.stack([pixels_of(0), pixels_of(1)])).all()
    rescaled = store.pixels(*SERIES)
    assert (rescaled.array.dtype, rescaled.is_rescaled) == (np.float32, True)
    assert (rescaled.array == np.stack([pixels_of(0) - 1024.0, pixels_of(1) * 0.5 - 1024])).all()


def test_signed_values_keep_their_sign(conn: dk.Dataset) -> None:
    """12 bits stored, in two's complement."""
    values = np.array([-2048, -1, 0, 2047] * 4, dtype="<i2")
    slices = series([0, 1], PixelRepresentation=1, RescaleIntercept="0")
    for each in slices:
        each.PixelData = values.tobytes()
    # The sign need not be repeated in the bits above (PS3.5 section 8.1.1).
    slices[1].PixelData = (values & 0x0FFF).tobytes()
    store = store_of(conn, slices)
    assert (store.pixels(*SERIES).array.reshape(2, -1) == values).all()
    assert (store.pixels(*SERIES, rescale=False).array.reshape(2, -1) == values).all()
    assert (store.frames(*SERIES, slices[1].SOPInstanceUID).reshape(-1) == values).all()


@pytest.mark.parametrize("comment", ["", "x" * 10_000], ids=["in the metadata", "too large for metadata"])
def test_enhanced_multi_frame_image_is_a_volume(conn: dk.Dataset, comment: str) -> None:
    """Its frames in disorder; also where the functional groups have more than 1 MiB, which metadata leave out."""
    places = [*range(60, 120), *range(60)]
    store = store_of(conn, [enhanced(places, comment=comment)])
    volume = store.pixels(*SERIES)
    assert (volume.array == np.stack([pixels_of(k).astype(int) - 1024 for k in range(120)])).all()
    assert volume.frame_numbers == tuple(places.index(k) + 1 for k in range(120))
    assert volume.spacing == pytest.approx((2.5, 0.5, 0.75), abs=1e-4)
    geometry = store.geometry(*SERIES)
    assert geometry.attrs["is_volume"] is True
    assert geometry["frame"].tolist() == [*volume.frame_numbers]


def localizer() -> list[Dataset]:
    """Axial slices and a sagittal view of another size."""
    return [*series([0, 1]), *series([0], (0, 1, 0, 0, 0, -1), first=8, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])]


def without(keyword: str) -> list[Dataset]:
    """Slices of which one lacks an attribute."""
    slices = series([0, 1, 2])
    del slices[1][keyword]
    return slices


def wide() -> list[Dataset]:
    """Slices of which one has another size."""
    slices = series([0, 1, 2])
    slices[2].Columns = 8
    slices[2].PixelData = bytes(64)
    return slices


def tilted() -> list[Dataset]:
    """Slices that are moved aside one after the other."""
    slices = series([0, 1, 2])
    for k, each in enumerate(slices):
        each.ImagePositionPatient[1] += 0.7 * k
    return slices


def colour() -> list[Dataset]:
    """RGB slices."""
    return series(
        [0, 1],
        SamplesPerPixel=3,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=bytes(48),
    )


def with_lut() -> list[Dataset]:
    """Slices with a Modality LUT."""
    lut = Dataset()
    lut.LUTDescriptor, lut.ModalityLUTType, lut.LUTData = [2, 0, 16], "HU", bytes(4)
    lut["LUTDescriptor"].VR = "US"
    lut["LUTData"].VR = "OW"
    slices = series([0, 1])
    for each in slices:
        each.ModalityLUTSequence = [lut]
    return slices


@pytest.mark.parametrize(
    ("instances", "why"),
    [
        (series([0, 1, 2, 4, 5]), r"slices are missing: 1 distances are larger than 2\.5 mm, the largest 5"),
        (series([0, 1, 1, 2]), "1 of its 4 slices are at the place of another one"),
        (series([0, 1, 2, 3, 3.8, 4.8]), r"not evenly spaced: from 2 to 2\.5 mm"),
        (localizer(), "1 of its 3 slices are localizers"),
        ([*series([0, 1]), *series([0, 1], OBLIQUE, first=8)], r"differ in orientation.*axial \(2\), oblique \(2\)"),
        (wide(), r"differ in size: 4 x 4 \(2\), 4 x 8 \(1\)"),
        (without("ImagePositionPatient"), "1 of its 3 slices have no ImagePositionPatient"),
        (without("ImageOrientationPatient"), "1 of its 3 slices have no ImageOrientationPatient"),
        (without("PixelSpacing"), "1 of its 3 slices have no PixelSpacing"),
        (without("Rows"), "some of its instances are no images"),
        (tilted(), "not one above the other, by up to 1.4 mm, as with a tilted gantry"),
        (colour(), "its pixels are colours"),
        (with_lut(), "a Modality LUT, which is no slope"),
        (series([0], SliceThickness=""), "a single slice"),
        ([*series([0, 1]), *series([2], first=8, BitsStored=16, HighBit=15)], "differ in how their pixels are stored"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else "",
)
def test_series_that_is_no_volume_is_refused(conn: dk.Dataset, instances: list[Dataset], why: str) -> None:
    """By a typed error that names what is wrong, before any pixel is fetched."""
    store = store_of(conn, instances)
    with pytest.raises(FailedPrecondition, match=f"the series is no volume: .*{why}"):
        store.pixels(*SERIES)


def test_tolerance_is_the_callers(conn: dk.Dataset) -> None:
    """What is uneven for one is even for another."""
    store = store_of(conn, series([0, 1, 2.3]))
    with pytest.raises(FailedPrecondition, match="larger than"):
        store.pixels(*SERIES)
    assert store.pixels(*SERIES, tolerance=0.2).spacing[0] == pytest.approx(2.3 * 2.5 / 2, abs=1e-3)
    for tolerance in (0, 1, -0.1, "x", True, float("nan")):
        with pytest.raises(InvalidArgument):
            store.pixels(*SERIES, tolerance=tolerance)


def test_single_slice_is_as_thick_as_it_says(conn: dk.Dataset) -> None:
    """Its spacing is that of the attributes."""
    assert store_of(conn, series([0])).pixels(*SERIES).spacing == (2.5, 0.5, 0.75)


def test_number_of_frames_is_not_believed(conn: dk.Dataset) -> None:
    """A file that says it has two thousand million frames costs nothing but an error."""
    image = ct_slice(NumberOfFrames=2**31 - 1)
    store = store_of(conn, [image])
    for attempt in (store.geometry, store.pixels):
        with pytest.raises(FailedPrecondition, match="2147483647 frames"):
            attempt(*SERIES)
    with pytest.raises(InvalidArgument, match="choose by numbers"):
        store.frames(*SERIES, f"{ROOT}.1.1.1")
    with pytest.raises(dk.errors.ApiError):
        store.frames(*SERIES, f"{ROOT}.1.1.1", numbers=1000)


def test_geometry_shows_gaps_and_duplicates(conn: dk.Dataset) -> None:
    """One row a slice, in the order of space."""
    store = store_of(conn, series([5, 0, 1, 3, 1]))
    frame = store.geometry(*SERIES)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {c.name: c.dtype for c in GEOMETRY}
    first = ORIGIN[2]
    assert frame["position_mm"].tolist() == pytest.approx([first + 2.5 * k for k in (0, 1, 1, 3, 5)])
    assert frame["spacing_mm"].tolist()[:4] == pytest.approx([2.5, 0, 5, 5])
    assert frame["spacing_mm"].isna().tolist() == [False] * 4 + [True]
    assert frame["is_duplicate"].tolist() == [False, True, True, False, False]
    assert frame["orientation"].unique().tolist() == ["axial"]
    assert frame["InstanceNumber"].tolist() == [2, 3, 5, 4, 1]
    assert (frame["row_spacing_mm"].unique().tolist(), frame["column_spacing_mm"].unique().tolist()) == ([0.5], [0.75])
    # Of the distances 2.5, 5 and 5 the usual one is 5.
    assert frame.attrs == {"is_volume": False, "spacing_mm": pytest.approx(5), "stacks": 1, "gaps": 0, "duplicates": 2}
    assert store.geometry(*SERIES, tolerance=0.9)["is_gap"].tolist() == [False] * 5


def test_geometry_finds_a_missing_slice(conn: dk.Dataset) -> None:
    """Between the third and the fifth."""
    frame = store_of(conn, series([0, 1, 2, 4, 5])).geometry(*SERIES)
    assert frame["is_gap"].tolist() == [False, False, True, False, False]
    assert (frame.attrs["gaps"], frame.attrs["is_volume"]) == (1, False)


@pytest.mark.parametrize(
    ("orientation", "label"),
    [
        (AXIAL, "axial"),
        ((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "axial"),
        ((1.0, 0.0, 0.0, 0.0, 0.0, -1.0), "coronal"),
        ((0.0, 1.0, 0.0, 0.0, 0.0, -1.0), "sagittal"),
        (OBLIQUE, "oblique"),
        ((1.0, 0.0, 0.0, 0.0, 0.9962, 0.0872), "axial"),  # 5 degrees
        ((1.0, 0.0, 0.0, 0.0, 0.9659, 0.2588), "oblique"),  # 15 degrees
    ],
)
def test_orientation_has_a_name(conn: dk.Dataset, orientation: tuple[float, ...], label: str) -> None:
    """Axial planes have their normal to the head or the feet, sagittal ones to the left or right."""
    frame = store_of(conn, series([0, 1], orientation)).geometry(*SERIES)
    assert frame["orientation"].tolist() == [label, label]


def test_what_has_no_geometry_comes_last(conn: dk.Dataset) -> None:
    """Other stacks behind the largest, and instances that are no images at the end."""
    store = store_of(
        conn,
        [*series([7], OBLIQUE, first=1), *series([0, 1], first=2), report()],
    )
    frame = store.geometry(*SERIES)
    assert frame["stack"].tolist()[:3] == [1, 1, 2]
    assert frame.iloc[3][["position_mm", "stack", "is_gap", "orientation", "Rows"]].isna().all()
    assert frame.attrs["stacks"] == 2
    with pytest.raises(NotFound):
        store.geometry(f"{ROOT}.1", "1.2.3")


def test_picture_is_shown_and_saved(conn: dk.Dataset, tmp_path: Path) -> None:
    """As PNG or JPEG, whole or a part of it, to a file for the owner alone."""
    image = ct_slice(NumberOfFrames=2, PixelData=bytes(range(64)))
    store = store_of(conn, [image])
    uids = (*SERIES, f"{ROOT}.1.1.1")
    png = store.render(*uids)
    assert Image.open(io.BytesIO(png._repr_png_() or b"")).size == (4, 4)
    assert png._repr_jpeg_() is None
    jpeg = store.render(*uids, frame=2, viewport=(2, 8), media_type="image/jpeg")
    opened = Image.open(io.BytesIO(jpeg._repr_jpeg_() or b""))
    assert (opened.format, opened.size, jpeg._repr_png_()) == ("JPEG", (2, 2), None)
    assert Image.open(io.BytesIO(store.render(*uids, viewport=(8, 8, 0, 0, 2, 1.0)).data)).size == (8, 4)
    saved = png.save(tmp_path / "x.png")
    assert saved.read_bytes() == png.data
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "data" not in repr(png)
    with pytest.raises(InvalidArgument, match="ends with"):
        png.save(tmp_path / "x.jpg")


@pytest.mark.parametrize(
    "arguments",
    [{"frame": 0}, {"frame": True}, {"frame": "1"}, {"viewport": (1,)}, {"viewport": "x"}, {"media_type": "image/gif"}],
)
def test_picture_that_cannot_be_is_refused(conn: dk.Dataset, arguments: dict[str, Any]) -> None:
    """By the rule that was broken."""
    store = store_of(conn, [ct_slice()])
    with pytest.raises(InvalidArgument):
        store.render(*SERIES, f"{ROOT}.1.1.1", **arguments)
    with pytest.raises(NotFound):
        store.render(*SERIES, f"{ROOT}.1.1.1", frame=2)
