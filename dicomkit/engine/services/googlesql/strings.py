"""Functions of text and bytes beyond the plain ones.

Source: GoogleSQL reference, "String functions", "Hash functions", "Format elements".
"""

from __future__ import annotations

import re

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.calls import arity, first_text, numbers, of_first, simple, text_argument, texts
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import (
    BOOLEAN,
    BYTES,
    INTEGER,
    STRING,
    Sql,
    Type,
    check_numeric,
    check_text,
    text_literal,
)
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["SAFE_STRINGS", "STRINGS"]

_SPECIFIER = re.compile(r"%(?P<flags>[-+ 0]*)(?P<width>\d{0,3})(?P<precision>\.\d{1,2})?(?P<kind>[%diuoxXfFeEgGstT])")


def _format(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    """``FORMAT``: the specifiers that printf has, too, and ``%t`` for what CAST to STRING gives."""
    if not args:
        raise invalid_query("No matching signature for function FORMAT: it does not take 0 arguments")
    text = text_argument(args[0], name, "a format")
    values, place, out = list(args[1:]), 0, ""
    written: list[str] = []
    while place < len(text):
        if text[place] != "%":
            out, place = out + text[place], place + 1
            continue
        match = _SPECIFIER.match(text, place)
        if match is None:
            raise not_supported(f"FORMAT with the specifier {text[place : place + 4]!r}")
        place, kind = match.end(), match["kind"]
        if kind == "%":
            out += "%%"
            continue
        if len(written) == len(values):
            raise invalid_query("Too few arguments to FORMAT for its pattern")
        value = w.expr(values[len(written)], scope)
        out += f"%{match['flags']}{match['width']}{match['precision'] or ''}{'s' if kind in 'tT' else _kind(kind)}"
        written.append(_formatted(kind, value))
    if len(written) != len(values):
        raise invalid_query("Too many arguments to FORMAT for its pattern")
    return Sql(f"printf({', '.join([text_literal(out), *written])})", STRING)


def _kind(kind: str) -> str:
    return "d" if kind in "iu" else kind


def _formatted(kind: str, value: Sql) -> str:
    if kind in "diuoxX":
        if value.type not in (INTEGER, None):
            raise invalid_query(f"Invalid type for argument to FORMAT; Expected integer; Got {value.type}")
        return f"CAST({value.text} AS BIGINT)"
    if kind in "fFeEgG":
        check_numeric("FORMAT", value)
        return f"CAST({value.text} AS DOUBLE)"
    if kind == "s":
        if value.type not in (STRING, None):
            raise invalid_query(f"Invalid type for argument to FORMAT; Expected string; Got {value.type}")
        return value.text
    if kind == "T" or value.type is None or value.type.repeated or value.type.kind in ("RECORD", "BYTES", "JSON"):
        raise not_supported(f"FORMAT of %{kind} with {value.type or 'a value whose type is not known here'}")
    return f"coalesce(bq_cast_string({value.text}), 'NULL')"


def _instr(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2, 4)
    values = [w.expr(arg, scope) for arg in args]
    texts(name, values[:2])
    if len(values) == 2:
        return Sql(f"strpos({values[0].text}, {values[1].text})", INTEGER)
    check_numeric(name, *values[2:])
    numbers_ = [f"CAST({value.text} AS BIGINT)" for value in (*values[2:], Sql("1"))][:2]
    return Sql(f"bq_instr({values[0].text}, {values[1].text}, {', '.join(numbers_)})", INTEGER)


def _normalize(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 2)
    value = w.expr(args[0], scope)
    texts(name, [value])
    if len(args) == 2 and args[1].name.upper() != "NFC":
        raise not_supported(f"NORMALIZE to {args[1].name[:20]}")
    return Sql(f"nfc_normalize({value.text})", STRING)


def _pad(side: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2, 3)
        values = [w.expr(arg, scope) for arg in args]
        check_text(name, values[0], *values[2:])
        check_numeric(name, values[1])
        if BYTES in (values[0].type, *(value.type for value in values[2:])):
            raise not_supported(f"{name} of BYTES")
        fill = values[2].text if len(values) == 3 else "' '"
        return Sql(f"{side}pad({values[0].text}, CAST({values[1].text} AS INTEGER), {fill})", STRING)

    return write


def _regexp_instr(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2)
    pattern = text_argument(args[1], name, "a pattern")
    if re.search(r"(?<!\\)\((?!\?)", pattern):
        raise not_supported("REGEXP_INSTR with a capturing group")
    value = w.expr(args[0], scope)
    texts(name, [value])
    return Sql(f"bq_regexp_instr({value.text}, {text_literal(pattern)})", INTEGER)


def _contains_substr(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2)
    value, part = w.expr(args[0], scope), w.expr(args[1], scope)
    texts(name, [part])
    if value.type is None or value.type.repeated or value.type.kind in ("RECORD", "JSON", "BYTES"):
        raise not_supported(f"CONTAINS_SUBSTR in {value.type or 'a value whose type is not known here'}")
    text = value.text if value.type == STRING else f"bq_cast_string({value.text})"
    return Sql(f"contains(lower(nfc_normalize({text})), lower(nfc_normalize({part.text})))", BOOLEAN)


def _code_points(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    value = w.expr(args[0], scope)
    if value.type == BYTES:
        raise not_supported("TO_CODE_POINTS of BYTES")
    texts(name, [value])
    text = f"CASE WHEN {value.text} = '' THEN [] ELSE regexp_split_to_array({value.text}, '') END"
    return Sql(f"list_transform({text}, lambda c: CAST(unicode(c) AS BIGINT))", Type("INTEGER", True))


def _from_code_points(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    value = w.expr(args[0], scope)
    if value.type is not None and not (value.type.repeated and value.type.kind == "INTEGER"):
        raise invalid_query(f"No matching signature for function {name} for argument type: {value.type}")
    return Sql(f"array_to_string(list_transform({value.text}, lambda c: chr(CAST(c AS INTEGER))), '')", STRING)


def _sha512(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1)
    value = w.expr(args[0], scope)
    texts(name, [value])
    return Sql(f"bq_sha512({value.text if value.type == BYTES else f'encode({value.text})'})", BYTES)


STRINGS: dict[str, FunctionWriter] = {
    "ASCII": simple("bq_ascii({0})", texts, INTEGER, 1),
    "UNICODE": simple("bq_unicode({0})", texts, INTEGER, 1),
    "CHR": simple("bq_chr({0})", numbers, STRING, 1),
    "CODE_POINTS_TO_STRING": _from_code_points,
    "TO_CODE_POINTS": _code_points,
    "CONTAINS_SUBSTR": _contains_substr,
    "EDIT_DISTANCE": simple("levenshtein({0}, {1})", texts, INTEGER, 2),
    "FORMAT": _format,
    "INITCAP": simple("bq_initcap({0})", texts, STRING, 1),
    "INSTR": _instr,
    "LPAD": _pad("l"),
    "RPAD": _pad("r"),
    "NORMALIZE": _normalize,
    "OCTET_LENGTH": simple("octet_length(encode({0}))", texts, INTEGER, 1),
    "REGEXP_INSTR": _regexp_instr,
    "TRANSLATE": simple("translate({0}, {1}, {2})", texts, STRING, 3),
    "SAFE_CONVERT_BYTES_TO_STRING": simple("bq_decode({0})", texts, STRING, 1),
    "SHA512": _sha512,
    "SOUNDEX": simple("bq_soundex({0})", texts, STRING, 1),
    "PARSE_NUMERIC": simple("CAST({0} AS DECIMAL(38,9))", texts, Type("NUMERIC"), 1),
    "LEFT": simple("left({0}, bq_length_of({1}))", first_text, of_first, 2),
    "RIGHT": simple("right({0}, bq_length_of({1}))", first_text, of_first, 2),
}
"""Name -> how a call is written."""

SAFE_STRINGS: dict[str, FunctionWriter] = {
    "PARSE_NUMERIC": simple("TRY_CAST({0} AS DECIMAL(38,9))", texts, Type("NUMERIC"), 1),
    "FROM_HEX": simple("TRY(unhex({0}))", texts, BYTES, 1),
    "FROM_BASE64": simple("TRY(from_base64({0}))", texts, BYTES, 1),
    "CHR": simple("TRY(chr(CAST({0} AS INTEGER)))", numbers, STRING, 1),
}
"""The same with the prefix ``SAFE.``."""
