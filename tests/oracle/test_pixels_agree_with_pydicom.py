"""The pixels that dicomkit decodes, encodes and shows, against pydicom with other codec libraries."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image as Pillow
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

from dicomkit import pixels
from dicomkit.errors import DicomkitError
from dicomkit.pixels.syntaxes import JPEG_LOSSY, JXL
from tests.conftest import WHEEL
from tests.unit.pixels.images import image, sequence

Array = npt.NDArray[Any]

# What pydicom itself cannot read or decode, and why.
UNDECODABLE = {
    "JPEG-lossy.dcm": "the scan's header breaks the rule for sequential JPEG",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a stream cut to test parsing",
    "MR_truncated.dcm": "cut off",
    "badVR.dcm": "NumberOfFrames is no number",
    "meta_missing_tsyntax.dcm": "no image attributes",
    "nested_priv_SQ.dcm": "no image attributes",
    "no_meta.dcm": "no preamble, and no beginning of a dataset",
}

IMAGES = sorted(
    path.relative_to(WHEEL).as_posix()
    for path in WHEEL.rglob("*.dcm")
    if (path.name not in UNDECODABLE and b"\xe0\x7f\x10\x00" in path.read_bytes()) or "big" in path.name
)


def decoded(data: bytes, **options: Any) -> Array:
    """The pixels by pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(data), force=True)
        if "TransferSyntaxUID" not in ds.file_meta:
            ds.file_meta.TransferSyntaxUID = (
                pydicom.uid.ImplicitVRLittleEndian if ds.original_encoding[0] else ExplicitVRLittleEndian
            )
        return pixel_array(ds, **options)


@pytest.mark.parametrize("name", IMAGES)
def test_decompressed_files_hold_the_pixels_that_pydicom_decodes(name: str) -> None:
    """Every image of pydicom's wheel, transcoded to Explicit VR Little Endian, has the pixels pydicom decodes."""
    data = (WHEEL / name).read_bytes()
    syntax = pydicom.filereader.read_file_meta_info(WHEEL / name).get("TransferSyntaxUID")
    lossy = syntax in JPEG_LOSSY
    options = {"decoding_plugin": "pillow"} if syntax == "1.2.840.10008.1.2.4.50" else {}
    expected = decoded(data, **options)
    found = decoded(pixels.transcode(data, ExplicitVRLittleEndian))
    assert found.shape == expected.shape
    # Two implementations of the inverse cosine transform may round a half differently.
    assert np.abs(found.astype(np.int64) - expected).max() <= (2 if lossy else 0)


LOSSLESS = {
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.8.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1.99",
}
LOSSY = pixels.WRITABLE - LOSSLESS - {ExplicitVRLittleEndian}

SAMPLES: dict[str, dict[str, Any]] = {
    "8 bits": {"dtype": "u1"},
    "8 of 16 bits": {"dtype": "u2", "stored": 8},
    "12 bits": {"dtype": "u2", "stored": 12},
    "16 bits": {"dtype": "u2", "stored": 16},
    "signed 8 bits": {"dtype": "i1"},
    "signed 12 bits": {"dtype": "i2", "stored": 12},
    "signed 16 bits": {"dtype": "i2", "stored": 16},
    "RGB": {"dtype": "u1", "samples": 3},
    "RGB of 16 bits": {"dtype": "u2", "stored": 16, "samples": 3},
    "RGB by plane": {"dtype": "u1", "samples": 3, "planar": 1},
    "YBR_FULL": {"dtype": "u1", "samples": 3, "photometric": "YBR_FULL"},
    "two frames": {"dtype": "u2", "stored": 12, "frames": 2},
    "three frames of an odd length": {"dtype": "u1", "frames": 3, "rows": 5, "columns": 7},
}
# pydicom 3.0 has no decoder for these.
NOT_IN_PYDICOM = JXL | {"1.2.840.10008.1.2.8.1"}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("target", sorted(LOSSLESS))
def test_lossless_round_trips_are_exact(target: str, sample: str) -> None:
    """Pixels written losslessly are read back bit by bit, by us and, through another library, by pydicom."""
    data = image(**SAMPLES[sample])
    expected = decoded(data, raw=True)
    try:
        written = pixels.transcode(data, target)
    except DicomkitError as exc:
        # JPEG takes no colours deeper than 8 bits, which is the only refusal among these.
        assert "deeper than 8 bits" in str(exc) and sample == "RGB of 16 bits"
        return
    again = pixels.transcode(written, ExplicitVRLittleEndian)
    assert np.array_equal(decoded(again, raw=True), expected)
    if target not in NOT_IN_PYDICOM:
        assert np.array_equal(decoded(written, raw=True), expected)


