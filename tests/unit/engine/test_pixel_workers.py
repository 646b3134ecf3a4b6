"""Child processes that decode: they answer, are killed, are replaced, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from dicomkit import pixels
from dicomkit.engine.services.pixel_workers import PixelWorkers
from dicomkit.errors import (
    DicomFormatError,
    DicomkitError,
    InvalidArgument,
    NotAcceptable,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from tests.conftest import WHEEL
from tests.unit.pixels.images import image

CT = (WHEEL / "CT_small.dcm").read_bytes()
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
FITS = 1 << 30
"""Memory for a process and its libraries and a few frames of 36 MB, but not for a hundred of them."""
JPEG_2000 = "1.2.840.10008.1.2.4.90"


@pytest.fixture
def workers() -> Iterator[PixelWorkers]:
    made = PixelWorkers(workers=2)
    yield made
    made.close()


def children() -> list[psutil.Process]:
    """The processes below this one that decode."""
    found = []
    for process in psutil.Process().children():
        try:
            command = " ".join(process.cmdline() or ())
        except psutil.NoSuchProcess:  # it has just ended, and may be waited for yet
            continue
        if "dicomkit.pixels.worker" in command:
            found.append(process)
    return found


def until(condition: object, limit_s: float = 20.0) -> bool:
    give_up = time.monotonic() + limit_s
    while not condition() and time.monotonic() < give_up:  # type: ignore[operator]
        time.sleep(0.01)
    return bool(condition())  # type: ignore[operator]


def test_workers_answer_as_the_functions_do(workers: PixelWorkers, tmp_path: Path) -> None:
    """All four methods give what the functions give, from bytes and from a range of a file."""
    path = tmp_path / "segment"
    path.write_bytes(b"before" + CT)
    for source in (CT, pixels.FileRange(str(path), 6, len(CT))):
        assert workers.frame_count(source) == 1
        assert workers.transcode(source, JPEG_2000) == pixels.transcode(CT, JPEG_2000)
        assert workers.frame_bytes(source, [1, 1], transfer_syntax=EXPLICIT_LITTLE) == pixels.frame_bytes(
            CT, [1, 1], transfer_syntax=EXPLICIT_LITTLE
        )
        box = pixels.Viewport(20, 20, 1.5, 2, -30)
        assert workers.render(source, 1, media_type="image/png", viewport=box) == pixels.render(
            CT, 1, media_type="image/png", viewport=box
        )


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (b"GIF89a", DicomFormatError),
        (image(dtype="u2"), NotAcceptable),
        (pixels.FileRange("no such file", 0, 10), NotFound),
    ],
)
def test_errors_keep_their_type_and_text(workers: PixelWorkers, source: pixels.Source, error: type[Exception]) -> None:
    """What a function raises, the worker's caller gets, and the process lives on."""
    with pytest.raises(error) as theirs:
        workers.transcode(source, "1.2.840.10008.1.2.4.50")
    with pytest.raises(error) as ours:
        pixels.transcode(source, "1.2.840.10008.1.2.4.50")
    assert str(theirs.value) == str(ours.value)
    assert len(children()) == 1


def test_nothing_is_started_before_the_first_call() -> None:
    """An engine that decodes nothing has no processes."""
    workers = PixelWorkers()
    assert children() == []
    workers.close()
    with pytest.raises(Unavailable):
        workers.frame_count(CT)


def test_close_leaves_no_process() -> None:
    """Neither a running one nor a zombie; a call that runs ends with an error."""
    workers = PixelWorkers(workers=2)
    workers.frame_count(CT)
    (child,) = children()
    os.kill(child.pid, signal.SIGSTOP)  # it will not answer
    errors: list[Exception] = []

    def call() -> None:
        try:
            workers.frame_count(CT)
        except DicomkitError as exc:
            errors.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    assert until(lambda: not workers._pool._idle)
    workers.close()
    thread.join()
    assert [type(e) for e in errors] == [Unavailable]
    assert children() == [] and not psutil.pid_exists(child.pid)


def test_time_is_limited() -> None:
    """A call over its time ends with a typed error, its process is killed, and the next call gets another."""
    workers = PixelWorkers(workers=1, time_limit_s=5.0)
    try:
        workers.frame_count(CT)
        (child,) = children()
        workers._pool.time_limit_s = 0.3
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(ResourceExhausted, match=r"longer than 0\.3 s"):
            workers.frame_count(CT)
        assert not psutil.pid_exists(child.pid)
        workers._pool.time_limit_s = 30.0
        assert workers.frame_count(CT) == 1
    finally:
        workers.close()


@pytest.mark.parametrize(
    ("number", "error", "text"),
    [(signal.SIGSEGV, InvalidArgument, "died of this image"), (signal.SIGKILL, ResourceExhausted, "short of memory")],
)
def test_a_process_that_dies_takes_nobody_along(number: signal.Signals, error: type[Exception], text: str) -> None:
    """Its own caller gets a typed error; another call, running at the same time, its answer."""
    workers = PixelWorkers(workers=2)
    try:
        workers.frame_count(CT)
        (child,) = children()
        os.kill(child.pid, signal.SIGSTOP)
        errors: list[DicomkitError] = []

        def call() -> None:
            try:
                workers.frame_count(CT)
            except DicomkitError as exc:
                errors.append(exc)

        thread = threading.Thread(target=call)
        thread.start()
        assert until(lambda: not workers._pool._idle)
        assert workers.frame_count(CT) == 1  # in a second process
        os.kill(child.pid, number)
        os.kill(child.pid, signal.SIGCONT)
        thread.join()
        assert [type(e) for e in errors] == [error] and text in str(errors[0])
        assert workers.frame_count(CT) == 1
        assert not psutil.pid_exists(child.pid)
    finally:
        workers.close()


def test_memory_is_limited() -> None:
    """An image within the limits of size that needs more memory than a process has is refused by type."""
    black = image(rows=6_000, columns=6_000, array=np.zeros((6_000, 6_000), "u1"))
    workers = PixelWorkers(workers=1, memory_bytes=FITS)
    try:
        with pytest.raises(ResourceExhausted, match="memory"):
            workers.frame_bytes(black, [1] * 100, transfer_syntax=EXPLICIT_LITTLE)
        assert workers.frame_count(CT) == 1
    finally:
        workers.close()


def test_idle_processes_end() -> None:
    """After a while without work there is none, and work starts one again."""
    workers = PixelWorkers(idle_s=0.05)
    try:
        workers.frame_count(CT)
        assert until(lambda: children() == [])
        assert workers.frame_count(CT) == 1
    finally:
        workers.close()


def test_callers_wait_for_their_turn() -> None:
    """More callers than processes: all are answered, by no more processes than there may be."""
    workers = PixelWorkers(workers=2)
    wanted = pixels.transcode(CT, JPEG_2000)
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(workers.transcode(CT, JPEG_2000))) for _ in range(12)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [wanted] * 12
        assert len(children()) <= 2
    finally:
        workers.close()


@pytest.mark.parametrize("how", ["stdin", "command"])
def test_any_main_module_will_do(how: str, tmp_path: Path) -> None:
    """A script on standard input and one after ``-c`` start workers as a module does, and end by themselves."""
    script = textwrap.dedent(f"""
        from dicomkit.engine.services.pixel_workers import PixelWorkers
        print(PixelWorkers().frame_count(open({str(WHEEL / "CT_small.dcm")!r}, "rb").read()))
        """)
    arguments = [sys.executable, "-"] if how == "stdin" else [sys.executable, "-c", script]
    done = subprocess.run(
        arguments,
        input=script if how == "stdin" else "",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "1\n"
