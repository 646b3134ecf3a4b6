"""The main job, start to end, on the real DICOM files that pydicom's wheel brings along."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
import pydicom

from dicomkit.client.store import Store
from dicomkit.connect import connect

__all__ = ["SAMPLES", "run", "sample_files"]

SAMPLES = (
    "dicomdirtests/77654033",
    "dicomdirtests/98892001",
    "dicomdirtests/98892003",
    "CT_small.dcm",
    "MR_small.dcm",
    "examples_jpeg2k.dcm",
    "examples_overlay.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "liver_1frame.dcm",
    "reportsi.dcm",
    "rtdose.dcm",
    "rtplan.dcm",
    "waveform_ecg.dcm",
)
"""What is uploaded: the folders of three studies that a DICOMDIR lists, and single files of many kinds."""

BROKEN = "MR_truncated.dcm"
"""A file that was cut inside its pixel data, to show what a failed row looks like."""


def sample_files() -> list[Path]:
    """The folders and files of ``SAMPLES`` that the installed pydicom has."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    return [folder / name for name in SAMPLES if (folder / name).exists()]


def run(home: Path | None = None) -> int:
    """Do the main job, print what each step gives, and return 0 if all of them did what they should."""
    folder = Path(home) if home is not None else Path(tempfile.mkdtemp(prefix="dicomkit-demo-"))
    problems: list[str] = []
    with connect(folder) as dataset:
        existing = set(dataset.stores()["id"])
        if "demo" in existing:
            store = dataset.store("demo")
        else:
            store = dataset.create_store("demo", labels={"source": "pydicom"}, stream_to="bq://local.imaging.demo")
        _show("ds.stores()", dataset.stores()[["id", "labels", "stream_to"]])
        problems += _upload(store)
        problems += _search(store)
        problems += _query(store)
    print(f"\nThe home is {folder}: open it again with dicomkit.connect({str(folder)!r}).")
    for problem in problems:
        print(f"FAILED: {problem}")
    return 1 if problems else 0


def _upload(store: Store) -> list[str]:
    samples = sample_files()
    uploaded = store.upload([*samples, samples[0].parent.parent / BROKEN])
    outcomes = uploaded["outcome"].value_counts().rename_axis("outcome").reset_index(name="files")
    _show("store.upload(...), by outcome", outcomes)
    failed = uploaded[uploaded["outcome"] == "failed"]
    _show("the failed row, with its reason", failed[["path", "reason"]].assign(path=failed["path"].map(_short)))
    unexpected = [_short(path) for path in failed["path"] if _short(path) != BROKEN]
    problems = [f"{name} was not stored" for name in unexpected]
    if len(failed) == len(unexpected):
        problems.append(f"{BROKEN} was not refused")
    return problems


def _search(store: Store) -> list[str]:
    studies = store.search_studies(StudyDate="19900101-")
    _show('store.search_studies(StudyDate="19900101-")', studies[["StudyDate", "PatientName", "StudyInstanceUID"]])
    series = store.search_series(Modality="CT", fields=["SliceThickness"])
    shown = series[["Modality", "SeriesDescription", "SliceThickness", "SeriesInstanceUID"]]
    _show('store.search_series(Modality="CT", fields=["SliceThickness"])', shown)
    instances = store.search_instances()
    problems = []
    if len(studies) < 3:
        problems.append(f"{len(studies)} studies were found, 3 or more were stored")
    if series.empty:
        problems.append("no CT series was found")
    first = instances.iloc[0]
    uids = (first["StudyInstanceUID"], first["SeriesInstanceUID"], first["SOPInstanceUID"])
    retrieved = store.dataset(*uids)
    print(f"\n>>> store.dataset(...)\n{type(retrieved).__name__} of {retrieved.Modality}, {len(retrieved)} elements")
    if retrieved.SOPInstanceUID != uids[2]:
        problems.append("the retrieved instance is another one")
    return problems


def _query(store: Store) -> list[str]:
    text = "SELECT Modality, COUNT(*) AS n FROM {table} GROUP BY Modality ORDER BY n DESC, Modality"
    counts = store.sql(text)
    _show(f'store.sql("{text}")', counts)
    _show("store.stream_status()", store.stream_status()[["table_uri", "waiting", "delivered", "failed"]])
    total, stored = int(counts["n"].sum()), len(store.search_instances())
    if total < stored:
        return [f"the table has {total} rows for {stored} instances"]
    return []


def _short(path: object) -> str:
    return Path(str(path)).name


def _show(title: str, frame: pd.DataFrame) -> None:
    print(f"\n>>> {title}\n{frame.to_string(index=False, max_rows=12, max_colwidth=80)}")
