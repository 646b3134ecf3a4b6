"""Long-running operations as the client shows them, over an engine whose workers the tests can hold."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomkit as dk
from dicomkit.client.connection import Connection
from dicomkit.client.dataset import Dataset, create_if_missing
from dicomkit.engine.app import Engine
from dicomkit.engine.services.operations import EMPTY
from dicomkit.engine.services.task import Task
from dicomkit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OperationError,
    PartialResultsWarning,
)
from dicomkit.frames import OPERATION_ERRORS, OPERATIONS
from dicomkit.names import DatasetName
from dicomkit.transport import ORIGIN, embedded_session
from tests.conftest import DEPLOYMENTS, served
from tests.contract.instances import ROOT, ct_slice

NAME = DatasetName.parse("projects/local/locations/local/datasets/default")


class Bench:
    """A dataset, and operations that do what the test says."""

    def __init__(self, engine: Engine, dataset: Dataset) -> None:
        self.dataset = dataset
        self.go = threading.Event()
        self._engine = engine
        for kind in ("held", "quick", "broken"):
            engine.operations.register(kind, "dicom.DicomService.ImportDicomData", getattr(self, f"_{kind}"))

    def begin(self, kind: str = "quick", **request: Any) -> dk.Operation:
        """An operation that has begun."""
        return self.dataset.operation(self._engine.operations.start(NAME, kind, request)["name"])

    def _held(self, task: Task) -> dict[str, Any]:
        task.success(1)
        task.pending(3)
        task.save(now=True)
        while not self.go.wait(0.01):
            task.check()
        task.success(3)
        return {"@type": EMPTY}

    def _quick(self, task: Task) -> dict[str, Any]:
        task.success(task.request.get("success", 1))
        for number in range(task.request.get("failure", 0)):
            task.failure(f"gs://b/{number}.dcm", "the file is not DICOM")
        return {"@type": EMPTY}

    def _broken(self, task: Task) -> dict[str, Any]:
        task.success(2)
        raise FailedPrecondition("the table has rows")


@pytest.fixture(params=DEPLOYMENTS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An engine on each deployment."""
    with Engine(tmp_path / "home") as engine:
        if request.param == "embedded":
            connection = Connection(
                embedded_session(engine), base_url=f"{ORIGIN}/v1", bigquery_endpoint=ORIGIN, place="here"
            )
            create_if_missing(connection.rest, NAME)
            bench = Bench(engine, Dataset(connection, NAME))
            yield bench
            bench.go.set()
            connection.close()
        else:
            with served(engine) as origin, dk.connect(origin) as dataset:
                bench = Bench(engine, dataset)
                yield bench
                bench.go.set()


def test_operation_is_there_at_once_and_its_result_is_itself(bench: Bench) -> None:
    """It can be looked at while it runs; waiting for it gives it back with its counters."""
    operation = bench.begin("held")
    assert (operation.done, operation.state, operation.method) == (False, "running", "ImportDicomData")
    while operation.refresh().counters["success"] == 0:
        pass
    assert operation.counters == {"success": 1, "failure": 0, "pending": 3}
    bench.go.set()
    assert operation.result() is operation
    assert (operation.done, operation.state) == (True, "succeeded")
    assert operation.counters == {"success": 4, "failure": 0, "pending": 0}
    assert operation.resource.response == {"@type": EMPTY}


def test_operation_is_found_again_by_id_and_by_name(bench: Bench) -> None:
    """From any process: an id in the dataset, or the whole name."""
    operation = bench.begin()
    assert bench.dataset.operation(operation.id).name == operation.name
    assert bench.dataset.operation(operation.name).id == operation.id
    with pytest.raises(NotFound):
        bench.dataset.operation("12345")
    for wrong in ("", "../x", "a/b", f"{NAME}/operations/", f"{NAME}/operations/a b", 'x"y'):
        with pytest.raises(InvalidArgument):
            bench.dataset.operation(wrong)


