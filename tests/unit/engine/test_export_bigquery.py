"""Exports into a table: what they write, what they leave as it was, and how they go on."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from werkzeug.test import Client

from dicomkit.bigquery.table_uri import parse_uri
from dicomkit.engine import Engine
from dicomkit.engine.persistence.row_spool import RowSpool
from dicomkit.engine.services import exports_bigquery, filter_config
from dicomkit.errors import NotFound
from tests.unit.engine.exports import (
    TABLE_REFERENCE,
    begin,
    bucket,
    counter,
    damage,
    ended,
    export,
    failures,
    filtered,
    to_table,
    with_private_text,
)
from tests.unit.engine.factories import (
    DATASET,
    STORE,
    Instance,
    client,
    drain,
    instance,
    rows,
    store,
    streamed_to,
)

COUNT = "SELECT COUNT(*) FROM `local.imaging.exported`"
UIDS = "SELECT SOPInstanceUID FROM `local.imaging.exported` ORDER BY 1"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine, resource=streamed_to("bq://local.imaging.streamed"))


@pytest.fixture
def files(http: Client) -> list[Instance]:
    """Three instances that differ in their columns."""
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    made = [
        instance(uid="1.1.1.1", study="1.1", series="1.1.1"),
        instance(uid="1.1.1.2", study="1.1", series="1.1.1", WindowCenter=["40", "50"], BodyPartExamined="HEAD"),
        instance(uid="1.2.1.1", study="1.2", series="1.2.1", ReferencedImageSequence=Sequence([item])),
    ]
    assert store(http, *made).status_code == 200
    return made


def table_fields(engine: Engine, table: str) -> list[str]:
    reference = parse_uri(f"bq://local.imaging.{table}")
    return [field["name"] for field in engine.bigquery.get_table(reference)["schema"]["fields"]]


def test_the_exported_table_is_the_streamed_one(engine: Engine, http: Client, files: list[Instance]) -> None:
    """Each column of each row, the columns of the store's own facts included."""
    done = export(http, to_table())
    assert done["response"] == {"@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ExportDicomDataResponse"}
    assert done["metadata"]["apiMethodName"] == "google.cloud.healthcare.v1.dicom.DicomService.ExportDicomData"
    assert counter(done) == {"success": 3}
    drain(http)
    assert sorted(table_fields(engine, "exported")) == sorted(table_fields(engine, "streamed"))
    select = f"SELECT {', '.join(sorted(table_fields(engine, 'streamed')))} FROM imaging."
    exported, streamed = (rows(engine, f"{select}{name} ORDER BY SOPInstanceUID") for name in ("exported", "streamed"))
    assert exported == streamed
    assert len(exported) == 3


def test_a_table_that_is_made_has_its_columns_by_tag(engine: Engine, http: Client, files: list[Instance]) -> None:
    """Whichever instance brings them: attributes by tag, then the fixed columns."""
    export(http, to_table())
    names = table_fields(engine, "exported")
    order = ["SOPInstanceUID", "ReferencedImageSequence", "PatientID", "BodyPartExamined", "WindowCenter", "Type"]
    assert [name for name in names if name in order] == order


def test_the_json_schema_has_one_column_for_all_attributes(engine: Engine, http: Client, files: list[Instance]) -> None:
    """``schemaJson``, with the store's name where it is asked for."""
    assert counter(export(http, to_table(schemaJson={}, includeSourceStore=True))) == {"success": 3}
    assert table_fields(engine, "exported") == [
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "SourceDicomStore",
        "Metadata",
        "StructuredStorageSize",
        "DroppedTags",
        "StorageClass",
        "LastUpdated",
        "BlobStorageSize",
        "Type",
    ]
    found = rows(engine, "SELECT SourceDicomStore, Metadata FROM imaging.exported WHERE SOPInstanceUID = '1.1.1.2'")
    assert found[0][0] == STORE[4:]
    assert json.loads(found[0][1])["00180015"] == {"vr": "CS", "Value": ["HEAD"]}


