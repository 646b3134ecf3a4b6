"""Waiting for an operation, and giving up on that."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from tests.conftest import served

NAME = "projects/local/locations/local/datasets/default/operations/7"


def test_an_interruption_ends_the_waiting_and_says_how_to_go_on() -> None:
    """Ctrl-C gives 130, and the commands that find the operation again; the server hears of no cancellation."""
    asked: list[str] = []
    is_waiting = threading.Event()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        if asked.count(f"GET /v1/{NAME}") > 1:
            is_waiting.set()
        start_response("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"] == "/dicomkit/v1/about":
            return [b'{"mode": "friendly"}']
        return [json.dumps({"name": NAME, "metadata": {"apiMethodName": "x.ImportDicomData"}}).encode()]

    with served(app) as origin:
        command = [sys.executable, "-m", "dicomkit", "operations", "show", "7", "--wait", "--target", origin]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert is_waiting.wait(60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "running" in out
    assert err.startswith("dicomkit: stopped waiting; the operation goes on: `dicomkit operations show 7`")
    assert len(err.splitlines()) == 1
    assert not any(request.endswith(":cancel") for request in asked)
