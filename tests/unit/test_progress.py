"""The progress bar: there where somebody watches."""

from __future__ import annotations

import io
import sys

import pytest

from dicomkit.progress import Progress, is_watched


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_nobody_watches_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a captured stream nor a missing one gets a bar."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not is_watched()
    monkeypatch.setattr(sys, "stderr", None)
    assert not is_watched()


def test_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the label and goes when the work is done."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert is_watched()
    with Progress(3, "upload", unit="files") as bar:
        for _ in range(3):
            bar.advance(1, "note")
    assert "upload" in sys.stderr.getvalue()  # type: ignore[attr-defined]


def test_bar_can_be_switched_off_and_on(capsys: pytest.CaptureFixture[str]) -> None:
    """What the caller says counts more than who watches."""
    with Progress(2, "quiet", show=False) as bar:
        bar.advance(2)
    assert capsys.readouterr().err == ""
    with Progress(2, "loud", show=True) as bar:
        bar.advance(2)
    assert "loud" in capsys.readouterr().err
