"""A whole file in another transfer syntax: what changes, what does not, and what is refused."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_fragments
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from dicomkit import pixels
from dicomkit.errors import DicomFormatError, FailedPrecondition, NotAcceptable
from tests.conftest import WHEEL
from tests.unit.pixels.images import image, part10, ramp

FLOATS = {"FloatPixelData": np.arange(12, dtype="<f4").tobytes()}


def read(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def rich() -> bytes:
    """An image with private, unknown and nested elements, odd padding and a text in another character set."""
    ds = read(image(dtype="u2", stored=12))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = "山田^太郎"
    block = ds.private_block(0x0009, "ACME 1.1", create=True)
    block.add_new(0x01, "UN", b"\x01\x02\x03\x04")
    block.add_new(0x02, "DS", "1.5")
    ds.add_new(0x00091103, "OB", b"no block of its own ")
    item = Dataset()
    item.CodeValue = "T-A0100"
    deeper = Dataset()
    deeper.add_new(0x00080104, "LO", "meaning")
    item.add_new(0x00111001, "SQ", Sequence([deeper]))
    item[0x00111001].is_undefined_length = True
    ds.ProcedureCodeSequence = [item]
    ds.ProcedureCodeSequence.is_undefined_length = True
    ds.add_new(0x60003000, "OW", bytes(range(32)))
    return part10(ds)


@pytest.mark.parametrize("target", sorted(pixels.WRITABLE))
def test_what_is_not_about_pixels_keeps_its_bytes(target: str) -> None:
    """Private, unknown, nested and overlay elements have the same bytes in every explicit transfer syntax."""
    data = rich()
    if target in (JPEGBaseline8Bit, "1.2.840.10008.1.2.4.111", ImplicitVRLittleEndian):
        return  # not for these pixels; and no VRs
    written = read(pixels.transcode(data, target))
    before = read(data)
    about_pixels = {"PixelData", "BitsStored", "HighBit", "LossyImageCompression"}
    about_pixels |= {"LossyImageCompressionRatio", "LossyImageCompressionMethod"}
    for element in before:
        if element.keyword not in about_pixels:
            assert written[element.tag] == element
    assert written.SOPInstanceUID == written.file_meta.MediaStorageSOPInstanceUID == before.SOPInstanceUID
    assert written.file_meta.TransferSyntaxUID == target


def test_implicit_and_back_loses_nothing() -> None:
    """Through implicit VR, where private VRs are not told, every value comes back."""
    data = rich()
    implicit = pixels.transcode(data, ImplicitVRLittleEndian)
    assert read(implicit).is_implicit_VR
    back = read(pixels.transcode(implicit, ExplicitVRLittleEndian))
    before = read(data)
    assert [e.tag for e in back] == [e.tag for e in before]
    assert back[0x00091001].value == before[0x00091001].value
    assert back[0x00091002].value == b"1.5 "  # UN: nobody but ACME knows that it is DS
    assert back[0x00091103].value == b"no block of its own "
    assert back.PatientName == before.PatientName
    inner = back.ProcedureCodeSequence[0][0x00111001].value[0]
    assert inner[0x00080104].value == "meaning"
    assert back.PixelData == before.PixelData


def test_same_syntax_same_bytes() -> None:
    """A file that is as asked for is not touched, however odd it is."""
    data = (WHEEL / "JPEG2000.dcm").read_bytes()
    assert pixels.transcode(data, "1.2.840.10008.1.2.4.91") == data


@pytest.mark.parametrize(
    ("big", "little"),
    [
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("rtdose_expb.dcm", "rtdose.dcm"),
        ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
        ("SC_rgb_small_odd_big_endian.dcm", "SC_rgb_small_odd.dcm"),
    ],
)
def test_big_endian_is_a_source(big: str, little: str) -> None:
    """Words of 8, 16 and 32 bits and single bits have the pixels of the little endian twin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = (WHEEL / big).read_bytes()
        found = read(pixels.transcode(data, ExplicitVRLittleEndian))
        twin = read((WHEEL / little).read_bytes())
        assert np.array_equal(found.pixel_array, twin.pixel_array)
        assert found.Rows == twin.Rows
        frames = pixels.frame_bytes(data, [1], transfer_syntax=ExplicitVRLittleEndian)
        assert frames == pixels.frame_bytes((WHEEL / little).read_bytes(), [1], transfer_syntax=ExplicitVRLittleEndian)


