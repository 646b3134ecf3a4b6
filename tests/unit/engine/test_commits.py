"""Group commit: nobody waits for nothing, nobody is lost, and one bad batch takes no other down."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from dicomkit.engine.services.commits import GroupCommit
from dicomkit.errors import Unavailable


@dataclass
class Batch:
    name: str
    done: bool = False
    error: BaseException | None = None


def run(commits: GroupCommit[Batch], batches: list[Batch]) -> dict[str, BaseException | None]:
    """Submit *batches* from a thread each; what each of them got."""
    got: dict[str, BaseException | None] = {}

    def submit(batch: Batch) -> None:
        try:
            commits.submit(batch)
            got[batch.name] = None
        except BaseException as error:  # noqa: BLE001
            got[batch.name] = error

    threads = [threading.Thread(target=submit, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return got


def test_batches_that_arrive_during_a_commit_share_the_next() -> None:
    """While the first is being committed, the others queue up; one commit takes them all."""
    started, go = threading.Event(), threading.Event()
    commits: list[list[str]] = []

    def commit(batches: Sequence[Batch]) -> None:
        commits.append([b.name for b in batches])
        if len(commits) == 1:
            started.set()
            go.wait(10)

    group = GroupCommit(commit)
    first = threading.Thread(target=group.submit, args=(Batch("first"),))
    first.start()
    started.wait(10)
    others = [Batch(str(n)) for n in range(5)]
    threads = [threading.Thread(target=group.submit, args=(b,)) for b in others]
    for thread in threads:
        thread.start()
    while len(group._queue) < 5:
        pass
    go.set()
    for thread in [first, *threads]:
        thread.join(10)
    assert commits[0] == ["first"]
    assert sorted(commits[1]) == ["0", "1", "2", "3", "4"]
    assert all(b.done for b in others)


def test_a_failed_disk_fails_every_batch_of_the_commit() -> None:
    """The error of the API is each one's answer."""

    def commit(batches: Sequence[Batch]) -> None:
        raise Unavailable("disk")

    got = run(GroupCommit(commit), [Batch(str(n)) for n in range(4)])
    assert len(got) == 4
    assert all(isinstance(e, Unavailable) for e in got.values())


def test_a_batch_with_a_defect_fails_alone() -> None:
    """The others are committed without it."""
    committed: list[str] = []

    def commit(batches: Sequence[Batch]) -> None:
        if any(b.name == "bad" for b in batches):
            raise RuntimeError("defect")
        committed.extend(b.name for b in batches)

    got = run(GroupCommit(commit), [Batch(n) for n in ("a", "bad", "b", "c")])
    assert isinstance(got.pop("bad"), RuntimeError)
    assert got == dict.fromkeys(("a", "b", "c"))
    assert sorted(committed) == ["a", "b", "c"]


def test_an_interrupt_reaches_the_waiting_ones_as_an_error() -> None:
    """Ctrl-C in one thread must not leave the others believing that they are stored."""

    def commit(batches: Sequence[Batch]) -> None:
        raise KeyboardInterrupt

    batch = Batch("a")
    with pytest.raises(KeyboardInterrupt):
        GroupCommit(commit).submit(batch)
    assert batch.done
