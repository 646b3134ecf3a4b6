"""Memory that a multi-frame instance of 1 GB adds, up and down, in a process of its own.

Run as ``python -m bench.memory FOLDER MEBIBYTES`` it is that process: it prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedCTImageStorage, ExplicitVRLittleEndian

import dicomkit as dk
from bench.measure import Row

__all__ = ["Peak", "run"]

FRAME = 512 * 512 * 2
"""Bytes of a frame."""

TARGET_MIB = 150


def _multi_frame(path: Path, frames: int) -> tuple[str, str, str]:
    """Write an Enhanced CT of *frames* frames without ever holding it, and return its UIDs."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    uids = UID("2.25.111"), UID("2.25.222"), UID("2.25.333")
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = uids
    ds.file_meta.MediaStorageSOPInstanceUID = uids[2]
    ds.PatientID, ds.Modality, ds.NumberOfFrames = "BENCH-1GB", "CT", frames
    ds.Rows = ds.Columns = 512
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\x00\x00" + (frames * FRAME).to_bytes(4, "little"))
        for number in range(frames):
            file.write(number.to_bytes(2, "little") * (FRAME // 2))
    return uids


class Peak:
    """Highest memory of this process over a stretch of work, sampled every 5 ms by a thread.

    ``resident`` is what the system counts for the process, pages of mapped files included; ``own`` leaves those out,
    which the system can drop at any time. Linux keeps the peak of ``resident`` itself, which no sample can miss.
    """

    _STATUS = Path("/proc/self/status")
    _RESET = Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self.resident, self.own = self._now()

    def _now(self) -> tuple[int, int]:
        info = self._process.memory_info()
        return info.rss, info.rss - getattr(info, "shared", 0)

    def _sample(self) -> None:
        while not self._stop.wait(0.005):
            resident, own = self._now()
            self.resident, self.own = max(self.resident, resident), max(self.own, own)

    def added(self, work: Callable[[], object]) -> dict[str, float]:
        """MiB above the start while *work* runs."""
        before = self.resident, self.own
        if self._RESET.exists():
            self._RESET.write_text("5")  # proc(5): sets the peak back to what is resident now
        self._thread.start()
        work()
        self._stop.set()
        self._thread.join()
        if self._RESET.exists():
            (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", self._STATUS.read_text(), re.MULTILINE)
            self.resident = max(self.resident, int(peak) * 1024)
        return {"resident": (self.resident - before[0]) / 2**20, "own": (self.own - before[1]) / 2**20}


def _child(folder: Path, mebibytes: int) -> dict[str, dict[str, float]]:
    path = folder / "big.dcm"
    uids = _multi_frame(path, mebibytes * 2**20 // FRAME)
    with dk.connect(folder / "home") as dataset:
        store = dataset.create_store("big")
        small = folder / "small.dcm"
        _multi_frame(small, 1)
        # Imports and caches first, in a store of its own: the big instance has the same UIDs.
        warm = dataset.create_store("warm")
        warm.upload([small])
        warm.retrieve(*uids, to=folder / "small-back.dcm")
        outcome: list[str] = []
        up = Peak().added(lambda: outcome.extend(store.upload([path])["outcome"]))
        if outcome != ["stored"]:
            raise AssertionError(f"upload: {outcome}")
        down = Peak().added(lambda: store.retrieve(*uids, to=folder / "back.dcm"))
    if not filecmp.cmp(path, folder / "back.dcm", shallow=False):
        raise AssertionError("what came back is not what was uploaded")
    return {"upload": up, "download": down}


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield the rows of upload and download; the peak of one run is the figure, whatever *repeat* says."""
    mebibytes = 128 if quick else 1024
    with tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "bench.memory", folder, str(mebibytes)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"the measuring process ended with {done.returncode}: {done.stderr[-2000:]}")
    for what, added in json.loads(done.stdout.splitlines()[-1]).items():
        article = "an" if what == "upload" else "a"
        yield Row(
            what=f"memory added by {article} {what} of {mebibytes} MiB",
            ours=f"{added['resident']:.0f} MiB resident, {added['own']:.0f} of them not mapped from files",
            theirs=f"{TARGET_MIB} MiB allowed",
            ratios=[added["resident"] / TARGET_MIB],
            target="<= 1",
        )


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(_child(Path(sys.argv[1]), int(sys.argv[2]))))
