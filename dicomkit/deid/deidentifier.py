"""De-identification of an instance: the decisions of ``rules`` carried out on a pydicom ``Dataset``.

Source: DICOM PS3.15 Annex E, PS3.10 section 7.1 (preamble, file meta information), edition 2026c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import Any

from pydicom import Dataset, Sequence, dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from dicomkit.deid.codes import VALUES, safe_code
from dicomkit.deid.dates import shift_days
from dicomkit.deid.dummies import BLANK_PDF, dummy, pseudonym
from dicomkit.deid.marks import mark
from dicomkit.deid.pixels import clear_beside_samples
from dicomkit.deid.rules import PATIENT_ID, Rules
from dicomkit.deid.steps import PreviewRow, Step
from dicomkit.deid.support import check_supported
from dicomkit.deid.text import Transformations, apply
from dicomkit.deid.uids import UidMap
from dicomkit.deid.values import element_vr, is_sound, items, strings
from dicomkit.dicom.dictionary import is_private, keyword_of
from dicomkit.errors import DicomFormatError, Unimplemented
from dicomkit.resources.deidentify_config import DeidentifyConfig

__all__ = ["Deidentifier", "preview"]

_DOCUMENT, _SCHEME, _MEANING = "00420011", "00080102", "00080104"
_ENCODINGS = {
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
"""Transfer syntax by (implicit VR, little endian), for a file without meta information."""

Enter = Callable[[Dataset], None]
Visit = Callable[[Dataset, BaseTag, str, Step, str], None]


class Deidentifier:
    """De-identifies the instances of one operation, so that what belongs together stays together.

    Parameters
    ----------
    config
        What is to be done.
    key
        Secret of the operation, at least 16 bytes. UIDs, date shifts and hashes follow from it alone, so that several
        workers and a second run agree.

    Raises
    ------
    Unimplemented
        The config asks for what is not there; the message names it.
    """

    def __init__(self, config: DeidentifyConfig, *, key: bytes) -> None:
        check_supported(config)
        self._map = UidMap(key)
        self._key = key
        self._texts = Transformations(config.text, key)
        self._rules = Rules(config.dicom, self._texts)

    def instance(self, buffer: bytes) -> bytes:
        """De-identify a Part 10 file.

        Parameters
        ----------
        buffer
            One whole file; preamble and file meta information may be missing.

        Returns
        -------
        bytes
            A Part 10 file in the same transfer syntax, with an empty preamble.

        Raises
        ------
        DicomFormatError
            pydicom cannot read or write it.
        """
        with _told_without_values("rewritten"):
            dataset = dcmread(BytesIO(buffer), force=True)
            self.apply(dataset)
            out = BytesIO()
            dcmwrite(out, dataset, enforce_file_format=True)
        return out.getvalue()

    def preview_of(self, buffer: bytes) -> list[PreviewRow]:
        """What :meth:`instance` would do to each attribute of a file, in the order of the file.

        Raises
        ------
        DicomFormatError
            pydicom cannot read it.
        """
        with _told_without_values("read"):
            return self.preview(dcmread(BytesIO(buffer), force=True))

    def apply(self, dataset: FileDataset) -> None:
        """De-identify a dataset in place, its file meta information and preamble included."""
        self._check(dataset)
        _give_vrs(dataset)
        days = self._days(dataset)
        burned_in = str(dataset.get("BurnedInAnnotation") or "").upper() == "YES"

        def act(item: Dataset, tag: BaseTag, vr: str, step: Step, path: str) -> None:
            self._act(item, tag, vr, step, days)

        self._walk(dataset, act, self._recode)
        mark(dataset, self._rules, shifted=self._texts.shifts_dates is not None, burned_in=burned_in)
        dataset.file_meta = self._file_meta(dataset)
        if self._rules.profile in ("basic", "minimal"):
            clear_beside_samples(dataset, dataset.file_meta.TransferSyntaxUID)
        dataset.preamble = bytes(128)

    def preview(self, dataset: Dataset) -> list[PreviewRow]:
        """What would happen to each attribute, in the order of the file; the dataset is only read."""
        self._check(dataset)
        rows = []
        if getattr(dataset, "preamble", None):
            rows.append(PreviewRow("", "FilePreamble", "", "empty", "may hold anything"))
        meta: Any = getattr(dataset, "file_meta", None)
        for tag in sorted(meta.keys()) if meta is not None else ():
            step = self._rules.decide_meta(_tag8(tag))
            rows.append(PreviewRow(_tag8(tag), _name(tag), element_vr(meta, tag), step.action, step.reason))

        def tell(_item: Dataset, tag: BaseTag, vr: str, step: Step, path: str) -> None:
            rows.append(PreviewRow(_tag8(tag), path, vr, step.action, step.reason))

        self._walk(dataset, tell)
        marks = Dataset()
        mark(marks, self._rules, shifted=self._texts.shifts_dates is not None, burned_in=False)
        marked = [
            PreviewRow(_tag8(tag), _name(tag), marks[tag].VR, "set", "says what was done")
            for tag in sorted(marks.keys())
        ]
        names = {row.path for row in marked}
        return [row for row in rows if row.path not in names] + marked

    def _check(self, dataset: Dataset) -> None:
        if Tag("DirectoryRecordSequence") in dataset:
            raise Unimplemented("a DICOMDIR is not de-identified, its offsets would break; de-identify its instances")

    def _days(self, dataset: Dataset) -> int:
        shifting = self._texts.shifts_dates
        if shifting is None:
            return 0
        patient, study = ("\\".join(strings(dataset, Tag(name))) for name in ("PatientID", "StudyInstanceUID"))
        return shift_days(shifting.key, patient.strip(), study.strip())

    def _walk(
        self, dataset: Dataset, visit: Visit, enter: Enter | None = None, *, path: str = "", cleaned: bool = False
    ) -> None:
        """Visit each attribute, those of items after their sequence."""
        if cleaned and enter is not None:
            enter(dataset)
        for tag in sorted(dataset.keys()):
            vr = element_vr(dataset, tag)
            step = self._rules.decide(_tag8(tag), vr, cleaned=cleaned)
            judged = step.action == "keep" and vr != "SQ" and self._rules.profile == "basic"
            if judged and not is_sound(dataset, tag, vr):
                step = Step("remap" if vr == "UI" else "empty", "holds what its VR does not allow")
            name = path + _name(tag)
            visit(dataset, tag, vr, step, name)
            if vr != "SQ" or step.action not in ("keep", "replace"):
                continue
            for index, item in enumerate(items(dataset, tag)):
                inside = cleaned or step.action == "replace"
                self._walk(item, visit, enter, path=f"{name}[{index}].", cleaned=inside)

    def _act(self, dataset: Dataset, tag: BaseTag, vr: str, step: Step, days: int) -> None:
        action = step.action
        if action == "remove":
            del dataset[tag]
        elif action == "empty":
            _set(dataset, tag, vr, Sequence() if vr == "SQ" else None)
        elif action == "remap":
            _set(dataset, tag, "UI", [self._map(uid) if uid else "" for uid in strings(dataset, tag)])
        elif action == "transform" and step.transformation is not None:
            values = strings(dataset, tag)
            _set(dataset, tag, vr, apply(step.transformation, _tag8(tag), vr, values, days=days))
        elif action == "replace" and vr != "SQ":
            if _tag8(tag) == _DOCUMENT:
                _replace_document(dataset)
            elif _tag8(tag) == PATIENT_ID:
                _set(dataset, tag, "LO", [pseudonym(self._key, value) for value in strings(dataset, tag) if value])
            else:
                _set(dataset, tag, vr, dummy(vr))

    def _recode(self, dataset: Dataset) -> None:
        """Make the code safe that an item of structured content holds, if it does."""
        held = [tag for tag in VALUES if Tag(tag) in dataset]
        if not held and Tag(_MEANING) not in dataset:
            return
        scheme = "".join(strings(dataset, Tag(_SCHEME)))
        value = "".join(strings(dataset, Tag(held[0]))) if held else ""
        safe_scheme, safe_value, meaning = safe_code(self._key, scheme, value)
        place = held[0] if safe_value == value and held else "00080100"
        for tag in (*held, "00080103"):
            if Tag(tag) in dataset:
                del dataset[Tag(tag)]
        for tag, vr, text in (
            (place, VALUES[place], safe_value),
            (_SCHEME, "SH", safe_scheme),
            (_MEANING, "LO", meaning),
        ):
            _set(dataset, Tag(tag), vr, text)

    def _file_meta(self, dataset: FileDataset) -> FileMetaDataset:
        """File meta information that says of the dataset what is so, and what the rules keep besides."""
        old: Any = getattr(dataset, "file_meta", None) or FileMetaDataset()
        new = FileMetaDataset()
        for tag in sorted(old.keys()):
            if tag not in (0x00020002, 0x00020003) and self._rules.decide_meta(_tag8(tag)).action == "keep":
                new[tag] = old.get_item(tag)
        new.MediaStorageSOPClassUID, new.MediaStorageSOPInstanceUID = (
            UID(uid) for name in ("SOPClassUID", "SOPInstanceUID") for uid in strings(dataset, Tag(name))
        )
        if "TransferSyntaxUID" not in new:
            new.TransferSyntaxUID = UID(_ENCODINGS[dataset.original_encoding])  # type: ignore[index]
        return new


def preview(dataset: Dataset, config: DeidentifyConfig) -> list[PreviewRow]:
    """What *config* would do to each attribute of *dataset*, which is only read.

    Returns
    -------
    list of PreviewRow
        Tag, path, action and reason; never a value.

    Raises
    ------
    Unimplemented
        The config asks for what is not there; the message names it.
    """
    return Deidentifier(config, key=bytes(16)).preview(dataset)  # no key shows in a preview


@contextmanager
def _told_without_values(verb: str) -> Iterator[None]:
    """Raise ``DicomFormatError`` in place of pydicom's errors, and have no warnings: their texts may hold values."""
    try:
        with disable_value_validation():
            yield
    except (
        *(ValueError, TypeError, LookupError, AttributeError, EOFError, OSError, NotImplementedError),
        *(ArithmeticError, RecursionError, struct.error, InvalidDicomError, BytesLengthException),
    ) as error:
        if isinstance(error, Unimplemented | DicomFormatError):
            raise
        raise DicomFormatError(f"the instance cannot be {verb} ({type(error).__name__})") from None


