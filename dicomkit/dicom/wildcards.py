"""DICOM wildcards as patterns of SQLite's ``GLOB``, and the same patterns applied in Python.

Source: DICOM PS3.4 section C.2.2.2.4, edition 2024e: ``*`` is any sequence of characters, ``?`` is one character.
A pattern never becomes a regular expression that can backtrack: it is split at ``*``, and each piece has a fixed
length.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["escape_glob", "glob_match", "to_glob"]


def _escape(text: str, special: str) -> str:
    return "".join(f"[{c}]" if c in special else c for c in text)


def escape_glob(text: str) -> str:
    """A ``GLOB`` pattern that matches *text* literally."""
    return _escape(text, "*?[")


def to_glob(pattern: str) -> str:
    """A DICOM wildcard as a pattern of SQLite's ``GLOB``, case-sensitive; bind it, never paste it.

    ``*`` and ``?`` mean the same in both; a bracket, which only ``GLOB`` gives a meaning, is escaped; several ``*``
    in a row become one.
    """
    return re.sub(r"\*+", "*", _escape(pattern, "["))


_GLOB_TOKEN = re.compile(r"\[([^]]+)\]|(.)", re.DOTALL)


@lru_cache(maxsize=256)
def _pieces(glob: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    """The parts between the ``*`` of a pattern: a regular expression of fixed length each, and that length."""
    pieces: list[list[str]] = [[]]
    for choice, char in _GLOB_TOKEN.findall(glob):
        if choice:
            pieces[-1].append(f"[{re.escape(choice)}]")
        elif char == "*":
            pieces.append([])
        else:
            pieces[-1].append("." if char == "?" else re.escape(char))
    return tuple((re.compile("".join(piece), re.DOTALL), len(piece)) for piece in pieces)


def glob_match(glob: str, text: str) -> bool:
    """Whether *text* matches a pattern of :func:`to_glob`, as SQLite's ``GLOB`` says it.

    The pieces between stars are sought from the left, each once, so that the time is bounded by the product of both
    lengths whatever the pattern.
    """
    (first, _), *rest = _pieces(glob)
    if not rest:
        return first.fullmatch(text) is not None
    hit = first.match(text)
    for piece, _ in rest[:-1]:
        if hit is None:
            return False
        hit = piece.search(text, hit.end())
    last, length = rest[-1]
    start = len(text) - length
    return hit is not None and hit.end() <= start and last.fullmatch(text, start) is not None
