"""Dates, times and timestamps, whose functions agree between GoogleSQL and DuckDB in little more than their names.

The zone is UTC everywhere; another one is refused.

Source: GoogleSQL reference, "Date functions", "Datetime functions", "Timestamp functions", "Time functions".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported
from dicomkit.engine.services.googlesql.calls import arity
from dicomkit.engine.services.googlesql.json_functions import json_string
from dicomkit.engine.services.googlesql.scope import Scope
from dicomkit.engine.services.googlesql.types import (
    DATE,
    DATETIME,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    Sql,
    Type,
    check_numeric,
)
from dicomkit.engine.services.googlesql.writer import FunctionWriter, Writer

__all__ = ["DATE_FUNCTIONS", "DUCKDB", "check_zone", "extract", "interval", "moment", "shifted"]

_WEEKDAYS = {name: number for number, name in enumerate(
    ("SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
)}  # fmt: skip
_UTC = frozenset({"UTC", "ETC/UTC", "+00", "+00:00"})
_CLOCK = ("MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR")
_CALENDAR = ("DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_STEPS = {
    "MICROSECOND": "to_microseconds({})", "MILLISECOND": "to_milliseconds({})", "SECOND": "to_seconds({})",
    "MINUTE": "to_minutes({})", "HOUR": "to_hours({})", "DAY": "to_days(CAST({} AS INTEGER))",
    "WEEK": "to_days(CAST({} * 7 AS INTEGER))", "MONTH": "to_months(CAST({} AS INTEGER))",
    "QUARTER": "to_months(CAST({} * 3 AS INTEGER))", "YEAR": "to_months(CAST({} * 12 AS INTEGER))",
}  # fmt: skip
_UNITS: dict[Type, tuple[str, ...]] = {
    DATE: _CALENDAR, DATETIME: (*_CLOCK, *_CALENDAR), TIMESTAMP: (*_CLOCK, "DAY"), TIME: _CLOCK,
}  # fmt: skip
"""Type -> the parts that its ADD, SUB and DIFF take."""


def moment(w: Writer, node: exp.Expr, scope: Scope, function: str, *kinds: Type) -> Sql:
    """An argument of one of *kinds*; a text literal becomes the first of them."""
    value = w.expr(node, scope)
    if value.type == STRING and value.literal:
        return Sql(f"bq_cast_{kinds[0].kind.lower()}({value.text})", kinds[0])
    if value.type is None and value.text != "NULL":
        raise invalid_query(f"the type of an argument of {function} is not known here; write CAST(... AS {kinds[0]})")
    if value.type is not None and value.type not in kinds:
        raise invalid_query(f"No matching signature for function {function} for argument type: {value.type}")
    return Sql(value.text, value.type or kinds[0])


def _part(node: exp.Expr) -> tuple[str, int | None]:
    """A date part: its name, and the first weekday of a WEEK."""
    if isinstance(node, exp.Anonymous) and str(node.this).upper() == "WEEK" and len(node.expressions) == 1:
        day = node.expressions[0].name.upper()
        if day in _WEEKDAYS:
            return "WEEK", _WEEKDAYS[day]
    if isinstance(node, exp.Var) or (isinstance(node, exp.Column) and len(node.parts) == 1):
        name = node.name.upper()
        if name == "ISOWEEK":
            return "WEEK", 1
        return name, 0 if name == "WEEK" else None
    raise invalid_query("A date part is expected here, such as DAY, MONTH or WEEK(MONDAY)")


def check_zone(w: Writer, name: str, args: list[exp.Expr]) -> None:
    """Refuse another zone than UTC."""
    for arg in args:
        if not (isinstance(arg, exp.Literal) and arg.is_string and arg.this.upper() in _UTC):
            raise not_supported(f"{name} with a time zone other than UTC")


def interval(w: Writer, node: exp.Expr, scope: Scope, name: str, units: tuple[str, ...]) -> str:
    """``INTERVAL n PART`` of one of *units*."""
    if not isinstance(node, exp.Interval) or not isinstance(node.args.get("unit"), exp.Var):
        raise not_supported(f"{name} with anything but INTERVAL n PART")
    unit = node.args["unit"].name.upper()
    if unit not in units:
        raise invalid_query(f"{name} does not support the {unit} date part")
    inner = node.this
    if isinstance(inner, exp.Literal):
        # The parser makes text of the number; text that was text is no INT64.
        if not re.fullmatch(r"-?[0-9]{1,18}", str(inner.this)):
            raise invalid_query("An INTERVAL takes an INT64 here")
        count = str(inner.this)
    else:
        value = w.expr(inner, scope)
        check_numeric("INTERVAL", value)
        count = value.text
    return _STEPS[unit].format(f"({count})")


def shifted(w: Writer, node: exp.Expr, sign: str, step: exp.Interval, scope: Scope) -> Sql:
    """``value + INTERVAL n PART``: what the function of its type does; a DATE becomes a DATETIME."""
    value = moment(w, node, scope, f"operator {sign}", DATETIME, DATE, TIMESTAMP)
    kind = DATETIME if value.type == DATE else value.type or DATETIME
    text = f"({value.text} {sign} {interval(w, step, scope, f'operator {sign}', _UNITS[kind])})"
    return Sql(f"CAST({text} AS {DUCKDB[kind]})", kind)


def _shift(kind: Type, sign: str) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2)
        value = moment(w, args[0], scope, name, kind)
        step = interval(w, args[1], scope, name, _UNITS[kind])
        text = f"({value.text} {sign} {step})"
        return Sql(f"CAST({text} AS DATE)" if kind == DATE else text, kind)

    return write


def _difference(kind: Type) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 3)
        end, start = (moment(w, arg, scope, name, kind) for arg in args[:2])
        part, first = _part(args[2])
        if part not in _UNITS[kind]:
            raise invalid_query(f"{name} does not support the {part} date part")
        if first is not None:
            return Sql(f"bq_date_diff_week({end.text}, {start.text}, {first})", INTEGER)
        # Between timestamps whole units count, between dates and datetimes the boundaries that were crossed.
        function = "date_sub" if kind in (TIMESTAMP, TIME) else "date_diff"
        return Sql(f"{function}('{part.lower()}', {start.text}, {end.text})", INTEGER)

    return write


def _truncate(*kinds: Type) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 2, 3)
        check_zone(w, name, args[2:])
        value = moment(w, args[0], scope, name, *kinds)
        kind = value.type or kinds[0]
        part, first = _part(args[1])
        if part not in (_CALENDAR if kind == DATE else (*_CLOCK, *_CALENDAR)):
            raise not_supported(f"{name} to {part}")
        if first is not None:
            text = f"bq_week_start({value.text}, {first})"
        else:
            text = f"date_trunc('{part.lower()}', {value.text})"
        return Sql(f"CAST({text} AS {DUCKDB[kind]})", kind)

    return write


DUCKDB = {DATE: "DATE", DATETIME: "TIMESTAMP", TIMESTAMP: "TIMESTAMPTZ", TIME: "TIME"}
"""Type -> DuckDB's."""

