"""The age of a patient at a study, in years.

Source: DICOM PS3.5 section 6.2 (VR AS); PS3.3 sections C.2.2 and C.7.2.2 (PatientAge, PatientBirthDate, StudyDate).
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from dicomkit.errors import InvalidArgument

__all__ = ["ages_in_years"]

_PER_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}
MAX_YEARS = 130
"""Nobody was older: what is above is a wrong date."""


def ages_in_years(frame: pd.DataFrame) -> pd.Series[Any]:
    """The age of each row: ``PatientAge`` where it is one, else the time from birth to study.

    Returns
    -------
    Series of float64
        Missing where neither can be told, or would be below 0 or above 130 years.

    Raises
    ------
    InvalidArgument
        The frame has neither ``PatientAge`` nor ``PatientBirthDate`` with ``StudyDate``.
    """
    years = pd.Series(float("nan"), index=frame.index)
    has_dates = {"PatientBirthDate", "StudyDate"} <= set(frame.columns)
    if "PatientAge" not in frame.columns and not has_dates:
        raise InvalidArgument(
            "the frame has neither PatientAge nor PatientBirthDate with StudyDate; search for studies, or with "
            "fields=['PatientAge']"
        )
    if "PatientAge" in frame.columns:
        parts = frame["PatientAge"].astype("string").str.strip().str.extract(r"^(\d{3})([DWMY])$")
        years = parts[0].astype("Float64").astype("float64") / parts[1].map(_PER_YEAR).astype("float64")
    if has_dates:
        lived = frame["StudyDate"] - frame["PatientBirthDate"]
        years = years.fillna(lived.dt.days / 365.25)
    return years.where(years.between(0, MAX_YEARS))
