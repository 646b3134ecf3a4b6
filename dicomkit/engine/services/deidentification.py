"""De-identification of stores and datasets: what is asked for, checked, and the operation that does it.

Source: Cloud Healthcare API v1, ``dicomStores.deidentify`` and ``datasets.deidentify``; "De-identify DICOM data". What
is done to one instance is the matter of ``dicomkit.deid``.

The operation's secret key is made by its first attempt and kept in its state alone, which the catalog drops when it
ends: new UIDs follow from the key, so that who goes on after a crash gives the same ones, and nobody gives them later.
"""

from __future__ import annotations

import base64
import secrets
from typing import Any

import orjson

from dicomkit.deid.support import check_supported
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.storage import Storage
from dicomkit.engine.services.buckets import Buckets
from dicomkit.engine.services.deidentify_copy import DeidentifiedCopy
from dicomkit.engine.services.ingest import Ingest
from dicomkit.engine.services.operations import API, Operations
from dicomkit.engine.services.retrieve import Retrieve
from dicomkit.engine.services.task import Task
from dicomkit.errors import AlreadyExists, InvalidArgument, NotFound
from dicomkit.names import DatasetName, DicomStoreName
from dicomkit.resources._json import invalid, located
from dicomkit.resources.deidentify_config import DeidentifyConfig
from dicomkit.resources.deidentify_request import DeidentifyDatasetRequest, DeidentifyDicomStoreRequest
from dicomkit.resources.filter_config import DicomFilterConfig

__all__ = ["DATASET", "METHODS", "STORE", "Deidentification"]

STORE = "deidentifyStore"
DATASET = "deidentifyDataset"
"""Kinds of operations."""

METHODS = {STORE: "dicom.DicomService.DeidentifyDicomStore", DATASET: "dataset.DatasetService.DeidentifyDataset"}
"""What ``apiMethodName`` says of each; the reference shows neither, so these follow those that it shows."""

_SUMMARIES = {STORE: "DeidentifyDicomStoreSummary", DATASET: "DeidentifySummary"}

MAX_CONFIG_BYTES = 1 << 20
"""Largest config that is read from a bucket."""

KEY_BYTES = 32

_PORTION = 1_000


