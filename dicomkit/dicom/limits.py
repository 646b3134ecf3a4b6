"""How much of a file the reader is willing to look at."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a file the reader is willing to look at; what is beyond is a ``DicomFormatError``.

    The defaults let every file of the test corpora through and keep the worst input under two seconds and
    150 MB (``docs/adr/0003``).
    """

    depth: int = 64
    """Sequences inside sequences."""
    elements: int = 200_000
    """Elements of all datasets together."""
    items: int = 100_000
    """Sequence items of all sequences together."""
    fragments: int = 2_000_000
    """Fragments of encapsulated pixel data."""
    values: int = 65_536
    """Values of one element that are parsed as text."""
    all_values: int = 500_000
    """Values of all elements that have several, together."""
    text_bytes: int = 1 << 20
    """Bytes of one text value; longer prose becomes a bulk value."""
    header_bytes: int = 16 << 20
    """Bytes of all values longer than 128 bytes that are kept in memory."""
    sequence_bytes: int = 1 << 20
    """Longest sequence that is part of the metadata; Google's limit is about 1 MiB."""
    skimmed: int = 4_000_000
    """Elements inside sequences that are longer than ``sequence_bytes``."""
    inflated_bytes: int = 512 << 20
    """Bytes of a deflated dataset after inflation."""
    inflated_ratio: int = 200
    """Inflated bytes per deflated byte, beyond the first 16 MiB."""