_EXTRACTS = {
    "YEAR": "year({})", "QUARTER": "quarter({})", "MONTH": "month({})", "DAY": "day({})",
    "DAYOFWEEK": "(dayofweek({}) + 1)", "DAYOFYEAR": "dayofyear({})", "ISOYEAR": "isoyear({})",
    "HOUR": "hour({})", "MINUTE": "minute({})", "SECOND": "second({})",
    "MILLISECOND": "(millisecond({}) % 1000)", "MICROSECOND": "(microsecond({}) % 1000000)",
}  # fmt: skip


def extract(w: Writer, node: exp.Extract, scope: Scope) -> Sql:
    """``EXTRACT(part FROM value)``."""
    inner = node.expression
    if isinstance(inner, exp.AtTimeZone):
        check_zone(w, "EXTRACT", [inner.args["zone"]])
        inner = inner.this
    value = moment(w, inner, scope, "EXTRACT", DATE, DATETIME, TIMESTAMP, TIME)
    iso = isinstance(node.this, exp.Var) and node.this.name.upper() == "ISOWEEK"
    part, first = _part(node.this)
    known = {DATE: "date", TIME: "clock"}.get(value.type or DATE, "both")
    if (part in _CLOCK and known == "date") or (part not in _CLOCK and known == "clock"):
        raise invalid_query(f"EXTRACT from {value.type} does not support the {part} date part")
    if iso:
        return Sql(f"weekofyear({value.text})", INTEGER)
    if first is not None:
        return Sql(f"bq_week({value.text}, {first})", INTEGER)
    if part in ("DATE", "TIME", "DATETIME") and known == "both":
        kind = {"DATE": DATE, "TIME": TIME, "DATETIME": DATETIME}[part]
        return Sql(f"CAST(CAST({value.text} AS TIMESTAMP) AS {DUCKDB[kind]})", kind)
    if part not in _EXTRACTS:
        raise not_supported(f"EXTRACT of {part}")
    return Sql(_EXTRACTS[part].format(value.text), INTEGER)


