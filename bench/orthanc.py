"""Orthanc from Debian with its DICOMweb plugin, started and stopped by us."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from bench.wire import free_port, plain_session, stow

__all__ = ["MISSING", "Orthanc", "running"]

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
"""Where Debian's package orthanc-dicomweb puts the plugin."""

MISSING = "Orthanc is not on this machine (Debian: apt-get install --no-install-recommends orthanc orthanc-dicomweb)"


class Orthanc:
    """A running server and one keep-alive connection to it."""

    def __init__(self, url: str, version: str) -> None:
        self.url = url
        self.version = version
        self.session = plain_session()

    @property
    def web(self) -> str:
        """Root of its DICOMweb service."""
        return f"{self.url}/dicom-web"

    def store(self, bodies: Sequence[bytes]) -> None:
        """Store a batch in one STOW-RS request, and check that each instance was new and taken."""
        stow(self.session, self.web, bodies)

    def count(self) -> int:
        """Instances that the server holds."""
        number: int = self.session.get(f"{self.url}/statistics", timeout=60).json()["CountInstances"]
        return number


def _binary() -> str | None:
    return shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running(folder: Path | None = None) -> Iterator[Orthanc | None]:
    """Start Orthanc on a free loopback port with a new, empty storage; ``None`` when it is not installed.

    Parameters
    ----------
    folder
        Where its storage goes: the same disk as ours, or the comparison is one of disks.
    """
    binary = _binary()
    if binary is None or not PLUGIN.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix="orthanc-") as home:
        name, port = f"bench-{secrets.token_hex(4)}", free_port()
        config = {
            "Name": name,
            "StorageDirectory": f"{home}/db",
            "IndexDirectory": f"{home}/db",
            "HttpPort": port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "HttpThreadsCount": 8,
            "LimitFindResults": 0,
            "LimitFindInstances": 0,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        Path(home, "db").mkdir()
        Path(home, "orthanc.json").write_text(json.dumps(config))
        log = Path(home, "log")
        with log.open("wb") as out:
            # A session of its own: a signal to the benchmark's group must not reach it before we stop it.
            server = subprocess.Popen(
                [binary, f"{home}/orthanc.json"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        orthanc = Orthanc(f"http://127.0.0.1:{port}", "")
        try:
            orthanc.version = _wait(orthanc, server, name, log)
            yield orthanc
        finally:
            orthanc.session.close()
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(orthanc: Orthanc, server: subprocess.Popen[bytes], name: str, log: Path) -> str:
    """Wait until it is our own server that answers, and return its version with that of the plugin."""
    for _ in range(120):
        if server.poll() is not None:
            raise RuntimeError(f"Orthanc ended with {server.returncode}: {log.read_text(errors='replace')[-500:]}")
        try:
            system = orthanc.session.get(f"{orthanc.url}/system", timeout=5).json()
            plugin = orthanc.session.get(f"{orthanc.url}/plugins/dicom-web", timeout=5).json()
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.25)
            continue
        if system.get("Name") != name:
            raise RuntimeError("another Orthanc answers on the port")
        return re.sub(r"[^\w. +()-]", "", f"{system['Version']} + dicomweb {plugin['Version']}")
    raise RuntimeError("Orthanc did not answer within 30 s")
