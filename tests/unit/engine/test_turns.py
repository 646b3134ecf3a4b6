"""Long work gives way to readers, and to nobody else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dicomkit.engine import Engine
from dicomkit.engine.services import turns as module
from tests.unit.engine.factories import WEB, client, instance, store


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When work gave way."""
    found: list[float] = []
    monkeypatch.setattr(module, "_offer", lambda: found.append(time.monotonic()))
    return found


def test_upload_gives_way_to_readers(tmp_path: Path, offered: list[float]) -> None:
    """Before each instance while somebody searches, and not once when nobody does."""
    with Engine(tmp_path / "home") as engine:
        http = client(engine)
        store(http, *(instance() for _ in range(3)))
        assert not offered
        assert http.get(f"{WEB}/studies").status_code == 200
        store(http, *(instance() for _ in range(3)))
        assert len(offered) == 3


def test_reader_of_a_while_ago_counts_no_more(offered: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """A second after the last request that reads, an upload has the core for itself."""
    turns = module.Turns()
    turns.give_way()
    assert not offered
    turns.note_reader()
    turns.give_way()
    assert len(offered) == 1
    later = time.monotonic() + module.READERS_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    turns.give_way()
    assert len(offered) == 1
