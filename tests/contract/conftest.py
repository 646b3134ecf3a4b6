"""Every contract test runs with the discovery document between the client and the engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dicomkit.engine.app import Engine
from tests.discovery import Validator

_VALIDATOR = Validator()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Put the validator in front of every engine, embedded or served, while fixtures are made and the test runs."""
    if Path(__file__).parent not in item.path.parents:  # pytest asks about every test, not about this folder's only
        return (yield)
    call = Engine.__call__

    def validated(self: Engine, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return _VALIDATOR.call(lambda *args: call(self, *args), environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__call__", validated)
        return (yield)


@pytest.fixture(autouse=True)
def nothing_breaks_the_document() -> Iterator[None]:
    """A test fails whose requests, or the answers to them, are not what the document says."""
    yield
    found, _VALIDATOR.violations[:] = list(_VALIDATOR.violations), []
    assert found == []


@pytest.fixture
def validator() -> Validator:
    """What stands between the clients and the engines of the contract tests."""
    return _VALIDATOR
