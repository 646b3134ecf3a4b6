"""What all REST resources share: a frozen dataclass that reads and writes its JSON.

Python fields are snake_case, JSON is camelCase, and this is the only module that knows both. Three states of a
field are told apart, because a PATCH treats them differently:

- *unset*: the field is ``None`` and not in the JSON;
- *empty*: ``{}``, ``[]``, ``""`` or ``False``, written as such;
- *null*: no Python type of a field has room for it, so it is kept in ``extra`` under the JSON name.

Fields that dicomkit does not know are kept in ``extra`` as well and written back: ``streamConfigs`` is patched as a
whole list, and what one writer does not know must not be lost by another. Source: Cloud Healthcare API v1 (requests
take camelCase and snake_case, and refuse unknown names); proto3 JSON mapping (null, default values).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from dicomkit.errors import InvalidArgument
from dicomkit.resources._json import BAD_REQUEST, invalid, json_object, json_value, kind_of, located, quoted
from dicomkit.resources.field_mask import apply_mask, camel, compute_mask


class Kind(NamedTuple):
    """How a field is read, and what of its values equals absence on the wire."""

    read: Callable[[object], Any]
    default: object = None
    message: type[Resource] | None = None


class Known(NamedTuple):
    """One field of a resource: its name in Python, its name in JSON, its kind."""

    name: str
    json: str
    kind: Kind


def wire(read: Callable[[object], Any], *, default: object = None, message: type[Resource] | None = None) -> Any:
    """Declare a field of a resource.

    Parameters
    ----------
    read
        Makes the Python value of a JSON value, or raises ``InvalidArgument``; takes its own result, too.
    default
        The JSON value that a server leaves out because it equals absence; ``None`` if none does.
    message
        Resource whose names are the known ones inside the value.
    """
    return field(default=None, metadata={"kind": Kind(read, default, message)})


def one(message: type[Resource]) -> Any:
    """Declare a field that holds a *message*."""
    return wire(_reader(message), message=message)


def many(message: type[Resource]) -> Any:
    """Declare a field that holds an array of *message*, a tuple in Python."""
    read = _reader(message)

    def read_all(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise invalid(f"must be an array, not {kind_of(value)}; write [...] around it")
        items = []
        for index, item in enumerate(value):
            with located(f"[{index}]"):
                items.append(read(item))
        return tuple(items)

    return wire(read_all, default=[], message=message)


def _reader(message: type[Resource]) -> Callable[[object], Any]:
    return lambda value: value if isinstance(value, message) else message.from_api(value)


_known_of: dict[type[Resource], dict[str, Known]] = {}


def _known(cls: type[Resource]) -> dict[str, Known]:
    """The fields of *cls* under each of their spellings."""
    if cls not in _known_of:
        fields = [f for f in dataclasses.fields(cls) if "kind" in f.metadata]
        own = [Known(f.name, camel(f.name), f.metadata["kind"]) for f in fields]
        _known_of[cls] = {k.json: k for k in own} | {k.name: k for k in own}
    return _known_of[cls]


def _unknown(cls: type[Resource], data: object, path: str = "") -> Iterator[dict[str, str]]:
    """Field violations in Google's words, one for each name in *data* that *cls* does not have."""
    if not isinstance(data, Mapping):
        return  # reading says what is wrong with it
    for key, value in data.items():
        known = _known(cls).get(key)
        if known is None:
            at = f" at '{path}'" if path else ""
            message = f"Invalid JSON payload received. Unknown name {quoted(str(key))}{at}: Cannot find field."
            yield ({"field": path} if path else {}) | {"description": message}
        elif known.kind.message is not None:
            below = f"{path}.{known.name}" if path else known.name
            if isinstance(value, list):
                for index, item in enumerate(value):
                    yield from _unknown(known.kind.message, item, f"{below}[{index}]")
            else:
                yield from _unknown(known.kind.message, value, below)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resource:
    """A message of the API as a value: checked when it is made, not changed afterwards.

    Parameters
    ----------
    extra
        JSON fields that dicomkit does not know, and known ones that were null; ``to_api`` writes them back.
    """

    MASK_PATHS: ClassVar[frozenset[str]] = frozenset()
    """What ``updateMask`` may name, in camelCase; ``*`` stands for any key of a map."""

    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = _known(type(self))
        for name, value in self._set_fields().items():
            with located(known[name].json):
                object.__setattr__(self, name, known[name].kind.read(value))
        extra: dict[str, Any] = {}
        with located("extra"):
            for key, value in json_object(self.extra).items():
                own = known.get(key)
                if own is None:
                    extra[key] = value
                elif value is not None:
                    raise invalid(f"is a field of its own; give it as {own.name}=...", path=key)
                elif getattr(self, own.name) is None:
                    extra[own.json] = None
        object.__setattr__(self, "extra", extra)
        self.validate()

    def validate(self) -> None:
        """Raise ``InvalidArgument`` where fields that are well-formed break a rule of the API."""

    @classmethod
    def from_api(cls, data: object, *, strict: bool = False) -> Self:
        """Read the JSON form.

        Parameters
        ----------
        data
            Parsed JSON; names in camelCase or snake_case.
        strict
            Refuse names that the API does not have, as a server does, in place of keeping them in ``extra``.

        Raises
        ------
        InvalidArgument
            The JSON has the wrong shape or breaks a rule; the message names the field, the rule and the remedy.
        """
        if strict and (unknown := list(_unknown(cls, data))):
            message = "\n".join(violation["description"] for violation in unknown)
            raise InvalidArgument(message, details=[{"@type": BAD_REQUEST, "fieldViolations": unknown}])
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, value in json_object(data).items():
            known = _known(cls).get(key)
            if known is None or value is None:
                extra[key] = value
            elif known.name in values:
                raise invalid("must not be given twice, in camelCase and in snake_case; leave one out", path=known.json)
            else:
                values[known.name] = value
        return cls(**values, extra=extra)

    def to_api(self, *, omit_defaults: bool = False) -> dict[str, Any]:
        """Write the JSON form, in camelCase; the result is the caller's own.

        Parameters
        ----------
        omit_defaults
            Leave out what equals absence (``false``, ``""``, an empty list or map, null), as the answers of the API
            do. A request needs those to clear a field.
        """
        known = _known(type(self))
        written = {known[name].json: _write(value, omit_defaults) for name, value in self._set_fields().items()}
        written |= {key: json_value(value) for key, value in self.extra.items()}
        if not omit_defaults:
            return written
        defaults = {k.json: k.kind.default for k in known.values()}
        return {k: v for k, v in written.items() if k not in defaults or (v is not None and v != defaults[k])}

    def patched(self, body: object, mask: object) -> Self:
        """Return the resource after a PATCH, as a server makes it.

        Parameters
        ----------
        body
            Parsed JSON of the request; unknown names are refused, a ``name`` in it is ignored.
        mask
            The ``updateMask`` parameter.

        Raises
        ------
        InvalidArgument
            The body or the mask is wrong, or the result would break a rule.
        """
        fields = {key: value for key, value in json_object(body).items() if key != "name"}
        patch = self.from_api(fields, strict=True)
        return self.from_api(apply_mask(self.to_api(), patch.to_api(), mask, self.MASK_PATHS))

    def mask(self, new: Self) -> str:
        """``updateMask`` of the change from this resource to *new*; empty when nothing differs."""
        return compute_mask(self.to_api(), new.to_api())

    def replace(self, **changes: Any) -> Self:
        """Copy with the given fields changed, checked anew."""
        return dataclasses.replace(self, **changes)

    def _set_fields(self) -> dict[str, Any]:
        """The fields that are set, by their Python names."""
        values = {known.name: getattr(self, known.name) for known in _known(type(self)).values()}
        return {name: value for name, value in values.items() if value is not None}

    def __repr__(self) -> str:
        shown = self._set_fields() | ({"extra": self.extra} if self.extra else {})
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _write(value: object, omit_defaults: bool) -> Any:
    if isinstance(value, Resource):
        return value.to_api(omit_defaults=omit_defaults)
    if isinstance(value, tuple):
        return [_write(item, omit_defaults) for item in value]
    return json_value(value)
