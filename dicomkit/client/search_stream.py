"""What is left of a search, as one stream of columns, from a dicomkit engine.

Pages of JSON cost most of a long search: encoding, decoding, an object for each value. A stream of columns
(docs/adr/0010) says each value once for the rows that share it, and no offset is counted anew for each page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import requests

from dicomkit.client.rest import Params, Rest
from dicomkit.frames import ColumnBuilder
from dicomkit.frames.element_stream import MEDIA_TYPE, extend_from_stream

__all__ = ["take_stream"]

_AFTER_END = 64
"""Bytes asked for behind the end, so that HTTP's own end is seen and the connection can be used again."""


def take_stream(
    rest: Rest,
    path: str,
    params: Params,
    begun: Callable[[], ColumnBuilder],
    *,
    key: Sequence[str],
    known: Collection[tuple[str | None, ...]],
    most: int | None,
) -> tuple[ColumnBuilder, bool] | None:
    """The columns of a search from its offset on, and whether these are all.

    Parameters
    ----------
    begun
        Makes the columns that the stream is added to; it is called anew for an answer that broke off.
    key, known, most
        As for ``frames.element_stream.extend_from_stream``.

    Returns
    -------
    tuple or None
        ``None`` where the server does not know such an answer; it is not asked again.
    """
    if MEDIA_TYPE in rest.lacks:
        return None

    def take(response: requests.Response) -> tuple[ColumnBuilder, bool] | None:
        if response.status_code == 204:
            return begun(), True
        if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            rest.lacks.add(MEDIA_TYPE)
            return None
        builder = begun()
        with rest.file(response) as file:
            is_all = extend_from_stream(builder, file, key=key, known=known, most=most)
            if is_all:
                file.read(_AFTER_END)
            return builder, is_all

    return rest.receive("GET", path, take, params=params, headers={"Accept": MEDIA_TYPE}, good=(406,))
