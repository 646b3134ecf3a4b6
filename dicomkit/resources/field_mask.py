"""``updateMask``: computed from a difference, checked, and applied.

Source: ``google.protobuf.FieldMask`` and the Cloud Healthcare API v1, ``dicomStores.patch``: a comma-separated list of
paths in camelCase or snake_case. A path that the mask names and the body lacks is cleared; lists and maps are
replaced whole; a path may go into a message or name one key of a map, but never goes into a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from dicomkit.resources._json import invalid, json_object, json_value, kind_of, quoted

__all__ = ["apply_mask", "camel", "compute_mask", "parse_mask"]

Path = tuple[str, ...]


def camel(name: str) -> str:
    """*name* in lower camelCase; a name that has this form already stays as it is."""
    return re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)


def compute_mask(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Mask of the top-level fields in which two resources, in JSON form, differ.

    Parameters
    ----------
    old, new
        JSON forms in camelCase. ``name`` identifies the resource and is never part of the mask; it may be
        missing in one of them.

    Returns
    -------
    str
        Comma-separated, in the order of *new*, then of *old*; empty when nothing differs.

    Raises
    ------
    InvalidArgument
        The names differ: these are two resources, not two states of one.
    """
    if old.get("name") and new.get("name") and old["name"] != new["name"]:
        raise invalid("must not change; leave it as it is, or create another resource", path="name")
    keys = [key for key in {**new, **old} if key != "name"]
    return ",".join(key for key in keys if _form(old, key) != _form(new, key))


def _form(resource: Mapping[str, Any], key: str) -> str | None:
    """Text that is equal for equal JSON; in Python, ``True == 1`` would hide a difference."""
    return json.dumps(resource[key], sort_keys=True) if key in resource else None


def parse_mask(mask: object, allowed: Collection[str]) -> list[Path]:
    """Read *mask* into the paths it names, in camelCase.

    Parameters
    ----------
    mask
        The query parameter.
    allowed
        Paths that may be changed, in camelCase; ``*`` as the last component stands for any key of a map, as in
        ``labels.*``.

    Returns
    -------
    list of tuple
        Each path once and in components, without those that lie below another one.

    Raises
    ------
    InvalidArgument
        The mask is missing or empty, or a path is not allowed.
    """
    if not isinstance(mask, str) or not mask.strip():
        raise invalid("is required; name the fields to change, separated by commas, as in labels", path="updateMask")
    patterns = [tuple(path.split(".")) for path in allowed]
    paths: list[Path] = []
    for entry in mask.split(","):
        path = _match(tuple(entry.strip().split(".")), patterns)
        if path is None:
            top = ", ".join(sorted(p for p in allowed if "." not in p))
            raise invalid(
                f"must name fields that can be changed ({top}); {quoted(entry.strip())} is none of them",
                path="updateMask",
            )
        if path not in paths:
            paths.append(path)
    return [p for p in paths if not any(len(o) < len(p) and p[: len(o)] == o for o in paths)]


def _match(parts: Path, patterns: list[Path]) -> Path | None:
    """*parts* spelled as the pattern it fits, keys of maps untouched."""
    for pattern in patterns:
        if len(parts) != len(pattern):
            continue
        spelled = tuple(part if name == "*" else camel(part) for part, name in zip(parts, pattern, strict=True))
        if all(name in (part, "*") and part for part, name in zip(spelled, pattern, strict=True)):
            return spelled
    return None


def apply_mask(
    current: Mapping[str, Any], patch: Mapping[str, Any], mask: object, allowed: Collection[str]
) -> dict[str, Any]:
    """Make the resource that results from a PATCH.

    Parameters
    ----------
    current
        The resource before, in JSON form and camelCase; it is not changed.
    patch
        The body of the PATCH; fields that *mask* does not name are ignored.
    mask, allowed
        See :func:`parse_mask`.

    Returns
    -------
    dict
        The resource after, not yet checked against the rules of its type.
    """
    result = json_object(current)
    for path in parse_mask(mask, allowed):
        _move(path, patch, result)
    return result


def _move(path: Path, source: Mapping[str, Any], target: dict[str, Any]) -> None:
    """Copy what *path* names from *source* to *target*, or clear it there."""
    head, rest = path[0], path[1:]
    value = _lookup(source, head)
    if not rest:
        if value is None:
            target.pop(head, None)
        else:
            target[head] = json_value(value)
        return
    if value is not None and not isinstance(value, Mapping):
        raise invalid(f"must be a JSON object, not {kind_of(value)}; updateMask names a field inside it", path=head)
    below = target.get(head)
    child = dict(below) if isinstance(below, Mapping) else {}
    _move(rest, value or {}, child)
    if child or head in target:
        target[head] = child


def _lookup(source: Mapping[str, Any], name: str) -> Any:
    """What *source* holds under *name*, in either spelling; null is absence (proto3 JSON)."""
    if name in source:
        return source[name]
    return next((value for key, value in source.items() if isinstance(key, str) and camel(key) == name), None)
