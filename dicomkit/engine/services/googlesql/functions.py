"""Scalar functions of text, numbers, arrays, JSON and hashes: each one that is let through, and what it becomes.

Source: GoogleSQL reference, "String functions", "Mathematical functions", "Conditional expressions",
"Array functions", "JSON functions", "Hash functions".
"""

from __future__ import annotations

import re

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.calls import (
    anything,
    arrays,
    first_array,
    first_text,
    floats,
    numbers,
    of_first,
    simple,
    text_argument,
    texts,
)
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import (
    BOOLEAN,
    BYTES,
    FLOAT,
    INTEGER,
    STRING,
    Sql,
    Type,
    check_comparable,
    check_numeric,
)
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["FUNCTIONS", "SAFE_FUNCTIONS"]

_STRINGS = Type("STRING", True)


def _same(form: str) -> FunctionWriter:
    """COALESCE and its like: arguments of one type, which is the result's."""

    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        if not args:
            raise invalid_query(f"No matching signature for function {name}: it does not take 0 arguments")
        values = [w.expr(arg, scope) for arg in args]
        kinds = {value.type for value in values if value.text != "NULL"}
        if any(kind is not None and (kind.repeated or kind.kind == "RECORD") for kind in kinds):
            texts = [value.text for value in values]
        else:
            texts = check_comparable(f"function {name}", values)
        result = kinds.pop() if len(kinds) == 1 else None
        if name in ("GREATEST", "LEAST"):
            # NULL if any argument is; DuckDB passes over it.
            nulls = " OR ".join(f"{text} IS NULL" for text in texts)
            return Sql(f"(CASE WHEN {nulls} THEN NULL ELSE {form}({', '.join(texts)}) END)", result)
        return Sql(f"{form}({', '.join(texts)})", result)

    return write


