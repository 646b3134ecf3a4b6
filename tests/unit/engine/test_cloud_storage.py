"""gs:// of Cloud Storage, through gcsfs, against an emulator of its JSON API on a loopback port."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gcp_storage_emulator.server import create_server
from google.auth.credentials import AnonymousCredentials
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence import cloud_storage
from dicomkit.engine.services import buckets as buckets_module
from dicomkit.engine.services.buckets import Buckets
from dicomkit.errors import NotFound, SetupError, Unavailable
from dicomkit.resources.gcs import parse_gcs_uri
from tests.unit.engine.factories import STORE, client, instance

BUCKET = "cloud-bucket"

# aiohttp warns of large bodies for the sake of its event loop; gcsfs runs that in a thread of its own.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cloud Storage with one empty bucket, where ``STORAGE_EMULATOR_HOST`` says."""
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=BUCKET)
    server.start()
    host, port = server._api._httpd.server_address
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{host}:{port}")
    yield
    server.stop()


@pytest.fixture
def buckets(emulator: None, tmp_path: Path) -> Buckets:
    return Buckets(tmp_path, AnonymousCredentials())


def put(buckets: Buckets, *names: str) -> None:
    for name in names:
        with buckets.writer(f"gs://{BUCKET}/{name}") as stream:
            stream.write(name.encode())


def found(buckets: Buckets, pattern: str, after: str = "") -> list[str]:
    uri = parse_gcs_uri(f"gs://{BUCKET}/{pattern}", wildcards=True)
    return [item.uri.removeprefix(f"gs://{BUCKET}/") for item in buckets.find(uri, after=after)]


