"""What all tests share: a clean environment, no network, and the product on each of its deployments."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pydicom
import pytest
from hypothesis import HealthCheck, settings

import dicomkit as dk
from dicomkit.engine.access import OWNER
from dicomkit.engine.app import Engine
from dicomkit.server import Gate, Hosts, Server

# A busy machine is slow, which is no failure; CI tries the same examples each time, everybody else new ones.
settings.register_profile(
    "dicomkit", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("dicomkit")

Deployment = Literal["embedded", "served"]

DEPLOYMENTS: tuple[Deployment, ...] = ("embedded", "served")
"""The same engine in this process, and behind the server of ``dicomkit serve`` on a loopback port."""

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"
"""The DICOM files that pydicom's wheel brings along."""


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[None]:
    """No credentials, proxies or settings of the machine, and no connection that leaves it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            *("DICOMKIT_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"),
            *("BIGQUERY_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "STORAGE_EMULATOR_HOST"),
            *(f"{kind}_PROXY" for kind in ("HTTP", "HTTPS", "ALL")),
            *(f"{kind}_proxy" for kind in ("http", "https", "all")),
        ):
            patch.delenv(name, raising=False)
        connect = socket.socket.connect

        def loopback_only(self: socket.socket, address: Any) -> None:
            if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
                raise AssertionError(f"a test tried to reach {address[0]!r}")
            connect(self, address)

        patch.setattr(socket.socket, "connect", loopback_only)
        yield


LOOPBACK = Hosts("127.0.0.1")
"""Names of a server of the tests."""


@contextmanager
def served(app: Callable[..., Any], gate: Gate | None = None) -> Iterator[str]:
    """A WSGI application behind the product's server; gives its origin. Without a gate everybody is the owner."""
    with tempfile.TemporaryDirectory() as spool:
        server = Server(app, gate=gate or Gate(lambda token: OWNER, hosts=LOOPBACK), spool=Path(spool))
        thread = threading.Thread(target=server.run, name="server of a test", daemon=True)
        thread.start()
        try:
            yield server.url
        finally:
            server.stop()
            thread.join()


@contextmanager
def deployed(
    deployment: Deployment, home: Path, mode: Literal["friendly", "google"] = "friendly"
) -> Iterator[dk.Dataset]:
    """A dataset on a fresh engine of this deployment."""
    if deployment == "embedded":
        with dk.connect(home, mode=mode) as dataset:
            yield dataset
    else:
        with Engine(home, mode=mode) as engine, served(engine) as origin, dk.connect(origin) as dataset:
            yield dataset


@pytest.fixture(params=DEPLOYMENTS)
def conn(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dk.Dataset]:
    """An empty dataset; every test that takes it runs on each deployment."""
    with deployed(request.param, tmp_path / "home") as dataset:
        yield dataset


@dataclass(frozen=True)
class Loaded:
    """A store with the files of pydicom's wheel, not to be changed, and the outcome of their upload."""

    store: dk.Store
    uploaded: pd.DataFrame

    @property
    def stored(self) -> pd.DataFrame:
        """The rows of files that are in the store."""
        return self.uploaded[self.uploaded["outcome"] == "stored"]


@pytest.fixture(scope="session", params=DEPLOYMENTS)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """The wheel's files in a store that streams to a table; one for all tests that only read."""
    with deployed(request.param, tmp_path_factory.mktemp("loaded") / "home") as dataset:
        store = dataset.create_store("wheel", stream_to="bq://local.imaging.wheel")
        yield Loaded(store, store.upload(WHEEL))