def test_waiting_in_vain_leaves_the_operation_running(bench: Bench) -> None:
    """The error says that it goes on, how to stop it, and how to find it again."""
    operation = bench.begin("held")
    with pytest.raises(DeadlineExceeded, match="goes on") as caught:
        operation.result(timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert "op.cancel()" in str(caught.value)
    assert f'ds.operation("{operation.id}")' in str(caught.value)
    assert bench.dataset.operation(operation.id).state == "running"
    bench.go.set()
    operation.result(timeout=30)


def test_interrupting_ends_the_waiting_only(bench: Bench) -> None:
    """Ctrl+C, as a real signal, while somebody waits."""
    operation = bench.begin("held")
    timer = threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt, match="stopped waiting; the operation goes on") as caught:
        operation.result()
    timer.join()
    assert f'ds.operation("{operation.id}")' in str(caught.value)
    assert operation.refresh().state == "running"
    bench.go.set()
    assert operation.result(timeout=30).counters["success"] == 4


def test_cancelled_operation_keeps_what_it_did(bench: Bench) -> None:
    """Its state says it; waiting for its result is an error that names the code."""
    operation = bench.begin("held")
    assert operation.cancel(wait=True).state == "cancelled"
    with pytest.raises(OperationError, match="CANCELLED") as caught:
        operation.result()
    assert caught.value.operation == operation.name
    assert operation.cancel() is operation  # once more does no harm


def test_ended_operation_is_not_cancelled(bench: Bench) -> None:
    """It stays what it became."""
    operation = bench.begin().result(timeout=30)
    assert operation.cancel(wait=True).state == "succeeded"
    assert bench.dataset.operation(operation.id).cancel(wait=True).state == "succeeded"


def test_failed_operation_raises_with_its_counters(bench: Bench) -> None:
    """The server's own message and code, what was done, and where to look."""
    operation = bench.begin("broken")
    with pytest.raises(
        OperationError, match=r"the table has rows \(FAILED_PRECONDITION\).*see op\.errors\(\)"
    ) as caught:
        operation.result(timeout=30)
    assert caught.value.counters["success"] == 2
    assert operation.state == "failed"


def test_some_failures_warn_and_are_a_frame(bench: Bench) -> None:
    """All pages of them, in the order they were met."""
    operation = bench.begin(success=1, failure=2005)
    with pytest.warns(PartialResultsWarning, match=r"1 succeeded, 2005 failed; see op\.errors\(\)"):
        operation.result(timeout=30)
    errors = operation.errors()
    assert errors["source"].tolist() == [f"gs://b/{number}.dcm" for number in range(2005)]
    assert errors["reason"].unique().tolist() == ["the file is not DICOM"]
    assert errors["code"].unique().tolist() == ["INVALID_ARGUMENT"]


def test_frames_are_typed_when_they_are_empty(bench: Bench) -> None:
    """As those of any other."""
    errors = bench.begin().result(timeout=30).errors()
    assert len(errors) == 0
    assert {name: str(dtype) for name, dtype in errors.dtypes.items()} == {c.name: c.dtype for c in OPERATION_ERRORS}
    operations = bench.dataset.operations()
    assert {name: str(dtype) for name, dtype in operations.dtypes.items()} == {c.name: c.dtype for c in OPERATIONS}


def test_operations_of_a_dataset_are_a_frame(bench: Bench) -> None:
    """State, counters and times of each; the last are of UTC."""
    good, bad, held = bench.begin().result(timeout=30), bench.begin("broken"), bench.begin("held")
    with pytest.raises(OperationError):
        bad.result(timeout=30)
    stopped = bench.begin("held").cancel(wait=True)
    frame = bench.dataset.operations().set_index("id").loc[[good.id, bad.id, held.id, stopped.id]]
    assert frame["method"].unique().tolist() == ["ImportDicomData"]
    assert frame["state"].tolist() == ["succeeded", "failed", "running", "cancelled"]
    assert frame["success"].tolist()[:2] == [1, 2]
    assert str(frame["create_time"].dtype) == "datetime64[us, UTC]"
    assert frame["end_time"].isna().tolist() == [False, False, True, False]
    assert (frame["end_time"] >= frame["create_time"]).tolist() == [True, True, False, True]
    assert frame["error"].isna().tolist() == [True, False, True, False]
    assert frame["error"][bad.id] == "the table has rows (FAILED_PRECONDITION)"


