"""Streams while something changes under them: configurations, instances, whole datasets."""

from __future__ import annotations

import json
import math
import struct
import threading
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.bigquery.current import current_sql
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine import Engine
from tests.unit.engine.factories import (
    DATASET,
    FILE_AS_STORED,
    PARENT,
    STORE,
    Instance,
    client,
    drain,
    ended,
    instance,
    reasons,
    rows,
    store,
    stream_status,
    streamed_to,
)

T, U = "bq://local.imaging.ct", "bq://local.imaging.other"
TABLE = TableReference("local", "imaging", "ct")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


def in_threads(*work: Callable[[], None]) -> None:
    """Have all of *work* done at the same time; the first error of any is raised."""
    errors: list[BaseException] = []

    def guarded(do: Callable[[], None]) -> None:
        try:
            do()
        except BaseException as exc:  # noqa: BLE001 - raised again below
            errors.append(exc)

    threads = [threading.Thread(target=guarded, args=(do,)) for do in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_a_config_acts_from_exactly_one_instance_on_under_load(engine: Engine) -> None:
    """Added and removed while others store: the rows are those of one stretch of what was stored (check C50)."""
    http = client(engine)
    before, during, after = instance(), instance(), instance()
    stop = threading.Event()

    def upload() -> None:
        own = Client(engine)
        while not stop.is_set():
            assert store(own, instance(), instance()).status_code == 200

    def change() -> None:
        try:
            for one, configs in ((before, [T]), (during, []), (after, None)):
                assert store(http, one).status_code == 200
                for _ in range(3):
                    assert store(http, instance()).status_code == 200
                if configs is not None:
                    body = streamed_to(*configs)
                    assert http.patch(f"{STORE}?updateMask=streamConfigs", json=body).status_code == 200
        finally:
            stop.set()

    in_threads(upload, upload, change)
    drain(http)
    assert stream_status(http) == {}
    streamed = {uid for (uid,) in rows(engine, f"SELECT SOPInstanceUID FROM {TABLE.sql}")}
    with engine.storage.database.read() as connection:
        stored = [uid for (uid,) in connection.execute("SELECT uid FROM instances ORDER BY key")]
    assert streamed <= set(stored)
    assert [is_in for is_in, _ in groupby(stored, streamed.__contains__)] == [False, True, False]
    assert [one.uid in streamed for one in (before, during, after)] == [False, True, False]


def test_a_stream_that_is_added_beside_another_begins_in_the_middle(engine: Engine) -> None:
    """The one that was there misses nothing meanwhile."""
    http = client(engine, resource=streamed_to(T))
    stop = threading.Event()

    def upload() -> None:
        own = Client(engine)
        while not stop.is_set():
            assert store(own, instance()).status_code == 200

    def change() -> None:
        try:
            for configs in ([T, U], [T], [T, U]):
                for _ in range(3):
                    assert store(http, instance()).status_code == 200
                body = streamed_to(*configs)
                assert http.patch(f"{STORE}?updateMask=streamConfigs", json=body).status_code == 200
            assert store(http, instance()).status_code == 200
        finally:
            stop.set()

    in_threads(upload, change)
    drain(http)
    with engine.storage.database.read() as connection:
        stored = [uid for (uid,) in connection.execute("SELECT uid FROM instances ORDER BY key")]
    everything = [uid for (uid,) in rows(engine, f"SELECT SOPInstanceUID FROM {TABLE.sql}")]
    assert sorted(everything) == sorted(stored)
    some = {uid for (uid,) in rows(engine, "SELECT SOPInstanceUID FROM `local.imaging.other`")}
    assert [is_in for is_in, _ in groupby(stored, some.__contains__)] == [False, True, False, True]


def test_an_instance_that_is_deleted_and_stored_again_is_never_mixed(engine: Engine) -> None:
    """Whoever retrieves it meanwhile gets one version or none; the table has all of them, in order (check C51)."""
    http = client(engine, resource=streamed_to(T))
    first = instance(PatientName="Doe^Jane", pixels=20_000)
    second = instance(study=first.study, series=first.series, uid=first.uid, PatientName="Roe^John", pixels=24_000)
    versions = [first, second] * 5
    stop = threading.Event()
    found: list[bytes | None] = []

    def read() -> None:
        own = Client(engine)
        while not stop.is_set():
            answer = own.get(first.path, headers={"Accept": FILE_AS_STORED})
            assert answer.status_code in (200, 404)
            found.append(answer.data if answer.status_code == 200 else None)

    def change() -> None:
        try:
            for place, one in enumerate(versions):
                if place:
                    assert http.delete(one.path).status_code == 200
                assert store(http, one).status_code == 200
        finally:
            stop.set()

    in_threads(read, read, change)
    assert set(found) <= {None, first.data, second.data}
    drain(http)
    sql = f"SELECT Type, PatientName.Alphabetic.FamilyName FROM {TABLE.sql} ORDER BY LastUpdated"
    names = ["Doe", "Roe"] * 5
    expected = [(kind, name) for name in names for kind, name in (("DELETE", None), ("CREATE", name))][1:]
    assert rows(engine, sql) == expected
    sql = f"SELECT SOPInstanceUID, PatientName.Alphabetic.FamilyName FROM {current_sql(TABLE)} AS t"
    assert rows(engine, sql) == [(first.uid, "Roe")]


def test_a_dataset_that_is_deleted_while_others_store_leaves_nothing(engine: Engine) -> None:
    """Who comes too late is told so, and no instance, file or stream is left without its store (check C52)."""
    http = client(engine, resource=streamed_to(T))
    acknowledged: list[Instance] = []
    busy = threading.Barrier(4)

    def upload() -> None:
        own = Client(engine)
        busy.wait()
        while True:
            files = [instance(pixels=2_000) for _ in range(3)]
            answer = store(own, *files)
            assert answer.status_code in (200, 404, 409), answer.text
            if answer.status_code != 200:
                return
            acknowledged.extend(files)

    def delete() -> None:
        busy.wait()
        while len(acknowledged) < 12:
            time.sleep(0.001)
        assert http.delete(DATASET).status_code == 200

    in_threads(upload, upload, upload, delete)
    assert http.get(STORE).status_code == 404
    assert http.get(acknowledged[0].path, headers={"Accept": FILE_AS_STORED}).status_code == 404
    engine.streaming.close()
    engine.compaction.finish(10)
    with engine.storage.database.read() as connection:
        for table in ("instances", "series", "studies", "stores", "outbox", "bundles", "streams", "quarantine"):
            assert connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,), table
        assert connection.execute("SELECT COALESCE(SUM(live), 0) FROM segments").fetchone() == (0,)
    # What was acknowledged was on its way to the table already.
    streamed = {uid for (uid,) in rows(engine, f"SELECT SOPInstanceUID FROM {TABLE.sql}")}
    assert {one.uid for one in acknowledged} <= streamed


