"""Searches answered with columns: what they hold, against the rows that JSON gives; and how they end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from werkzeug.test import Client

from dicomkit.dicom.dictionary import tag_of
from dicomkit.engine import Engine
from dicomkit.engine.services import search
from tests.unit.engine.factories import STORE, WEB, client, ended, instance, store

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/dicom+json"
A, B, C = "1.2.826.1", "1.2.826.2", "1.2.826.3"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as engine:
        yield engine


@pytest.fixture
def http(engine: Engine) -> Client:
    """Three studies: of two series of three slices, of one slice with a name in three scripts, of one with little."""
    made = client(engine)
    files = [
        instance(study=A, series=f"{A}.{s}", uid=f"{A}.{s}.{n}", InstanceNumber=n, Modality=m, SeriesNumber=s)
        for s, m in ((1, "CT"), (2, "SR"))
        for n in (1, 2, 3)
    ]
    name = "Müller^Jörg=漢字=かんじ"
    files.append(
        instance(study=B, series=f"{B}.1", uid=f"{B}.1.1", PatientName=name, SpecificCharacterSet="ISO_IR 192")
    )
    files.append(instance(study=C, series=f"{C}.1", uid=f"{C}.1.1", PatientName="a\\b", StudyDate="", StudyID=None))
    assert store(made, *files).status_code == 200
    return made


def ask(http: Client, query: str, accept: str = ARROW) -> Any:
    return http.get(f"{WEB}/{query}", headers={"Accept": accept})


def rows(http: Client, query: str) -> list[dict[str, Any]]:
    """The answer in JSON, all of it."""
    answer = ask(http, query, JSON)
    return json.loads(answer.data) if answer.data else []


def read(data: bytes) -> tuple[list[list[dict[str, Any]]], dict[bytes, bytes]]:
    """The rows of each record batch, and the metadata of the last."""
    batches = []
    with pa.ipc.open_stream(io.BytesIO(data)) as reader:
        assert reader.schema.names == sorted(reader.schema.names)
        while True:
            batch, end = reader.read_next_batch_with_custom_metadata()
            batch.validate(full=True)
            if end is not None:
                assert batch.num_rows == 0
                with pytest.raises(StopIteration):
                    reader.read_next_batch()
                return batches, end
            columns = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}
            batches.append(
                [
                    {tag: orjson.loads(cells[n]) for tag, cells in columns.items() if cells[n] is not None}
                    for n in range(batch.num_rows)
                ]
            )


def found(http: Client, query: str) -> list[dict[str, Any]]:
    """The rows of a whole answer."""
    answer = ask(http, query)
    assert (answer.status_code, answer.content_type, answer.headers["Vary"]) == (200, ARROW, "Accept")
    batches, end = read(answer.data)
    assert end == {b"complete": b"true"}
    return [row for batch in batches for row in batch]


COUNTED = {
    "studies": "ModalitiesInStudy,NumberOfStudyRelatedSeries,NumberOfStudyRelatedInstances",
    "series": "NumberOfSeriesRelatedInstances",
    "instances": "",
}
PATHS = ("studies", "series", "instances", f"studies/{A}/series", f"studies/{A}/series/{A}.1/instances")


@pytest.mark.parametrize("portion", [1, 2, 3, 10_000])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "query",
    [
        "",
        "StudyDate=20240131",
        "PatientName=*o*",
        "PatientName=doe&fuzzymatching=true",
        "Modality=CT,SR",
        "ModalitiesInStudy=SR",
        "SliceThickness=1.25",
        "includefield=StudyDescription,SeriesNumber,SliceThickness,ImageType,00091010",
        "includefield=ModalitiesInStudy,NumberOfStudyRelatedInstances,NumberOfSeriesRelatedInstances",
        "offset=1",
        "limit=2",
        "limit=2&offset=2",
    ],
)
def test_cells_are_the_elements_of_the_rows(
    http: Client, monkeypatch: pytest.MonkeyPatch, portion: int, path: str, query: str
) -> None:
    """In the order of the rows, at every level and path, whatever is asked for and however it is portioned."""
    monkeypatch.setattr(search, "PORTION", portion)
    # What is counted comes unasked in JSON only.
    level = path.rpartition("/")[2]
    asked = {tag_of(keyword) for keyword in query.partition("includefield=")[2].split(",") if keyword[:1].isupper()}
    unasked = {tag_of(keyword) for keyword in COUNTED[level].split(",") if keyword} - asked
    expected = [{tag: e for tag, e in row.items() if tag not in unasked} for row in rows(http, f"{path}?{query}")]
    if expected:
        assert found(http, f"{path}?{query}") == expected
    else:
        assert ask(http, f"{path}?{query}").status_code == 204


def test_all_of_a_study_are_columns_too(http: Client) -> None:
    """Its documented attributes are known beforehand."""
    expected = rows(http, f"studies?includefield=all,{COUNTED['studies']}")
    assert found(http, f"studies?includefield=all,{COUNTED['studies']}") == expected


def test_without_limit_all_come_and_a_batch_has_a_portion(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON gives a page of the documented size."""
    monkeypatch.setattr(search, "PORTION", 3)
    batches, _ = read(ask(http, "instances").data)
    assert [len(batch) for batch in batches] == [3, 3, 2]
    batches, _ = read(ask(http, "instances?limit=6").data)
    assert [len(batch) for batch in batches] == [3, 3]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", "application/json"),
        (f"{JSON}, {ARROW}", JSON),
        (f"{ARROW};q=0.5, {JSON}", JSON),
        (f"{ARROW}, {JSON};q=0.5", ARROW),
        (f"text/html, {ARROW};q=0.1", ARROW),
        (f"{ARROW};q=0, */*", JSON),
    ],
)
def test_columns_are_for_those_who_name_them(http: Client, accept: str, media: str) -> None:
    """JSON is the default for everybody else (RFC 9110 section 12.5.1)."""
    answer = ask(http, "studies", accept)
    assert (answer.status_code, answer.content_type) == (200, media)