def test_list_of_operations_goes_through_all_pages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a page holds."""
    monkeypatch.setattr("dicomkit.client.paging.PAGE_SIZE", 3)
    begun = {bench.begin().id for _ in range(10)}
    listed = bench.dataset.operations()["id"].tolist()
    assert begun <= set(listed)
    assert len(listed) == len(set(listed)) == len(begun) + 1  # and the making of the dataset


def test_awaiting_leaves_the_event_loop_free(bench: Bench) -> None:
    """Another task goes on meanwhile, and it is that one which ends the operation."""

    async def both() -> tuple[dk.Operation, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            for _ in range(20):
                await asyncio.sleep(0.005)
                turns += 1
            bench.go.set()

        operation = bench.begin("held")
        task = asyncio.create_task(other())
        ended = await operation
        await task
        return ended, turns

    ended, turns = asyncio.run(both())
    assert ended.state == "succeeded"
    assert turns == 20


def test_awaiting_can_be_given_up(bench: Bench) -> None:
    """``asyncio.timeout`` ends the waiting and not the operation; a failed one raises as ``result`` does."""

    async def given_up() -> None:
        async with asyncio.timeout(0.1):
            await bench.begin("held")

    with pytest.raises(TimeoutError):
        asyncio.run(given_up())
    assert bench.dataset.operations()["state"].tolist()[-1] == "running"

    async def failed() -> None:
        await bench.begin("broken")

    with pytest.raises(OperationError):
        asyncio.run(failed())


def test_bar_shows_what_is_done_of_how_much(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not before it has taken a moment."""
    monkeypatch.setattr("dicomkit.client.operation.BAR_AFTER_S", 0.01)
    operation = bench.begin("held")
    with pytest.raises(DeadlineExceeded):
        operation.result(timeout=0.3, progress=True)
    shown = capsys.readouterr().err
    assert "ImportDicomData" in shown
    assert "1/4" in shown
    bench.go.set()
    bench.begin().result(timeout=30, progress=False)
    assert capsys.readouterr().err == ""


def test_repr_asks_nobody_and_tells_no_message(bench: Bench) -> None:
    """State and counters; the server's own words stay in ``result`` and ``errors``, for they can name a path."""
    operation = bench.begin("broken")
    with pytest.raises(OperationError):
        operation.result(timeout=30)
    bench.dataset.close()
    assert repr(operation) == f"<Operation {operation.id} ImportDicomData: failed (2 success)>"
    card = operation._repr_html_()
    assert operation.id in card
    assert "failed" in card
    assert "table has rows" not in card


def test_deleting_a_study_and_a_series_are_operations(conn: dk.Dataset) -> None:
    """Counters count the instances; an instance alone is deleted at once."""
    store = conn.create_store("ct")
    store.upload([ct_slice(study, series, 1) for study in (1, 2) for series in (1, 2)])
    store.delete_instance(f"{ROOT}.1", f"{ROOT}.1.1", f"{ROOT}.1.1.1")
    assert len(store.search_instances()) == 3
    series = store.delete_series(f"{ROOT}.2", f"{ROOT}.2.2")
    assert series.method == "DeleteSeries"
    assert series.result(timeout=30).counters["success"] == 1
    study = store.delete_study(f"{ROOT}.1")
    assert study.method == "DeleteStudy"
    assert study.result(timeout=30).counters["success"] == 1
    assert store.search_instances()["SeriesInstanceUID"].tolist() == [f"{ROOT}.2.1"]
    assert set(conn.operations()["method"]) >= {"DeleteSeries", "DeleteStudy"}


def test_deleting_what_is_not_there(conn: dk.Dataset) -> None:
    """Said at once, without an operation."""
    store = conn.create_store("ct")
    deletes: list[Callable[[], Any]] = [
        lambda: store.delete_study("1.2"),
        lambda: store.delete_series("1.2", "3.4"),
        lambda: store.delete_instance("1.2", "3.4", "5.6"),
    ]
    for delete in deletes:
        with pytest.raises(NotFound):
            delete()
    for bad in ("", "../x", "1.2/series/3"):
        with pytest.raises(InvalidArgument, match="UID"):
            store.delete_study(bad)
    assert isinstance(conn.operations(), pd.DataFrame)