def _tag8(tag: int) -> str:
    return f"{tag:08X}"


@lru_cache(maxsize=10_000)
def _name(tag: BaseTag) -> str:
    return (None if is_private(_tag8(tag)) else keyword_of(_tag8(tag))) or f"({tag.group:04X},{tag.element:04X})"


def _set(dataset: Dataset, tag: BaseTag, vr: str, value: object) -> None:
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else value or None
    dataset[tag] = DataElement(tag, vr.partition(" or ")[0], value)


def _give_vrs(dataset: FileDataset) -> None:
    """Find the VRs of a dataset that is written without them although its transfer syntax has them."""
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax and not UID(syntax).is_implicit_VR and any(dataset.get_item(tag).VR is None for tag in dataset.keys()):
        for _ in dataset.iterall():  # which decodes each element
            pass


def _replace_document(dataset: Dataset) -> None:
    """An empty document of the same kind; its length is written where there was one."""
    is_pdf = "".join(strings(dataset, Tag("MIMETypeOfEncapsulatedDocument"))).lower() == "application/pdf"
    document = BLANK_PDF if is_pdf else bytes(2)
    _set(dataset, Tag(_DOCUMENT), "OB", document + bytes(len(document) % 2))
    if Tag("EncapsulatedDocumentLength") in dataset:
        _set(dataset, Tag("EncapsulatedDocumentLength"), "UL", len(document))
