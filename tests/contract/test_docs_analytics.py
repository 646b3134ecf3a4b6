"""``docs/analytics.md``: each of its blocks of Python runs, one after the other, as the cells of a notebook would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analytics.md"


def blocks() -> list[str]:
    """The blocks of Python, in order."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of pandas-gbq, about its own next release
def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who types the page gets what it says."""
    import bigquery_magics
    from bigquery_magics import bigquery as magic

    shell = InteractiveShell()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(magic, "get_ipython", lambda: shell)
    for name in ("_project", "_credentials", "_connection"):
        monkeypatch.setattr(bigquery_magics.context, name, None)
    try:
        for block in blocks():
            shell.run_cell(block).raise_error()
        names = shell.user_ns
        assert names["counts"]["series"].sum() == len(names["store"].search_series(Modality="CT"))
        assert names["modalities"]["n"].sum() == len(names["store"].search_instances())
        assert {"ct.parquet", "cohort.duckdb"} <= {path.name for path in tmp_path.iterdir()}
        names["ds"].close()
    finally:
        shell.history_manager.end_session()
