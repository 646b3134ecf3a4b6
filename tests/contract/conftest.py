"""Every contract test runs with the discovery document between the client and the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from dicomkit.engine.app import Engine
from tests.discovery import Validator


@pytest.fixture(autouse=True, scope="session")
def validator() -> Iterator[Validator]:
    """What looks at each request and answer of an engine, embedded or served, from the first contract test on."""
    validator = Validator()
    call = Engine.__call__

    def validated(self: Engine, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return validator.call(lambda *args: call(self, *args), environ, start_response)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "__call__", validated)
        yield validator


@pytest.fixture(autouse=True)
def nothing_breaks_the_document(validator: Validator) -> Iterator[None]:
    """A test fails whose requests, or the answers to them, are not what the document says."""
    yield
    found, validator.violations[:] = list(validator.violations), []
    assert found == []
