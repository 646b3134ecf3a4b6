"""An import in a process of its own, to be killed: ``python -m tests.faults.import_runner HOME FILES``.

Opens HOME, begins an import of FILES files if none was begun before, waits until no operation is left to do, and prints
one line of JSON about what it found. ``DICOMKIT_CRASH_AT`` kills it on the way.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from werkzeug.test import Client

from dicomkit.engine import Engine
from dicomkit.names import DicomStoreName
from tests.unit.engine.factories import DATASET, STORE, WEB, client, instance, rows, streamed_to

TABLE = "bq://local.imaging.ct"
_UID = "1.2.826.0.1.3680043.8.498."
_MARK = _UID + "1" * 34


def write_files(folder: Path, count: int) -> None:
    """Small instances, each of a study of its own."""
    folder.mkdir(parents=True)
    template = instance(study=_MARK + ".1", series=_MARK + ".2", uid=_MARK).data
    for number in range(count):
        uid = f"{_UID}{10**33 + number}"
        (folder / f"{number:05}.dcm").write_bytes(template.replace(_MARK.encode(), uid.encode()))


def run(home: str, count: int) -> dict[str, Any]:
    """Go on with what is begun, or begin it; then look."""
    files = Path(home) / "buckets" / "bucket"
    with Engine(home) as engine:
        http = Client(engine)
        if http.get(STORE).status_code == 404:
            http = client(engine, resource=streamed_to(TABLE))
            write_files(files, count)
            (files / "99999.txt").write_text("no DICOM")
        if not http.get(f"{DATASET}/operations?pageSize=10").json.get("operations", [])[1:]:
            begun = http.post(f"{STORE}:import", json={"gcsSource": {"uri": "gs://bucket/**"}})
            assert begun.status_code == 200, begun.text
        assert engine.operations.wait(120)
        operation = http.get(f"{DATASET}/operations").json["operations"][-1]
        engine.streaming.drain(DicomStoreName.parse(STORE[4:]), 60)
        found = http.get(f"{WEB}/instances?limit=50000").json
        with engine.storage.database.read() as connection:
            blobs = connection.execute("SELECT COUNT(*), COUNT(DISTINCT sha256) FROM instances").fetchone()
        errors = http.get(f"/dicomkit/v1/{operation['name']}:errors").json["errors"]
        return {
            "done": operation.get("done"),
            "is_response": "response" in operation,
            "counter": operation["metadata"]["counter"],
            "errors": [item["source"] for item in errors],
            "instances": len({item["00080018"]["Value"][0] for item in found}),
            "listed": len(found),
            "blobs": blobs,
            "rows": rows(engine, "SELECT COUNT(*), COUNT(DISTINCT SOPInstanceUID) FROM `local.imaging.ct`")[0],
            "temporary": len(list(engine.home.tmp.iterdir())),
        }


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], int(sys.argv[2]))))
