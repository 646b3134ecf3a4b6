"""Results that are made before their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from dicomkit.engine.services.ahead import ahead


def test_results_come_in_order_and_each_is_made_once() -> None:
    """However long each takes, and however many there are."""
    for count in range(8):
        made: list[int] = []

        def make(number: int, made: list[int] = made) -> int:
            made.append(number)
            return number

        assert list(ahead(partial(make, n) for n in range(count))) == list(range(count))
        assert sorted(made) == list(range(count))


def test_the_first_is_made_alone_and_the_next_ones_together() -> None:
    """Two calls wait for each other; the first would wait for ever if it had to."""
    together = threading.Barrier(2, timeout=20)
    calls: list[Callable[[], object]] = [lambda: "first", together.wait, together.wait]
    assert next(results := ahead(calls)) == "first"
    assert sorted(results) == [0, 1]


def test_no_more_are_made_than_are_wanted_soon() -> None:
    """What is made waits in memory."""
    made: list[int] = []
    taken = 0
    results = ahead(partial(made.append, n) for n in range(50))
    for _ in results:
        taken += 1
        assert len(made) <= taken + 3
    assert taken == 50


def test_an_error_comes_when_it_is_its_turn() -> None:
    """What was made before it is not lost, and what comes after it is not made for nothing."""
    begun: list[int] = []

    def make(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results = ahead(partial(make, n) for n in range(30))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(begun) < 8


def test_a_first_that_fails_begins_no_other() -> None:
    """The request ends there, or asks for another form."""
    begun: list[int] = []

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(3):
            yield lambda number=number: begun.append(number) or 1 // number  # type: ignore[misc]

    with pytest.raises(ZeroDivisionError):
        next(ahead(calls()))
    assert begun == [0]


def test_who_takes_no_more_stops_what_has_not_begun() -> None:
    """A client that has gone costs what is under way."""
    begun: list[int] = []
    results = ahead(partial(begun.append, n) for n in range(100))
    next(results)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(begun) < 8