@pytest.mark.parametrize("sample", ["8 bits", "12 bits", "RGB", "YBR_FULL", "two frames"])
@pytest.mark.parametrize("target", sorted(LOSSY - {"1.2.840.10008.1.2.4.111"}))
def test_lossy_pixels_are_close(target: str, sample: str) -> None:
    """Pixels written with loss stay close, whoever decodes them, and the file says so."""
    data = image(**SAMPLES[sample])
    expected = decoded(data).astype(np.int64)
    try:
        written = pixels.transcode(data, target)
    except DicomkitError as exc:
        assert target == "1.2.840.10008.1.2.4.50" and "8 bits a sample" in str(exc)
        return
    header = pydicom.dcmread(io.BytesIO(written))
    assert header.LossyImageCompression == "01"
    assert header.LossyImageCompressionRatio > 1
    assert header.LossyImageCompressionMethod.startswith("ISO_")
    most = 123 if expected.max() > 255 else 32
    for found in [decoded(pixels.transcode(written, ExplicitVRLittleEndian))] + (
        [] if target in NOT_IN_PYDICOM else [decoded(written)]
    ):
        assert np.abs(found.astype(np.int64) - expected).max() <= most


def _look(item: pydicom.Dataset, element: pydicom.DataElement) -> None:
    """What :meth:`walk` does on the way is the point: every element is converted."""


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "liver_1frame.dcm", "rtdose.dcm"])
@pytest.mark.parametrize("target", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
def test_native_files_change_their_encoding_alone(name: str, target: str) -> None:
    """Between native transfer syntaxes every element keeps its value, and pydicom reads the same dataset."""
    data = (WHEEL / name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a UID of rtdose.dcm is none
        before = pydicom.dcmread(io.BytesIO(data))
        after = pydicom.dcmread(io.BytesIO(pixels.transcode(data, target)))
        before.walk(_look)
        after.walk(_look)
    assert after.file_meta.TransferSyntaxUID == target
    assert [element.tag for element in after] == [e.tag for e in before if e.tag.element != 0]
    for element in after:
        assert element.value == before[element.tag].value, element.tag


GREY: dict[str, dict[str, Any]] = {
    "window": {"WindowCenter": 300, "WindowWidth": 400},
    "window of width 1": {"WindowCenter": 300, "WindowWidth": 1},
    "the first of two windows": {"WindowCenter": [300, 50], "WindowWidth": [400, 10]},
    "rescaled": {"RescaleSlope": "1.5", "RescaleIntercept": "-1024", "WindowCenter": 40, "WindowWidth": 400},
    "negative slope": {"RescaleSlope": -2, "RescaleIntercept": 10, "WindowCenter": -500, "WindowWidth": 3000},
    "exact": {"WindowCenter": 300.5, "WindowWidth": 401.25, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 300, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
    "VOI LUT": {"VOILUTSequence": sequence(LUTDescriptor=[64, 100, 12], LUTData=[i * 65 for i in range(64)])},
    "VOI LUT before window": {
        "VOILUTSequence": sequence(LUTDescriptor=[64, 100, 16], LUTData=[i * 1040 for i in range(64)]),
        "WindowCenter": 300,
        "WindowWidth": 400,
    },
    "modality LUT": {
        "ModalityLUTSequence": sequence(LUTDescriptor=[64, 10, 16], LUTData=[4000 - i * 50 for i in range(64)]),
        "WindowCenter": 2000,
        "WindowWidth": 3000,
    },
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("sample", ["8 bits", "12 bits", "16 bits", "signed 12 bits", "signed 16 bits"])
@pytest.mark.parametrize("case", GREY)
def test_grey_values_are_those_of_pydicoms_pipeline(case: str, sample: str, photometric: str) -> None:
    """What is shown is pydicom's modality LUT and VOI LUT, brought to 8 bits, for each kind of each."""
    data = image(**SAMPLES[sample], photometric=photometric, **GREY[case])
    ds = pydicom.dcmread(io.BytesIO(data))
    values = apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    if "VOILUTSequence" in ds:
        low, high = 0.0, 2.0 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "ModalityLUTSequence" in ds:
        low, high = 0.0, 2.0**16 - 1
    else:
        slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
        least = -(2 ** (ds.BitsStored - 1)) if ds.PixelRepresentation else 0
        low, high = least * slope + intercept, (least + 2**ds.BitsStored - 1) * slope + intercept
    expected = np.floor(np.round((values - low) / (high - low) * 255, 9) + 0.5).astype(np.uint8)
    if photometric == "MONOCHROME1":
        expected = 255 - expected
    assert np.array_equal(shown(data), expected)


@pytest.mark.parametrize("name", ["examples_palette.dcm"])
def test_palettes_are_pydicoms(name: str) -> None:
    """A palette image is shown in the colours of pydicom's lookup, the upper 8 of 16 bits."""
    data = (WHEEL / name).read_bytes()
    ds = pydicom.dcmread(io.BytesIO(data))
    colours = apply_color_lut(ds.pixel_array, ds)
    assert np.array_equal(shown(data), (colours >> 8 * (colours.dtype.itemsize - 1)).astype(np.uint8))


@pytest.mark.parametrize("bits", [8, 16])
def test_segmented_palettes_are_pydicoms(bits: int) -> None:
    """Discrete, linear and indirect segments come out as pydicom expands them."""
    scale = 1 if bits == 8 else 257
    segments = [0, 4, 0, 5 * scale, 9 * scale, 12 * scale, 1, 60, 250 * scale, 1, 64, 3 * scale, 0, 1, 200 * scale]
    segments += [0] * (len(segments) % 2)
    data = np.asarray(segments, dtype=f"<u{bits // 8}").tobytes()
    values: dict[str, Any] = {}
    for colour in ("Red", "Green", "Blue"):
        values[f"{colour}PaletteColorLookupTableDescriptor"] = [129, 3, bits]
        values[f"Segmented{colour}PaletteColorLookupTableData"] = data
    made = image(dtype="u1", photometric="PALETTE COLOR", **values)
    ds = pydicom.dcmread(io.BytesIO(made))
    colours = apply_color_lut(ds.pixel_array, ds)
    assert np.array_equal(shown(made), (colours >> (bits - 8)).astype(np.uint8))


@pytest.mark.parametrize(
    "name", ["SC_ybr_full_422_uncompressed.dcm", "examples_rgb_color.dcm", "SC_rgb_rle_2frame.dcm"]
)
def test_colours_are_pydicoms(name: str) -> None:
    """RGB and YBR are shown as pydicom's RGB, within the rounding of the conversion."""
    data = (WHEEL / name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pixel_array(WHEEL / name, index=0).astype(np.int16)
    assert np.abs(shown(data) - expected).max() <= 1


def shown(data: bytes) -> Array:
    """The first frame's picture as an array."""
    return np.asarray(Pillow.open(io.BytesIO(pixels.render(data, 1, media_type="image/png"))))


def test_the_oracle_has_every_decoder_it_needs() -> None:
    """pydicom finds the other libraries: without them the tests above would compare nothing."""
    for syntax in LOSSLESS - NOT_IN_PYDICOM | {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}:
        assert pydicom.pixels.get_decoder(syntax).is_available