def _concat(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    values = [w.expr(arg, scope) for arg in args]
    if not values:
        raise invalid_query("No matching signature for function CONCAT: it does not take 0 arguments")
    texts(name, values)
    # NULL if any argument is; DuckDB's concat passes over it.
    return Sql(
        "(" + " || ".join("CAST(NULL AS VARCHAR)" if value.text == "NULL" else value.text for value in values) + ")",
        values[0].type or STRING,
    )


def _group(pattern: str, name: str) -> int:
    """The capturing group that is asked for: the only one, or the whole match."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", pattern)
    groups = len(re.findall(r"\((?!\?)|\(\?P?<", bare))
    if groups > 1:
        raise invalid_query(f"{name}: the pattern has more than one capturing group")
    if groups and (re.search(r"\)[?*{]", bare) or "|" in bare):
        raise not_supported(f"{name} with a group that need not take part in a match")
    return groups


def _regexp_extract(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    if len(args) != 2:
        raise not_supported(f"{name} with {len(args)} arguments")
    group = _group(text_argument(args[1], name, "a pattern"), name)
    value, pattern = w.expr(args[0], scope), w.text(args[1], scope)
    texts(name, [value])
    if name == "REGEXP_EXTRACT_ALL":
        return Sql(f"regexp_extract_all({value.text}, {pattern}, {group})", _STRINGS)
    return Sql(f"bq_regexp_extract({value.text}, {pattern}, {group})", STRING)


def _split(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    if not 1 <= len(args) <= 2:
        raise invalid_query(f"No matching signature for function SPLIT: it does not take {len(args)} arguments")
    values = [w.expr(arg, scope) for arg in args]
    texts(name, values)
    separator = values[1].text if len(values) == 2 else "','"
    return Sql(f"str_split({values[0].text}, {separator})", _STRINGS)


def _log(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    values = [w.expr(arg, scope) for arg in args]
    if not 1 <= len(values) <= 2:
        raise invalid_query(f"No matching signature for function LOG: it does not take {len(values)} arguments")
    check_numeric(name, *values)
    return Sql(f"ln({values[0].text})" if len(values) == 1 else f"(ln({values[0].text}) / ln({values[1].text}))", FLOAT)


def _farm_fingerprint(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    if len(args) != 1:
        raise invalid_query(f"No matching signature for function {name}: it does not take {len(args)} arguments")
    value = w.expr(args[0], scope)
    texts(name, [value])
    return Sql(f"bq_farm_fingerprint({value.text if value.type == BYTES else f'encode({value.text})'})", INTEGER)


FUNCTIONS: dict[str, FunctionWriter] = {
    # text
    "CONCAT": _concat,
    "LENGTH": simple("length({0})", texts, INTEGER, 1),
    "CHAR_LENGTH": simple("length({0})", texts, INTEGER, 1),
    "CHARACTER_LENGTH": simple("length({0})", texts, INTEGER, 1),
    "BYTE_LENGTH": simple("octet_length(encode({0}))", texts, INTEGER, 1),
    "LOWER": simple("lower({0})", texts, STRING, 1),
    "UPPER": simple("upper({0})", texts, STRING, 1),
    "TRIM": simple("bq_trim({0}) | trim({0}, {1})", texts, STRING, 1, 2),
    "LTRIM": simple("bq_ltrim({0}) | ltrim({0}, {1})", texts, STRING, 1, 2),
    "RTRIM": simple("bq_rtrim({0}) | rtrim({0}, {1})", texts, STRING, 1, 2),
    "SUBSTR": simple("bq_substr({0}, {1}) | bq_substr_length({0}, {1}, {2})", first_text, STRING, 2, 3),
    "SUBSTRING": simple("bq_substr({0}, {1}) | bq_substr_length({0}, {1}, {2})", first_text, STRING, 2, 3),
    "STRPOS": simple("strpos({0}, {1})", texts, INTEGER, 2),
    "STARTS_WITH": simple("starts_with({0}, {1})", texts, BOOLEAN, 2),
    "ENDS_WITH": simple("ends_with({0}, {1})", texts, BOOLEAN, 2),
    "REPLACE": simple("replace({0}, {1}, {2})", texts, STRING, 3),
    "REVERSE": simple("reverse({0})", texts, STRING, 1),
    "REPEAT": simple("repeat({0}, {1})", first_text, STRING, 2),
    "SPLIT": _split,
    "REGEXP_CONTAINS": simple("regexp_matches({0}, {1})", texts, BOOLEAN, 2),
    "REGEXP_REPLACE": simple("regexp_replace({0}, {1}, {2}, 'g')", texts, STRING, 3),
    "REGEXP_EXTRACT": _regexp_extract,
    "REGEXP_EXTRACT_ALL": _regexp_extract,
    "REGEXP_SUBSTR": _regexp_extract,
    # choice
    "COALESCE": _same("coalesce"),
    "IFNULL": _same("coalesce"),
    "NULLIF": _same("nullif"),
    "GREATEST": _same("greatest"),
    "LEAST": _same("least"),
    # numbers
    "ABS": simple("abs({0})", numbers, of_first, 1),
    "SIGN": simple("sign({0})", numbers, of_first, 1),
    "ROUND": simple("round({0}::DOUBLE) | round({0}::DOUBLE, {1}::INTEGER)", floats, FLOAT, 1, 2),
    "TRUNC": simple("trunc(CAST({0} AS DOUBLE))", floats, FLOAT, 1),
    "CEIL": simple("ceil(CAST({0} AS DOUBLE))", floats, FLOAT, 1),
    "CEILING": simple("ceil(CAST({0} AS DOUBLE))", floats, FLOAT, 1),
    "FLOOR": simple("floor(CAST({0} AS DOUBLE))", floats, FLOAT, 1),
    "SQRT": simple("sqrt({0})", floats, FLOAT, 1),
    "POW": simple("bq_pow({0}, {1})", floats, FLOAT, 2),
    "POWER": simple("bq_pow({0}, {1})", floats, FLOAT, 2),
    "EXP": simple("bq_exp({0})", floats, FLOAT, 1),
    "LN": simple("ln({0})", floats, FLOAT, 1),
    "LOG": _log,
    "LOG10": simple("log10({0})", floats, FLOAT, 1),
    "MOD": simple("bq_mod({0}, {1})", numbers, INTEGER, 2),
    "DIV": simple("bq_div({0}, {1})", numbers, INTEGER, 2),
    "SAFE_DIVIDE": simple("bq_safe_divide({0}, {1})", numbers, FLOAT, 2),
    # arrays
    "ARRAY_LENGTH": simple("len({0})", arrays, INTEGER, 1),
    "ARRAY_REVERSE": simple("list_reverse({0})", arrays, of_first, 1),
    "ARRAY_TO_STRING": simple("array_to_string({0}, {1})", first_array, STRING, 2),
    "GENERATE_ARRAY": simple("generate_series({all})", numbers, Type("INTEGER", True), 2, 3),
    # bytes and hashes
    "SHA256": simple("unhex(sha256({0}))", texts, BYTES, 1),
    "SHA1": simple("unhex(sha1({0}))", texts, BYTES, 1),
    "MD5": simple("unhex(md5({0}))", texts, BYTES, 1),
    "FARM_FINGERPRINT": _farm_fingerprint,
    "TO_HEX": simple("lower(hex({0}))", texts, STRING, 1),
    "FROM_HEX": simple("unhex({0})", texts, BYTES, 1),
    "TO_BASE64": simple("to_base64({0})", texts, STRING, 1),
    "FROM_BASE64": simple("from_base64({0})", texts, BYTES, 1),
    "GENERATE_UUID": simple("CAST(uuid() AS VARCHAR)", anything, STRING, 0),
    "RAND": simple("random()", anything, FLOAT, 0),
}
"""Name -> how a call is written; another function is refused by its name."""

_WITHOUT_ERRORS = (
    "LOWER", "UPPER", "TRIM", "LTRIM", "RTRIM", "LENGTH", "CHAR_LENGTH", "STARTS_WITH", "ENDS_WITH", "STRPOS",
    "REPLACE", "REVERSE", "CONCAT", "SPLIT", "FARM_FINGERPRINT", "MD5", "SHA1", "SHA256", "TO_HEX", "TO_BASE64",
)  # fmt: skip

SAFE_FUNCTIONS: dict[str, FunctionWriter] = {
    # These have no error but for their arguments' types.
    **{name: FUNCTIONS[name] for name in _WITHOUT_ERRORS},
    "SUBSTR": simple(
        "bq_substr({0}, {1}) | CASE WHEN {2} >= 0 THEN bq_substr_length({0}, {1}, {2}) END", first_text, STRING, 2, 3
    ),
}
"""The functions that can be written with the prefix ``SAFE.``."""
