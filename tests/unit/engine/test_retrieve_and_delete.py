"""A delete while an answer is sent: what was asked for before it comes whole, and the space is given back after."""

from __future__ import annotations

import gc
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.dicom.multipart import parts
from dicomkit.engine import Engine
from tests.unit.engine.factories import AS_STORED, WEB, Instance, client, instance, store

LARGE = 5 << 20
"""Bytes of an instance that gets a file of its own."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


def begun(http: Client, path: str) -> tuple[object, list[bytes]]:
    """An answer of which the first piece has arrived, and that piece."""
    answer = http.get(path, headers={"Accept": AS_STORED}, buffered=False)
    assert answer.status_code == 200
    return answer, [next(answer.response)]  # type: ignore[call-overload]


def rest(answer: object, pieces: list[bytes]) -> list[bytes]:
    """The parts of the answer, when all of it has arrived."""
    body = b"".join([*pieces, *answer.response])  # type: ignore[attr-defined]
    answer.close()  # type: ignore[attr-defined]
    return [bytes(p.buffer()) for p in parts(io.BytesIO(body), answer.headers["Content-Type"])]  # type: ignore[attr-defined]


def series(http: Client, count: int = 3) -> list[Instance]:
    """Large instances of one series."""
    one = instance(pixels=LARGE)
    files = [one, *(instance(study=one.study, series=one.series, pixels=LARGE) for _ in range(count - 1))]
    for file in files:
        assert store(http, file).status_code == 200
    return files


def test_a_study_that_is_deleted_while_it_is_sent_arrives_whole(engine: Engine) -> None:
    """Every instance, byte for byte; for everybody else it is gone at once."""
    http = client(engine)
    files = series(http)
    study = f"{WEB}/studies/{files[0].study}"
    answer, pieces = begun(http, study)
    assert http.delete(study).status_code == 200
    engine.operations.wait(20)
    assert http.get(study, headers={"Accept": AS_STORED}).status_code == 404
    assert rest(answer, pieces) == [f.data for f in files]


def test_the_space_is_given_back_when_the_answer_is_finished(engine: Engine) -> None:
    """Not before, and not never: also when the client goes away, or never reads."""
    http = client(engine)
    for finish in ("read", "close", "forget", "never begin"):
        files = series(http)
        study = f"{WEB}/studies/{files[0].study}"
        if finish == "never begin":
            answer: object | None = http.get(study, headers={"Accept": AS_STORED}, buffered=False)
            pieces: list[bytes] = []
        else:
            answer, pieces = begun(http, study)
        http.delete(study)
        engine.operations.wait(20)
        assert len(list(engine.home.blobs.iterdir())) == 3
        if finish == "read":
            rest(answer, pieces)
        elif finish == "close":
            answer.close()  # type: ignore[attr-defined]
        answer = None
        gc.collect()
        engine.storage.blobs.hold((), engine.storage.blobs.removals)  # whoever comes next tidies up
        assert list(engine.home.blobs.iterdir()) == [], finish


def test_two_answers_hold_a_file_until_both_are_finished(engine: Engine) -> None:
    """The first that ends takes nothing from the second."""
    http = client(engine)
    files = series(http, 2)
    study = f"{WEB}/studies/{files[0].study}"
    one, two = begun(http, study), begun(http, study)
    http.delete(study)
    engine.operations.wait(20)
    one[0].close()  # type: ignore[attr-defined]
    assert rest(*two) == [f.data for f in files]
    assert list(engine.home.blobs.iterdir()) == []


def test_a_file_that_was_held_at_the_end_goes_at_the_next_start(tmp_path: Path) -> None:
    """A process that dies in the middle of an answer leaves nothing for ever."""
    with Engine(tmp_path) as engine:
        http = client(engine)
        files = series(http)
        study = f"{WEB}/studies/{files[0].study}"
        answer, _ = begun(http, study)
        http.delete(study)
        engine.operations.wait(20)
    with Engine(tmp_path) as engine:
        assert list(engine.home.blobs.iterdir()) == []
    answer.close()  # type: ignore[attr-defined]
