"""Dates and times from text and into text, by formats.

Source: GoogleSQL reference, "Format elements for date and time parts", FORMAT_DATE, PARSE_DATE and their like.
"""

from __future__ import annotations

import re

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.calls import arity, text_argument
from dicomkit.engine.services.googlesql.dates import DUCKDB, check_zone, moment
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import (
    DATE,
    DATETIME,
    STRING,
    TIME,
    TIMESTAMP,
    Sql,
    Type,
    text_literal,
)
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["DATE_FORMATS", "SAFE_DATE_FORMATS"]

_FORMATS = {
    **{letter: f"%{letter}" for letter in "YmdHMSybBaAjpI%"},
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "D": "%m/%d/%y",
    "R": "%H:%M",
    "X": "%H:%M:%S",
    "h": "%b",
    "x": "%m/%d/%y",
}
"""Format element -> DuckDB's; an element that is not here is refused."""


def _format(w: Writer, node: exp.Expr, name: str) -> str:
    text, out, place = text_argument(node, name, "a format"), "", 0
    while place < len(text):
        if text[place] != "%":
            out, place = out + text[place], place + 1
            continue
        letter = text[place + 1 : place + 2]
        if letter not in _FORMATS:
            raise not_supported(f"the format element %{letter}")
        out, place = out + _FORMATS[letter], place + 2
    return out


def _formatted(*kinds: Type) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2, 3)
        check_zone(w, name, args[2:])
        value = moment(w, args[1], scope, name, *kinds)
        # DuckDB formats no TIMESTAMPTZ; the session's zone is UTC.
        text = f"CAST({value.text} AS TIMESTAMP)" if value.type == TIMESTAMP else value.text
        return Sql(f"strftime({text}, {text_literal(_format(w, args[0], name))})", STRING)

    return write


def _parsed(kind: Type, function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2)
        form = _format(w, args[0], name)
        # A part that is not there is of 1970 in GoogleSQL and of 1900 in DuckDB.
        if not {"%Y", "%m", "%d"} <= set(re.findall(r"%.", form)) and "%j" not in form:
            raise not_supported(f"{name} without year, month and day in the format")
        text = w.expr(args[1], scope)
        if text.type not in (STRING, None):
            raise invalid_query(f"No matching signature for function {name} for argument type: {text.type}")
        return Sql(f"CAST({function}({text.text}, {text_literal(form)}) AS {DUCKDB[kind]})", kind)

    return write


def _format_time(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2)
    form, value = _format(w, args[0], name), moment(w, args[1], scope, name, TIME)
    if set(re.findall(r"%[A-Za-z]", form)) - {"%H", "%M", "%S", "%I", "%p"}:
        raise invalid_query("FORMAT_TIME takes only elements of time")
    return Sql(f"strftime(DATE '1970-01-01' + {value.text}, {text_literal(form)})", STRING)


def _parse_time(function: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2)
        form, text = _format(w, args[0], name), w.expr(args[1], scope)
        if set(re.findall(r"%[A-Za-z]", form)) - {"%H", "%M", "%S", "%I", "%p"}:
            raise invalid_query("PARSE_TIME takes only elements of time")
        if text.type not in (STRING, None):
            raise invalid_query(f"No matching signature for function {name} for argument type: {text.type}")
        return Sql(f"CAST({function}({text.text}, {text_literal(form)}) AS TIME)", TIME)

    return write


DATE_FORMATS: dict[str, FunctionWriter] = {
    "FORMAT_DATE": _formatted(DATE),
    "FORMAT_DATETIME": _formatted(DATETIME),
    "FORMAT_TIMESTAMP": _formatted(TIMESTAMP),
    "PARSE_DATE": _parsed(DATE, "strptime"),
    "PARSE_DATETIME": _parsed(DATETIME, "strptime"),
    "PARSE_TIMESTAMP": _parsed(TIMESTAMP, "strptime"),
    "FORMAT_TIME": _format_time,
    "PARSE_TIME": _parse_time("strptime"),
}
"""Name -> how a call is written."""

SAFE_DATE_FORMATS: dict[str, FunctionWriter] = {
    "PARSE_DATE": _parsed(DATE, "try_strptime"),
    "PARSE_DATETIME": _parsed(DATETIME, "try_strptime"),
    "PARSE_TIMESTAMP": _parsed(TIMESTAMP, "try_strptime"),
    "PARSE_TIME": _parse_time("try_strptime"),
}
"""The same with the prefix ``SAFE.``."""