def _date(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 3)
    if len(args) == 3:
        numbers = [w.expr(arg, scope) for arg in args]
        check_numeric(name, *numbers)
        return Sql(f"make_date({', '.join(number.text for number in numbers)})", DATE)
    check_zone(w, name, args[1:])
    return Sql(f"CAST({moment(w, args[0], scope, name, DATE, DATETIME, TIMESTAMP).text} AS DATE)", DATE)


def _timestamp(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 2)
    check_zone(w, name, args[1:])
    value = w.expr(args[0], scope)
    if value.type == STRING:
        return Sql(f"bq_cast_timestamp({value.text})", TIMESTAMP)
    return Sql(f"CAST({moment(w, args[0], scope, name, TIMESTAMP, DATETIME, DATE).text} AS TIMESTAMPTZ)", TIMESTAMP)


def _datetime(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 6)
    if len(args) == 6:
        numbers = [w.expr(arg, scope) for arg in args]
        check_numeric(name, *numbers)
        return Sql(f"make_timestamp({', '.join(number.text for number in numbers)})", DATETIME)
    if len(args) == 2 and not isinstance(args[1], exp.Literal):
        day = moment(w, args[0], scope, name, DATE)
        clock = moment(w, args[1], scope, name, TIME)
        return Sql(f"({day.text} + {clock.text})", DATETIME)
    check_zone(w, name, args[1:])
    return Sql(f"CAST({moment(w, args[0], scope, name, DATETIME, TIMESTAMP, DATE).text} AS TIMESTAMP)", DATETIME)


def _time(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 3)
    if len(args) == 3:
        numbers = [w.expr(arg, scope) for arg in args]
        check_numeric(name, *numbers)
        return Sql(f"make_time({', '.join(number.text for number in numbers)})", TIME)
    check_zone(w, name, args[1:])
    # DuckDB casts no TIMESTAMPTZ to a TIME.
    return Sql(f"CAST(CAST({moment(w, args[0], scope, name, DATETIME, TIMESTAMP).text} AS TIMESTAMP) AS TIME)", TIME)


def _now(text: str, kind: Type) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 0, 1)
        check_zone(w, name, args)
        return Sql(text, kind)

    return write


def _from(kind: Type, form: Callable[[str], str], result: Type) -> FunctionWriter:
    def write(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
        arity(name, args, 1)
        if kind == INTEGER:
            number = w.expr(args[0], scope)
            check_numeric(name, number)
            return Sql(form(number.text), result)
        return Sql(form(moment(w, args[0], scope, name, kind).text), result)

    return write


def _last_day(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 2)
    value = moment(w, args[0], scope, name, DATE, DATETIME).text
    part, first = _part(args[1]) if len(args) == 2 else ("MONTH", None)
    if first is not None:
        return Sql(f"(bq_week_start({value}, {first}) + 6)", DATE)
    if part not in ("MONTH", "QUARTER", "YEAR"):
        raise not_supported(f"LAST_DAY of {part[:40]}")
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}[part]
    start = f"date_trunc('{part.lower()}', CAST({value} AS DATE))"
    return Sql(f"CAST({start} + to_months({months}) - to_days(1) AS DATE)", DATE)


