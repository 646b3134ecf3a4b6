"""nginx from Debian: sends files over loopback, which is the lower bound of an answer's time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from bench.wire import free_port, plain_session

__all__ = ["MISSING", "Nginx", "running"]

MISSING = "nginx is not on this machine (Debian: apt-get install --no-install-recommends nginx-light)"

_CONFIG = """\
{user}
daemon off;
worker_processes 1;
pid {home}/pid;
error_log {home}/log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    client_body_temp_path {home}/tmp;
    proxy_temp_path {home}/tmp;
    fastcgi_temp_path {home}/tmp;
    uwsgi_temp_path {home}/tmp;
    scgi_temp_path {home}/tmp;
    server {{
        listen 127.0.0.1:{port};
        root {home}/files;
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running server; what is in ``files`` is at ``url``."""

    url: str
    files: Path
    version: str


def _binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def running(folder: Path | None = None) -> Iterator[Nginx | None]:
    """Start nginx with ``sendfile`` and one worker on a free loopback port; ``None`` when it is not installed.

    Parameters
    ----------
    folder
        Where its files go: the same disk as ours.
    """
    binary = _binary()
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix="nginx-") as temporary:
        home, port = Path(temporary), free_port()
        files = home / "files"
        files.mkdir()
        config = home / "nginx.conf"
        # Started by root, nginx would read the files as somebody else, who cannot.
        user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
        config.write_text(_CONFIG.format(user=user, home=home, port=port))
        said = subprocess.run([binary, "-v"], capture_output=True, text=True, check=False).stderr
        found = re.search(r"nginx/([\w.]+)", said)
        server = subprocess.Popen(
            [binary, "-c", str(config), "-p", temporary, "-e", f"{home}/log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        nginx = Nginx(f"http://127.0.0.1:{port}", files, found[1] if found else "")
        try:
            _wait(nginx, server, home / "log")
            yield nginx
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(nginx: Nginx, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it is our own server that answers: it knows a file with a name of chance."""
    with tempfile.NamedTemporaryFile(dir=nginx.files, prefix="ready-") as mark, plain_session() as session:
        for _ in range(120):
            if server.poll() is not None:
                said = log.read_text(errors="replace")[-500:] if log.exists() else ""
                raise RuntimeError(f"nginx ended with {server.returncode}: {said}")
            try:
                answer = session.get(f"{nginx.url}/{Path(mark.name).name}", timeout=5)
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.25)
                continue
            if answer.status_code != 200:
                raise RuntimeError(f"the server at nginx's port does not know our file ({answer.status_code})")
            return
    raise RuntimeError("nginx did not answer within 30 s")
