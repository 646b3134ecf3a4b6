"""Child processes: whatever happens in one, its caller hears of it and the next request finds another."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from dicomkit.engine.services.children import Children, cpus, result_of
from dicomkit.errors import DicomFormatError, Unavailable

ROOT = Path(__file__).resolve().parents[3]
MODULE = "tests.unit.engine.odd_child"


@pytest.fixture
def children() -> Iterator[Children]:
    with Children(MODULE, b"<first>", count=2, limit_s=60) as children:
        yield children


def test_each_gets_the_first_block_and_then_its_requests(children: Children) -> None:
    """Of any size, more of them than there are processes, in the order of the futures."""
    sizes = [0, 1, 70_000, 3 << 20, 5, 6]
    futures = [children.submit(b"x" * size) for size in sizes]
    assert [len(result_of(future, lambda: None)) for future in futures] == [7 + size for size in sizes]


@pytest.mark.parametrize(("request_", "words"), [(b"DIE", "ended the process"), (b"REFUSE", "^no$")])
def test_what_fails_fails_alone(children: Children, request_: bytes, words: str) -> None:
    """Before and after it everything is answered."""
    futures = [children.submit(data) for data in (b"a", request_, b"b", b"c")]
    with pytest.raises(DicomFormatError, match=words):
        futures[1].result(30)
    assert [futures[n].result(30) for n in (0, 2, 3)] == [b"<first>a", b"<first>b", b"<first>c"]


def test_one_that_takes_too_long_is_ended() -> None:
    """It says so, and the next request is answered."""
    with Children(MODULE, b"", count=1, limit_s=0.5) as children:
        stuck = children.submit(b"HANG")
        with pytest.raises(DicomFormatError, match=r"longer than 0.5 s"):
            stuck.result(30)
        assert children.submit(b"next").result(30) == b"next"


def test_who_waits_can_give_up(children: Children) -> None:
    """What the check raises ends the wait, and closing ends the process that hangs."""
    stuck = children.submit(b"HANG")

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result_of(stuck, check)
    children.close()
    with pytest.raises((DicomFormatError, Unavailable, CancelledError)):
        stuck.result(30)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("dicomkit-children")] == []


def test_nothing_is_started_after_the_end() -> None:
    """A request that waited for its turn is not begun."""
    children = Children(MODULE, b"", count=1, limit_s=60)
    futures: list[Future[bytes]] = [children.submit(b"HANG") for _ in range(3)]
    children.close()
    for future in futures:
        with pytest.raises((DicomFormatError, Unavailable, CancelledError)):
            future.result(30)


def test_end_of_the_interpreter_waits_for_none() -> None:
    """A script that ends while a child is at work ends at once, however long that would take."""
    code = (
        "from dicomkit.engine.services.children import Children\n"
        f"children = Children({MODULE!r}, b'', count=1, limit_s=600)\n"
        "print(children.submit(b'ready').result(60))\n"
        "children.submit(b'HANG')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "b'ready'\n"


def test_there_is_at_least_one_processor() -> None:
    """And no more than make sense."""
    assert 1 <= cpus() <= 8
