"""Macros of text and numbers that few queries need: what GoogleSQL means where DuckDB means something else.

Source: GoogleSQL reference, "String functions", "Mathematical functions", "Operators"; DuckDB 1.5.
"""

from __future__ import annotations

__all__ = ["TEXT_MACROS"]

TEXT_MACROS: tuple[str, ...] = (
    # Nothing has the code 0; DuckDB gives -1, or the code of a character beyond ASCII.
    "bq_unicode(s) AS CASE WHEN s = '' THEN 0 ELSE CAST(unicode(s) AS BIGINT) END",
    "bq_ascii(s) AS CASE WHEN s = '' THEN 0 WHEN unicode(s) > 127 THEN error('Non-ASCII at the beginning of ASCII()') "
    "ELSE CAST(unicode(s) AS BIGINT) END",
    "bq_chr(n) AS CASE WHEN n = 0 THEN '' WHEN n < 0 OR n > 1114111 OR n BETWEEN 55296 AND 57343 "
    "THEN error('Invalid codepoint in CHR()') ELSE chr(CAST(n AS INTEGER)) END",
    "bq_length_of(n) AS CASE WHEN n < 0 THEN error('Length cannot be negative') ELSE n END",
    # A word begins after any of GoogleSQL's delimiters, and the rest of it is in lower case.
    "bq_initcap(s) AS array_to_string(list_transform("
    "regexp_extract_all(lower(s), '[^\\s\\[\\](){}/|<>!?@\"^#$&~_,.:;*%+-]+|"
    "[\\s\\[\\](){}/|<>!?@\"^#$&~_,.:;*%+-]+'), lambda p: upper(p[1]) || p[2:]), '')",
    "bq_regexp_instr(s, p) AS CASE WHEN regexp_matches(s, p) "
    "THEN length(regexp_extract(s, '(?s)^(.*?)(?:' || p || ')', 1)) + 1 ELSE 0 END",
    # Beyond the largest FLOAT64 is an error; DuckDB gives infinity.
    "bq_finite(v, given) AS CASE WHEN isinf(v) AND NOT isinf(given) THEN error('Floating point overflow') ELSE v END",
    "bq_pow(a, b) AS bq_finite(pow(a, b), greatest(abs(CAST(a AS DOUBLE)), abs(CAST(b AS DOUBLE))))",
    "bq_exp(a) AS bq_finite(exp(a), CAST(a AS DOUBLE))",
    # Exact for cubes of whole numbers.
    "bq_cbrt(v) AS CASE WHEN pow(round(cbrt(v)), 3) = v THEN round(cbrt(v)) ELSE cbrt(v) END",
    "bq_ieee_divide(a, b) AS CASE WHEN b = 0 THEN CASE WHEN a = 0 OR isnan(a) THEN CAST('nan' AS DOUBLE) "
    "WHEN a > 0 THEN CAST('inf' AS DOUBLE) WHEN a < 0 THEN CAST('-inf' AS DOUBLE) END ELSE a / b END",
    "bq_array_first(a) AS CASE WHEN len(a) = 0 "
    "THEN error('ARRAY_FIRST cannot get the first element of an empty array') "
    "ELSE a[1] END",
    "bq_array_last(a) AS CASE WHEN len(a) = 0 THEN error('ARRAY_LAST cannot get the last element of an empty array') "
    "ELSE a[len(a)] END",
    # 0-based, both ends in it, negative numbers from the end; what is outside is the end.
    "bq_array_place(a, i) AS CASE WHEN i < 0 THEN i + len(a) ELSE i END",
    "bq_array_slice(a, s, e) AS CASE WHEN s IS NULL OR e IS NULL THEN NULL "
    "WHEN bq_array_place(a, e) < greatest(bq_array_place(a, s), 0) THEN a[1:0] "
    "ELSE a[greatest(bq_array_place(a, s), 0) + 1:bq_array_place(a, e) + 1] END",
)
"""Definitions, as :data:`.warehouse_macros.MACROS` takes them."""
