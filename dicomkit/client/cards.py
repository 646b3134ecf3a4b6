"""Small HTML cards for notebooks: what is known already, escaped, without a request."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

__all__ = ["card"]

_STYLE = "border:1px solid #8884;border-radius:6px;padding:.6em .9em;display:inline-block;min-width:22em"


def card(
    kind: str,
    title: str,
    rows: Iterable[tuple[str, str]],
    chips: Mapping[str, str] | None = None,
    *,
    progress: tuple[int, int] | None = None,
) -> str:
    """HTML of a card.

    Parameters
    ----------
    kind, title
        The heading, e.g. ``"DICOM store"`` and its id.
    rows
        Pairs of name and text.
    chips
        Labels.
    progress
        What is done, and of how much, as a bar.
    """
    lines = "".join(
        f'<tr><th style="text-align:left;padding-right:1em;font-weight:normal;opacity:.7">{html.escape(name)}</th>'
        f'<td style="text-align:left"><code>{html.escape(text)}</code></td></tr>'
        for name, text in rows
    )
    labels = "".join(
        f'<span style="border:1px solid #8886;border-radius:9px;padding:0 .6em;margin-right:.4em">'
        f"{html.escape(key)}: {html.escape(value)}</span>"
        for key, value in (chips or {}).items()
    )
    done, total = progress or (0, 0)
    bar = f'<progress style="width:100%;margin-top:.3em" value="{done:d}" max="{total:d}"></progress>'
    return (
        f'<div style="{_STYLE}"><div><span style="opacity:.7">{html.escape(kind)}</span> '
        f"<strong>{html.escape(title)}</strong></div>"
        + (f'<div style="margin-top:.3em">{labels}</div>' if labels else "")
        + (bar if total else "")
        + f'<table style="margin-top:.3em">{lines}</table></div>'
    )
