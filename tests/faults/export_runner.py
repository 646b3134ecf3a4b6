"""Exports the store of a home in a process that kills itself, and in one that finishes.

``python -m tests.faults.export_runner`` with
``fill HOME`` makes a store of instances; ``begin HOME DESTINATION POINT:N`` begins an export and dies when POINT is
passed for the N-th time; ``finish HOME`` opens the home, waits for its operations, and prints one line of JSON about
what is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.engine.persistence.row_spool import RowSpool
from dicomkit.engine.services import exports_bigquery, task
from dicomkit.engine.services.bigquery import BigQueryService
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.operations import Operations
from dicomkit.engine.services.task import Task
from dicomkit.errors import NotFound
from tests.unit.engine.exports import begin, bucket, counter, to_folder, to_table
from tests.unit.engine.factories import DATASET, Instance, client, instance, rows, store

COUNT = 60
STUDY = "1.2.826.0.1.3680043.8.498.1"

POINTS: dict[str, tuple[type, str]] = {
    "writer": (Buckets, "writer"),
    "portion": (RowSpool, "append"),
    "load": (BigQueryService, "load_spool"),
    "save": (Task, "save"),
    "finish": (Operations, "_finish"),
}
"""Methods that an export passes: before and after each call of one is a moment to die."""


def files() -> list[Instance]:
    """The instances of the store, the same each time."""
    return [instance(study=STUDY, series=f"{STUDY}.1", uid=f"{STUDY}.1.{number}") for number in range(1, COUNT + 1)]


def fill(home: str) -> None:
    with Engine(home) as engine:
        bucket(engine)
        http = client(engine)
        for first in range(0, COUNT, 20):
            assert store(http, *files()[first : first + 20]).status_code == 200


def die_at(spec: str) -> None:
    """Make the process kill itself when a point is passed for the n-th time: ``point:n`` before, ``point:n+`` after."""
    point, _, number = spec.partition(":")
    is_after, left = number.endswith("+"), int(number.removesuffix("+"))
    owner, name = POINTS[point]
    method: Callable[..., Any] = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = method(*args, **kwargs)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


def start(home: str, destination: str, spec: str) -> None:
    exports_bigquery.PORTION_ROWS = 7
    task.SAVE_S = 0.0
    die_at(spec)
    with Engine(home) as engine:
        http = Client(engine)
        body = to_folder() if destination == "folder" else to_table(writeDisposition=destination)
        begin(http, body)
        engine.operations.wait(60)


def finish(home: str) -> dict[str, Any]:
    exports_bigquery.PORTION_ROWS = 7
    with Engine(home) as engine:
        assert engine.operations.wait(60)
        http = Client(engine)
        operations = http.get(f"{DATASET}/operations?pageSize=1000").json["operations"]
        exports = [o for o in operations if o["metadata"]["apiMethodName"].endswith("ExportDicomData")]
        try:
            found = [uid for (uid,) in rows(engine, "SELECT SOPInstanceUID FROM `local.imaging.exported` ORDER BY 1")]
        except NotFound:
            found = []
        objects = {
            path.name.removesuffix(".dcm"): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (engine.home.buckets / "out").rglob("*.dcm")
        }
        leftovers = [
            path.name
            for folder in (engine.home.exports, engine.home.buckets / ".unfinished")
            for path in (folder.iterdir() if folder.is_dir() else ())
        ]
        return {
            "counters": [counter(operation) for operation in exports],
            "outcomes": ["response" if "response" in operation else operation["error"] for operation in exports],
            "rows": found,
            "objects": objects,
            "leftovers": leftovers,
        }


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    if command == "fill":
        fill(folder)
    elif command == "begin":
        start(folder, *rest)
    else:
        print(json.dumps(finish(folder)))
