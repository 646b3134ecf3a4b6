"""What happens to each attribute under a config: decisions only, made from tag and VR.

Source: DICOM PS3.15 Annex E, table E.1-1 (edition 2026c); Cloud Healthcare API v1, ``DicomConfig``. Google documents
its Basic Profile by edition 2018e; the later table names more attributes.

Where the table leaves a choice by the type that an attribute has in its IOD, which is not looked up, the choice is
what suits every type: D before Z before X. Lists are applied in nested items, too.
"""

from __future__ import annotations

from typing import Literal

from pydicom.datadict import dictionary_is_retired

from dicomkit.deid.codes import VALUES
from dicomkit.deid.ps315_2026c import ACTIONS, EDITION
from dicomkit.deid.steps import Action, Step
from dicomkit.deid.text import STRICT_VRS, TEXT_VRS, Transformations, is_birth_or_death
from dicomkit.deid.uids import is_identifying, names_an_instance
from dicomkit.dicom.dictionary import is_private, keyword_of, parse_attribute, tag_of, vr_of
from dicomkit.resources.deidentify_config import REQUIRED_ATTRIBUTES, DicomConfig, TagFilterList

__all__ = ["MINIMAL_KEYWORDS", "PATIENT_ID", "Profile", "Rules", "table_action"]

Profile = Literal["list", "minimal", "remove", "basic", "all"]

MINIMAL_KEYWORDS = (
    *("SpecificCharacterSet", "Modality", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "PlanarConfiguration"),
    *("PixelAspectRatio", "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"),
    *("RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor"),
    *("BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData", "ICCProfile", "ColorSpace"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "RescaleIntercept", "RescaleSlope"),
    *("LossyImageCompression", "PixelData", "FloatPixelData", "DoubleFloatPixelData"),
)
"""What stays under each keep list besides ``REQUIRED_ATTRIBUTES``: without it pixels cannot be shown as they are."""

PATIENT_ID = "00100020"

_TABLE = {tag: code for code, tags in ACTIONS.items() for tag in tags.split()}
_CHOSEN: dict[str, Action] = {
    "X": "remove",
    "Z": "empty",
    "D": "replace",
    "U": "remap",
    "X/Z": "empty",
    "X/D": "replace",
    "Z/D": "replace",
    "X/Z/D": "replace",
    "X/Z/U*": "keep",  # a sequence of references: its items are gone through, and their UIDs mapped
}
_OPTIONAL_SEQUENCES = frozenset({"00081110"})
"""Of action X/Z, and without items in no IOD that is stored: PS3.3 section C.7.2.1 has them as type 3, with items."""

_ALTERNATIVE = {"X/Z/U*": "references stay, with new UIDs"}

_FREE_TEXT = frozenset({"LT", "ST", "UT"})
_TELLING = ("Comment", "Comments", "Description")
_CODE = frozenset({*VALUES, "00080102", "00080103", "00080104"})
"""Elements of a code, which are made safe together."""
_ALSO: dict[str, Action] = {
    # Not in E.1-1. They say where equipment stands and who it is, hold what an earlier de-identification had
    # encrypted, or are typed by people.
    **dict.fromkeys(("DeviceID", "GridID", "RadiationMachineName", "AcquisitionProtocolName", "ImageID"), "empty"),
    **dict.fromkeys(("AuthorizationEquipmentCertificationNumber", "NTPSourceAddress", "ContactDisplayName"), "empty"),
    **dict.fromkeys(("HangingProtocolCreator", "HangingProtocolUserGroupName", "StorageMediaFileSetID"), "empty"),
    **dict.fromkeys(("SubstanceAdministrationNotes", "SubstanceAdministrationDeviceID", "AssessmentSetID"), "empty"),
    **dict.fromkeys(("OwnerID", "BoardingPassID", "ItineraryID", "ItineraryIDAssigningAuthority"), "empty"),
    **dict.fromkeys(("RouteID", "RouteIDAssigningAuthority", "CarrierID", "AssignedLocation"), "empty"),
    **dict.fromkeys(("EncryptedAttributesSequence", "EncryptedContent"), "remove"),
}
"""What the Basic Profile here takes away besides: a keyword and what happens to it."""

_LEAVES = TEXT_VRS | {"AS", "DA", "DT", "TM", "UR", "OB", "OW", "UN"}
"""VRs that can hold words or dates."""


_MEMORY = 10_000
"""Decisions that are remembered: instances of a store are alike."""


def table_action(tag: str) -> str | None:
    """Action code of PS3.15 table E.1-1, as ``"X/Z"``; ``None`` for an attribute that it doesn't name."""
    if is_private(tag) or tag.startswith("50"):
        return "X"
    if tag.startswith("60") and tag[4:] in ("3000", "4000"):
        return "X"
    return _TABLE.get(tag)


