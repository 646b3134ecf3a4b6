"""The progress bar: there where somebody watches."""

from __future__ import annotations

import io
import sys
import time

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


def test_bar_follows_what_is_known_of_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A total that comes late, and one that changes."""
    with Progress(None, "import", unit=" items", show=True, delay_s=0.001) as bar:
        time.sleep(0.01)
        bar.reach(1, 4)
        bar.reach(2, 8)
        bar._bar.refresh()
        bar.reach(9, 9, "3 failed")
        bar._bar.refresh()
    shown = capsys.readouterr().err
    assert "1/4" in shown
    assert "2/8" in shown
    assert "9/9" in shown
    assert "3 failed" in shown


def test_short_work_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """A bar that flickers up and goes tells nothing."""
    with Progress(None, "import", show=True, delay_s=60) as bar:
        bar.reach(1, 4)
    assert capsys.readouterr().err == ""
