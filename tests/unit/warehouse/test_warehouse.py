"""The file itself: no way out of it by SQL, one owner, bounded results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from dicomkit.engine.persistence.warehouse import Warehouse
from dicomkit.errors import ResourceExhausted, Unavailable


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('*')",
        "COPY (SELECT 1) TO '{file}2'",
        "EXPORT DATABASE '{file}2'",
        "ATTACH '{file}2' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET TimeZone = 'Europe/Berlin'",
    ],
)
def test_no_statement_leaves_the_database(warehouse: Warehouse, tmp_path: Path, statement: str) -> None:
    """Even SQL of DuckDB itself, which no request can send, reads no file, writes none and changes no setting."""
    file = tmp_path / "secret.csv"
    file.write_text("secret\n1\n")
    with pytest.raises(duckdb.Error):
        warehouse.read(statement.format(file=file))
    assert not Path(f"{file}2").exists()


def test_a_second_process_is_told_that_the_file_is_open(warehouse: Warehouse) -> None:
    """DuckDB's lock becomes an Unavailable."""
    code = (
        "from dicomkit.engine.persistence.warehouse import Warehouse\n"
        "from dicomkit.errors import Unavailable\n"
        f"try:\n    Warehouse({str(warehouse.path)!r})\n"
        "except Unavailable as error:\n    print('unavailable')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "unavailable\n"


def test_a_file_that_is_no_warehouse_is_refused(tmp_path: Path) -> None:
    """Another file is left as it is."""
    path = tmp_path / "w.duckdb"
    path.write_bytes(b"x" * 10_000)
    with pytest.raises(Unavailable):
        Warehouse(path)
    assert path.read_bytes() == b"x" * 10_000


def test_a_quote_in_the_path_is_a_letter(tmp_path: Path) -> None:
    """The path of a home is the user's own."""
    folder = tmp_path / "it's"
    folder.mkdir()
    with Warehouse(folder / "w.duckdb") as warehouse:
        assert warehouse.read("SELECT 1 AS x").table.to_pylist() == [{"x": 1}]
    assert (folder / "w.duckdb").exists()


def test_a_result_is_bounded(tmp_path: Path) -> None:
    """A result beyond the limit is an error instead of memory."""
    with (
        Warehouse(tmp_path / "w.duckdb", max_result_bytes=1 << 20) as warehouse,
        pytest.raises(ResourceExhausted, match="1 MiB"),
    ):
        warehouse.read("SELECT range AS n FROM range(10000000)")


def test_a_failed_transaction_leaves_nothing(warehouse: Warehouse) -> None:
    """An exception inside rolls back what was done before it."""
    with pytest.raises(RuntimeError), warehouse.transaction() as cursor:
        cursor.execute("CREATE TABLE wh.main.x (a BIGINT)")
        raise RuntimeError
    with pytest.raises(duckdb.Error):
        warehouse.read("SELECT * FROM wh.main.x")


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    """After it, there are no cursors."""
    warehouse = Warehouse(tmp_path / "w.duckdb")
    warehouse.close()
    warehouse.close()
    with pytest.raises(Unavailable):
        warehouse.cursor()
