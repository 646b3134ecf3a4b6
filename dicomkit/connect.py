"""The composition root: the only module that knows both the client and the engine.

Both come when they are needed: ``import dicomkit`` brings this module, and nothing of either.
"""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

from dicomkit.errors import InvalidArgument
from dicomkit.names import DatasetName

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

    from dicomkit.client.dataset import Dataset
    from dicomkit.engine.app import Engine

__all__ = ["connect"]

Mode = Literal["friendly", "google"]

TOKEN_VARIABLE = "DICOMKIT_TOKEN"  # noqa: S105 - the name of a variable
"""Environment variable with the token of a dicomkit server."""

_HOME_PARENT = "projects/local/locations/local"
_CLOUD = re.compile(r"projects/[^/]+/locations/[^/]+/datasets/[^/]+/?")


def connect(
    target: str | os.PathLike[str],
    *,
    dataset: str = "default",
    mode: Mode | None = None,
    token: str | None = None,
    credentials: Credentials | None = None,
) -> Dataset:
    """Connect to a dataset of DICOM stores.

    Parameters
    ----------
    target
        - a folder, e.g. ``"~/imaging"``: the embedded engine, in this process, without account or network; the
          folder is made if missing;
        - ``"http://host:port"`` of a dicomkit server, also with ``/v1/projects/...`` of a dataset behind it;
        - ``"projects/P/locations/L/datasets/D"``: Google Cloud, with application default credentials.
    dataset
        The dataset in a folder or on a server, by its id or by its whole name; made if missing.
    mode
        How a folder's engine answers: ``"friendly"``, unless it is said, or ``"google"``, which refuses what the cloud
        would refuse, so that a notebook that runs here also runs there. Of a server it is what is expected; what it
        does it was told at its start (``dicomkit serve --mode``).
    token
        Of a dicomkit server; by default what the environment variable ``DICOMKIT_TOKEN`` holds.
    credentials
        Of google-auth. With them a folder's engine may reach Cloud Storage, for ``gs://`` buckets that are no folder
        in ``buckets/`` of the home, Pub/Sub, and BigQuery, for streams to ``bq://`` tables of another project than
        ``local``; without them nothing leaves this machine. For Google Cloud they take the place of the application
        default credentials.

    Returns
    -------
    Dataset
        To be closed at the end, as by ``with``; it is also closed when nothing refers to it any more, and at exit.

    Raises
    ------
    InvalidArgument
        The target is none of the three, or the server's mode is another one.
    SetupError
        No Google credentials are found.
    Unavailable
        Another process has the folder open (the message names it), or no server answers.
    """
    text = os.fspath(target)
    if mode not in (None, "friendly", "google"):
        raise InvalidArgument(f"mode is 'friendly' or 'google'; got {mode!r:.40}")
    if _CLOUD.fullmatch(text):
        from dicomkit.client.connection import CLOUD_URL, Connection
        from dicomkit.client.dataset import Dataset
        from dicomkit.transport import google_session

        name = DatasetName.parse(text.rstrip("/"))
        return Dataset(
            Connection(google_session(credentials), base_url=CLOUD_URL, bigquery_endpoint=None, place="Google Cloud"),
            name,
        )
    if text.startswith(("http://", "https://")):
        if credentials is not None:
            raise InvalidArgument(
                "credentials are for a folder or for Google Cloud; a dicomkit server takes token=..., and has its own "
                "credentials"
            )
        return _server(text, dataset, mode, token)
    if "://" in text or not text:
        raise InvalidArgument(
            f"{text!r:.80} is nothing to connect to; give a folder, http://host:port of a dicomkit server, "
            "or projects/P/locations/L/datasets/D for Google Cloud"
        )
    return _folder(Path(text).expanduser(), dataset, mode or "friendly", credentials)


def _dataset_name(dataset: str) -> DatasetName:
    return DatasetName.parse(dataset if "/" in dataset else f"{_HOME_PARENT}/datasets/{dataset}")


def _server(url: str, dataset: str, mode: Mode | None, token: str | None) -> Dataset:
    from dicomkit.client.connection import Connection
    from dicomkit.client.dataset import Dataset, create_if_missing
    from dicomkit.transport import token_session

    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query:
        raise InvalidArgument("a server is given as http://host:port, the token as token=... and not in the URL")
    path = parts.path.strip("/").removeprefix("v1").strip("/")
    name = DatasetName.parse(path) if path else _dataset_name(dataset)
    origin = f"{parts.scheme}://{parts.netloc}"
    connection = Connection(
        token_session(origin, token or os.environ.get(TOKEN_VARIABLE)),
        base_url=f"{origin}/v1",
        bigquery_endpoint=origin,
        place=origin,
    )
    try:
        answers = (connection.own.json("GET", "about") or {}).get("mode")
        if answers not in ("friendly", "google"):
            raise InvalidArgument(f"{origin} does not answer as a dicomkit server does")
        if mode not in (None, answers):
            raise InvalidArgument(f"{origin} answers with mode={answers!r}; start it with --mode {mode}")
        connection.searches_as_google = answers == "google"
        create_if_missing(connection.rest, name)
    except BaseException:
        connection.close()
        raise
    return Dataset(connection, name)


def _folder(home: Path, dataset: str, mode: Mode, credentials: Credentials | None) -> Dataset:
    from dicomkit.client.connection import Connection
    from dicomkit.client.dataset import Dataset, create_if_missing
    from dicomkit.transport import ORIGIN, embedded_session

    name = _dataset_name(dataset)
    engine = _Shared.open(home, mode, credentials)
    connection = Connection(
        embedded_session(engine),
        base_url=f"{ORIGIN}/v1",
        bigquery_endpoint=ORIGIN,
        place=str(home),
        searches_as_google=mode == "google",
        on_close=lambda: _Shared.release(home),
    )
    try:
        create_if_missing(connection.rest, name)
    except BaseException:
        connection.close()
        raise
    return Dataset(connection, name)


class _Shared:
    """The engines of this process: one per folder, however often it is connected to.

    A cell with ``connect`` in it is run again while the dataset of the first run is still there, and a folder can be
    open only once.
    """

    _lock = threading.Lock()
    _open: ClassVar[dict[Path, tuple[Engine, int]]] = {}

    @classmethod
    def open(cls, home: Path, mode: Mode, credentials: Credentials | None) -> Engine:
        from dicomkit.engine.app import Engine

        key = home.resolve()
        with cls._lock:
            engine, users = cls._open.get(key, (None, 0))
            if engine is None:
                engine = Engine(home, mode=mode, credentials=credentials)
            elif engine.mode != mode:
                raise InvalidArgument(
                    f"this process has {str(home)!r} open with mode={engine.mode!r}; close that dataset first"
                )
            elif engine.has_credentials != (credentials is not None):
                # Whether gs:// may mean the cloud must not depend on who came first.
                has = "with" if engine.has_credentials else "without"
                raise InvalidArgument(
                    f"this process has {str(home)!r} open {has} credentials; close that dataset first"
                )
            cls._open[key] = (engine, users + 1)
            return engine

    @classmethod
    def release(cls, home: Path) -> None:
        key = home.resolve()
        with cls._lock:
            engine, users = cls._open[key]
            if users > 1:
                cls._open[key] = (engine, users - 1)
                return
            del cls._open[key]
            engine.close()