class Deidentification:
    """Begins and does the operations.

    Parameters
    ----------
    storage, retrieve, ingest, buckets
        Where instances are read from and written to, and where configs and filter files are.
    """

    def __init__(self, storage: Storage, retrieve: Retrieve, ingest: Ingest, buckets: Buckets) -> None:
        self._storage = storage
        self._buckets = buckets
        self._copy = DeidentifiedCopy(storage, retrieve, ingest, buckets)

    def register(self, operations: Operations) -> None:
        """Do the de-identifications of *operations*."""
        for kind, method in METHODS.items():
            operations.register(kind, method, self.work)

    def begin_store(
        self, operations: Operations, source: DicomStoreName, request: DeidentifyDicomStoreRequest, *, api: str
    ) -> dict[str, Any]:
        """Have a store de-identified into another by an operation, and return its name.

        Raises
        ------
        InvalidArgument
            The destination is the source, or lies in another location; the config breaks a rule.
        NotFound
            Source, destination, config object or filter file does not exist.
        Unimplemented
            The config asks for what is not there; nothing is written.
        """
        config = self.check_store(source, request)
        body = {
            "api": api,
            "config": config.to_api(),
            "filter": request.filter_config.to_api() if request.filter_config is not None else None,
            "stores": [[str(source), str(request.destination)]],
        }
        return operations.start(source.dataset, STORE, body, api=api)

    def begin_dataset(
        self, operations: Operations, source: DatasetName, request: DeidentifyDatasetRequest, *, api: str
    ) -> dict[str, Any]:
        """Have each store of a dataset de-identified into a dataset that is made for it.

        Raises
        ------
        AlreadyExists
            The destination exists.
        InvalidArgument
            The destination lies in another location; the config breaks a rule.
        NotFound
            The source or the config object does not exist.
        Unimplemented
            The config asks for what is not there; nothing is made.
        """
        destination = request.destination
        with self._storage.database.read() as connection:
            key, _ = catalog.dataset_key(connection, source)
            if destination != source:
                _check_location(source, destination, "destinationDataset")
            if _exists(connection, destination):
                raise AlreadyExists(
                    f"destinationDataset: there is a dataset {str(destination)!r} already; name a new one"
                )
            ids: list[str] = []
            while found := catalog.list_stores(connection, key, ids[-1] if ids else "", _PORTION):
                ids += [store.id for store in found]
        config = self._config(request.config, request)
        body = {
            "api": api,
            "config": config.to_api(),
            "filter": None,
            "destination": str(destination),
            "stores": [[str(source.store(id_)), str(destination.store(id_))] for id_ in ids],
        }
        return operations.start(source, DATASET, body, api=api)

    def check_store(self, source: DicomStoreName, request: DeidentifyDicomStoreRequest) -> DeidentifyConfig:
        """Everything that can be said of a request before it is done, and the config that it means."""
        destination = request.destination
        with self._storage.database.read() as connection:
            catalog.store(connection, source)
            if destination == source:
                raise invalid("must be another store than the source", path="destinationStore")
            _check_location(source.dataset, destination.dataset, "destinationStore")
            with located("destinationStore"):
                catalog.store(connection, destination)
        return self.config(request)

    def config(self, request: DeidentifyDicomStoreRequest) -> DeidentifyConfig:
        """The config that a request means; its filter file is looked for as well."""
        if request.filter_config is not None:
            self._buckets.open(request.filter_config.uri).close()
        return self._config(request.config, request)

    def _config(
        self,
        config: DeidentifyConfig | None,
        request: DeidentifyDicomStoreRequest | DeidentifyDatasetRequest,
    ) -> DeidentifyConfig:
        path = "config"
        uri = request.config_uri
        if uri is not None:
            path = "gcsConfigUri"
            with located(path):
                config = _parsed(self._buckets.read_text(uri, MAX_CONFIG_BYTES))
        assert config is not None  # noqa: S101 - the request was checked for one of the two
        check_supported(config)
        return config

    def work(self, task: Task) -> dict[str, Any]:
        """Do an operation that was begun."""
        request, state = task.request, task.state
        if "key" not in state:
            state["key"] = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
            # Before anything is written with it: what is done again must come out the same.
            task.save(now=True)
        config = DeidentifyConfig.from_api(request["config"])
        wanted = None if request["filter"] is None else DicomFilterConfig.from_api(request["filter"])
        key = base64.b64decode(state["key"])
        if "destination" in request:
            self._make_dataset(task, DatasetName.parse(request["destination"]))
        pairs = [(DicomStoreName.parse(a), DicomStoreName.parse(b)) for a, b in request["stores"]]
        self._copy.run(task, pairs, config, key, wanted, make_stores="destination" in request)
        kind = DATASET if "destination" in request else STORE
        return {"@type": f"type.googleapis.com/{API}.{request['api']}.deidentify.{_SUMMARIES[kind]}"}

    def _make_dataset(self, task: Task, name: DatasetName) -> None:
        """Make the destination, unless an earlier attempt has."""
        if "making" not in task.state:
            task.state["making"] = False
        with self._storage.database.read() as connection:
            exists = _exists(connection, name)
            resource = catalog.dataset_key(connection, task.dataset)[1]
        if exists and not task.state["making"]:
            raise AlreadyExists(f"somebody else has made the dataset {str(name)!r} meanwhile; name a new one")
        task.state["making"] = True
        task.save(now=True)
        with self._storage.database.write() as connection:
            catalog.insert_dataset(connection, name, {k: v for k, v in resource.items() if k == "timeZone"})


def _parsed(text: str) -> DeidentifyConfig:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidArgument("is no JSON; write a DeidentifyConfig, such as {}") from None
    return DeidentifyConfig.from_api(body, strict=True)


def _check_location(source: DatasetName, destination: DatasetName, path: str) -> None:
    if source.location != destination.location:
        raise invalid(f"must be in the location of the source, {source.location}", path=path)


def _exists(connection: Connection, name: DatasetName) -> bool:
    try:
        catalog.dataset_key(connection, name)
    except NotFound:
        return False
    return True