_ALIKE = (
    TEXT_VRS,
    frozenset({"DS", "IS"}),
    frozenset({"OB", "OD", "OF", "OL", "OV", "OW"}),
    frozenset({"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}),
)
"""VRs that files put for each other."""


def _fits(vr: str, known: str) -> bool:
    """Whether a file may say *vr* where the dictionary has *known*, as ``"US or SS"``."""
    listed = known.split(" or ")
    return vr in listed or vr == known or any(vr in alike and other in alike for alike in _ALIKE for other in listed)


def _listed(tags: TagFilterList) -> tuple[frozenset[str], frozenset[str]]:
    """Tags of a list, and those that stand for a repeating group (``OverlayData`` is each overlay's)."""
    plain: set[str] = set()
    repeating: set[str] = set()
    for text in tags.tags or ():
        tag = parse_attribute(text)
        (repeating if tag[:4] in ("5000", "6000") and tag != text.upper() else plain).add(tag)
    return frozenset(plain), frozenset(repeating)


class Rules:
    """The decisions that one config stands for.

    Parameters
    ----------
    config
        ``DeidentifyConfig.dicom``; ``None`` keeps all attributes.
    transformations
        What happens to text.
    """

    def __init__(self, config: DicomConfig | None, transformations: Transformations) -> None:
        config = config or DicomConfig()
        self.profile: Profile = {
            "MINIMAL_KEEP_LIST_PROFILE": "minimal",
            "ATTRIBUTE_CONFIDENTIALITY_BASIC_PROFILE": "basic",
        }.get(config.filter_profile or "", "all")  # type: ignore[assignment]
        self._tags: frozenset[str] = frozenset()
        self._repeating: frozenset[str] = frozenset()
        if config.keep_list is not None:
            self.profile = "list"
            self._tags, self._repeating = _listed(config.keep_list)
            # A private element means nothing without the creator that reserves its block (PS3.5 section 7.8.1).
            creators = {f"{tag[:4]}00{tag[4:6]}" for tag in self._tags if is_private(tag)}
            self._tags |= creators
        elif config.remove_list is not None:
            self.profile = "remove"
            self._tags, self._repeating = _listed(config.remove_list)
        if self.profile in ("list", "minimal"):
            self._tags |= frozenset(REQUIRED_ATTRIBUTES) | {tag_of(keyword) for keyword in MINIMAL_KEYWORDS}
        self.skip_ids = bool(config.skip_id_redaction)
        self._transformations = transformations
        self._decided: dict[tuple[str, str, bool], Step] = {}

    def decide(self, tag: str, vr: str, *, cleaned: bool = False) -> Step:
        """What happens to an attribute.

        Parameters
        ----------
        tag, vr
            Eight upper-case hex digits; VR of the file, or of the dictionary where the file has none.
        cleaned
            The attribute lies in a sequence whose content is replaced.
        """
        key = (tag, vr, cleaned)
        step = self._decided.get(key)
        if step is None:
            if len(self._decided) >= _MEMORY:
                self._decided.clear()  # whoever wrote the files chose the tags
            step = self._decided[key] = self._decide(tag, vr, cleaned)
        return step

    def _decide(self, tag: str, vr: str, cleaned: bool) -> Step:
        if tag.endswith("0000"):
            return Step("remove", "group length, which no longer holds")
        if tag == "FFFCFFFC":
            return Step("remove", "padding, which may hold anything")
        if self.profile in ("list", "minimal"):
            if not self._is_listed(tag):
                return Step("remove", "on no keep list" if self.profile == "list" else "not in the minimal keep list")
            step = Step("keep", "on the keep list")
        elif self.profile == "remove":
            if self._is_listed(tag):
                return Step("remove", "on the remove list")
            step = Step("keep", "not on the remove list")
        elif self.profile == "basic":
            step = self._basic(tag, vr, cleaned)
        else:
            step = Step("keep", "all attributes are kept")
        if vr == "UI" or vr_of(tag) == "UI":
            return self._uid(tag, step)
        return self._transformed(tag, vr, step)

    def decide_meta(self, tag: str) -> Step:
        """What happens to an element of the file meta information."""
        if tag == "00020003":
            return Step("keep", "skipIdRedaction") if self.skip_ids else Step("remap", "SOP Instance UID of the file")
        if tag in REQUIRED_ATTRIBUTES:
            return Step("keep", "needed to read the file")
        if tag in ("00020000", "00020001", "00020012", "00020013"):
            return Step("set", "says how this file was written")
        if self.profile == "all" or ((self.profile == "remove") != self._is_listed(tag) and self.profile != "basic"):
            return Step("keep", "the filter keeps it")
        return Step("remove", "says where the file has been")

    def _is_listed(self, tag: str) -> bool:
        general = tag[:2] + "00" + tag[4:] if tag[:2] in ("50", "60") else tag
        return tag in self._tags or general in self._repeating

    def _basic(self, tag: str, vr: str, cleaned: bool) -> Step:
        if is_private(tag):
            return Step("remove", "private")
        if tag[:2] in ("50", "60") and tag[:4] <= "60FF":
            return Step("remove", "curve" if tag[0] == "5" else "overlay")
        code = table_action(tag)
        if code is not None:
            reason = f"PS3.15 E.1-1 ({EDITION}): {code}"
            if code in _ALTERNATIVE:
                if vr != "SQ":
                    return Step("remove", f"{reason}; no sequence")
                reason += f"; {_ALTERNATIVE[code]}"
            if tag == PATIENT_ID:
                reason += "; a pseudonym, so that patients stay apart"
            return Step("remove" if tag in _OPTIONAL_SEQUENCES else _CHOSEN[code], reason)
        known = vr_of(tag)
        if known is None:
            return Step("remove", "not in the data dictionary, so that nobody knows what it holds")
        if not _fits(vr, known):
            return Step("remove", "of another form than the dictionary's, so that it may hold words")
        if vr in _LEAVES and dictionary_is_retired(int(tag, 16)):
            return Step("remove", "retired, and not judged by PS3.15 E.1-1")
        if vr in _LEAVES and tag.startswith("0010"):
            return Step("remove", "about the patient, and not judged by PS3.15 E.1-1")
        also = _ALSO.get(keyword_of(tag) or "")
        if also is not None:
            return Step(also, "an identity that PS3.15 E.1-1 does not name")
        if "AE" in (vr, known) or (known == "UR" and tag not in _CODE):
            return Step("remove", "a network address or a path, in which UIDs and names may stand")
        if cleaned and tag in _CODE:
            return Step("recode", "code in structured content: the standard's own meaning, or a pseudonym")
        if cleaned and vr in _LEAVES:
            return Step("replace", "in content that PS3.15 E.1-1 replaces")
        if vr in STRICT_VRS or known in STRICT_VRS:
            return Step("replace", "a date, a time or an age that PS3.15 E.1-1 does not name")
        if "PN" in (vr, known):
            return Step("empty", "a name that PS3.15 E.1-1 does not name")
        if vr in _FREE_TEXT or known in _FREE_TEXT:
            return Step("empty", "free text that PS3.15 E.1-1 does not name")
        if vr in ("LO", "SH") and (keyword_of(tag) or "").endswith(_TELLING):
            return Step("empty", "a description that PS3.15 E.1-1 does not name")
        return Step("keep", f"not in PS3.15 E.1-1 ({EDITION})")

    def _uid(self, tag: str, step: Step) -> Step:
        if step.action in ("remove", "empty"):
            return step
        keyword = keyword_of(tag)
        # The Basic Profile maps the UID of a class of devices, too: it names who made one.
        if not is_identifying(keyword) and not (self.profile == "basic" and table_action(tag) == "U"):
            return Step("keep", "names a class or a code system")
        if not self.skip_ids:
            return Step("remap", "UID: the same new one for each place that has it")
        if names_an_instance(keyword):
            return Step("keep", "skipIdRedaction")
        return Step("remap", step.reason) if step.action in ("remap", "replace") else step

    def _transformed(self, tag: str, vr: str, step: Step) -> Step:
        """The step, or the text transformation that takes its place."""
        if self.profile == "basic":
            return self._transformed_basic(tag, vr, step)
        if step.action != "keep":
            return step
        found = self._transformations.find(tag, vr, named=not is_private(tag) and table_action(tag) is not None)
        return step if found is None else Step("transform", f"text transformation: {found.verb}", found)

    def _transformed_basic(self, tag: str, vr: str, step: Step) -> Step:
        if step.action == "keep" or tag in _CODE:
            return step
        found = self._transformations.find(tag, vr, named=True)
        shifting = self._transformations.shifts_dates
        if shifting is not None and vr in STRICT_VRS and not is_birth_or_death(tag):
            if found is shifting:
                return Step("transform", "dates are moved", found)
            if vr == "TM" and (found is None or not found.info_types):
                return Step("keep", "dates move by whole days, the time of day stays")
        # What the profile takes away stays away: a hash is a trace, too. A date has no other form than a dummy, and
        # what is replaced may be required, so that it is not erased.
        if (
            found is None
            or vr in STRICT_VRS
            or step.action not in ("empty", "replace")
            or (step.action == "replace" and found.verb == "redact")
        ):
            return step
        return Step("transform", f"text transformation: {found.verb}", found)