@pytest.mark.parametrize(
    ("fields", "error", "left"),
    [
        ({}, 6, 3),
        ({"writeDisposition": "WRITE_EMPTY", "force": True}, 6, 3),
        ({"writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED"}, 6, 3),
        ({"force": False}, 6, 3),
        ({"force": True}, None, 3),
        ({"writeDisposition": "WRITE_DISPOSITION_UNSPECIFIED", "force": True}, None, 3),
        ({"writeDisposition": "WRITE_TRUNCATE"}, None, 3),
        ({"writeDisposition": "WRITE_APPEND"}, None, 6),
        ({"writeDisposition": "WRITE_APPEND", "force": True}, None, 6),
    ],
)
def test_the_disposition_decides_about_rows_that_are_there(
    engine: Engine, http: Client, files: list[Instance], fields: dict[str, Any], error: int | None, left: int
) -> None:
    """``force`` counts where no disposition is specified; ``WRITE_EMPTY`` ends in an error where there are rows."""
    export(http, to_table())
    done = export(http, to_table(**fields))
    assert done.get("error", {}).get("code") == error
    assert counter(done) == ({} if error else {"success": 3})
    assert rows(engine, COUNT) == [(str(left),)]


def test_a_table_without_rows_is_filled(engine: Engine, http: Client, files: list[Instance]) -> None:
    """ "Only export data if the destination table is empty": its columns are kept, and the missing ones added."""
    engine.bigquery.ensure_dataset("local", "imaging")
    reference = {"projectId": "local", "datasetId": "imaging", "tableId": "exported"}
    fields = [{"name": "PatientID", "type": "STRING", "mode": "REQUIRED"}, {"name": "Note", "type": "STRING"}]
    engine.bigquery.create_table({"tableReference": reference, "schema": {"fields": fields}})
    assert counter(export(http, to_table(writeDisposition="WRITE_EMPTY"))) == {"success": 3}
    assert table_fields(engine, "exported")[:2] == ["PatientID", "Note"]
    assert rows(engine, "SELECT DISTINCT PatientID, Note FROM imaging.exported") == [("P-1", None)]


def test_truncating_takes_the_columns_of_the_export(engine: Engine, http: Client, files: list[Instance]) -> None:
    """As a load job with ``WRITE_TRUNCATE`` does."""
    export(http, to_table())
    only = filtered(engine, to_table(writeDisposition="WRITE_TRUNCATE"), "/studies/1.2")
    assert counter(export(http, only)) == {"success": 1}
    assert "WindowCenter" not in table_fields(engine, "exported")
    assert rows(engine, UIDS) == [("1.2.1.1",)]


def test_appending_widens_the_table(engine: Engine, http: Client, files: list[Instance]) -> None:
    """New columns come at the end, and the rows that are there have nothing in them."""
    export(http, filtered(engine, to_table(), "/studies/1.2"))
    only = filtered(engine, to_table(writeDisposition="WRITE_APPEND"), "/studies/1.1")
    assert counter(export(http, only)) == {"success": 2}
    assert table_fields(engine, "exported")[-2:] == ["BodyPartExamined", "WindowCenter"]
    found = rows(engine, "SELECT SOPInstanceUID, BodyPartExamined FROM imaging.exported ORDER BY 1")
    assert found == [("1.1.1.1", None), ("1.1.1.2", "HEAD"), ("1.2.1.1", None)]


@pytest.mark.parametrize("fields", [{}, {"schemaJson": {}}, {"writeDisposition": "WRITE_TRUNCATE"}])
def test_an_export_of_nothing_succeeds(engine: Engine, http: Client, fields: dict[str, Any]) -> None:
    """An empty store, or lines that match nothing: no counter, and a table without rows."""
    assert counter(done := export(http, to_table(**fields))) == {}
    assert "response" in done
    assert rows(engine, COUNT) == [("0",)]
    assert {"Type", "LastUpdated", "StorageClass", "BlobStorageSize"} <= set(table_fields(engine, "exported"))
    nothing = filtered(engine, to_table(**fields), "/studies/9.9")
    assert counter(export(http, nothing)) == {}


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_EMPTY"])
def test_an_export_that_fails_leaves_the_table_as_it_was(
    engine: Engine, http: Client, files: list[Instance], disposition: str
) -> None:
    """Its rows, its columns, and its being missing; nothing is counted as done."""
    engine.bigquery.ensure_dataset("local", "imaging")
    reference = {"projectId": "local", "datasetId": "imaging", "tableId": "exported"}
    fields = [{"name": "Modality", "type": "INTEGER", "mode": "NULLABLE"}]
    engine.bigquery.create_table({"tableReference": reference, "schema": {"fields": fields}})
    if disposition != "WRITE_EMPTY":
        engine.bigquery.insert_all(TABLE_REFERENCE, [{"insertId": None, "json": {"Modality": 5}}])
    if disposition == "WRITE_TRUNCATE":
        bad = filtered(engine, to_table(writeDisposition=disposition), "/studies/1.1", "nothing")
    else:
        bad = to_table(writeDisposition=disposition)
    done = export(http, bad)
    assert done["error"]["code"] == 3
    assert counter(done) == {}
    assert table_fields(engine, "exported") == ["Modality"]
    assert rows(engine, "SELECT Modality FROM imaging.exported") == ([] if disposition == "WRITE_EMPTY" else [("5",)])
    assert list(engine.home.exports.iterdir()) == []