def _string(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 1, 2)
    check_zone(w, name, args[1:])
    value = w.expr(args[0], scope)
    if value.type == Type("JSON"):
        return json_string(value)
    return Sql(f"bq_cast_string({moment(w, args[0], scope, name, TIMESTAMP, DATETIME, DATE, TIME).text})", STRING)


def _time_trunc(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2)
    value, (part, _) = moment(w, args[0], scope, name, TIME), _part(args[1])
    if part not in _CLOCK:
        raise invalid_query(f"{name} does not support the {part[:40]} date part")
    return Sql(f"CAST(date_trunc('{part.lower()}', DATE '1970-01-01' + {value.text}) AS TIME)", TIME)


def _calendar(w: Writer, name: str, args: list[exp.Expr], scope: Scope) -> Sql:
    arity(name, args, 2, 3)
    start, end = (moment(w, arg, scope, name, DATE) for arg in args[:2])
    # Months are counted from the start there and from one to the next here: only fixed lengths are the same.
    step = interval(w, args[2], scope, name, ("DAY", "WEEK")) if len(args) == 3 else "to_days(1)"
    series = f"generate_series(CAST({start.text} AS TIMESTAMP), CAST({end.text} AS TIMESTAMP), {step})"
    return Sql(f"CAST({series} AS DATE[])", Type("DATE", True))


def _seconds(per_second: int) -> Callable[[str], str]:
    return lambda text: f"CAST(floor(epoch_us({text}) / {1_000_000 // per_second}) AS BIGINT)"


DATE_FUNCTIONS: dict[str, FunctionWriter] = {
    "CURRENT_DATE": _now("CAST(now() AS DATE)", DATE),
    "CURRENT_DATETIME": _now("CAST(now() AS TIMESTAMP)", DATETIME),
    "CURRENT_TIME": _now("CAST(CAST(now() AS TIMESTAMP) AS TIME)", TIME),
    "CURRENT_TIMESTAMP": _now("now()", TIMESTAMP),
    "DATE": _date,
    "DATETIME": _datetime,
    "TIME": _time,
    "TIMESTAMP": _timestamp,
    **{f"{kind.kind}_ADD": _shift(kind, "+") for kind in _UNITS},
    **{f"{kind.kind}_SUB": _shift(kind, "-") for kind in _UNITS},
    **{f"{kind.kind}_DIFF": _difference(kind) for kind in _UNITS},
    "DATE_TRUNC": _truncate(DATE, DATETIME, TIMESTAMP),
    "DATETIME_TRUNC": _truncate(DATETIME),
    "TIMESTAMP_TRUNC": _truncate(TIMESTAMP),
    "LAST_DAY": _last_day,
    "STRING": _string,
    "TIME_TRUNC": _time_trunc,
    "DATE_FROM_UNIX_DATE": _from(INTEGER, lambda text: f"(DATE '1970-01-01' + CAST({text} AS INTEGER))", DATE),
    "GENERATE_DATE_ARRAY": _calendar,
    "UNIX_DATE": _from(DATE, lambda text: f"date_diff('day', DATE '1970-01-01', {text})", INTEGER),
    "UNIX_SECONDS": _from(TIMESTAMP, _seconds(1), INTEGER),
    "UNIX_MILLIS": _from(TIMESTAMP, _seconds(1_000), INTEGER),
    "UNIX_MICROS": _from(TIMESTAMP, lambda text: f"epoch_us({text})", INTEGER),
    "TIMESTAMP_SECONDS": _from(INTEGER, lambda text: f"make_timestamptz(CAST({text} AS BIGINT) * 1000000)", TIMESTAMP),
    "TIMESTAMP_MILLIS": _from(INTEGER, lambda text: f"make_timestamptz(CAST({text} AS BIGINT) * 1000)", TIMESTAMP),
    "TIMESTAMP_MICROS": _from(INTEGER, lambda text: f"make_timestamptz(CAST({text} AS BIGINT))", TIMESTAMP),
}
"""Name -> how a call is written."""
