"""What can happen to an attribute, as values."""

from __future__ import annotations

from typing import Literal, NamedTuple

from dicomkit.deid.text import Transformation

__all__ = ["Action", "PreviewRow", "Step"]

Action = Literal["keep", "remove", "empty", "replace", "remap", "recode", "transform", "set"]
"""``empty`` leaves the attribute without a value, ``replace`` gives it a dummy one (in a sequence: all of its items'
text), ``remap`` gives each UID its new one, ``recode`` makes a code safe, ``transform`` applies what the config
says, ``set`` writes it anew."""


class Step(NamedTuple):
    """What happens to one attribute, and why."""

    action: Action
    reason: str
    transformation: Transformation | None = None


class PreviewRow(NamedTuple):
    """One attribute in a preview; never a value of it."""

    tag: str
    """Eight upper-case hex digits; empty for the preamble."""
    path: str
    """Keywords from the top, as in ``ReferencedSeriesSequence[0].SeriesInstanceUID``."""
    vr: str
    """VR in the file, or that of the dictionary where the file has none; empty for the preamble."""
    action: str
    reason: str
