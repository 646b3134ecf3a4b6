"""The geometry of a series as a frame: where each slice is, what is missing, what is there twice.

Source: DICOM PS3.3 section C.7.6.2.1.1 (image plane), edition 2025b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dicomkit.client.slices import Slice, along
from dicomkit.frames.columns import GEOMETRY
from dicomkit.frames.tables import table

__all__ = ["SAME_PLACE_MM", "TOLERANCE", "distances", "geometry_frame"]

TOLERANCE = 0.05
"""How far the distance of two slices may be off the usual one, as a part of it."""

SAME_PLACE_MM = 1e-3
"""Slices that are nearer are at the same place."""


def distances(stack: Sequence[Slice]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float | None]:
    """Distance of each slice of a stack to the next, and the usual one; ``None`` where there is only one place."""
    normal = stack[0].normal
    steps = np.diff([along(each, normal) for each in stack])
    real = steps[steps > SAME_PLACE_MM]
    return steps, float(np.median(real)) if len(real) else None


def geometry_frame(stacks: Sequence[Sequence[Slice]], tolerance: float = TOLERANCE) -> pd.DataFrame:
    """One row per slice; see ``Store.geometry``."""
    rows: list[dict[str, Any]] = []
    gaps = duplicates = irregular = 0
    usual_of_first: float | None = None
    for number, stack in enumerate(stacks, 1):
        has_place = stack[0].position is not None and stack[0].normal is not None and stack[0].rows is not None
        steps, usual = distances(stack) if has_place else (np.array([]), None)
        if number == 1:
            usual_of_first = usual
        for index, each in enumerate(stack):
            step = float(steps[index]) if index < len(steps) else None
            before = float(steps[index - 1]) if index and has_place else None
            is_gap = step is not None and usual is not None and step > usual * (1 + tolerance)
            is_double = any(near is not None and near <= SAME_PLACE_MM for near in (step, before))
            is_short = step is not None and usual is not None and SAME_PLACE_MM < step < usual * (1 - tolerance)
            gaps, duplicates, irregular = gaps + is_gap, duplicates + is_double, irregular + is_short
            rows.append(
                {
                    "StudyInstanceUID": each.study,
                    "SeriesInstanceUID": each.series,
                    "SOPInstanceUID": each.instance,
                    "frame": each.frame,
                    "InstanceNumber": each.number,
                    "position_mm": along(each, stack[0].normal) if has_place else None,
                    "spacing_mm": step,
                    "is_gap": is_gap if has_place else None,
                    "is_duplicate": is_double if has_place else None,
                    "orientation": each.label,
                    "stack": number if has_place else None,
                    "Rows": each.rows,
                    "Columns": each.columns,
                    "row_spacing_mm": each.spacing[0] if each.spacing else None,
                    "column_spacing_mm": each.spacing[1] if each.spacing else None,
                }
            )
    frame = table(GEOMETRY, {column.name: [row[column.name] for row in rows] for column in GEOMETRY})
    placed = frame["stack"].dropna()
    is_even = not (gaps or duplicates or irregular)
    frame.attrs |= {
        "is_volume": bool(rows) and is_even and placed.nunique() == 1 and len(placed) == len(frame),
        "spacing_mm": usual_of_first,
        "stacks": int(placed.nunique()),
        "gaps": gaps,
        "duplicates": duplicates,
    }
    return frame
