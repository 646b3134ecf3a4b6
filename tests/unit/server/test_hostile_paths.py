"""Ids and UIDs that are none, in every place of every path, in queries and in files: refused, nothing is written."""

from __future__ import annotations

import http.client
import io
import itertools
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import pydicom
import pytest

from dicomkit.engine.handlers import all_routes
from tests.contract.instances import ct_slice
from tests.unit.server.callers import DATASET, OWNER_TOKEN, STORE, Site, path_of, site

NAMES = (
    "..",
    ".",
    "../../../../etc/passwd",
    "..\\..\\x",
    "a/../../b",
    "/etc/cron.d/x",
    "x\x00y",
    "x\ny",
    "x\r\ny",
    " ",
    "x y",
    "x" * 257,
    "'; DROP TABLE stores; --",
    "%2e%2e",
    "~root",
    "$(touch x)",
    "x;touch y",
    "\u202egnp",
)
"""What no id of a project, a location, a dataset, a store or an operation is."""

UIDS = (
    *NAMES,
    "1.2.3\n",
    "1.2.3 ",
    "1..2",
    ".1",
    "1.",
    "1." * 32 + "12",
    "\u0661.\u0662",
    "\u00b2.1",
    "1.2.a",
    "-1.2",
    "1,2",
    "1.2\\1.3",
)
"""What no UID is."""

ENCODINGS = {
    "once": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
}

_VARIABLES = {"p": NAMES, "l": NAMES, "d": NAMES, "s": NAMES, "1": NAMES, "1.2": UIDS}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path]]:
    """A site in a folder of its own, which is the one to look at."""
    root = tmp_path_factory.mktemp("root")
    with site(root / "a" / "b" / "home") as made:
        yield made, root


def _tree(root: Path) -> set[str]:
    """Every file below *root* but those in which the home keeps everything."""
    kept = ("catalog.sqlite", "blobs", "warehouse.duckdb")
    return {str(path.relative_to(root)) for path in root.rglob("*") if not any(name in str(path) for name in kept)}


def _hostile_paths() -> Iterator[tuple[str, str, str]]:
    """(verb, path, why) for each route, each variable of it in turn, each bad value, each encoding."""
    done = set()
    for route in all_routes():
        parts = path_of(route).split("/")
        for at, part in enumerate(parts):
            bare, colon, verb = part.partition(":")
            if at < 3 or bare not in _VARIABLES:
                continue
            for value, (how, encode) in itertools.product(_VARIABLES[bare], ENCODINGS.items()):
                if how == "once" and value in (".", "..") and not colon:
                    value = f"{value}/{value}"  # a segment of dots alone is taken out by clients, not by this server
                path = "/".join([*parts[:at], encode(value) + colon + verb, *parts[at + 1 :]])
                if (route.verb, path) not in done:
                    done.add((route.verb, path))
                    yield route.verb, path, route.method_id


def test_no_path_leads_out_and_none_breaks_the_server(place: tuple[Site, Path]) -> None:
    """4xx (501 where the method is missing anyway), whatever the verb; the tree of files is the same as before."""
    made, root = place
    before = _tree(root)
    parts = urlsplit(made.origin)
    wrong, count = [], 0
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        for verb, path, method_id in _hostile_paths():
            connection.request(verb, path, headers={"Authorization": f"Bearer {OWNER_TOKEN}", "Content-Length": "0"})
            answer = connection.getresponse()
            answer.read()
            count += 1
            if not (400 <= answer.status < 500 or answer.status == 501):
                wrong.append(f"{method_id} {verb} {path[:200]!r}: {answer.status}")
    assert count > 5_000
    assert not wrong, "\n".join(wrong)
    assert _tree(root) == before


@pytest.mark.parametrize("name", [*NAMES, ""])
def test_no_id_is_made_of_it(place: tuple[Site, Path], name: str) -> None:
    """Neither a dataset nor a store, by the query or by the body."""
    made, root = place
    before = _tree(root)
    for path in (
        f"/v1/{DATASET.rpartition('/')[0]}?datasetId={quote(name)}",
        f"/v1/{DATASET}/dicomStores?dicomStoreId={quote(name)}",
    ):
        answer = made.call(OWNER_TOKEN, "POST", path, json={"name": name})
        assert answer.status_code == 400
        assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert _tree(root) == before


def _file_with(keyword: str, uid: bytes) -> bytes:
    """A slice as a file, with *uid* written over a UID of the same length."""
    uid += b"\0" * (len(uid) % 2)
    stand_in = ("7." * len(uid))[: len(uid) - 1] + "7"
    image, buffer = ct_slice(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a value that is too long, which is what is wanted
        setattr(image, keyword, stand_in)
        if keyword == "SOPInstanceUID":
            image.file_meta.MediaStorageSOPInstanceUID = stand_in
        pydicom.dcmwrite(buffer, image, enforce_file_format=True)
    data = buffer.getvalue()
    assert stand_in.encode() in data
    return data.replace(stand_in.encode(), uid)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_no_instance_is_stored_with_it(place: tuple[Site, Path], keyword: str) -> None:
    """A UID in a file that is none: the instance fails with a reason, the server lives, no file is named after it."""
    made, root = place
    before = _tree(root)
    for uid in UIDS:
        data = _file_with(keyword, uid.encode())
        answer = made.call(
            OWNER_TOKEN,
            "POST",
            f"/v1/{STORE}/dicomWeb/studies",
            data=data,
            headers={"Content-Type": "application/dicom", "Accept": "application/dicom+json"},
        )
        # A trailing space is padding that some writers use; every other one is refused.
        assert answer.status_code in ((200, 409) if uid.strip("\x00 ") == "1.2.3" else (400, 409)), repr(uid)
    assert _tree(root) == before


@pytest.mark.parametrize("parameter", ["StudyInstanceUID", "0020000D", "PatientID", "includefield", "limit", "offset"])
def test_no_query_breaks_a_search(place: tuple[Site, Path], parameter: str) -> None:
    """An empty answer, or a refusal; never an error of the server."""
    made, root = place
    before = _tree(root)
    for value in UIDS:
        path = f"/v1/{STORE}/dicomWeb/instances?{parameter}={quote(value, safe='')}"
        answer = made.call(OWNER_TOKEN, "GET", path, headers={"Accept": "application/dicom+json"})
        assert answer.status_code in (200, 204, 400), repr(value)
    assert _tree(root) == before