def test_no_accept_header_gets_json(http: Client) -> None:
    """As before."""
    assert http.get(f"{WEB}/studies").content_type == JSON


def test_whole_instances_are_no_columns(http: Client) -> None:
    """Nobody knows their attributes beforehand."""
    assert ask(http, "instances?includefield=all").status_code == 406
    assert ask(http, "instances?includefield=all", f"{ARROW}, {JSON};q=0.5").content_type == JSON


def test_google_mode_knows_no_columns(tmp_path: Path) -> None:
    """Refused in Google's words, with the types that there are."""
    with Engine(tmp_path, mode="google") as engine:
        http = client(engine)
        assert store(http, instance()).status_code == 200
        answer = ask(http, "studies")
        assert answer.status_code == 406
        assert "no supported media type found" in answer.json["error"]["message"]
        assert JSON in answer.json["error"]["message"]
        assert ask(http, "studies", f"{ARROW}, {JSON};q=0.1").content_type == JSON


def test_nothing_found_is_204(http: Client) -> None:
    """As in JSON."""
    answer = ask(http, "series?PatientID=nobody")
    assert (answer.status_code, answer.data) == (204, b"")
    assert ask(http, "studies/1.9/series").status_code == 204


def test_refusals_are_those_of_json(http: Client) -> None:
    """Google's error body, with the status of the error."""
    for query in ("studies?limit=0", "studies?offset=1000001", "series?Foo=1"):
        assert (ask(http, query).status_code, ask(http, query).json) == (400, ask(http, query, JSON).json)
    answer = http.get(f"{WEB.replace('/ct/', '/none/')}/studies", headers={"Accept": ARROW})
    assert (answer.status_code, answer.json["error"]["status"]) == (404, "NOT_FOUND")


