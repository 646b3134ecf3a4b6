"""Runs a workload against one home again and again, kills it at a named point each time, and checks what is left.

A process of its own, so that it can fork before anything has started a thread: ``python -m tests.faults.kill_runner
HOME POINT:N ...`` prints one line of JSON per kill. Each child keeps a ledger of what it was told is stored; the ledger
is written with one ``write`` per answer, which a SIGKILL of the writer does not undo. In place of a point, ``work``
runs the workload to its end and ``verify`` only looks at what is there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from werkzeug.test import Client

from dicomkit.engine import Engine, crash_points
from dicomkit.engine.persistence import catalog
from dicomkit.engine.services import bigquery as _warm  # noqa: F401 - so that not every child imports DuckDB
from dicomkit.engine.services import compaction
from dicomkit.errors import NotFound
from dicomkit.names import DicomStoreName
from tests.unit.engine.factories import (
    DATASET,
    FILE_AS_STORED,
    PARENT,
    STORE,
    WEB,
    instance,
    outcomes,
    rows,
    store,
    streamed_to,
)

TABLE = "bq://local.imaging.ct"
TOPIC = "projects/local/topics/changes"
_REQUESTS = 6
_LARGE = ("post_rename",)
_COMPACTION = ("pre_copy", "mid_copy", "post_copy", "in_move", "post_move", "post_drop")
_DELETES = ("in_delete", "post_delete", *_COMPACTION)
_SEGMENT_BYTES = 6_000
"""Six small instances: what a request stores when compaction is to have work, and two of which it leaves."""

# The UIDs of the templates are replaced in the bytes, which is faster than to write each file with pydicom.
_ROOT = "1.2.826.0.1.3680043.8.498."
_MARK = _ROOT + "1" * 34
_SMALL = instance(study=_MARK + ".1", series=_MARK + ".2", uid=_MARK).data
_BIG = instance(study=_MARK + ".1", series=_MARK + ".2", uid=_MARK, pixels=5 << 20).data


class Ledger:
    """What was acknowledged: ``stored``, ``deleting`` and ``deleted`` lines, and what it means in the end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, what: str, *fields: str) -> None:
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, (" ".join((what, *fields)) + "\n").encode())
        os.close(fd)

    def read(self) -> tuple[dict[str, str], set[str]]:
        """Path -> hash of instances that must be there, and all paths that were ever acknowledged."""
        there: dict[str, str] = {}
        ever: set[str] = set()
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            what, path, *rest = line.split(" ")
            if what == "stored":
                there[path] = rest[0]
                ever.add(path)
            else:
                there.pop(path, None)
        return there, ever


def fresh(large: bool) -> tuple[bytes, str]:
    """An instance of a study of its own, and its path."""
    uid = f"{_ROOT}{secrets.randbelow(9 * 10**33) + 10**33}"
    data = (_BIG if large else _SMALL).replace(_MARK.encode(), uid.encode())
    return data, f"{WEB}/studies/{uid}.1/series/{uid}.2/instances/{uid}"


def work(home: str, ledger: Ledger, spec: str) -> None:
    """Store, delete and stream until the armed point is reached."""
    crash_points.arm(spec)
    point = spec.partition(":")[0]
    compaction.BATCH_INSTANCES = 1
    with Engine(home, segment_bytes=_SEGMENT_BYTES) as engine:
        http = Client(engine)
        if http.get(STORE).status_code == 404:
            http.post(f"{PARENT}/datasets?datasetId=default")
            http.post(
                f"{DATASET}/dicomStores?dicomStoreId=ct",
                json=streamed_to(TABLE) | {"notificationConfigs": [{"pubsubTopic": TOPIC}]},
            )
        for number in range(_REQUESTS):
            made = [fresh(point in _LARGE and number % 2 == 1), fresh(False), fresh(False)]
            made += [fresh(False) for _ in range(3 if point in _COMPACTION else 0)]
            answer = store(http, *(data for data, _ in made))
            for place, outcome in outcomes(answer).items():
                data, path = made[place - 1]
                assert outcome == "STORED"
                ledger.note("stored", path, hashlib.sha256(data).hexdigest())
            for _, path in made[1::3] + made[2::3] if point in _DELETES else ():
                ledger.note("deleting", path)
                assert http.delete(path).status_code == 200
            if point in _COMPACTION:
                engine.compaction.finish(10)
            if number % 2:
                engine.streaming.drain(DicomStoreName.parse(STORE[4:]), 3)


