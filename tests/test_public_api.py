"""The public surface, pinned: a name or a signature that changes, changes in ``public_api.txt`` too, where it is seen.

``python -m tests.test_public_api`` writes that file anew.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest

import dicomkit
from dicomkit import errors, frames, plots
from dicomkit.client.named import NamedStore

PINNED = Path(__file__).with_name("public_api.txt")
MODULES = (dicomkit, errors, frames, plots)


def _signature(value: object) -> str:
    return str(inspect.signature(value)) if callable(value) else ""


def _of_class(name: str, cls: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in cls.__bases__ if base is not object)
    yield f"{name}({bases})" if bases else name
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            if not field.name.startswith("_"):
                required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
                yield f"{name}.{field.name}: {field.type}{'' if required else ' = ...'}"
    elif "__init__" in vars(cls):
        yield f"{name}.__init__{_signature(cls.__init__)}"
    # An error's inherited members are listed once, with the class that brings them.
    classes = [cls] if issubclass(cls, Exception) else [c for c in cls.__mro__ if c.__module__.startswith("dicomkit")]
    members = {attribute: value for c in reversed(classes) for attribute, value in vars(c).items()}
    for attribute, value in sorted(members.items()):
        if attribute.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"{name}.{attribute} (property)"
        elif isinstance(value, classmethod | staticmethod):
            yield f"{name}.{attribute}{_signature(value.__func__)} ({type(value).__name__})"
        elif inspect.isfunction(value):
            yield f"{name}.{attribute}{_signature(value)}"


def surface() -> list[str]:
    """One line for each public name, method, property and field."""
    lines: list[str] = []
    for module in MODULES:
        for name in sorted(module.__all__):
            value = getattr(module, name)
            full = f"{module.__name__}.{name}"
            if inspect.isclass(value) and not issubclass(value, Enum):
                lines += _of_class(full, value)
            elif inspect.isfunction(value):
                lines.append(f"{full}{_signature(value)}")
            else:
                lines.append(f"{full}: {type(value).__name__}")
    return lines


def test_surface_is_the_pinned_one() -> None:
    """No public name, parameter, default or base class changes unnoticed."""
    assert surface() == PINNED.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_all_is_sorted_and_there(module: ModuleType) -> None:
    """``__all__`` names what exists, each once, in order."""
    names = list(module.__all__)
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(module, name) for name in names)


def test_every_public_name_is_documented() -> None:
    """Classes and functions of the surface, and the public methods and properties of the classes, have a docstring."""
    bare = []
    for module in MODULES:
        for name in module.__all__:
            value = getattr(module, name)
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            if not inspect.getdoc(value):
                bare.append(f"{module.__name__}.{name}")
            classes = value.__mro__ if inspect.isclass(value) else ()
            ours = [cls for cls in classes if cls.__module__.startswith("dicomkit")]
            members = [member for cls in ours for member in vars(cls).items()]
            bare += [
                f"{module.__name__}.{name}.{attribute}"
                for attribute, member in members
                if not attribute.startswith("_")
                and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
                and not inspect.getdoc(member)
            ]
    assert bare == []


def test_only_the_first_argument_is_positional() -> None:
    """Options are keyword-only, so that they can come and go; UIDs, in the standard's order, are the exception."""
    loose = []
    parts = [base for base in dicomkit.Store.__mro__[1:] if issubclass(base, NamedStore)]
    for owner in (dicomkit.Dataset, dicomkit.Store, *parts, dicomkit.Query, dicomkit):
        members = vars(owner) if inspect.isclass(owner) else {"connect": dicomkit.connect}
        for name, member in members.items():
            if name.startswith("_") or not inspect.isfunction(member):
                continue
            positional = [
                parameter.name
                for parameter in inspect.signature(member).parameters.values()
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
            ]
            if not all(argument.endswith("_uid") for argument in positional[1:]):
                loose.append(f"{name}({', '.join(positional)})")
    assert loose == []


if __name__ == "__main__":
    PINNED.write_text("\n".join(surface()) + "\n", encoding="utf-8")
    sys.stdout.write(f"{PINNED.name}: {len(surface())} lines\n")