def test_a_view_is_no_destination(engine: Engine, http: Client, files: list[Instance]) -> None:
    """Its rows are those of a query."""
    engine.bigquery.ensure_dataset("local", "imaging")
    reference = {"projectId": "local", "datasetId": "imaging", "tableId": "exported"}
    engine.bigquery.create_table(
        {"tableReference": reference, "view": {"query": "SELECT 1 AS n", "useLegacySql": False}}
    )
    done = export(http, to_table(writeDisposition="WRITE_APPEND"))
    assert done["error"]["code"] == 3
    assert "is a view" in done["error"]["message"]


def test_the_table_must_be_in_the_project_of_the_store(http: Client) -> None:
    """ "You can only export to a BigQuery dataset that's in the same project as the DICOM store." """
    answer = http.post(f"{STORE}:export", json=to_table("bq://other.imaging.t"))
    assert answer.status_code == 400
    assert "project of the DICOM store, 'local'" in answer.json["error"]["message"]


def test_a_missing_dataset_is_made_in_friendly_mode_only(tmp_path: Path) -> None:
    """As a stream does; Google makes none."""
    with Engine(tmp_path / "google", mode="google") as engine:
        http = client(engine)
        store(http, instance())
        done = export(http, to_table())
        assert done["error"]["code"] == 5
        assert "Not found: Dataset local:imaging" in done["error"]["message"]
        engine.bigquery.ensure_dataset("local", "imaging")
        assert counter(export(http, to_table())) == {"success": 1}


def test_missing_stores_and_filter_files_are_not_found(engine: Engine, http: Client, files: list[Instance]) -> None:
    """A store at once, a filter file when it is read."""
    assert http.post(f"{DATASET}/dicomStores/none:export", json=to_table()).status_code == 404
    bucket(engine, "filters")
    body = {**to_table(), "filterConfig": {"resourcePathsGcsUri": "gs://filters/none.txt"}}
    assert export(http, body)["error"]["code"] == 5
    with pytest.raises(NotFound):
        engine.bigquery.get_table(TABLE_REFERENCE)


def test_the_beta_version_answers_in_its_own_name(http: Client, files: list[Instance]) -> None:
    """Version of operation and response are those of the call."""
    begun = http.post(f"/v1beta1{STORE[3:]}:export", json=to_table())
    assert begun.status_code == 200
    done = ended(http, f"/v1/{begun.json['name']}")
    assert done["response"]["@type"].endswith("google.cloud.healthcare.v1beta1.dicom.ExportDicomDataResponse")
    assert done["metadata"]["apiMethodName"].startswith("google.cloud.healthcare.v1beta1.dicom.")


def test_a_row_beyond_the_limit_of_streaming_is_exported(engine: Engine, http: Client) -> None:
    """Streaming takes 1 MB a row, a load 100 MB."""
    # Private text in many elements: no sequence, nothing of bulk.
    ds = instance(uid="1.9", study="1.9", series="1.9")
    big = with_private_text(elements=30, characters=40_000)
    assert store(http, ds, big).status_code == 200
    assert drain(http)["bq://local.imaging.streamed"]["failed"] == 1
    assert counter(export(http, to_table())) == {"success": 2}
    ((size,),) = rows(
        engine,
        f"SELECT SUM(LENGTH(d)) FROM imaging.exported, UNNEST(OtherElements) AS o, UNNEST(o.Data) AS d "
        f"WHERE SOPInstanceUID = '{big.uid}'",
    )
    assert int(size) > 1_000_000


