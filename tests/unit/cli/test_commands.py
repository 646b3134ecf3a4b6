"""The commands as processes, on a folder and on ``dicomkit serve``."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest

from tests.conftest import DEPLOYMENTS, WHEEL
from tests.process import TOKEN, serve

CT = WHEEL / "CT_small.dcm"
MR = WHEEL / "MR_small.dcm"
BROKEN = WHEEL / "MR_truncated.dcm"
pytestmark = pytest.mark.slow

CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"


@dataclass(frozen=True)
class Shell:
    """Runs ``dicomkit`` against one target."""

    target: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What every command has."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DICOMKIT_", "PYTHONIO"))}
        return {**clean, "DICOMKIT_TARGET": self.target, "DICOMKIT_TOKEN": TOKEN, "PYTHONWARNINGS": "error"}

    def bytes_of(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
        """The command, with the bytes that it writes."""
        command = [sys.executable, "-m", "dicomkit", *words]
        return subprocess.run(
            command, env={**self.environment, **environment}, capture_output=True, input=stdin.encode(), timeout=120
        )

    def __call__(self, *words: str, stdin: str = "", code: int = 0, **environment: str) -> tuple[str, str]:
        """Stdout and stderr of a command that ends with *code*."""
        done = self.bytes_of(*words, stdin=stdin, **environment)
        out, err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode == code, err
        assert "Traceback" not in err
        return out, err

    def rows(self, *words: str, code: int = 0) -> list[dict[str, object]]:
        """The records of a command."""
        return json.loads(self(*words, "--format", "json", code=code)[0])

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """The command while it runs."""
        command = [sys.executable, "-m", "dicomkit", *words]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(params=DEPLOYMENTS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """A store ``ct`` with two instances, in a folder or behind a server."""
    home = tmp_path / "home"
    if request.param == "embedded":
        made = Shell(str(home), home)
        made("upload", "ct", str(CT), str(MR), "--create")
        yield made
        return
    with serve(home, "--quiet") as process:
        made = Shell(process.url, home)
        made("upload", "ct", str(CT), str(MR), "--create")
        yield made
        process.stop()


def test_an_upload_tells_of_each_file_and_fails_with_one(shell: Shell) -> None:
    """Counts go to stderr, failed rows to stdout, all rows into the other formats; a failed file ends it with 1."""
    out, err = shell("upload", "ct", str(CT), str(BROKEN), code=1)
    assert "MR_truncated.dcm" in out
    assert "CT_small" not in out
    assert err == "dicomkit: 2 files: 1 already stored, 1 failed\n"
    rows = shell.rows("upload", "ct", str(CT), str(BROKEN), code=1)
    assert [row["outcome"] for row in rows] == ["already_stored", "failed"]
    assert rows[0]["StudyInstanceUID"] == CT_STUDY
    assert rows[1]["reason"]


def test_every_format_has_the_same_rows(shell: Shell, tmp_path: Path) -> None:
    """A search comes as a table, JSON, CSV and Parquet, to stdout or to a file, with dates as pydicom has them."""
    (row,) = shell.rows("search", "studies", "ct", "PatientID=1CT1")
    dataset = pydicom.dcmread(CT)
    assert row["StudyInstanceUID"] == dataset.StudyInstanceUID
    assert str(row["StudyDate"]).replace("-", "") == dataset.StudyDate
    assert str(row["StudyTime"]).replace(":", "") == dataset.StudyTime
    assert "CompressedSamples^CT1" in shell("search", "studies", "ct", "PatientID=1CT1")[0]
    (record,) = csv.DictReader(io.StringIO(shell("search", "studies", "ct", "PatientID=1CT1", "-f", "csv")[0]))
    assert record["StudyDate"] == row["StudyDate"]
    assert record["TimezoneOffsetFromUTC"] == f"'{row['TimezoneOffsetFromUTC']}"
    path = tmp_path / "rows.parquet"
    out, _ = shell("search", "studies", "ct", "-f", "parquet", "-o", str(path))
    assert out == ""
    assert pq.read_table(path).num_rows == 2
    piped = shell.bytes_of("search", "studies", "ct", "-f", "parquet").stdout
    assert pq.read_table(io.BytesIO(piped)).equals(pq.read_table(path))


def test_levels_fields_and_limit(shell: Shell) -> None:
    """Each level has its rows; --field adds a column, --limit cuts rows off and is no failure."""
    (series,) = shell.rows("search", "series", "ct", "Modality=CT", "--field", "SeriesNumber")
    assert series["SeriesNumber"] == pydicom.dcmread(CT).SeriesNumber
    assert len(shell.rows("search", "instances", "ct", "--limit", "1")) == 1
    assert shell.rows("search", "studies", "ct", "PatientID=nobody") == []
    assert shell("search", "series", "ct", "Modality=CT", "--count")[0] == "1\n"


def test_errors_are_one_line_and_a_code(shell: Shell) -> None:
    """Nothing found 3, not allowed 2, and no traceback."""
    for code, words in (
        (3, ("search", "studies", "nothing")),
        (2, ("search", "studies", "ct", "NoKeyword=1")),
        (2, ("search", "studies", "ct", "limit=1")),
        (2, ("search", "studies", "ct", "--count", "--limit", "1")),
        (3, ("delete", "ct", "studies/1.2.3", "--yes")),
        (2, ("delete", "ct", "1.2.3", "--yes")),
        (3, ("operations", "show", "123")),
        (3, ("stores", "create", "ct")),
        (3, ("upload", "ct", "no such file")),
    ):
        out, err = shell(*words, code=code)
        assert out == ""
        assert len(err.splitlines()) == 1, err
        assert err.startswith("dicomkit: ")


def test_a_download_is_what_was_uploaded(shell: Shell, tmp_path: Path) -> None:
    """By match and by path the very bytes come; the second time nothing is fetched; what is not there is a failure."""
    folder = tmp_path / "saved"
    _, err = shell("download", "ct", "Modality=CT", "--to", str(folder))
    assert err.endswith("dicomkit: 1 instances: 1 saved\n")
    (file,) = folder.rglob("*.dcm")
    assert file.read_bytes() == CT.read_bytes()
    (row,) = shell.rows("retrieve", "ct", f"studies/{CT_STUDY}", "--to", str(folder))
    assert row["outcome"] == "already_there"
    (row,) = shell.rows("download", "ct", "studies/1.2.3", "--to", str(folder), code=1)
    assert row["outcome"] == "failed"


def test_a_deletion_is_asked_for(shell: Shell) -> None:
    """No leaves everything, no answer too; yes, or --yes, deletes, and the end of the operation is awaited."""
    path = f"studies/{CT_STUDY}"
    out, err = shell("delete", "ct", path, stdin="n\n", code=1)
    assert out == ""
    assert "Delete a study with 1 instance of the store ct?" in err
    assert "nothing was deleted" in shell("delete", "ct", path, code=1)[1]
    assert len(shell.rows("search", "studies", "ct")) == 2
    shell("delete", "ct", path, stdin="y\n")
    (row,) = shell.rows("search", "instances", "ct")
    shell(
        *("delete", "ct", "--yes"),
        f"studies/{row['StudyInstanceUID']}/series/{row['SeriesInstanceUID']}/instances/{row['SOPInstanceUID']}",
    )
    assert shell.rows("search", "studies", "ct") == []
    shell("stores", "delete", "ct", "--yes")
    assert shell.rows("stores", "list") == []


def test_stores_have_labels_and_tables(shell: Shell) -> None:
    """A store is made with labels, which are set and taken away one by one, and its table is asked in SQL."""
    (row,) = shell.rows("stores", "create", "sql", "--label", "a=1", "--stream-to", "bq://local.imaging.t")
    assert row["labels"] == {"a": "1"}
    assert row["stream_to"] == ["bq://local.imaging.t"]
    (row,) = shell.rows("stores", "labels", "sql", "b=2", "a-")
    assert row["labels"] == {"b": "2"}
    assert [row["id"] for row in shell.rows("stores", "list", "--filter", "labels.b=2")] == ["sql"]
    shell("upload", "sql", str(CT), str(MR))
    text = "SELECT Modality, StudyDate FROM {table} WHERE Modality = @m"
    assert shell.rows("sql", "sql", text, "--param", "m=CT") == [{"Modality": "CT", "StudyDate": "2004-01-19"}]
    assert json.loads(shell("sql", "sql", "-", "-f", "json", stdin="SELECT 1 AS one")[0]) == [{"one": 1}]
    assert "dicomkit: " in shell("sql", "sql", "SELEC 1", code=2)[1]


def test_operations_are_awaited_and_their_failures_told(shell: Shell) -> None:
    """An import with a file that is no DICOM ends with 1, and the errors are had by the id that it names."""
    bucket = shell.home / "buckets" / "incoming"
    bucket.mkdir(parents=True)
    (bucket / "a.dcm").write_bytes(CT.read_bytes())
    (bucket / "b.dcm").write_bytes(b"no DICOM at all")
    shell("stores", "create", "in")
    out, err = shell("import", "in", "gs://incoming/*.dcm", "-f", "json", code=1)
    (row,) = json.loads(out)
    assert (row["state"], row["success"], row["failure"]) == ("succeeded", 1, 1)
    assert f"`dicomkit operations errors {row['id']}`" in err
    (error,) = shell.rows("operations", "errors", row["id"])
    assert error["source"] == "gs://incoming/b.dcm"
    assert row["id"] in [each["id"] for each in shell.rows("operations", "list")]
    shell("stores", "create", "copy")
    assert shell.rows("deidentify", "ct", "--preview")
    (row,) = shell.rows("deidentify", "ct", "copy", "--config", "basic")
    assert (row["state"], row["success"]) == ("succeeded", 2)
    names = {str(each["PatientName"]) for each in shell.rows("search", "studies", "copy")}
    assert not names & {"CompressedSamples^CT1", "CompressedSamples^MR1"}
    (row,) = shell.rows("export", "ct", "gs://incoming/out", "--no-wait")
    (row,) = shell.rows("operations", "show", str(row["id"]), "--wait")
    assert row["state"] == "succeeded"
    assert len(list((bucket / "out").rglob("*.dcm"))) == 2
    (again,) = shell.rows("operations", "cancel", str(row["id"]))
    assert again["state"] == "succeeded"


def test_messages_are_followed_until_interrupted(shell: Shell) -> None:
    """What is there comes at once, a record a line; an interruption ends it well."""
    shell("stores", "create", "told", "--notify", "projects/local/topics/arrivals")
    shell("upload", "told", str(CT))
    (row,) = shell.rows("messages", "arrivals")
    assert row["action"] == "StoreInstances"
    with shell.start("messages", "arrivals", "--follow", "--format", "json") as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline()) == row
        time.sleep(0.2)
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=60)
    assert b"Traceback" not in err
    assert follower.returncode in (0, 130)


def test_output_is_whole_in_any_encoding(shell: Shell) -> None:
    """On a terminal of Latin 1 or ASCII the table is escaped; JSON and CSV are UTF-8 all the same."""
    shell("stores", "create", "names", "--label", "stadt=köln-山")
    for encoding in ("latin-1", "ascii", "ascii:strict"):
        environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        done = shell.bytes_of("stores", "list", **environment)
        assert done.returncode == 0, done.stderr
        assert b"\\u5c71" in done.stdout
        rows = json.loads(shell.bytes_of("stores", "list", "-f", "json", **environment).stdout.decode())
        (row,) = [row for row in rows if row["id"] == "names"]
        assert row["labels"] == {"stadt": "köln-山"}


def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell) -> None:
    """As with ``head``: code 141, and nothing on stderr."""
    for words in (("search", "instances", "ct", "-f", "csv"), ("search", "instances", "ct")):
        with shell.start(*words) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            err = process.stderr.read()
        assert process.returncode == 141, err
        assert err == b""


def test_a_wrong_token_and_a_server_that_is_away(tmp_path: Path) -> None:
    """A wrong token is refused with 3, no server is 4, and neither shows the token."""
    with serve(tmp_path / "home", "--quiet") as process:
        shell = Shell(process.url, tmp_path / "home")
        _, err = shell("stores", "list", "--token", "wrong-token-1234567", code=3)
        assert "wrong-token" not in err
        _, err = Shell(str(tmp_path / "home"), tmp_path / "home")("stores", "list", code=4)
        assert process.url in err or str(process.popen.pid) in err
        process.stop()
        _, err = shell("stores", "list", code=4)
        assert len(err.splitlines()) == 1
