"""The pause of the cycle collector."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from dicomkit.collection_pause import collection_paused


@pytest.fixture(autouse=True)
def _collector_on() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_the_collector_runs_again_after_the_last_of_several_pauses() -> None:
    """Pauses nest, and threads share one."""
    with collection_paused():
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_the_pause() -> None:
    """A bad file must not leave the process without its collector."""
    with pytest.raises(ValueError, match="bad"), collection_paused():
        raise ValueError("bad")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    """Whoever switched it off meant it."""
    gc.disable()
    with collection_paused():
        pass
    assert not gc.isenabled()


def test_threads_that_overlap_leave_it_on() -> None:
    """Whichever thread is last."""

    def work() -> None:
        for _ in range(500):
            with collection_paused():
                list(range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.isenabled()
