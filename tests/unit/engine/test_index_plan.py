"""Whichever way a search takes through the index, it finds the same, in the same order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence import index_plan
from tests.unit.engine.factories import WEB, client, instance, store

Row = dict[str, Any]
Found = Callable[[Row], bool]

NAMES = ("SMITH^ANNA", "SMITH^BEN", "Smithson^C", "DOE^JOHN=SMITH^X", "MÜLLER^J", "≠^X")
DESCRIPTIONS = ("Head", "Head CT", "Hea", "HEAD", "Chest [1]", "\ud7ffx", "\U0010ffffx", "")


def _rows() -> list[Row]:
    rng = random.Random(11)
    rows = []
    for study in range(24):
        shared = {
            "study": f"1.2.{study}",
            "PatientName": rng.choice(NAMES),
            "PatientID": f"P{study // 3}",
            "StudyDate": rng.choice(("20240101", "20240102", "20240203", "")),
            "StudyDescription": rng.choice(DESCRIPTIONS),
        }
        for series in range(rng.randrange(1, 4)):
            below = {"Modality": rng.choice(("CT", "SR", "MR", "")), "SeriesDescription": rng.choice(DESCRIPTIONS)}
            for number in range(rng.randrange(1, 3)):
                uids = {"series": f"1.2.{study}.{series}", "uid": f"1.2.{study}.{series}.{number}"}
                rows.append({**shared, **below, **uids})
    rng.shuffle(rows)
    return rows


ROWS = _rows()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Engine(tmp_path_factory.mktemp("plan")) as engine:
        made = client(engine)
        files = [instance(**row, SpecificCharacterSet="ISO_IR 192") for row in ROWS]
        assert store(made, *files).status_code == 200
        # Another store of the home has the same: nothing of it is ever found.
        other = f"{WEB.partition('/dicomStores/')[0]}/dicomStores"
        assert made.post(f"{other}?dicomStoreId=other", json={}).status_code == 200
        assert store(made, *files[:20], path=f"{other}/other/dicomWeb/studies").status_code == 200
        yield made


def _is(attribute: str, value: str) -> Found:
    return lambda row: row[attribute] == value


def _like(attribute: str, pattern: str) -> Found:
    return lambda row: bool(row[attribute]) and fnmatchcase(row[attribute], pattern.replace("[", "[[]"))


def _name(pattern: str) -> Found:
    return lambda row: any(
        fnmatchcase(text.replace("Ü", "U").replace("≠", "=").lower(), pattern.lower())
        for name in (row["PatientName"],)
        for text in (name, *name.replace("≠", "=").split("="))
    )


def _any_of_study(test: Found) -> Found:
    return lambda row: any(test(other) for other in ROWS if other["study"] == row["study"])


CONDITIONS: dict[str, Found] = {
    "PatientID=P3": _is("PatientID", "P3"),
    "PatientName=SMITH^ANNA": _is("PatientName", "SMITH^ANNA"),
    "PatientName=SMITH^X": _is("PatientName", "DOE^JOHN=SMITH^X"),
    "PatientName=smith*": _name("SMITH*"),
    "PatientName=s?ith^*": _name("S?ITH^*"),
    "PatientName=*^x": _name("*^X"),
    "StudyDate=20240101-20240131": lambda row: "20240101" <= row["StudyDate"] <= "20240131",
    "StudyDescription=Head*": _like("StudyDescription", "Head*"),
    "StudyDescription=Chest [*": _like("StudyDescription", "Chest [*"),
    "StudyDescription=\ud7ff*": _like("StudyDescription", "\ud7ff*"),
    "StudyDescription=\U0010ffff*": _like("StudyDescription", "\U0010ffff*"),
    "SeriesDescription=H*d": _like("SeriesDescription", "H*d"),
    "SeriesDescription=Hea*": _like("SeriesDescription", "Hea*"),
    "Modality=CT": _is("Modality", "CT"),
    "ModalitiesInStudy=SR": _any_of_study(_is("Modality", "SR")),
    "ModalitiesInStudy=?R": _any_of_study(_like("Modality", "?R")),
    "ModalitiesInStudy=M*": _any_of_study(_like("Modality", "M*")),
    "StudyInstanceUID=1.2.3,1.2.4,1.2.5": lambda row: row["study"] in ("1.2.3", "1.2.4", "1.2.5"),
    "SeriesInstanceUID=1.2.3.0,1.2.4.1": lambda row: row["series"] in ("1.2.3.0", "1.2.4.1"),
    "SOPInstanceUID=1.2.3.0.0,1.2.9.0.0": lambda row: row["uid"] in ("1.2.3.0.0", "1.2.9.0.0"),
    "InstanceNumber=1": lambda row: True,
}
LEVELS = {"studies": ("study", "0020000D"), "series": ("series", "0020000E"), "instances": ("uid", "00080018")}


def _search(http: Client, level: str, asked: str, limit: int) -> list[str]:
    """UIDs of all pages of a search."""
    found: list[str] = []
    while True:
        answer = http.get(f"{WEB}/{level}", query_string=f"{_encoded(asked)}&limit={limit}&offset={len(found)}")
        if answer.status_code == 204:
            return found
        page = [row[LEVELS[level][1]]["Value"][0] for row in answer.json or []]
        found += page
        if len(page) < limit:
            return found


def _encoded(asked: str) -> str:
    return "&".join(f"{k}={quote(v)}" for k, _, v in (part.partition("=") for part in asked.split("&")))


def _stored(level: str) -> list[str]:
    """UIDs in the order in which they were stored."""
    return list(dict.fromkeys(row[LEVELS[level][0]] for row in ROWS))


def _expected(level: str, tests: list[Found]) -> list[str]:
    name = LEVELS[level][0]

    def one(uid: str) -> bool:
        # Each condition is met by something of the result; not all of them need be by the same.
        own = [row for row in ROWS if row[name] == uid]
        return all(any(test(row) for row in own) for test in tests)

    return [uid for uid in _stored(level) if one(uid)]


@pytest.mark.parametrize("few", [0, 50])
@pytest.mark.parametrize("level", LEVELS)
def test_the_way_does_not_change_the_result(
    http: Client, monkeypatch: pytest.MonkeyPatch, level: str, few: int
) -> None:
    """Driven by an index or walked, in pages of any size, with one condition or two: as Python finds them."""
    monkeypatch.setattr(index_plan, "_FEW", few)
    for asked, test in CONDITIONS.items():
        expected = _expected(level, [test])
        for limit in (1, 7, 1000):
            assert _search(http, level, asked, limit) == expected, (asked, limit)
        answer = http.get(f"/dicomkit{WEB}/{level}:count", query_string=_encoded(asked))
        assert answer.json == {"count": len(expected)}, asked
    rng = random.Random(5)
    for _ in range(60):
        one, two = rng.sample(list(CONDITIONS), 2)
        if one.partition("=")[0] != two.partition("=")[0]:
            expected = _expected(level, [CONDITIONS[one], CONDITIONS[two]])
            assert _search(http, level, f"{one}&{two}", rng.choice((3, 1000))) == expected, (one, two)