def test_a_dataset_can_be_made_again_at_once(engine: Engine) -> None:
    """With stores of the same names, and none of their instances."""
    http = client(engine, resource=streamed_to(T))
    one = instance()
    store(http, one)
    assert http.delete(DATASET).status_code == 200
    ended(http, http.post(f"{PARENT}/datasets?datasetId=default"))
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=ct", json=streamed_to(T)).status_code == 200
    assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).status_code == 404
    assert store(http, one).status_code == 200
    assert drain(http)[T]["waiting"] == 0
    assert rows(engine, f"SELECT SOPInstanceUID FROM {current_sql(TABLE)} AS t") == [(one.uid,)]


def _replaced(one: Instance, old: bytes, new: bytes) -> Instance:
    assert one.data.count(old) == 1
    return Instance(one.data.replace(old, new), one.study, one.series, one.uid)


def _strict(text: bytes) -> object:
    def refuse(constant: str) -> object:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("text", [b"1e400 ", b"NaN   ", b"-inf  "])
def test_a_text_that_is_no_finite_number_fails_alone(engine: Engine, text: bytes) -> None:
    """The instance is refused with the reason; what comes with it is stored, and has its row (check C33)."""
    http = client(engine, resource=streamed_to(T))
    odd, good = _replaced(instance(SliceThickness="1.2345"), b"1.2345", text), instance()
    answer = store(http, odd, good)
    assert answer.status_code == 409  # some were not stored
    assert "not finite" in reasons(answer)[0] or "number" in reasons(answer)[0]
    _strict(answer.data)
    assert drain(http)[T]["delivered"] == 1
    assert rows(engine, f"SELECT SOPInstanceUID FROM {TABLE.sql}") == [(good.uid,)]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_double_that_is_not_finite_fails_alone(engine: Engine, number: float) -> None:
    """As text does: JSON has no such number, and nothing is made up for it (check C33)."""
    http = client(engine, resource=streamed_to(T))
    odd = _replaced(instance(DiffusionBValue=1.5), struct.pack("<d", 1.5), struct.pack("<d", number))
    answer = store(http, odd, instance())
    assert answer.status_code == 409  # some were not stored
    assert "not finite" in reasons(answer)[0]
    _strict(answer.data)
    assert drain(http)[T]["delivered"] == 1


def test_a_whole_number_beyond_every_type_stays_as_it_is(engine: Engine) -> None:
    """IS and DS are STRING columns: the text of the file, in rows and in metadata that any JSON parser reads (C33)."""
    configs = [{"bigqueryDestination": {"tableUri": T}}, {"bigqueryDestination": {"tableUri": U, "schemaJson": {}}}]
    http = client(engine, resource={"streamConfigs": configs})
    one = _replaced(instance(AcquisitionNumber="1111111111"), b"1111111111", b"9999999999")
    assert store(http, one).status_code == 200
    metadata = http.get(f"{one.path}/metadata")
    assert metadata.status_code == 200
    _strict(metadata.data)
    assert {s["delivered"] for s in drain(http).values()} == {1}
    assert rows(engine, f"SELECT AcquisitionNumber FROM {TABLE.sql}") == [("9999999999",)]
    ((text,),) = rows(engine, "SELECT Metadata FROM `local.imaging.other`")
    _strict(text.encode())
