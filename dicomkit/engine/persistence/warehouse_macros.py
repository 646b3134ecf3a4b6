"""What GoogleSQL means where DuckDB means something else, as DuckDB macros.

The translator (``services/googlesql``) writes calls to these. Each macro states the difference that it removes.

Source: GoogleSQL reference, "Conversion rules", "Mathematical functions", "String functions", "Date functions",
"Array functions", "Operators"; DuckDB 1.5.
"""

from __future__ import annotations

from dicomkit.engine.persistence.warehouse_macros_json import JSON_MACROS
from dicomkit.engine.persistence.warehouse_macros_text import TEXT_MACROS

__all__ = ["MACROS"]

_INTEGER = r"\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*"
_FLOAT = r"(?i)\s*[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|inf|infinity|nan)\s*"
_DATE = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_TIME = r"[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{0,6})?"
_STAMP = rf"{_DATE}([ Tt]{_TIME})?"
_ZONE = r" ?([Zz]|UTC|[+-][0-9]{1,2}(:[0-9]{2})?)"

_TEXT = {
    # GoogleSQL takes no fraction for an integer, no "t" or "yes" for a boolean, no slashes in a date; DuckDB does.
    "int64": ("BIGINT", _INTEGER),
    "float64": ("DOUBLE", _FLOAT),
    "bool": ("BOOLEAN", r"(?i)true|false"),
    "date": ("DATE", _DATE),
    "time": ("TIME", _TIME),
    "datetime": ("TIMESTAMP", _STAMP),
    "timestamp": ("TIMESTAMPTZ", rf"{_STAMP}({_ZONE})?"),
}
"""Target -> DuckDB's type, and the whole of what text may look like."""


def _casts() -> list[str]:
    """``bq_cast_x(v)`` and ``bq_safe_cast_x(v)``: text is held to GoogleSQL's forms."""
    made = []
    for target, (kind, form) in _TEXT.items():
        plain, tried = f"CAST(v AS {kind})", f"TRY_CAST(v AS {kind})"
        if target == "int64":
            # Half away from zero; DuckDB rounds a DOUBLE half to even.
            rounds = "typeof(v) IN ('DOUBLE', 'FLOAT')"
            plain = f"CASE WHEN {rounds} THEN CAST(round(TRY_CAST(v AS DOUBLE)) AS BIGINT) ELSE {plain} END"
            tried = f"CASE WHEN {rounds} THEN TRY_CAST(round(TRY_CAST(v AS DOUBLE)) AS BIGINT) ELSE {tried} END"
        text = f"typeof(v) = 'VARCHAR' AND NOT regexp_full_match(CAST(v AS VARCHAR), '{form}')"
        bad = f"error('Bad {target} value in a CAST')"
        made.append(f"bq_cast_{target}(v) AS CASE WHEN {text} THEN {bad} ELSE {plain} END")
        made.append(f"bq_safe_cast_{target}(v) AS CASE WHEN {text} THEN NULL ELSE {tried} END")
    return made


_TRIM = "' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(133) || chr(160)"

