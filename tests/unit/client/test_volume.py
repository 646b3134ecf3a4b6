"""Slices in any direction, order and number, from metadata to a volume's affine."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.client.geometry import geometry_frame
from dicomkit.client.slices import slices_of, stacks_of
from dicomkit.client.volume import checked_stack, rescaled_type, volume_of
from dicomkit.errors import FailedPrecondition

ANGLE = st.floats(-math.pi, math.pi)


def rotation(a: float, b: float, c: float) -> Any:
    """A rotation by three angles."""
    turns = []
    for axis, angle in enumerate((a, b, c)):
        turn = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        turns.append(turn)
    return turns[0] @ turns[1] @ turns[2]


def row(number: int, position: Any, orientation: Any, **more: Any) -> dict[str, Any]:
    """Metadata of a slice, with decimal strings as numbers of JSON."""
    values = {
        "0020000D": ("UI", ["1.2"]),
        "0020000E": ("UI", ["1.3"]),
        "00080018": ("UI", [f"1.4.{number}"]),
        "00200013": ("IS", [number]),
        "00200032": ("DS", [round(float(x), 6) for x in position]),
        "00200037": ("DS", [round(float(x), 6) for x in orientation]),
        "00280030": ("DS", [0.5, 0.75]),
        "00280010": ("US", [10]),
        "00280011": ("US", [20]),
        **more,
    }
    return {tag: {"vr": vr, "Value": value} for tag, (vr, value) in values.items()}


@given(st.tuples(ANGLE, ANGLE, ANGLE), st.integers(2, 40), st.floats(0.3, 20), st.integers(0, 9))
def test_affine_says_where_every_voxel_is(angles: Any, count: int, step: float, seed: int) -> None:
    """As PS3.3 equation C.7.6.2.1-1 does from the attributes of the slice itself, whatever the order of arrival."""
    turn = rotation(*angles)
    along, down, normal = turn[:, 0], turn[:, 1], turn[:, 2]
    places = [np.array([3.0, -40.0, 700.0]) + normal * step * k for k in range(count)]
    rows = [row(k, place, (*along, *down)) for k, place in enumerate(places)]
    random.Random(seed).shuffle(rows)
    stack, spacing = checked_stack([*slices_of(rows)])
    assert [each.number for each in stack] == list(range(count))
    volume = volume_of(stack, spacing, np.zeros((count, 10, 20)), is_rescaled=False)
    for k, r, c in ((0, 0, 0), (count - 1, 9, 19), (count // 2, 4, 7)):
        want = places[k] + along * 0.75 * c + down * 0.5 * r
        assert volume.affine @ [k, r, c, 1] == pytest.approx([*want, 1], abs=1e-3)
    frame = geometry_frame(stacks_of([*slices_of(rows)]))
    assert frame.attrs["is_volume"] is True
    assert frame["spacing_mm"].iloc[:-1].tolist() == pytest.approx([step] * (count - 1), abs=1e-4)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=7) | st.dictionaries(st.sampled_from(["vr", "Value", "x"]), below),
    max_leaves=12,
)
TAGS = [
    *("00200032", "00200037", "00280030", "00280010", "00280011", "00200013", "00080018", "00080008", "00180050"),
    *("52009229", "52009230", "00281052", "00281053", "00283000", "00200052"),
]


@given(
    st.dictionaries(
        st.sampled_from(TAGS), JSON | st.fixed_dictionaries({"vr": st.just("DS"), "Value": st.lists(JSON, max_size=7)})
    )
)
def test_metadata_of_any_kind_is_a_geometry_or_none(odd: dict[str, Any]) -> None:
    """Values of a server that are not what their attribute holds: a frame all the same, and a typed refusal."""
    good = row(1, (0, 0, 0), (1, 0, 0, 0, 1, 0))
    rows = [good, {**row(2, (0, 0, 1), (1, 0, 0, 0, 1, 0)), **odd}]
    slices = [*slices_of(rows)]
    assert len(geometry_frame(stacks_of(slices))) == 2
    try:
        stack, _ = checked_stack(slices)
    except FailedPrecondition:
        return
    assert len(stack) == 2
    assert json.dumps([each.instance for each in stack])


@pytest.mark.parametrize(
    ("stored", "bits", "slope", "intercept", "kind"),
    [
        ("u2", 12, 1, -1024, "int16"),
        ("u2", 16, 1, 0, "int32"),
        ("i2", 16, 1, 0, "int16"),
        ("i2", 16, 1, -1, "int32"),
        ("u1", 8, 1, 0, "int16"),
        ("u4", 32, 1, 0, "float32"),
        ("u2", 12, 0.5, 0, "float32"),
        ("u2", 12, 1, 0.1, "float32"),
        ("f4", 32, 2, 1, "float32"),
        ("f8", 64, 2, 1, "float64"),
    ],
)
def test_type_of_rescaled_values_holds_all_that_the_bits_can(
    stored: str, bits: int, slope: float, intercept: float, kind: str
) -> None:
    """It is known before any pixel is."""
    more = {"00280101": ("US", [bits]), "00281052": ("DS", [intercept]), "00281053": ("DS", [slope])}
    (each,) = slices_of([row(1, (0, 0, 0), (1, 0, 0, 0, 1, 0), **more)])
    assert rescaled_type([each], np.dtype(stored)) == np.dtype(kind)