def test_a_row_beyond_the_limit_of_a_load_is_a_failure(
    engine: Engine, http: Client, files: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by its instance, and the others go on."""
    monkeypatch.setattr(exports_bigquery, "MAX_ROW_BYTES", 20_000)
    big = with_private_text(elements=3, characters=10_000)
    assert store(http, big).status_code == 200
    done = export(http, to_table())
    assert counter(done) == {"success": 3, "failure": 1}
    assert failures(http, done) == [(big.uid, "the row is larger than 20000 bytes, the most that a load takes")]
    assert rows(engine, COUNT) == [("3",)]


def test_damaged_bytes_are_a_failure_and_the_others_go_on(engine: Engine, http: Client, files: list[Instance]) -> None:
    """Nothing is made of bytes whose hash is wrong; where nothing is left the table stays as it was."""
    damage(engine, files[1])
    done = export(http, to_table())
    assert counter(done) == {"success": 2, "failure": 1}
    assert failures(http, done) == [(files[1].uid, "the stored bytes of an instance are damaged")]
    only = filtered(engine, to_table(writeDisposition="WRITE_TRUNCATE"), "/studies/1.1/series/1.1.1/instances/1.1.1.2")
    done = export(http, only)
    assert done["error"]["message"].startswith("all 1 items failed")
    assert rows(engine, COUNT) == [("2",)]


def test_a_large_instance_is_read_where_it_is(engine: Engine, http: Client) -> None:
    """One that has a file of its own is mapped, and its row is that of streaming."""
    assert store(http, instance(pixels=9 << 20)).status_code == 200
    assert counter(export(http, to_table())) == {"success": 1}
    drain(http)
    a, b = (rows(engine, f"SELECT * FROM imaging.{name}") for name in ("exported", "streamed"))
    assert a == b


def test_a_deleted_instance_is_neither_done_nor_failed(
    engine: Engine, http: Client, files: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the export began, and gone when its turn came."""
    monkeypatch.setattr(filter_config, "PORTION", 1)
    view = engine.retrieve.view

    def deleting(item: Any) -> Any:
        if item.uid == files[0].uid:
            assert http.delete(files[1].path).status_code == 200
        return view(item)

    monkeypatch.setattr(engine.retrieve, "view", deleting)
    assert counter(export(http, to_table())) == {"success": 2}
    assert rows(engine, UIDS) == [("1.1.1.1",), ("1.2.1.1",)]


def test_what_is_stored_after_the_beginning_is_not_exported(
    engine: Engine, http: Client, files: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that an export ends although the store goes on growing."""
    view = engine.retrieve.view

    def storing(item: Any) -> Any:
        assert store(http, instance()).status_code == 200
        return view(item)

    monkeypatch.setattr(engine.retrieve, "view", storing)
    assert counter(export(http, to_table())) == {"success": 3}
    assert rows(engine, COUNT) == [("3",)]


class Gate:
    """Lets an export go up to its n-th portion, and wait there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        self._left = portion
        append = RowSpool.append

        def waiting(spool: RowSpool, lines: list[bytes]) -> None:
            append(spool, lines)
            self._left -= 1
            if self._left == 0:
                self.reached.set()
                assert self.go.wait(30)

        monkeypatch.setattr(exports_bigquery, "PORTION_ROWS", 1)
        monkeypatch.setattr(RowSpool, "append", waiting)


def test_a_cancelled_export_leaves_nothing(
    engine: Engine, http: Client, files: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table stays as it was, nothing is counted as done, and the rows that were made are gone."""
    export(http, filtered(engine, to_table(), "/studies/1.2"))
    gate = Gate(monkeypatch, 2)
    operation = begin(http, to_table(writeDisposition="WRITE_TRUNCATE"))
    assert gate.reached.wait(30)
    assert counter(http.get(operation).json)["pending"] > 0
    assert http.post(f"{operation}:cancel", json={}).status_code == 200
    gate.go.set()
    done = ended(http, operation)
    assert done["error"]["code"] == 1
    assert done["metadata"]["cancelRequested"] is True
    assert counter(done) == {}
    assert rows(engine, UIDS) == [("1.2.1.1",)]
    assert list(engine.home.exports.iterdir()) == []


def test_a_load_that_is_cancelled_is_undone(
    engine: Engine, http: Client, files: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows go in by one transaction, which looks at the cancellation between two batches."""
    export(http, filtered(engine, to_table(), "/studies/1.2"))
    reached, go = threading.Event(), threading.Event()
    load = engine.bigquery.load_spool

    def waiting(*args: Any, **kwargs: Any) -> Any:
        reached.set()
        assert go.wait(30)
        return load(*args, **kwargs)

    monkeypatch.setattr(engine.bigquery, "load_spool", waiting)
    operation = begin(http, to_table(writeDisposition="WRITE_APPEND"))
    assert reached.wait(30)
    assert http.post(f"{operation}:cancel", json={}).status_code == 200
    go.set()
    assert ended(http, operation)["error"]["code"] == 1
    assert rows(engine, UIDS) == [("1.2.1.1",)]


def test_an_export_goes_on_where_the_engine_was_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were made are not made again, and no row comes twice."""
    files = [instance(uid=f"1.1.{n}", study="1.1", series="1.1") for n in range(1, 6)]
    with pytest.MonkeyPatch.context() as patch:
        with Engine(tmp_path / "home") as engine:
            http = client(engine)
            store(http, *files)
            gate = Gate(patch, 3)
            operation = begin(http, to_table())
            assert gate.reached.wait(30)
            closing = threading.Thread(target=engine.operations.close)
            closing.start()
            time.sleep(0.1)
            gate.go.set()
            closing.join()
    made: list[str] = []
    view = exports_bigquery.row_of

    def counting(found: Any, *args: Any) -> Any:
        made.append(found.sop_instance_uid)
        return view(found, *args)

    monkeypatch.setattr(exports_bigquery, "row_of", counting)
    with Engine(tmp_path / "home") as engine:
        done = ended(Client(engine), operation)
        assert counter(done) == {"success": 5}
        assert [uid for (uid,) in rows(engine, UIDS)] == [file.uid for file in files]
        assert len(made) < 5
        assert list(engine.home.exports.iterdir()) == []


def test_a_load_that_was_committed_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may die between the load and the end of the operation."""
    with Engine(tmp_path / "home") as engine:
        http = client(engine)
        store(http, instance(), instance())
        monkeypatch.setattr(engine.operations, "_finish", lambda *args: None)
        operation = begin(http, to_table(writeDisposition="WRITE_APPEND"))
        assert engine.operations.wait(30)
        assert rows(engine, COUNT) == [("2",)]
        assert "done" not in http.get(operation).json
    with Engine(tmp_path / "home") as engine:
        done = ended(Client(engine), operation)
        assert "response" in done
        assert counter(done) == {"success": 2}
        assert rows(engine, COUNT) == [("2",)]


def test_rows_of_operations_that_are_over_are_removed_at_start(tmp_path: Path) -> None:
    """What a process left behind whose operation went with its dataset, or was given up."""
    with Engine(tmp_path / "home") as engine:
        folder = engine.home.exports
    folder.mkdir()
    (folder / "123.json.gz").write_bytes(b"x")
    with Engine(tmp_path / "home"):
        assert list(folder.iterdir()) == []


def test_a_table_that_was_filled_meanwhile_ends_an_export_that_goes_on(tmp_path: Path) -> None:
    """What was counted is taken back, and the rows that were made are removed."""
    with pytest.MonkeyPatch.context() as patch:
        with Engine(tmp_path / "home") as engine:
            http = client(engine)
            store(http, *(instance() for _ in range(4)))
            gate = Gate(patch, 2)
            operation = begin(http, to_table())
            assert gate.reached.wait(30)
            closing = threading.Thread(target=engine.operations.close)
            closing.start()
            time.sleep(0.1)
            gate.go.set()
            closing.join()
            engine.bigquery.ensure_dataset("local", "imaging")
            fields = [{"name": "Modality", "type": "STRING", "mode": "NULLABLE"}]
            row = b'{"Modality":"CT"}'
            engine.bigquery.load_spool(TABLE_REFERENCE, lambda: io.BytesIO(row), "WRITE_APPEND", fields, name="other")
    with Engine(tmp_path / "home") as engine:
        done = ended(Client(engine), operation)
        assert done["error"]["code"] == 6
        assert counter(done) == {}
        assert rows(engine, COUNT) == [("1",)]
        assert list(engine.home.exports.iterdir()) == []


def test_lost_rows_end_the_operation_with_an_honest_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not passed over: the table would lack them."""
    with pytest.MonkeyPatch.context() as patch:
        with Engine(tmp_path / "home") as engine:
            http = client(engine)
            store(http, *(instance() for _ in range(4)))
            gate = Gate(patch, 2)
            operation = begin(http, to_table())
            assert gate.reached.wait(30)
            closing = threading.Thread(target=engine.operations.close)
            closing.start()
            time.sleep(0.1)
            gate.go.set()
            closing.join()
    (spool,) = (tmp_path / "home" / "exports").iterdir()
    spool.write_bytes(b"")
    with Engine(tmp_path / "home") as engine:
        done = ended(Client(engine), operation)
        assert done["error"]["code"] == 15
        assert "begin the operation again" in done["error"]["message"]
        with pytest.raises(NotFound):
            engine.bigquery.get_table(TABLE_REFERENCE)
