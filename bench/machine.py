"""What the figures were measured on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

__all__ = ["describe"]

PACKAGES = ("dicomkit", "pydicom", "pandas", "duckdb", "orjson", "sqlglot", "werkzeug", "google-cloud-bigquery")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        return None


def describe(core: int | None) -> str:
    """A paragraph: date, processor, memory, system, versions, load, and whether the run kept to one core."""
    memory = _memory_gib()
    parts = [
        datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        f"{os.cpu_count()} cores {_processor()}",
        f"{memory:.0f} GiB" if memory else "",
        f"{platform.system()} {platform.release()}",
        f"Python {sys.version.split()[0]}",
        ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
        "pinned to one core, peers too (over HTTP: client and servers apart)"
        if core is not None
        else "not pinned: this system cannot",
        f"load before the run {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "",
    ]
    return "; ".join(part for part in parts if part) + "."
