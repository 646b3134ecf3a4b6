"""Macros of JSON: what GoogleSQL means where DuckDB means something else.

Source: GoogleSQL reference, "JSON functions"; DuckDB 1.5.
"""

from __future__ import annotations

__all__ = ["JSON_MACROS"]

_SCALARS = "('VARCHAR', 'BIGINT', 'UBIGINT', 'DOUBLE', 'BOOLEAN')"
_NUMBERS = "('BIGINT', 'UBIGINT', 'DOUBLE')"

JSON_MACROS: tuple[str, ...] = (
    # An object or an array is no scalar; DuckDB gives its text.
    "bq_json_value(j, p) AS CASE WHEN json_type(j, p) IN ('OBJECT', 'ARRAY', 'NULL') THEN NULL "
    "ELSE json_extract_string(j, p) END",
    "bq_json_query(j, p) AS CASE WHEN json_type(j, p) = 'NULL' THEN NULL ELSE CAST(json_extract(j, p) AS VARCHAR) END",
    "bq_json_query_array(j, p) AS CASE WHEN json_type(j, p) = 'ARRAY' "
    "THEN list_transform(json_extract(j, p || '[*]'), lambda x: CAST(x AS VARCHAR)) END",
    "bq_json_value_array(j, p) AS CASE WHEN json_type(j, p) = 'ARRAY' THEN json_extract_string(j, p || '[*]') END",
    # The names of types are others, and in lower case.
    f"bq_json_type(j) AS CASE WHEN json_type(j) IN {_NUMBERS} THEN 'number' "
    "WHEN json_type(j) = 'VARCHAR' THEN 'string' ELSE lower(json_type(j)) END",
    # Unique, in the order of the alphabet.
    "bq_json_keys(j) AS CASE WHEN json_type(j) = 'OBJECT' THEN list_sort(list_distinct(json_keys(j))) ELSE [] END",
    # Only of their own type; another is an error, as NULL of JSON is.
    "bq_json_bool(j) AS CASE WHEN j IS NULL THEN NULL WHEN json_type(j) = 'BOOLEAN' "
    "THEN TRY_CAST(json_extract_string(j, '$') AS BOOLEAN) ELSE error('The JSON value is not a boolean') END",
    f"bq_json_int64(j) AS CASE WHEN j IS NULL THEN NULL WHEN json_type(j) IN {_NUMBERS} "
    "AND TRY_CAST(json_extract_string(j, '$') AS DOUBLE) = trunc(TRY_CAST(json_extract_string(j, '$') AS DOUBLE)) "
    "THEN TRY_CAST(TRY_CAST(json_extract_string(j, '$') AS DECIMAL(38, 3)) AS BIGINT) "
    "ELSE error('The JSON value is not an int64') END",
    f"bq_json_float64(j) AS CASE WHEN j IS NULL THEN NULL WHEN json_type(j) IN {_NUMBERS} "
    "THEN TRY_CAST(json_extract_string(j, '$') AS DOUBLE) ELSE error('The JSON value is not a number') END",
    "bq_json_string(j) AS CASE WHEN j IS NULL THEN NULL WHEN json_type(j) = 'VARCHAR' "
    "THEN json_extract_string(j, '$') ELSE error('The JSON value is not a string') END",
    # Of whatever can be read as one; NULL for the rest.
    f"bq_lax_string(j) AS CASE WHEN json_type(j) IN {_SCALARS} THEN json_extract_string(j, '$') END",
    "bq_lax_float64(j) AS CASE WHEN json_type(j) IN ('VARCHAR', 'BIGINT', 'UBIGINT', 'DOUBLE') "
    "THEN bq_safe_cast_float64(json_extract_string(j, '$')) END",
    "bq_lax_int64(j) AS CASE WHEN json_type(j) = 'BOOLEAN' "
    "THEN TRY_CAST(TRY_CAST(json_extract_string(j, '$') AS BOOLEAN) AS BIGINT) "
    f"WHEN json_type(j) IN {_SCALARS} "
    "THEN TRY_CAST(round(bq_safe_cast_float64(json_extract_string(j, '$'))) AS BIGINT) END",
    f"bq_lax_bool(j) AS CASE WHEN json_type(j) IN {_NUMBERS} THEN TRY_CAST(json_extract_string(j, '$') AS DOUBLE) <> 0 "
    "WHEN json_type(j) IN ('BOOLEAN', 'VARCHAR') THEN bq_safe_cast_bool(json_extract_string(j, '$')) END",
    # Values inside of JSON, as TO_JSON and TO_JSON_STRING write them.
    "bq_json_integer(v) AS CASE WHEN abs(CAST(v AS HUGEINT)) <= 9007199254740992 THEN to_json(v) "
    "ELSE to_json(CAST(v AS VARCHAR)) END",
    "bq_json_float(v) AS CASE WHEN isfinite(v) THEN CAST(regexp_replace(CAST(v AS VARCHAR), '\\.0$', '') AS JSON) "
    "WHEN isnan(v) THEN to_json('NaN') WHEN v > 0 THEN to_json('Infinity') WHEN v < 0 THEN to_json('-Infinity') END",
    "bq_json_numeric(v) AS CAST(regexp_replace(regexp_replace(CAST(v AS VARCHAR), '0+$', ''), '\\.$', '') AS JSON)",
    "bq_json_fraction(t) AS CASE WHEN contains(t, '.') THEN bq_fraction(t) ELSE t END",
    "bq_json_time(v) AS bq_json_fraction(CAST(v AS VARCHAR))",
    "bq_json_datetime(v) AS replace(bq_json_fraction(CAST(v AS VARCHAR)), ' ', 'T')",
    "bq_json_timestamp(v) AS replace(bq_json_fraction(CAST(CAST(v AS TIMESTAMP) AS VARCHAR)), ' ', 'T') || 'Z'",
)
"""Definitions, as :data:`.warehouse_macros.MACROS` takes them."""