def verify(home: str, ledger: Ledger) -> dict[str, Any]:
    """Open the home as after a crash and compare it with the ledger."""
    there, ever = ledger.read()
    with Engine(home, segment_bytes=_SEGMENT_BYTES) as engine:
        http = Client(engine)
        is_compact = engine.compaction.finish(10)
        found = list(_found(http))
        read = {path: _sha(http, path) for path in {*there, *found}}
        lost = [path for path, sha in there.items() if sha != read[path]]
        unreadable = [path for path in found if read[path] is None]
        with engine.storage.database.read() as connection:
            dangling = connection.execute(
                "SELECT COUNT(*) FROM instances i LEFT JOIN series s ON s.key = i.series_key "
                "LEFT JOIN studies t ON t.key = s.study_key LEFT JOIN metadata m ON m.key = i.key "
                "LEFT JOIN segments b ON b.key = i.segment AND b.size >= i.offset + i.length "
                "WHERE t.key IS NULL OR m.key IS NULL OR b.key IS NULL"
            ).fetchone()[0]
            wrong_counts = connection.execute(
                "SELECT COUNT(*) FROM studies t WHERE instance_count != (SELECT COUNT(*) FROM instances i "
                "JOIN series s ON s.key = i.series_key WHERE s.study_key = t.key)"
            ).fetchone()[0]
            sizes = dict(connection.execute("SELECT key, size FROM segments"))
            wrong_live = connection.execute(
                "SELECT COUNT(*) FROM segments b WHERE live != "
                "(SELECT COALESCE(SUM(length), 0) FROM instances WHERE segment = b.key)"
            ).fetchone()[0]
            sparse = [s.key for s in catalog.sparse_segments(connection) if s.size > _SEGMENT_BYTES]
            intact = connection.execute("PRAGMA integrity_check").fetchone()[0]
        on_disk = {int(p.stem): p.stat().st_size for p in engine.home.blobs.iterdir()}
        leftovers = sorted(set(on_disk) ^ set(sizes)) + [k for k, s in sizes.items() if on_disk.get(k) != s]
        engine.streaming.drain(DicomStoreName.parse(STORE[4:]), 20)
        missing = sorted(ever - set(_streamed(engine)))
        told = _told(engine)
        waiting = [s["waiting"] for s in engine.streaming.status(DicomStoreName.parse(STORE[4:]))]
    return {
        "acknowledged": len(there),
        "lost": lost,
        "unreadable": unreadable,
        "dangling": dangling,
        "wrong_counts": wrong_counts,
        "wrong_live": wrong_live,
        "is_compact": is_compact and not sparse,
        "leftovers": leftovers,
        "integrity": intact,
        "missing_rows": missing,
        # A change and its message are one: what was acknowledged was told, and what was told is so.
        "untold": sorted(ever - told["StoreInstances"]),
        "told_wrongly": sorted(set(found) ^ (told["StoreInstances"] - told["DeleteInstances"])),
        "waiting": waiting,
    }


def _sha(http: Client, path: str) -> str | None:
    answer = http.get(path, headers={"Accept": FILE_AS_STORED})
    metadata = http.get(f"{path}/metadata")
    if answer.status_code != 200 or metadata.status_code != 200:
        return None
    return hashlib.sha256(answer.data).hexdigest()


def _found(http: Client) -> Iterator[str]:
    answer = http.get(f"{WEB}/instances?limit=50000")
    for item in answer.json if answer.status_code == 200 else ():
        study, series, uid = (item[t]["Value"][0] for t in ("0020000D", "0020000E", "00080018"))
        yield f"{WEB}/studies/{study}/series/{series}/instances/{uid}"


def _streamed(engine: Engine) -> Iterator[str]:
    """Paths of the instances that have a row in the table."""
    try:
        found = rows(
            engine, "SELECT DISTINCT SOPInstanceUID, SeriesInstanceUID, StudyInstanceUID FROM `local.imaging.ct`"
        )
    except NotFound:
        return
    for uid, series, study in found:
        yield f"{WEB}/studies/{study}/series/{series}/instances/{uid}"


def _told(engine: Engine) -> dict[str, set[str]]:
    """Action -> paths of the instances that the topic says it was done to."""
    told: dict[str, set[str]] = {"StoreInstances": set(), "DeleteInstances": set()}
    after = 0
    while page := engine.notifications.messages(TOPIC, after=after, since=None, limit=1_000):
        for message in page:
            told[message["attributes"]["action"]].add(f"/v1/{base64.b64decode(message['data']).decode()}")
        after = int(page[-1]["messageId"])
    return told


def in_child(task: Callable[[], Any]) -> tuple[int, bytes]:
    """Run *task* in a fork; its wait status and what it returned, as JSON."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            os.write(write, json.dumps(task()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    return os.waitpid(pid, 0)[1], text


def main(home: str, *specs: str) -> None:
    Engine(f"{home}.warm").close()
    ledger = Ledger(Path(home).with_suffix(".ledger"))
    for spec in specs:
        report: dict[str, Any] = {"spec": spec}
        if spec != "verify":
            status, _ = in_child(lambda spec=spec: work(home, ledger, "" if spec == "work" else spec))
            report["killed"] = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
            report["status"] = status
        if spec != "work":
            checked, text = in_child(lambda: verify(home, ledger))
            report |= json.loads(text) if checked == 0 else {"error": checked}
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
