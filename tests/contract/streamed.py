"""Instances whose rows the tests of a streamed table ask about, each with what its table must say of it."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from tests.contract.instances import ROOT, ct_slice

__all__ = ["code", "item", "requested", "uids", "with_private"]


def item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def code(value: str) -> Dataset:
    """A code of a scheme of its own."""
    return item(CodeValue=value, CodingSchemeDesignator="99T", CodeMeaning=f"meaning of {value}")


def uids(study: int = 1, series: int = 1, instance: int = 1) -> tuple[str, str, str]:
    """UIDs of an instance of ``ct_slice``."""
    return f"{ROOT}.{study}", f"{ROOT}.{study}.{series}", f"{ROOT}.{study}.{series}.{instance}"


def requested(instance: int = 1, **attributes: Any) -> Dataset:
    """A slice that answers two requests: S1 for the procedures A and B, S2 for none; of the regions R1, R2 and R3."""
    return ct_slice(
        1,
        1,
        instance,
        RequestAttributesSequence=[
            item(ScheduledProcedureStepID="S1", RequestedProcedureCodeSequence=[code("A"), code("B")]),
            item(ScheduledProcedureStepID="S2"),
        ],
        AnatomicRegionSequence=[code("R1"), code("R2"), code("R3")],
        **attributes,
    )


def with_private(instance: int = 1) -> Dataset:
    """A slice with elements of two private creators, a private sequence, and an element of one inside of a sequence."""
    made = requested(instance)
    acme = made.private_block(0x0009, "ACME 1", create=True)
    acme.add_new(0x02, "LO", ["x", "y"])
    acme.add_new(0x10, "SQ", [code("P1"), code("P2")])
    made.private_block(0x0009, "OTHER", create=True).add_new(0x02, "DS", "1.5")
    inside = made.RequestAttributesSequence[0].private_block(0x0011, "NESTED", create=True)
    inside.add_new(0x05, "SH", "deep")
    return made