def test_head_has_no_body(http: Client) -> None:
    """The headers are those of GET."""
    answer = http.head(f"{WEB}/studies", headers={"Accept": ARROW})
    assert (answer.status_code, answer.content_type, answer.data) == (200, ARROW, b"")


def stream(engine: Engine, query: str, monkeypatch: pytest.MonkeyPatch, portion: int = 2) -> Iterator[bytes]:
    """The chunks of an answer as they are made, *portion* rows each."""
    monkeypatch.setattr(search, "PORTION", portion)
    environ = {"HTTP_ACCEPT": ARROW, "REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", "SERVER_NAME": "x"}
    path, _, text = query.partition("?")
    environ |= {"SERVER_PORT": "80", "PATH_INFO": f"{WEB}/{path}", "QUERY_STRING": text}
    return iter(engine(environ, lambda status, headers: None))


def uids(data: bytes) -> list[str]:
    batches, end = read(data)
    assert end == {b"complete": b"true"}
    return [row[tag_of("SOPInstanceUID")]["Value"][0] for batch in batches for row in batch]


def test_what_arrives_meanwhile_is_not_in_the_answer(
    engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that was there comes once; the answer ends, however much arrives."""
    before = [row[tag_of("SOPInstanceUID")]["Value"][0] for row in rows(http, "instances")]
    chunks = stream(engine, "instances", monkeypatch)
    data = next(chunks)
    for n, chunk in enumerate(chunks):
        data += chunk
        assert store(http, instance(study=A, series=f"{A}.1", uid=f"1.9.{n}")).status_code == 200
    assert uids(data) == before


def test_what_goes_meanwhile_is_skipped(engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that stays is skipped with it, as it would be by an offset."""
    before = [row[tag_of("SOPInstanceUID")]["Value"][0] for row in rows(http, "instances")]
    chunks = stream(engine, "instances", monkeypatch)
    data = next(chunks)
    for uid in (before[0], before[4]):
        path = f"{WEB}/studies/{A}/series/{uid.rpartition('.')[0]}/instances/{uid}"
        assert http.delete(path).status_code == 200
    data += b"".join(chunks)
    assert uids(data) == [uid for uid in before if uid != before[4]]


def test_what_is_deleted_and_stored_anew_meanwhile_comes_once(
    engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the last rows of all went, and their keys might be given again."""
    chunks = stream(engine, "series", monkeypatch, portion=1)
    data = next(chunks) + next(chunks) + next(chunks)
    for study in (C, B):  # the fourth series and the third
        ended(http, http.delete(f"{WEB}/studies/{study}"))
    for study in (C, B):
        assert store(http, instance(study=study, series=f"{study}.1", uid=f"{study}.1.1")).status_code == 200
    batches, end = read(data + b"".join(chunks))
    assert end == {b"complete": b"true"}
    assert [batch[0][tag_of("SeriesInstanceUID")]["Value"][0] for batch in batches] == [f"{A}.1", f"{A}.2", f"{B}.1"]


def test_error_in_the_middle_is_told_at_the_end(engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is sent by then; the body that the error would have had says it."""
    chunks = stream(engine, "instances", monkeypatch)
    data = next(chunks)
    assert http.delete(STORE).status_code == 200
    batches, end = read(data + b"".join(chunks))
    assert len(batches) == 1
    error = json.loads(end[b"error"])["error"]
    assert (error["code"], error["status"]) == (404, "NOT_FOUND")


def test_reader_that_is_slow_keeps_no_log(engine: Engine, http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two portions the log of the database can be begun anew."""
    chunks = stream(engine, "instances", monkeypatch)
    next(chunks)
    assert store(http, instance()).status_code == 200
    with engine.storage.database.read() as connection:
        connection.execute("ROLLBACK")
        busy, left, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.execute("BEGIN")
    assert (busy, left, moved) == (0, 0, 0)
    assert len(b"".join(chunks)) > 0
