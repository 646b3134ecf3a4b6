"""The folder of an engine: made private, opened once."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.home import Home
from dicomkit.errors import FailedPrecondition, InvalidArgument, SetupError, Unavailable
from tests.unit.engine.factories import DATASET, FILE_AS_STORED, STORE, WEB, client, ended, instance, store


def test_everything_in_a_home_is_private(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0o000)
    try:
        with Engine(tmp_path / "home") as engine:
            store(client(engine), instance(), instance(pixels=5 << 20))
            modes = {p: stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / "home", *(tmp_path / "home").rglob("*")]}
    finally:
        os.umask(before)
    assert {oct(m) for p, m in modes.items() if p.is_dir()} == {"0o700"}
    assert {str(p): oct(m) for p, m in modes.items() if p.is_file() and m != 0o600} == {}


def test_the_second_opener_is_told_who_has_it(tmp_path: Path) -> None:
    """Two engines on one folder would spoil it; the message names the process."""
    with Engine(tmp_path) as _, pytest.raises(Unavailable, match=str(os.getpid())):
        Engine(tmp_path)
    Engine(tmp_path).close()


def test_a_home_that_nobody_closed_is_free_when_its_engine_is_forgotten(tmp_path: Path) -> None:
    """A notebook cell that is run again can open its folder again."""
    engine = Engine(tmp_path)
    client(engine)
    del engine
    with Engine(tmp_path) as again:
        assert Client(again).get("/v1/projects/local/locations/local/datasets").status_code == 200


def test_a_file_is_no_home(tmp_path: Path) -> None:
    """A path that is a file is refused as such."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidArgument, match="file"):
            Home(path)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder in which even root can make nothing")
def test_a_folder_that_cannot_be_made_is_named() -> None:
    """The message says what to do, and is no bare OSError."""
    with pytest.raises(SetupError, match="choose one that you may write to"):
        Home("/proc/no-such-folder/home")


def test_leftovers_of_uploads_are_removed_at_start(tmp_path: Path) -> None:
    """A part that was being received when the process died is patient data nobody asked to keep."""
    Engine(tmp_path).close()
    (tmp_path / "tmp" / "part-x").write_bytes(b"half an instance")
    Engine(tmp_path).close()
    assert not list((tmp_path / "tmp").iterdir())


def test_a_blob_file_that_nothing_uses_is_removed_at_start(tmp_path: Path) -> None:
    """The file that was being appended to stays when its last instance is deleted, and goes with the next start."""
    with Engine(tmp_path) as engine:
        http = client(engine)
        kept, gone = instance(pixels=5 << 20), instance()
        store(http, kept, gone)
        assert http.delete(gone.path).status_code == 200
        assert len(list((tmp_path / "blobs").iterdir())) == 2
    with Engine(tmp_path) as engine:
        assert len(list((tmp_path / "blobs").iterdir())) == 1
        answer = Client(engine).get(kept.path, headers={"Accept": FILE_AS_STORED})
        assert answer.data == kept.data


def test_a_catalog_of_another_version_is_refused(tmp_path: Path) -> None:
    """No guesses about a layout that this version does not know; the folder is free again."""
    import sqlite3

    Engine(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match="99"):
            Engine(tmp_path)


_TO_2 = """
ALTER TABLE streams DROP COLUMN moved; ALTER TABLE outbox DROP COLUMN attempts; DROP TABLE quarantine;
CREATE TABLE quarantine (
    key INTEGER PRIMARY KEY, stream_key INTEGER NOT NULL, row BLOB, reason TEXT NOT NULL, created REAL NOT NULL);
CREATE INDEX quarantine_stream ON quarantine (stream_key);
DROP TABLE operations; DROP TABLE operation_errors; DROP TABLE messages; DROP TABLE topics;
DROP TABLE study_modalities; DROP INDEX studies_store; DROP INDEX studies_description; DROP INDEX series_store;
DROP INDEX series_description; DROP INDEX studies_referring_folded; DROP INDEX studies_patient_folded_groups;
DROP INDEX studies_referring_folded_groups;
CREATE TABLE operations (
    name TEXT PRIMARY KEY, dataset_key INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
"""
"""What makes a catalog of layout 2 of one of layout 4."""


@pytest.mark.parametrize("layout", [1, 2])
def test_a_catalog_of_a_layout_before_is_brought_up(tmp_path: Path, layout: int) -> None:
    """Layout 1 had no policies, 2 only operations that had ended: what is stored stays, and all can be used."""
    import sqlite3

    with Engine(tmp_path) as engine:
        topics = [f"projects/local/topics/{name}" for name in ("newer", "older")]
        http = client(engine, resource={"labels": {"a": "b"}, "notificationConfigs": [{"pubsubTopic": topics[0]}]})
        http.post(f"{DATASET}/dicomStores?dicomStoreId=x", json={"notificationConfig": {"pubsubTopic": topics[1]}})
        http.post(f"{DATASET}/dicomStores?dicomStoreId=y", json={"notificationConfig": {}})
        before = instance(Modality="SR", StudyDescription="Head before")
        store(http, before)
    former = {
        "name": f"{DATASET[4:]}/operations/1234",
        "metadata": {
            "@type": "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata",
            "apiMethodName": "google.cloud.healthcare.v1.dataset.DatasetService.CreateDataset",
            "createTime": (now := datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")),
            "endTime": now,
        },
        "done": True,
        "response": {"@type": "type.googleapis.com/google.protobuf.Empty"},
    }
    connection = sqlite3.connect(tmp_path / "catalog.sqlite")
    connection.executescript(_TO_2 + ("DROP TABLE policies;" if layout == 1 else ""))
    with connection:
        connection.execute("INSERT INTO operations VALUES (?, 1, ?)", (former["name"], json.dumps(former).encode()))
        connection.execute(f"PRAGMA user_version={layout}")
    connection.close()
    for _ in range(2):
        with Engine(tmp_path) as engine:
            http = Client(engine)
            assert (http.get(STORE).json or {})["labels"] == {"a": "b"}
            assert http.post(f"{STORE}:setIamPolicy", json={"policy": {}}).status_code == 200
            assert http.get(f"/v1/{former['name']}").json == former
            found = (http.get("/dicomkit/v1/projects/local/topics").json or {})["topics"]
            assert [topic["name"] for topic in found] == topics
            for asked in ("ModalitiesInStudy=SR", "StudyDescription=Head%20b*", "PatientName=*"):
                (study,) = http.get(f"{WEB}/studies?{asked}").json or ()
                assert study["0020000D"]["Value"] == [before.study]
            one = instance()
            store(http, one)
            assert ended(http, http.delete(f"{WEB}/studies/{one.study}"))["metadata"]["counter"] == {"success": "1"}


def test_an_engine_that_cannot_be_put_together_leaves_the_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever part fails: what was opened before is closed again."""
    monkeypatch.setattr("dicomkit.engine.assembly.StorageSettings", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Engine(tmp_path)
    monkeypatch.undo()
    Engine(tmp_path).close()