def test_big_endian_is_not_written() -> None:
    """Explicit VR Big Endian is retired, and no target."""
    with pytest.raises(NotAcceptable, match="1.2.840.10008.1.2.2"):
        pixels.transcode(image(), ExplicitVRBigEndian)


def test_file_meta_is_rewritten_and_its_length_right() -> None:
    """The group length fits, other elements of group 0002 stay, and the preamble is empty."""
    ds = read(image())
    ds.file_meta.SourceApplicationEntityTitle = "SCANNER"
    ds.preamble = b"\x49\x49" + bytes(126)
    data = part10_of(ds)
    written = pixels.transcode(data, RLELossless)
    assert written[:128] == bytes(128)
    (length,) = struct.unpack_from("<I", written, 140)
    assert written[144 + length : 148 + length] == b"\x08\x00\x16\x00"
    assert read(written).file_meta.SourceApplicationEntityTitle == "SCANNER"


def part10_of(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds)
    return buffer.getvalue()


def test_a_file_without_meta_gets_one() -> None:
    """A bare dataset comes out as a whole Part 10 file."""
    written = read(pixels.transcode((WHEEL / "ExplVR_LitEndNoMeta.dcm").read_bytes(), ImplicitVRLittleEndian))
    assert written.file_meta.MediaStorageSOPClassUID == written.SOPClassUID
    assert written.file_meta.MediaStorageSOPInstanceUID == written.SOPInstanceUID


def test_deflated_is_one_stream_of_even_length() -> None:
    """The deflated dataset inflates to the explicit one."""
    data = rich()
    deflated = pixels.transcode(data, DeflatedExplicitVRLittleEndian)
    assert len(deflated) % 2 == 0
    assert read(deflated).PixelData == read(data).PixelData
    again = pixels.transcode(deflated, ExplicitVRLittleEndian)
    assert again.endswith(data[-3000:])


def test_compressed_pixels_have_a_right_offset_table() -> None:
    """One fragment a frame, each of even length, and a basic offset table that points at them."""
    written = read(pixels.transcode(image(dtype="u1", frames=3, rows=5, columns=7), JPEGLSLossless))
    assert written["PixelData"].VR == "OB" and written["PixelData"].is_undefined_length
    fragments = list(generate_fragments(written.PixelData))
    fragments.pop(0)  # the table itself
    offsets = struct.unpack("<3I", written.PixelData[8:20])
    assert [len(f) % 2 for f in fragments] == [0, 0, 0]
    assert list(offsets) == [0, 8 + len(fragments[0]), 16 + len(fragments[0]) + len(fragments[1])]


def test_extended_offset_tables_go_with_the_pixels_they_describe() -> None:
    """No table of the old fragments is left in a file that has others, or none."""
    ds = read(image(dtype="u1", frames=2))
    ds.compress(RLELossless, encapsulate_ext=True, generate_instance_uid=False)
    data = part10_of(ds)
    assert "ExtendedOffsetTable" in read(data)
    for target in (ExplicitVRLittleEndian, JPEG2000Lossless):
        assert "ExtendedOffsetTable" not in read(pixels.transcode(data, target))
        assert "ExtendedOffsetTableLengths" not in read(pixels.transcode(data, target))


