"""Query parameters as they are sent, into values that are bound.

Source: BigQuery REST v2, ``QueryParameter``, ``QueryParameterType``, ``QueryParameterValue``.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import Any

from dicomkit.engine.persistence.warehouse_types import canonical_type, scalar_type
from dicomkit.engine.services.bigquery_errors import invalid, not_supported, object_in
from dicomkit.engine.services.bigquery_values import checked_row
from dicomkit.engine.services.googlesql.types import Type
from dicomkit.engine.services.googlesql.writer import Parameter

__all__ = ["query_parameters"]


def query_parameters(mode: object, given: object) -> dict[str, Parameter] | list[Parameter]:
    """The parameters of a query, by lower-case name or in order.

    Raises
    ------
    InvalidArgument
        A value is none of its type, or the type (STRUCT, RANGE) is not supported.
    """
    if not given:
        return []
    if not isinstance(given, Sequence) or not all(isinstance(item, Mapping) for item in given):
        raise invalid("queryParameters must be an array of objects", "queryParameters")
    parameters = [(str(item.get("name") or ""), _parameter(item)) for item in given]
    named = [name for name, _ in parameters if name]
    if named and len(named) != len(parameters):
        raise invalid("Query parameters must be either all named or all positional", "queryParameters")
    if not named and str(mode or "POSITIONAL").upper() == "NAMED":
        raise invalid("A named query parameter needs a name", "queryParameters")
    return {name.lower(): parameter for name, parameter in parameters} if named else [each for _, each in parameters]


def _parameter(item: Mapping[str, Any]) -> Parameter:
    kind, value = object_in(item, "parameterType"), object_in(item, "parameterValue")
    name = canonical_type(kind.get("type"))
    if name != "ARRAY":
        return Parameter(Type(name), _cast(name), _value(name, value.get("value")))
    element = canonical_type(object_in(kind, "arrayType").get("type"))
    items = value.get("arrayValues") or []
    if not isinstance(items, list) or not all(isinstance(each, Mapping) for each in items):
        raise invalid("arrayValues must be an array of objects", "queryParameters")
    values = [_value(element, each.get("value")) for each in items]
    return Parameter(Type(element, True), f"{_cast(element)}[]", values)


def _cast(name: str) -> str:
    if name in ("RECORD", "RANGE", "INTERVAL", "GEOGRAPHY", "BIGNUMERIC", "JSON", "ARRAY"):
        raise not_supported(f"a query parameter of type {'STRUCT' if name == 'RECORD' else name}")
    return scalar_type(name)


def _value(name: str, text: Any) -> Any:
    if text is None:
        return None
    _cast(name)
    if name == "FLOAT" and str(text).lower() in ("nan", "inf", "-inf", "infinity", "-infinity", "+inf"):
        return math.nan if str(text).lower() == "nan" else float(str(text).lower().replace("infinity", "inf"))
    clean, errors = checked_row(
        {"value": text}, [{"name": "value", "type": name, "mode": "NULLABLE"}], ignore_unknown=False
    )
    if errors:
        raise invalid(f"Invalid value of a query parameter: {errors[0]['message']}", "queryParameters")
    if name == "BYTES":
        try:
            return base64.b64decode(clean["value"], validate=True)
        except binascii.Error:
            raise invalid("Invalid value of a query parameter", "queryParameters") from None
    return clean["value"]
