"""What no caller should send: values for every place of a JSON body, of a query and of a header."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

__all__ = ["HEADERS", "JSON_BODIES", "QUERY_VALUES", "VALUES", "variants"]

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    2**63,
    10**40,
    "",
    " ",
    "x",
    "\x00",
    "\N{SUPERSCRIPT TWO}",
    "\N{ARABIC-INDIC DIGIT SEVEN}",
    "`; DROP TABLE t; --",
    "../../x",
    "gs://",
    "bq://",
    "9" * 5_000,
    "x" * 70_000,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": 1},
    {"": None},
)
"""Put in the place of a value, whatever it was."""

QUERY_VALUES = (
    *("", "x", "-1", "0", "1.5", "1e9", "9" * 20, "9" * 5_000, "²", "٧", "\x00", "\ufffe", "true", "*", "a.b.c", "`"),
    *("(" * 300, "AAAA", "%", "'", '"', "[]", "1-2", "19990101-", "\\", "x" * 9_000, "😀", "a,b,,c", "\r\nX: y"),
)
"""Values of query parameters."""

JSON_BODIES = (
    *(b"{", b"[]", b"null", b"7", b'"x"', b"[" * 100_000, b'{"a":' * 5_000, b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"NaN"),
    *(b'{"a":1,"a":2}', b'{"a":1e999}', b'{"\\ud800":1}', b'{"name":"\\ud800"}', b"\x00", b"{}{}"),
)
"""Bodies that are no JSON object, or an odd one."""

HEADERS: tuple[dict[str, str], ...] = (
    *({"HTTP_ACCEPT": value} for value in ("", "x", "*/*;q=nan", "\xff", "," * 5_000, 'a/b;x="', "a/*;q=-1")),
    *({"HTTP_ACCEPT": value} for value in ("application/dicom;transfer-syntax=\x80", "multipart/related;type=")),
    *({"HTTP_RANGE": value} for value in ("bytes=-", "bytes=9-1", "x=1-2", "bytes=0-0,5-", "bytes=-0", "bytes=²-")),
    *({"HTTP_RANGE": f"bytes=0-{'9' * digits}"} for digits in (30, 5_000)),
    *({"HTTP_IF_MATCH": "W/"}, {"HTTP_IF_NONE_MATCH": '""'}, {"HTTP_IF_RANGE": "Fri"}, {"HTTP_IF_MATCH": "\xff"}),
    *({"CONTENT_TYPE": value} for value in ("multipart/related", "multipart/related; boundary=x", "\xff/\xff", "x/y;")),
    *({"CONTENT_TYPE": value} for value in ("application/dicom", "application/json; charset=zlib_codec", "text/xml")),
    *({"HTTP_CONTENT_ENCODING": value} for value in ("gzip", "identity, gzip", "br", "\xff")),
    *({"HTTP_STORAGE_CLASS": "\xff"}, {"HTTP_CONTENT_RANGE": "bytes x"}, {"HTTP_CONTENT_RANGE": "bytes 0-²/*"}),
    *({"HTTP_X_UPLOAD_CONTENT_LENGTH": "x"}, {"HTTP_X_HTTP_METHOD_OVERRIDE": "DELETE"}, {"HTTP_COOKIE": "a=b;" * 99}),
    *({"CONTENT_LENGTH": value} for value in ("x", "-1", "²", "9" * 5_000)),
)
"""Headers as a WSGI server passes them on."""


def variants(body: Any) -> Iterator[tuple[str, Any]]:
    """*body* with one of its values replaced by each of ``VALUES``, or with one of its fields gone; and where."""
    for path in _paths(body):
        for value in VALUES:
            yield ".".join(map(str, path)), _replaced(body, path, value)
        if isinstance(path[-1], str):
            yield ".".join(map(str, path)), _without(body, path)


def _paths(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*above, key)
        yield from _paths(inner, (*above, key))


def _replaced(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    made = copy.deepcopy(body)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


def _without(body: Any, path: tuple[str | int, ...]) -> Any:
    made = copy.deepcopy(body)
    at = made
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return made
