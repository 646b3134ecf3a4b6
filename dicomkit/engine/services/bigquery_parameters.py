"""Query parameters as they are sent, into values that are bound.

Source: BigQuery REST v2, ``QueryParameter``, ``QueryParameterType``, ``QueryParameterValue``.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from dicomkit.engine.persistence.warehouse_types import Field, canonical_type, column_type, quote
from dicomkit.engine.services.bigquery_errors import invalid, not_supported
from dicomkit.engine.services.bigquery_values import checked_row
from dicomkit.engine.services.googlesql.types import from_field
from dicomkit.engine.services.googlesql.writer import Parameter

__all__ = ["Parameters", "query_parameters"]

Parameters: TypeAlias = dict[str, Parameter] | list[Parameter]
"""By lower-case name, or in order."""

MAX_PARAMETERS = 10_000
"""Most parameters of a query (BigQuery, "Quotas and limits")."""

MAX_NESTING = 15
_WHERE = "queryParameters"


def query_parameters(mode: object, given: object) -> Parameters:
    """The parameters of a query.

    Raises
    ------
    InvalidArgument
        A value is none of its type, or the type (RANGE, INTERVAL, GEOGRAPHY, BIGNUMERIC) is not supported.
    """
    if not given:
        return []
    if not isinstance(given, Sequence) or not all(isinstance(item, Mapping) for item in given):
        raise invalid("queryParameters must be an array of objects", _WHERE)
    if len(given) > MAX_PARAMETERS:
        raise invalid(f"Too many query parameters: {len(given)}; the limit is {MAX_PARAMETERS}", _WHERE)
    parameters = [(str(item.get("name") or ""), _parameter(item)) for item in given]
    named = [name.lower() for name, _ in parameters if name]
    if named and len(named) != len(parameters):
        raise invalid("Query parameters must be either all named or all positional", _WHERE)
    if not named and str(mode or "POSITIONAL").upper() == "NAMED":
        raise invalid("A named query parameter needs a name", _WHERE)
    if len(set(named)) != len(named):
        raise invalid("Duplicate query parameter name", _WHERE)
    return {name.lower(): parameter for name, parameter in parameters} if named else [each for _, each in parameters]


def _parameter(item: Mapping[str, Any]) -> Parameter:
    field = _field("value", item.get("parameterType"), 0)
    value = _value(field, _object(item.get("parameterValue") or {}, "parameterValue"))
    return Parameter(from_field(field), column_type(field), value)


def _object(given: object, name: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise invalid(f"{name} of a query parameter must be an object", _WHERE)
    return given


def _field(name: str, kind: object, depth: int) -> Field:
    """The type of a parameter as that of a column."""
    if depth > MAX_NESTING:
        raise invalid(f"The type of a query parameter is nested deeper than {MAX_NESTING} levels", _WHERE)
    kind = _object(kind or {}, "parameterType")
    text = canonical_type(kind.get("type"))
    if text == "ARRAY":
        inner = _field(name, kind.get("arrayType"), depth + 1)
        if inner["mode"] == "REPEATED":
            raise invalid("A query parameter cannot be an array of arrays", _WHERE)
        return {**inner, "mode": "REPEATED"}
    field: Field = {"name": name, "type": text, "mode": "NULLABLE"}
    if text == "RECORD":
        parts = kind.get("structTypes") or []
        if not isinstance(parts, list) or not parts:
            raise invalid("A STRUCT parameter needs structTypes", _WHERE)
        fields = []
        for part in parts:
            given = _object(part, "structTypes").get("name")
            if not isinstance(given, str) or not given:
                raise not_supported("a STRUCT parameter with a field that has no name")
            quote(given)
            fields.append(_field(given, part.get("type"), depth + 1))
        if len({part["name"].lower() for part in fields}) != len(fields):
            raise invalid("A STRUCT parameter has two fields of one name", _WHERE)
        field["fields"] = fields
    elif text in ("RANGE", "INTERVAL", "GEOGRAPHY", "BIGNUMERIC"):
        raise not_supported(f"a query parameter of type {text}")
    else:
        column_type(field)
    return field


def _value(field: Field, given: Mapping[str, Any]) -> Any:
    if field["mode"] == "REPEATED":
        items = given.get("arrayValues") or []
        if not isinstance(items, list):
            raise invalid("arrayValues of a query parameter must be an array", _WHERE)
        one = {**field, "mode": "NULLABLE"}
        return [_value(one, _object(item, "arrayValues")) for item in items]
    if field["type"] == "RECORD":
        values = given.get("structValues")
        if values is None:
            return None
        values = _object(values, "structValues")
        known = {part["name"] for part in field["fields"]}
        for name in values:
            if name not in known:
                raise invalid("structValues of a query parameter has a field that its type has not", _WHERE)
        return {
            part["name"]: _value(part, _object(values.get(part["name"]) or {}, "structValues"))
            for part in field["fields"]
        }
    return _scalar(field["type"], given.get("value"))


def _scalar(kind: str, text: Any) -> Any:
    if text is None:
        return None
    if kind == "FLOAT" and str(text).lower() in ("nan", "inf", "-inf", "infinity", "-infinity", "+inf"):
        return math.nan if str(text).lower() == "nan" else float(str(text).lower().replace("infinity", "inf"))
    clean, errors = checked_row(
        {"value": text}, [{"name": "value", "type": kind, "mode": "NULLABLE"}], ignore_unknown=False
    )
    if errors:
        raise invalid(f"Invalid value of a query parameter: {errors[0]['message']}", _WHERE)
    if kind == "BYTES":
        try:
            return base64.b64decode(clean["value"], validate=True)
        except binascii.Error:
            raise invalid("Invalid value of a query parameter", _WHERE) from None
    return clean["value"]
