"""Damaged files through a store, and what was stored of them through every reader: no error of the server anywhere."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.damage import damaged, odd, seeds
from tests.unit.dicom.instances import element, raw_part10
from tests.unit.engine.factories import FILE_AS_STORED, WEB, client, drain, outcomes, reasons, rows, store, streamed_to

FILES = 10_000 if "DICOMKIT_TEST_LONG" in os.environ else 240
"""How many damaged files there are of each kind."""

AT_ONCE = 40

READERS = (
    ("", "application/dicom"),
    ("", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90'),
    ("/metadata", 'multipart/related; type="application/dicom+xml"'),
    ("/frames/1", 'multipart/related; type="application/octet-stream"'),
    ("/frames/1", "image/png"),
    ("/rendered", "image/png"),
    ("/rendered?viewport=10,10", "image/jpeg"),
)
"""Ways to read an instance; each may refuse."""

FOUND: dict[str, Callable[[], bytes]] = {
    "a line end in the transfer syntax": lambda: raw_part10(syntax="1.2.840.\n10008.1.2.1"),
    "a quote in the transfer syntax": lambda: raw_part10(syntax='1.2";x'),
    "superscript digits": lambda: raw_part10(element(0x00200013, "IS", b"1\xb2"), element(0x00201041, "DS", b"\xb96")),
    "a character set under a VR of numbers": lambda: raw_part10(element(0x00080005, "US", b"\x01\x00")),
    "a sequence of more than a mebibyte without an end": lambda: raw_part10(
        element(0x00400275, "SQ", b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 140_000, 0xFFFFFFFF)
    ),
}
"""What damage has found before."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine, resource=streamed_to("bq://local.imaging.t"))


def blind(rng: random.Random) -> Iterator[bytes]:
    """Real files with damage that knows nothing of their structure."""
    sound = seeds(48_000)
    while True:
        yield damaged(rng, rng.choice(sound))


def senseless(rng: random.Random) -> Iterator[bytes]:
    """Files whose structure is sound, and nothing else."""
    number = 0
    while True:
        number += 1
        yield odd(rng, number)


def check(http: Client, files: list[bytes]) -> Counter[str]:
    """Store *files* in one request and read what was stored, in every way; then delete it."""
    answer = store(http, *files)
    assert answer.status_code in (200, 409)
    found = outcomes(answer)
    assert sorted(found) == list(range(1, len(files) + 1))
    # The words for a defect of the reader.
    assert not [reason for reason in reasons(answer) if reason == "the instance could not be read"]
    for item in answer.json.get("00081199", {}).get("Value", []):
        number, path = item["00091102"]["Value"][0], item["00081190"]["Value"][0].removeprefix("http://localhost")
        if found[number] == "STORED":
            assert http.get(path, headers={"Accept": FILE_AS_STORED}).data == files[number - 1]
            check_readers(http, path)
            assert http.delete(path).status_code == 200
    return Counter(found.values())


def check_readers(http: Client, path: str) -> None:
    for tail, accept in READERS:
        answer = http.get(path + tail, headers={"Accept": accept})
        assert answer.status_code in (200, 400, 404, 406), (tail, accept, answer.status_code)
    (metadata,) = json.loads(http.get(path + "/metadata").data, parse_constant=_no_such_number)
    for value in metadata.values():
        if uri := value.get("BulkDataURI"):
            accept = {"Accept": "application/octet-stream; transfer-syntax=*"}
            assert http.get(uri.removeprefix("http://localhost"), headers=accept).status_code == 200
    uid = path.rpartition("/")[2]
    assert len(http.get(f"{WEB}/instances?SOPInstanceUID={uid}&includefield=all").json) == 1


def _no_such_number(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


@pytest.mark.parametrize("kind", [blind, senseless])
def test_no_damage_is_an_error_of_the_server(
    http: Client, engine: Engine, kind: Callable[[random.Random], Iterator[bytes]]
) -> None:
    """Each file is stored or refused with a reason; what is stored is read, streamed and deleted like any other."""
    files = kind(random.Random(20261124))
    counts: Counter[str] = Counter()
    for _ in range(FILES // AT_ONCE):
        counts += check(http, [next(files) for _ in range(AT_ONCE)])
        # The next ones may have the same UIDs.
        for study in http.get(f"{WEB}/studies").json if http.get(f"{WEB}/studies").status_code == 200 else []:
            http.delete(f"{WEB}/studies/{study['0020000D']['Value'][0]}")
    assert counts["STORED"] > FILES // 20
    assert counts["FAILED"] > FILES // 20
    (status,) = drain(http, 60).values()
    assert (status["waiting"], status["failed"]) == (0, 0)
    assert rows(engine, "SELECT COUNT(*) FROM imaging.t WHERE Type = 'CREATE'") == [(str(counts["STORED"]),)]


@pytest.mark.parametrize("name", FOUND)
def test_damage_that_was_found_once_stays_harmless(http: Client, name: str) -> None:
    """One file for each fault that was found so."""
    check(http, [FOUND[name]()])
