"""JSON values that come from outside: checked, copied, and refused with the path of what is wrong.

A rule is written as what the field *must be* or *is*, so that it reads after a path: ``labels: must be an object``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dicomkit.errors import InvalidArgument

BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
"""``@type`` of the detail that says which field is wrong."""

MAX_DEPTH = 100
"""Deepest nesting of a JSON value; protobuf's own parsers stop at the same depth."""


def invalid(rule: str, *, path: str = "") -> InvalidArgument:
    """Build the error for the field at *path*; *rule* says what is wrong, the rule and the remedy."""
    violation = {"field": path, "description": rule}
    message = f"{path}: {rule}" if path else f"the resource {rule}"
    return InvalidArgument(message, details=[{"@type": BAD_REQUEST, "fieldViolations": [violation]}])


def violations(error: InvalidArgument) -> list[tuple[str, str]]:
    """Which fields *error* is about, as (path, what is wrong); a form shows each beside its field."""
    found: list[tuple[str, str]] = []
    for detail in error.details:
        listed = detail.get("fieldViolations") if detail.get("@type") == BAD_REQUEST else None
        for violation in listed if isinstance(listed, list) else ():
            if isinstance(violation, Mapping):
                found.append((str(violation.get("field", "")), str(violation.get("description", ""))))
    return found or [("", error.message)]


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put *where* before the path of an ``InvalidArgument`` that comes from inside."""
    try:
        yield
    except InvalidArgument as error:
        path, rule = violations(error)[0]
        rule = rule if path else rule.removeprefix(f"{where} ")  # "tableUri must ..." names itself already
        joint = "." if path and not path.startswith("[") else ""
        raise invalid(rule, path=where + joint + path) from None


def kind_of(value: object) -> str:
    """What *value* is in JSON, for a message; never the value itself."""
    for types, name in ((bool, "a boolean"), (str, "a string"), ((int, float), "a number"), (Mapping, "an object")):
        if isinstance(value, types):
            return name
    return "null" if value is None else "an array" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def quoted(name: str) -> str:
    """*name* in double quotes for a message: cut when long, escaped when it would break the line."""
    cut = name[:80] + "..." if len(name) > 80 else name
    return json.dumps(cut, ensure_ascii=not cut.isprintable())


def text(value: object) -> str:
    """A string that has a UTF-8 form."""
    if not isinstance(value, str):
        raise invalid(f"must be a string, not {kind_of(value)}; put it into double quotes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise invalid("must be Unicode text, and holds half of a surrogate pair; leave that character out") from None
    return value


def boolean(value: object) -> bool:
    """A JSON boolean; the texts "true" and "false" are none."""
    if not isinstance(value, bool):
        raise invalid(f"must be true or false, not {kind_of(value)}; write it without quotes")
    return value


def json_object(value: object) -> dict[str, Any]:
    """Copy of a JSON object."""
    if not isinstance(value, Mapping):
        raise invalid(f'must be a JSON object, not {kind_of(value)}; write {{"name": value}}')
    copy: dict[str, Any] = json_value(value)
    return copy


def json_value(value: object, depth: int = 0) -> Any:
    """Copy of a JSON value, so that nothing of it is shared with the caller."""
    if depth > MAX_DEPTH:
        raise invalid(f"must not be nested deeper than {MAX_DEPTH} levels; send a flatter value")
    if isinstance(value, Mapping):
        return {text(key): json_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item, depth + 1) for item in value]
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise invalid(f"must be JSON, which has no form for {kind_of(value)} like this; send a string or leave it out")