def test_what_is_written_is_read(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small and large objects, the latter in several requests both ways."""
    monkeypatch.setattr(cloud_storage, "CHUNK", 300_000)
    large = bytes(range(256)) * 5_000
    for name, data in {"small.dcm": b"abc", "dir/large.dcm": large, "empty": b""}.items():
        with buckets.writer(f"gs://{BUCKET}/{name}") as stream:
            stream.write(data)
        with buckets.open(f"gs://{BUCKET}/{name}") as stream:
            assert stream.read() == data


def test_objects_are_listed_page_by_page(buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of their names, by the documented wildcards, and from the one after a given one."""
    monkeypatch.setattr(cloud_storage, "_PAGE", 2)
    put(buckets, "a.dcm", "a/1.dcm", "a/2.txt", "a/b/3.dcm", "z.dcm")
    assert found(buckets, "**") == ["a.dcm", "a/1.dcm", "a/2.txt", "a/b/3.dcm", "z.dcm"]
    assert found(buckets, "**", after="a/1.dcm") == ["a/2.txt", "a/b/3.dcm", "z.dcm"]
    assert found(buckets, "*.dcm") == ["a.dcm", "z.dcm"]
    assert found(buckets, "a/**.dcm") == ["a/1.dcm", "a/b/3.dcm"]
    assert found(buckets, "a/?.dcm") == ["a/1.dcm"]
    assert found(buckets, "a/b/3.dcm") == ["a/b/3.dcm"]


def test_an_object_that_is_not_finished_is_not_there(buckets: Buckets) -> None:
    """After an error in the block an object is what it was before."""
    put(buckets, "old")
    for name in ("old", "new"):
        with pytest.raises(ZeroDivisionError), buckets.writer(f"gs://{BUCKET}/{name}") as stream:
            stream.write(b"x" * 400_000)
            raise ZeroDivisionError
    assert buckets.read_bytes(f"gs://{BUCKET}/old", 10) == b"old"
    assert found(buckets, "**") == ["old"]


def test_what_is_missing_is_not_found(buckets: Buckets) -> None:
    """A missing object, and a missing bucket wherever it is asked for."""
    with pytest.raises(NotFound, match="there is no object gs://cloud-bucket/none"):
        buckets.open(f"gs://{BUCKET}/none")
    with pytest.raises(NotFound, match="there is no bucket 'no-such-bucket'"):
        buckets.check_bucket("gs://no-such-bucket/x")
    with pytest.raises(NotFound):
        list(buckets.find(parse_gcs_uri("gs://no-such-bucket/**", wildcards=True)))
    buckets.check_bucket(f"gs://{BUCKET}/x")


def test_a_folder_of_the_home_goes_before_the_cloud(buckets: Buckets, tmp_path: Path) -> None:
    """A bucket that is a folder is that folder, whatever there is in the cloud."""
    put(buckets, "here")
    (tmp_path / BUCKET).mkdir()
    assert found(buckets, "**") == []
    put(buckets, "there")
    assert (tmp_path / BUCKET / "there").read_bytes() == b"there"


def test_without_credentials_there_is_no_cloud(emulator: None, tmp_path: Path) -> None:
    """Whatever the environment says: a bucket that is no folder is missing."""
    with pytest.raises(NotFound, match="make the folder buckets/cloud-bucket"):
        Buckets(tmp_path).open(f"gs://{BUCKET}/x")


def test_without_gcsfs_the_message_says_what_to_install(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SetupError with the command; a caller of the API is answered FAILED_PRECONDITION by the operation."""
    monkeypatch.setitem(sys.modules, "gcsfs.core", None)
    with pytest.raises(SetupError, match=r"pip install 'dicomkit\[gcs\]'"):
        buckets.open(f"gs://{BUCKET}/x")
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
        done = imported(engine, client(engine))
    assert done["error"]["code"] == 9
    assert "dicomkit[gcs]" in done["error"]["message"]


def test_a_server_that_is_not_there_is_unavailable(
    buckets: Buckets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names of the library's own errors do not reach the caller."""

    def refused(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(type(buckets._cloud._fs()), "call", refused)
    with pytest.raises(Unavailable, match="could not be reached; try again"):
        buckets.open(f"gs://{BUCKET}/x")


def test_an_import_reads_from_the_cloud(emulator: None, tmp_path: Path) -> None:
    """Wildcards, a file that is no DICOM, and the counters, as with a folder."""
    files = [instance() for _ in range(3)]
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
        http = client(engine)
        for number, file in enumerate(files):
            with engine.buckets.writer(f"gs://{BUCKET}/in/{number}.dcm") as stream:
                stream.write(file.data)
        with engine.buckets.writer(f"gs://{BUCKET}/in/notes.dcm") as stream:
            stream.write(b"no DICOM")
        done = imported(engine, http, "in/**.dcm")
        assert done["metadata"]["counter"] == {"success": "3", "failure": "1"}
        assert all(http.get(f"{file.path}/metadata").status_code == 200 for file in files)


def test_an_import_reads_ahead_and_in_order(emulator: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files in parallel and large ones in chunks, with no more than the window in memory; each goes in once."""
    monkeypatch.setattr(buckets_module, "AHEAD_FILES", 3)
    monkeypatch.setattr(buckets_module, "SMALL_BYTES", 10_000)
    files = [instance(pixels=20_000 if number % 4 == 0 else 200) for number in range(12)]
    with Engine(tmp_path / "home", credentials=AnonymousCredentials()) as engine:
        http = client(engine)
        for number, file in enumerate(files):
            with engine.buckets.writer(f"gs://{BUCKET}/{number:02}.dcm") as stream:
                stream.write(file.data)
        pattern = parse_gcs_uri(f"gs://{BUCKET}/**", wildcards=True)
        read = []
        for item, opener in engine.buckets.contents(pattern, check=lambda: None):
            with opener() as stream:
                read.append((item.uri[-6:-4], stream.read()))
        assert read == [(f"{number:02}", file.data) for number, file in enumerate(files)]
        assert imported(engine, http)["metadata"]["counter"] == {"success": "12"}
        assert imported(engine, http)["metadata"]["counter"] == {"success": "12"}


def imported(engine: Engine, http: Client, pattern: str = "**") -> dict[str, Any]:
    """The operation of an import, when it has ended."""
    begun = http.post(f"{STORE}:import", json={"gcsSource": {"uri": f"gs://{BUCKET}/{pattern}"}})
    assert begun.status_code == 200, begun.text
    assert engine.operations.wait(60)
    return http.get(f"/v1/{begun.json['name']}").json
