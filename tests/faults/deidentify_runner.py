"""A de-identification in a process of its own, which may be killed: ``python -m tests.faults.deidentify_runner``.

``begin HOME COUNT POINT:N`` stores instances, begins the operation and dies at the point; ``resume HOME POINT:N``
opens the home again, and dies or ends. One that ends prints a line of JSON about what is there.
"""

from __future__ import annotations

import json
import sys

from werkzeug.test import Client

from dicomkit.engine import Engine, crash_points
from dicomkit.engine.services import deidentify_copy, task
from tests.unit.deid.planted import BASIC
from tests.unit.engine.factories import DATASET, PARENT, STORE, instance, outcomes, store

OUT = STORE.replace("/ct", "/out")
COPY = DATASET + "x"


def begin(http: Client, count: int, of_dataset: bool) -> None:
    http.post(f"{PARENT}/datasets?datasetId=default")
    for id_ in ("ct",) if of_dataset else ("ct", "out"):
        assert http.post(f"{DATASET}/dicomStores?dicomStoreId={id_}").status_code == 200
    made = [instance(study="1.2.3", series=f"1.2.3.{n % 3}", uid=f"1.2.4.{n}") for n in range(count)]
    assert set(outcomes(store(http, *made)).values()) == {"STORED"}
    if of_dataset:
        answer = http.post(f"{DATASET}:deidentify", json={"destinationDataset": COPY[4:], "config": BASIC})
    else:
        answer = http.post(f"{STORE}:deidentify", json={"destinationStore": OUT[4:], "config": BASIC})
    assert answer.status_code == 200, answer.text


def report(http: Client, of_dataset: bool) -> dict[str, object]:
    """How the operation ended, and the copies."""
    (operation,) = [
        o
        for o in http.get(f"{DATASET}/operations").json["operations"]
        if "Deidentify" in o["metadata"]["apiMethodName"]
    ]
    where = f"{COPY}/dicomStores/ct" if of_dataset else OUT
    items = http.get(f"{where}/dicomWeb/instances?limit=5000").json
    copies = [tuple(item[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")) for item in items]
    return {
        "counter": operation["metadata"]["counter"],
        "response": "response" in operation,
        "copies": len(copies),
        "different": len(set(copies)),
        "studies": len({study for study, _, _ in copies}),
        "series": len({series for _, series, _ in copies}),
    }


def main(what: str, home: str, spec: str, count: str, kind: str) -> None:
    deidentify_copy.PORTION_S = 0.05
    task.SAVE_S = 0.0
    of_dataset = kind == "dataset"
    # Before an operation goes on; one that begins is armed when its instances are there.
    crash_points.arm("" if what == "begin" else spec)
    with Engine(home) as engine:
        http = Client(engine)
        if what == "begin":
            prepared = engine.ingest.store

            def armed(*args: object, **kwargs: object) -> object:
                if kwargs.get("action") == deidentify_copy.ACTION and not crash_points.armed(spec.partition(":")[0]):
                    crash_points.arm(spec)
                return prepared(*args, **kwargs)  # type: ignore[arg-type]

            engine.ingest.store = armed  # type: ignore[method-assign, assignment]
            begin(http, int(count), of_dataset)
        assert engine.operations.wait(100)
        print(json.dumps(report(http, of_dataset)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
