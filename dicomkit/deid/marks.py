"""What an instance says about its de-identification.

Source: DICOM PS3.3 section C.7.1.1 (Patient Identity Removed), C.12.1 (Longitudinal Temporal Information Modified);
PS3.16 CID 7050 (methods), edition 2026c.
"""

from __future__ import annotations

from pydicom import Dataset, Sequence

from dicomkit.deid.ps315_2026c import EDITION
from dicomkit.deid.rules import Rules

__all__ = ["mark"]

_BASIC = ("113100", "Basic Application Confidentiality Profile")
_MODIFIED_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_RETAIN_UIDS = ("113110", "Retain UIDs Option")


def mark(dataset: Dataset, rules: Rules, *, shifted: bool, burned_in: bool) -> None:
    """Say that the identity is removed, and how, where a profile stands for it.

    Keep and remove lists of the caller's own promise nothing, so that nothing is said.

    Parameters
    ----------
    shifted
        Dates were moved.
    burned_in
        The pixels are declared to show who the patient is: the identity is then not removed.
    """
    if rules.profile not in ("basic", "minimal"):
        return
    dataset.PatientIdentityRemoved = "NO" if burned_in else "YES"
    dates_moved = shifted and rules.profile == "basic"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if dates_moved else "REMOVED"
    if rules.profile == "minimal":
        # No method of CID 7050 is this one: more is removed than PS3.15 asks for, even what an IOD requires.
        dataset.DeidentificationMethod = "dicomkit minimal keep list"
        return
    dataset.DeidentificationMethod = f"dicomkit, PS3.15 {EDITION} Basic Profile"
    methods = [_BASIC]
    if dates_moved:
        methods.append(_MODIFIED_DATES)
    if rules.skip_ids:
        methods.append(_RETAIN_UIDS)
    dataset.DeidentificationMethodCodeSequence = Sequence([_code(*method) for method in methods])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item
