"""Child processes: whatever happens in one, its caller hears of it and the next request finds another."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import psutil
import pytest

from dicomkit.engine.services.worker_pool import Answer, Failure, WorkerPool, cpus, result_of
from dicomkit.errors import DicomFormatError, DicomkitError, NotFound, ResourceExhausted, Unavailable

ROOT = Path(__file__).resolve().parents[3]
MODULE = "tests.unit.engine.odd_child"


def error_of(failure: Failure) -> Exception:
    return DicomFormatError(f"{failure.why} {failure.limit_s:g} {failure.error}")


def pool(workers: int = 2, time_limit_s: float = 60.0, **settings: Any) -> WorkerPool:
    return WorkerPool(
        MODULE,
        settings,
        [b"<first>"],
        error_of=error_of,
        workers=workers,
        time_limit_s=time_limit_s,
        memory_bytes=4 << 30,
        most_bytes=64 << 20,
    )


@pytest.fixture
def made() -> Iterator[WorkerPool]:
    with pool() as made:
        yield made


def test_each_gets_the_first_block_and_then_its_requests(made: WorkerPool) -> None:
    """Of any size, more of them than there are processes, in the order of the futures."""
    sizes = [0, 1, 70_000, 3 << 20, 5, 6]
    futures = [made.submit({"n": n}, [b"x" * size]) for n, size in enumerate(sizes)]
    answers = [result_of(future, lambda: None) for future in futures]
    assert [answer for answer, _ in answers] == [{"request": {"n": n}} for n in range(6)]
    assert [len(block) for _, (block,) in answers] == [7 + size for size in sizes]


@pytest.mark.skipif(not hasattr(os, "nice"), reason="the system has no niceness")
def test_others_go_first(made: WorkerPool) -> None:
    """On a machine with more to do than cores, whoever searches does not wait for pictures."""
    made.call({"n": 0}, [b""])
    own = psutil.Process()
    (child,) = own.children()
    assert child.nice() == min(19, own.nice() + 10)


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"DIE", DicomFormatError, "^crash 60"),
        (b"REFUSE", DicomFormatError, r"^no \[\(0010,0010\), offset 3\]$"),
        (b"GONE", NotFound, "not there"),
        (b"MEMORY", DicomFormatError, "^memory 60"),
        (b"DEFECT", DicomFormatError, "^defect 60 LookupError$"),
    ],
)
def test_what_fails_fails_alone(made: WorkerPool, data: bytes, error: type[Exception], words: str) -> None:
    """Before and after it everything is answered, and its error has a type of ours."""
    futures = [made.submit({}, [block]) for block in (b"a", data, b"b", b"c")]
    with pytest.raises(error, match=words):
        futures[1].result(30)
    assert [futures[n].result(30)[1] for n in (0, 2, 3)] == [[b"<first>a"], [b"<first>b"], [b"<first>c"]]


def test_text_of_a_defect_stays_in_its_process(made: WorkerPool, caplog: pytest.LogCaptureFixture) -> None:
    """It may hold values of patients: its type is in the log and in the error, and the process lives on."""
    made.call({}, [b"first"])
    before = psutil.Process().children()
    with caplog.at_level(logging.DEBUG), pytest.raises(DicomkitError) as caught:
        made.call({}, [b"DEFECT"])
    assert "LookupError" in caplog.text
    assert "Smith" not in caplog.text + str(caught.value)
    assert made.call({}, [b"x"])[1] == [b"<first>x"]
    assert [child.pid for child in psutil.Process().children()] == [child.pid for child in before]


def test_one_that_takes_too_long_is_ended() -> None:
    """It says so, and the next request is answered: the start of a process is not counted."""
    with pool(workers=1, time_limit_s=0.5) as made:
        stuck = made.submit({}, [b"HANG"])
        with pytest.raises(DicomFormatError, match=r"^time 0.5"):
            stuck.result(30)
        assert made.submit({}, [b"next"]).result(30)[1] == [b"<first>next"]


def test_process_that_does_not_start_is_told(made: WorkerPool) -> None:
    """No instance is blamed for it."""
    with pool(never=True) as made, pytest.raises(Unavailable, match="no process could be started"):
        made.call({}, [b"a"])


def test_who_finds_none_free_is_told() -> None:
    """After as long as a call may take."""
    with pool(workers=1, time_limit_s=1.0) as made:
        made.call({}, [b"a"])
        made.time_limit_s = 60.0
        stuck = made.submit({}, [b"HANG"])
        while not made._busy:
            pass
        made.time_limit_s = 0.1
        with pytest.raises(ResourceExhausted, match="busy"):
            made.call({}, [b"b"])
        made.close()
        with pytest.raises(Unavailable):
            stuck.result(30)


def test_who_waits_can_give_up(made: WorkerPool) -> None:
    """What the check raises ends the wait, and closing ends the process that hangs."""
    stuck = made.submit({}, [b"HANG"])

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result_of(stuck, check)
    made.close()
    with pytest.raises((Unavailable, CancelledError)):
        stuck.result(30)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("dicomkit-workers")] == []


def test_nothing_is_started_after_the_end() -> None:
    """A request that waited for its turn is not begun."""
    made = pool(workers=1)
    futures: list[Future[Answer]] = [made.submit({}, [b"HANG"]) for _ in range(3)]
    made.close()
    for future in futures:
        with pytest.raises((Unavailable, CancelledError)):
            future.result(30)
    with pytest.raises(Unavailable):
        made.submit({}, [b"a"])


def test_end_of_the_interpreter_waits_for_none() -> None:
    """A script that ends while a child is at work ends at once, however long that would take."""
    code = (
        "from tests.unit.engine.test_worker_pool import pool\n"
        "made = pool(workers=1, time_limit_s=600)\n"
        "print(made.submit({}, [b'ready']).result(60)[1])\n"
        "made.submit({}, [b'HANG'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[b'<first>ready']\n"


def test_there_is_at_least_one_processor() -> None:
    """And no more than make sense."""
    assert 1 <= cpus(8) <= 8
    assert cpus(1) == 1
