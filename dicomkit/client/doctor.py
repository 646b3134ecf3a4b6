"""Why is my table empty? Each link from the store to the rows is looked at, and each fault comes with its remedy.

Source: Cloud Healthcare API v1, ``streamConfigs`` and ``notificationConfigs``, and "Streaming DICOM metadata to
BigQuery"; BigQuery REST API v2, ``datasets.get`` and ``tables.get``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from dicomkit.bigquery.current import current_sql
from dicomkit.bigquery.relation import UIDS
from dicomkit.bigquery.schema import Field
from dicomkit.bigquery.schema_check import wrong_columns
from dicomkit.bigquery.table_uri import TableReference
from dicomkit.client import sql
from dicomkit.client.bigquery import client_of, errors_as_ours, retry_of
from dicomkit.client.connection import Connection
from dicomkit.client.grants import grant_command, is_granted_by_dataset, is_granted_by_project, service_agent
from dicomkit.errors import ApiError, NotFound
from dicomkit.frames.table_columns import DOCTOR
from dicomkit.frames.tables import table as frame_of
from dicomkit.names import DicomStoreName
from dicomkit.resources import DicomStore

__all__ = ["Patient", "examine"]

State = Literal["ok", "warning", "failed", "unknown"]

_SHOWN = 3
"""Wrong columns that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The store that is examined.

    Attributes
    ----------
    resource
        The store as the server describes it now.
    status
        Its ``stream_status()``; ``None`` where the server does not tell.
    count
        Counts the instances of the store.
    """

    connection: Connection
    name: DicomStoreName
    resource: DicomStore
    status: pd.DataFrame | None
    count: Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """One row of the result."""

    check: str
    state: State
    finding: str
    remedy: str | None = None
    table_uri: str | None = None


def examine(patient: Patient) -> pd.DataFrame:
    """Look at each link; see ``Store.doctor``."""
    found = [_notifications(patient.resource)]
    tables = [config.table for config in patient.resource.stream_configs or () if config.table is not None]
    if not tables:
        found.append(
            _Finding(
                check="stream",
                state="failed",
                finding="the store streams to no table",
                remedy='store.patch(stream_to="bq://project.dataset.table")',
            )
        )
    for each in tables:
        found += _Examination(patient, each).findings()
    names = [column.name for column in DOCTOR]
    return frame_of(DOCTOR, {name: [getattr(finding, name) for finding in found] for name in names})


def _notifications(resource: DicomStore) -> _Finding:
    """The older field cannot stand beside the newer one (``notificationConfig``, ``notificationConfigs``)."""
    topics = len(resource.notification_configs or ())
    if resource.notification_config is not None:
        return _Finding(
            check="notifications",
            state="warning",
            finding="the store has the older notificationConfig, which is being retired and excludes the newer form",
            remedy="store.patch(notification_configs=[...]), which takes its place",
        )
    return _Finding(check="notifications", state="ok", finding=f"{topics} topics are told of new instances")


class _Examination:
    """The links of one stream, in the order in which rows pass them."""

    def __init__(self, patient: Patient, table: TableReference) -> None:
        self._patient = patient
        self._connection = patient.connection
        self._table = table
        self._client = client_of(patient.connection, table.project)
        self._found: list[_Finding] = []

    def findings(self) -> list[_Finding]:
        """One for each check; what hangs on a link that is broken is not looked at."""
        stream = self._stream()
        if stream is not None and stream["place"] == "google":
            self._say(
                "dataset",
                "unknown",
                "the server writes to Google's BigQuery with credentials of its own; this connection has none",
                "look there with google.cloud.bigquery",
            )
        elif self._dataset():
            if (fields := self._fields()) is not None and self._schema(fields):
                self._rows(0 if stream is None else int(stream["waiting"]))
        if stream is not None:
            self._lag(stream)
        return self._found

    def _say(self, check: str, state: State, finding: str, remedy: str | None = None) -> None:
        self._found.append(
            _Finding(check=check, state=state, finding=finding, remedy=remedy, table_uri=self._table.uri)
        )

    def _stream(self) -> Any:
        """What the server tells of the stream, a row of ``frames.STREAMS``; ``None`` where it tells nothing."""
        status = self._patient.status
        if status is None:
            return None
        rows = status[status["table_uri"] == self._table.uri]
        return None if rows.empty else rows.iloc[0]

    def _dataset(self) -> bool:
        """Whether there is a dataset that rows can come into."""
        try:
            with errors_as_ours(self._connection):
                name = f"{self._table.project}.{self._table.dataset}"
                dataset = self._client.get_dataset(name, retry=retry_of(self._connection))
        except NotFound:
            if not self._connection.is_cloud:
                self._say("dataset", "ok", "there is none yet; the embedded BigQuery makes it with the first row")
                return True
            client = f'dataset.bigquery_client(project="{self._table.project}")'
            self._say(
                "dataset",
                "failed",
                "BigQuery has no such dataset, and the service makes none",
                f'{client}.create_dataset("{self._table.dataset}")',
            )
            return False
        except ApiError as error:
            self._say("dataset", "unknown", f"it cannot be seen: {error}", "roles/bigquery.metadataViewer is needed")
            return False
        self._say("dataset", "ok", "it is there")
        if self._connection.is_cloud:
            self._location(str(dataset.location))
            self._permission(dataset)
        return True

    def _location(self, there: str) -> None:
        here = self._patient.name.dataset.location
        there = there.lower()
        # A multi-region has no number: us, eu; regions begin with a continent's name.
        if here == there or here.startswith({"eu": "europe"}.get(there, there)):
            self._say("location", "ok", f"both are in {there}")
            return
        self._say(
            "location",
            "warning",
            f"the store is in {here}, the BigQuery dataset in {there}: metadata leave the store's region",
            f'name a dataset in {here}, as create_dataset(...) with location="{here}" makes it',
        )

    def _permission(self, dataset: Any) -> None:
        project = self._table.project
        try:
            agent = service_agent(self._connection, self._patient.name.dataset.project)
            is_granted = is_granted_by_dataset(agent, dataset.access_entries) or is_granted_by_project(
                self._connection, agent, project
            )
        except ApiError as error:
            self._say(
                "permission",
                "unknown",
                f"who may write there cannot be seen: {error}",
                grant_command("service-PROJECT_NUMBER@gcp-sa-healthcare.iam.gserviceaccount.com", project),
            )
            return
        if is_granted:
            self._say("permission", "ok", f"{agent} may write there")
        else:
            self._say("permission", "failed", f"{agent} may not write there", grant_command(agent, project))

    def _fields(self) -> list[Field] | None:
        try:
            with errors_as_ours(self._connection):
                name = f"{self._table.project}.{self._table.dataset}.{self._table.table}"
                table = self._client.get_table(name, retry=retry_of(self._connection))
        except NotFound:
            instances = self._patient.count()
            if instances:
                self._say(
                    "table",
                    "warning",
                    f"there is no table yet, and the store has {instances} instances from before the stream",
                    f'store.backfill("{self._table.uri}")',
                )
            else:
                self._say("table", "ok", "there is none yet; the first instance makes it")
            return None
        except ApiError as error:
            self._say("table", "unknown", f"it cannot be seen: {error}", "roles/bigquery.metadataViewer is needed")
            return None
        fields = [field.to_api_repr() for field in table.schema]
        self._say("table", "ok", f"it has {len(fields)} columns")
        return fields

    def _schema(self, fields: list[Field]) -> bool:
        """Whether the columns are there that tell current rows."""
        wrong = wrong_columns(fields)
        names = {field["name"] for field in fields}
        missing = sorted({*UIDS, "Type", "LastUpdated"} - names)
        if not wrong and not missing:
            self._say("schema", "ok", "every attribute's column has the type that its values need")
            return True
        told = [f"{each.path} is {each.found} and must be {each.expected}" for each in wrong[:_SHOWN]]
        if len(wrong) > _SHOWN:
            told.append(f"{len(wrong) - _SHOWN} more are wrong")
        if missing:
            told.append(f"{', '.join(missing)} are missing")
        self._say(
            "schema",
            "failed" if wrong else "warning",
            "; ".join(told),
            f'delete the table, which the next instance makes anew, then store.backfill("{self._table.uri}")',
        )
        return not missing

    def _rows(self, waiting: int) -> None:
        text = f"SELECT COUNT(*) AS n FROM {current_sql(self._table)}"  # noqa: S608 - a checked name in back-ticks
        try:
            frame = sql.run(self._connection, text, project=self._table.project)
        except ApiError as error:
            self._say("rows", "unknown", f"they cannot be counted: {error}", "roles/bigquery.jobUser is needed")
            return
        rows, instances = int(frame["n"].iloc[0]), self._patient.count()
        told = (
            f"{rows} of {instances} instances have a current row"
            if rows <= instances
            else (f"{rows} instances have a current row, and the store has {instances}")
        )
        if rows == instances:
            self._say("rows", "ok", told)
        elif rows > instances:
            self._say(
                "rows",
                "warning",
                f"{told}: another store writes there, too, or the table is older than the store",
                "give each store a table of its own, or stream with include_source_store=True",
            )
        elif waiting:
            self._say("rows", "warning", f"{told}, and {waiting} rows are on their way", "look again in a moment")
        else:
            self._say("rows", "warning", told, f'store.backfill("{self._table.uri}")')

    def _lag(self, stream: Any) -> None:
        if stream["failed"]:
            self._say(
                "delivery",
                "failed",
                f"{stream['failed']} rows were refused by the table",
                "store.stream_errors() says why; then store.retry_stream_errors()",
            )
        elif stream["state"] == "retrying":
            self._say(
                "delivery",
                "failed",
                f"{stream['waiting']} rows wait for {stream['lag_s']:.0f} s; last error: {stream['last_error']}",
                "it is tried again by itself; mend what the error says",
            )
        elif stream["waiting"]:
            self._say("delivery", "ok", f"{stream['waiting']} rows are on their way")
        else:
            self._say("delivery", "ok", f"{stream['delivered']} rows were delivered, none waits")