_DEFINITIONS = [
    *_casts(),
    # A REPEATED column has no NULL in it and is none; a REQUIRED one is none.
    "bq_stored_array(v) AS CASE WHEN len(v) <> list_count(v) THEN error('Array cannot have a null element') "
    "ELSE coalesce(v, []) END",
    "bq_required(v, n) AS CASE WHEN v IS NULL THEN error('Required field ' || n || ' cannot be null') ELSE v END",
    # A fraction of a second has three or six digits; DuckDB leaves out every zero at the end.
    "bq_fraction(t) AS regexp_replace(t, '\\.[0-9]+', '.' || rpad(regexp_extract(t, '\\.([0-9]+)', 1), "
    "CASE WHEN length(regexp_extract(t, '\\.([0-9]+)', 1)) <= 3 THEN 3 ELSE 6 END, '0'))",
    # 1.0 is "1", not "1.0"; bytes are text in UTF-8 there and an escape sequence here.
    "bq_cast_string(v) AS CASE WHEN typeof(v) IN ('DOUBLE', 'FLOAT') "
    "THEN regexp_replace(CAST(v AS VARCHAR), '\\.0$', '') "
    "WHEN typeof(v) = 'BLOB' THEN error('CAST of BYTES to STRING is not supported by the embedded BigQuery') "
    "WHEN typeof(v) IN ('TIME', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE') THEN bq_fraction(CAST(v AS VARCHAR)) "
    "ELSE CAST(v AS VARCHAR) END",
    # DuckDB gives infinity or NULL.
    "bq_divide(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE CAST(a AS DOUBLE) / b END",
    "bq_safe_divide(a, b) AS CASE WHEN b = 0 THEN NULL ELSE CAST(a AS DOUBLE) / b END",
    "bq_div(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a // b END",
    "bq_mod(a, b) AS CASE WHEN b = 0 THEN error('division by zero') ELSE a % b END",
    # DuckDB passes over NULL.
    "bq_in(x, list) AS CASE WHEN coalesce(len(list), 0) = 0 THEN false WHEN list_contains(list, x) THEN true "
    "WHEN x IS NULL OR len(list) <> list_count(list) THEN NULL ELSE false END",
    # 0-based, and an error outside of the array; DuckDB's is 1-based from both ends and gives NULL.
    "bq_offset(list, i) AS CASE WHEN i < 0 OR i >= len(list) THEN error('Array index is out of bounds') "
    "ELSE list[i + 1] END",
    "bq_safe_offset(list, i) AS CASE WHEN i < 0 THEN NULL ELSE list[i + 1] END",
    "bq_ordinal(list, i) AS CASE WHEN i < 1 OR i > len(list) THEN error('Array index is out of bounds') "
    "ELSE list[i] END",
    "bq_safe_ordinal(list, i) AS CASE WHEN i < 1 THEN NULL ELSE list[i] END",
    # DuckDB trims spaces only.
    f"bq_trim(s) AS trim(s, {_TRIM})",
    f"bq_ltrim(s) AS ltrim(s, {_TRIM})",
    f"bq_rtrim(s) AS rtrim(s, {_TRIM})",
    # Position 0 is position 1; before the beginning is the beginning.
    "bq_position(s, p) AS CASE WHEN p = 0 OR p < -length(s) THEN 1 ELSE p END",
    "bq_substr(s, p) AS substr(s, bq_position(s, p))",
    "bq_substr_length(s, p, n) AS CASE WHEN n < 0 THEN error('Third argument in SUBSTR() cannot be negative') "
    "ELSE substr(s, bq_position(s, p), n) END",
    # No match is NULL; DuckDB gives an empty text.
    "bq_regexp_extract(s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END",
    # Weeks begin on Sunday, and the days before the first one are in week 0; DuckDB's are ISO weeks.
    "bq_week_start(d, first) AS CAST(d AS DATE) - CAST((dayofweek(d) - first + 7) % 7 AS INTEGER)",
    "bq_week(d, first) AS (dayofyear(d) + 6 - (dayofweek(d) - first + 7) % 7) // 7",
    "bq_date_diff_week(a, b, first) AS (bq_week_start(a, first) - bq_week_start(b, first)) // 7",
    # Values with their counts, NULL counted too, the most frequent first; DuckDB's approx_top_k gives values alone.
    "bq_top_count(v, n) AS list_transform(list_sort(list_concat("
    "list_transform(map_entries(histogram(v)), lambda e: struct_pack(c := -CAST(e.value AS BIGINT), v := e.key)), "
    "CASE WHEN count(*) > count(v) THEN [struct_pack(c := count(v) - count(*), v := NULL)] ELSE [] END))[1:n], "
    'lambda e: struct_pack("value" := e.v, "count" := -e.c))',
    # The same by the sums of weights; a value without a weight counts as NULL, after all others.
    "bq_top_sum(v, w, n) AS list_transform(list_sort(list_transform(list_distinct(list(v)) "
    "|| CASE WHEN count(*) > count(v) THEN [NULL] ELSE [] END, lambda x: struct_pack(s := -list_sum(list_transform("
    "list_filter(list(struct_pack(v := v, w := w)), lambda e: e.v IS NOT DISTINCT FROM x), lambda e: e.w)), "
    "v := x)), 'ASC', 'NULLS LAST')[1:n], lambda e: struct_pack(\"value\" := e.v, \"sum\" := -e.s))",
    *JSON_MACROS,
    *TEXT_MACROS,
]

MACROS: tuple[str, ...] = tuple(f"CREATE MACRO memory.main.{definition}" for definition in _DEFINITIONS)
"""Statements that define every macro in the in-memory database."""