@pytest.mark.parametrize(
    ("target", "photometric"),
    [
        (JPEGBaseline8Bit, "YBR_FULL_422"),
        ("1.2.840.10008.1.2.4.70", "RGB"),
        (JPEGLSLossless, "RGB"),
        (JPEG2000Lossless, "YBR_RCT"),
        ("1.2.840.10008.1.2.4.91", "YBR_ICT"),
        ("1.2.840.10008.1.2.4.201", "YBR_RCT"),
        ("1.2.840.10008.1.2.4.203", "YBR_ICT"),
        ("1.2.840.10008.1.2.4.110", "RGB"),
        ("1.2.840.10008.1.2.4.112", "XYB"),
        (RLELossless, "RGB"),
    ],
)
def test_colours_are_named_as_the_codec_has_them(target: str, photometric: str) -> None:
    """PhotometricInterpretation is the codec's inside, RGB outside again; planes become pixels (PS3.5 section 8.2)."""
    compressed = pixels.transcode(image(samples=3, planar=1), target)
    assert read(compressed).PhotometricInterpretation == photometric
    assert read(compressed).PlanarConfiguration == 0
    assert read(pixels.transcode(compressed, ExplicitVRLittleEndian)).PhotometricInterpretation == "RGB"


def test_htj2k_rpcl_is_in_that_order() -> None:
    """1.2.840.10008.1.2.4.202 has the progression RPCL and tile-part lengths in its header (PS3.5 section A.4.12)."""
    (frame,) = pixels.frame_bytes(image(rows=300, columns=200), [1], transfer_syntax="1.2.840.10008.1.2.4.202")
    style = frame.index(b"\xff\x52")
    assert frame[style + 5] == 2
    assert b"\xff\x55" in frame[:200]
    assert frame[style + 9] == 3  # 300 >> 3 is no more than 64


@pytest.mark.parametrize(("bits", "stored"), [("u1", 8), ("u2", 16)])
def test_decompressed_pixels_have_the_vr_of_their_words(bits: str, stored: int) -> None:
    """Explicit VR: OB for 8 bits, OW for more (PS3.5 section A.2)."""
    compressed = pixels.transcode(image(dtype=bits, stored=stored), RLELossless)
    assert read(pixels.transcode(compressed, ExplicitVRLittleEndian))["PixelData"].VR == ("OB" if stored == 8 else "OW")


def test_losses_add_up() -> None:
    """A second lossy compression is added to the ratios and methods of the first."""
    once = pixels.transcode(image(), JPEGBaseline8Bit)
    twice = read(pixels.transcode(once, "1.2.840.10008.1.2.4.91"))
    assert list(twice.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_15444_1"]
    assert len(twice.LossyImageCompressionRatio) == 2
    plain = read(pixels.transcode(once, ExplicitVRLittleEndian))
    assert plain.LossyImageCompression == "01" and plain.LossyImageCompressionMethod == "ISO_10918_1"


def test_what_was_lossy_says_so_when_it_is_decompressed() -> None:
    """Lossy JPEG that does not mention it is marked."""
    data = (WHEEL / "SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    ds = read(data)
    del ds.LossyImageCompression
    assert read(pixels.transcode(part10_of(ds), ExplicitVRLittleEndian)).LossyImageCompression == "01"


def test_jpeg_in_jpeg_xl_comes_back_bit_by_bit() -> None:
    """JPEG XL recompression holds the JPEG image itself."""
    data = pixels.transcode(image(samples=3), JPEGBaseline8Bit)
    inside = pixels.transcode(data, "1.2.840.10008.1.2.4.111")
    back = pixels.transcode(inside, JPEGBaseline8Bit)
    wanted = pixels.frame_bytes(data, [1], transfer_syntax="*")[0].rstrip(b"\0")
    assert pixels.frame_bytes(back, [1], transfer_syntax="*")[0].rstrip(b"\0") == wanted


@pytest.mark.parametrize(
    ("data", "target", "reason"),
    [
        (image(dtype="u2", stored=16, samples=3), "1.2.840.10008.1.2.4.50", "deeper than 8 bits"),
        (image(dtype="u2", stored=16, samples=3), "1.2.840.10008.1.2.4.70", "deeper than 8 bits"),
        (image(dtype="u2", stored=12), "1.2.840.10008.1.2.4.50", "8 bits a sample"),
        (image(dtype="u2", stored=16), "1.2.840.10008.1.2.4.51", "12 bits a sample"),
        (image(dtype="i2", stored=12), "1.2.840.10008.1.2.4.51", "no negative"),
        (image(dtype="i2", stored=12), "1.2.840.10008.1.2.4.112", "no negative"),
        (image(dtype="u4"), "1.2.840.10008.1.2.4.90", "16 bits a sample"),
        (image(photometric="PALETTE COLOR"), "1.2.840.10008.1.2.4.81", "palette"),
        (image(), "1.2.840.10008.1.2.4.111", "JPEG images"),
        (image(), "1.2.840.10008.1.2.4.100", "no transfer syntax"),
        (image(), "no uid", "no transfer syntax"),
    ],
)
def test_refusals_say_why(data: bytes, target: str, reason: str) -> None:
    """A target that cannot hold the image is a typed refusal with its reason."""
    with pytest.raises(NotAcceptable, match=reason):
        pixels.transcode(data, target)


@pytest.mark.parametrize("target", sorted(pixels.WRITABLE))
@pytest.mark.parametrize("kind", ["bits", "floats"])
def test_bits_and_floats_stay_native(kind: str, target: str) -> None:
    """BitsAllocated 1 and float pixel data go between native transfer syntaxes only, as the service has it."""
    if kind == "bits":
        data = (WHEEL / "liver_1frame.dcm").read_bytes()
    else:
        data = image(rows=3, columns=4, dtype="u4", PixelData=None, PixelRepresentation=None, **FLOATS)
    if target in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        written = read(pixels.transcode(data, target))
        keyword = "PixelData" if kind == "bits" else "FloatPixelData"
        assert written[keyword].value == read(data)[keyword].value
    else:
        with pytest.raises(NotAcceptable, match="1 bit, floats"):
            pixels.transcode(data, target)


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "rtstruct.dcm", "waveform_ecg.dcm", "reportsi.dcm"])
@pytest.mark.parametrize("target", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless])
def test_what_is_no_image_is_encoded_again(name: str, target: str) -> None:
    """Reports, plans and waveforms keep every element under any target."""
    data = (WHEEL / name).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = pydicom.dcmread(io.BytesIO(pixels.transcode(data, target)), force=True)
        before = pydicom.dcmread(io.BytesIO(data), force=True)
        assert [e.tag for e in written] == [e.tag for e in before if e.tag.element != 0]
        for element in written:
            # What VR a private element had is not told by implicit VR.
            assert element.tag.is_private or element == before[element.tag]


