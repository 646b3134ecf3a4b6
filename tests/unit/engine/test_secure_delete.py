"""What was deleted from the catalog is not left in its file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dicomkit.engine import Engine
from tests.unit.engine.factories import WEB, client, ended, instance, store

NAME = "Wrzbowsky^Xaverine"


def bytes_of(home: Path) -> bytes:
    """The catalog's file, after everything in its log has been copied there; names are folded in the index."""
    connection = sqlite3.connect(home / "catalog.sqlite")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return (home / "catalog.sqlite").read_bytes().lower()


def test_deleted_name_is_in_no_free_page(tmp_path: Path) -> None:
    """Neither in pages that are free now nor between the rows of others."""
    with Engine(tmp_path / "home") as engine:
        http = client(engine)
        first = instance(PatientName="Stays^Here")
        gone = [instance(PatientName=NAME, PatientID=f"{NAME}-{n}") for n in range(40)]
        store(http, first, *gone)
        assert b"wrzbowsky" in bytes_of(tmp_path / "home")
        for made in gone:
            answer = http.delete(f"{WEB}/studies/{made.study}")
            if answer.status_code == 200 and answer.json:
                ended(http, answer)
        assert engine.operations.wait(30)
        left = bytes_of(tmp_path / "home")
    assert b"stays" in left
    assert b"wrzbowsky" not in left