def test_icons_become_native() -> None:
    """A compressed icon inside a sequence is decoded with its image, and described so."""
    ds = read(image(dtype="u1"))
    icon = Dataset()
    icon.Rows = icon.Columns = 8
    icon.SamplesPerPixel, icon.PhotometricInterpretation = 1, "MONOCHROME2"
    icon.BitsAllocated = icon.BitsStored = 8
    icon.HighBit, icon.PixelRepresentation = 7, 0
    pictures = ramp((8, 8), "u1", 8)
    (small,) = pixels.frame_bytes(
        image(rows=8, columns=8, array=pictures), [1], transfer_syntax="1.2.840.10008.1.2.4.80"
    )
    icon.add_new("PixelData", "OB", encapsulate([small]))
    icon["PixelData"].is_undefined_length = True
    ds.IconImageSequence = [icon]
    (large,) = pixels.frame_bytes(image(dtype="u1"), [1], transfer_syntax=JPEGLSLossless)
    ds.add_new("PixelData", "OB", encapsulate([large]))
    ds["PixelData"].is_undefined_length = True
    data = part10(ds, JPEGLSLossless)
    for target in (ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless):
        written = read(pixels.transcode(data, target))
        assert written.IconImageSequence[0].PixelData == pictures.tobytes()


def test_a_stored_syntax_that_nobody_knows_is_refused() -> None:
    """An image in MPEG-4 is not decoded, and the refusal says how to get it."""
    data = image(dtype="u1").replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")
    with pytest.raises(NotAcceptable, match=r"transfer-syntax=\*"):
        pixels.transcode(data, ExplicitVRLittleEndian)


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(200), b"GIF89a" * 100, bytes(128) + b"DICM"])
def test_no_dicom_is_a_format_error(data: bytes) -> None:
    """Other bytes end in ``DicomFormatError``, or in a refusal where there is a dataset without pixels."""
    with pytest.raises((DicomFormatError, FailedPrecondition)):
        pixels.frame_count(data)
