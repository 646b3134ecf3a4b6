"""Datasets and tables: what their methods check, and the resources that they answer with.

Source: BigQuery REST v2, ``datasets`` and ``tables``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse_catalog import Catalog, DatasetEntry, DatasetKey, TableEntry
from dicomkit.engine.persistence.warehouse_types import Field, canonical_type, is_repeated
from dicomkit.engine.services.bigquery_errors import (
    already_exists,
    invalid,
    not_found,
    not_supported,
    object_in,
    stale_etag,
    table_name,
)
from dicomkit.engine.services.bigquery_schema import check_growth, checked_schema

__all__ = ["LOCATION", "Tables", "estimated_bytes"]

LOCATION = "local"
"""Location of every dataset, table and job of the embedded engine."""

_COMPUTED = frozenset(
    {"kind", "id", "etag", "selfLink", "creationTime", "lastModifiedTime", "numRows", "numBytes", "location", "type"}
)
"""Fields of a resource that the server fills in."""

_UNSUPPORTED = (
    "materializedView",
    "externalDataConfiguration",
    "model",
    "snapshotDefinition",
    "cloneDefinition",
)

_LABEL = re.compile(r"labels\.([^:\s]{1,63})(?::(\S*))?")

_SIZES = {"STRING": 24, "BYTES": 64, "JSON": 512, "BOOLEAN": 1, "NUMERIC": 16}


class Tables:
    """The rules over the catalogue.

    Parameters
    ----------
    describe
        The columns of a query, given its project and its text.
    """

    def __init__(self, catalog: Catalog, describe: Callable[[str, str], list[Field]]) -> None:
        self._catalog = catalog
        self._describe = describe

    def ensure_dataset(self, project: str, dataset: str) -> None:
        """Make the dataset if it is not there."""
        if (project, dataset) not in self._catalog.datasets:
            try:
                self.create_dataset({"datasetReference": {"projectId": project, "datasetId": dataset}})
            except Exception:
                # Somebody else was faster.
                if (project, dataset) not in self._catalog.datasets:
                    raise

    def create_dataset(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """``datasets.insert``."""
        reference = resource.get("datasetReference")
        if not isinstance(reference, Mapping):
            raise invalid("Required parameter is missing: datasetReference", "datasetReference")
        key = _dataset_key(reference.get("projectId"), reference.get("datasetId"))
        if key in self._catalog.datasets:
            raise already_exists("Dataset", ":".join(key))
        return self.dataset_resource(self._catalog.put_dataset(key, _declared(resource)))

    def get_dataset(self, project: str, dataset: str) -> dict[str, Any]:
        """``datasets.get``."""
        return self.dataset_resource(self._dataset((project, dataset)))

    def patch_dataset(
        self,
        project: str,
        dataset: str,
        resource: Mapping[str, Any],
        *,
        etag: str | None = None,
        replace: bool = False,
    ) -> dict[str, Any]:
        """``datasets.patch``; with *replace*, ``datasets.update``."""
        entry = self._dataset((project, dataset))
        reference = resource.get("datasetReference")
        if reference is not None and reference != {"projectId": project, "datasetId": dataset}:
            raise invalid("datasetReference is not that of the request's path", "datasetReference")
        if etag not in (None, "*", entry.etag):
            raise stale_etag()
        changed = self._catalog.change_dataset(entry, _declared(_merged({} if replace else entry.resource, resource)))
        if changed is None:
            raise stale_etag()
        return self.dataset_resource(changed)

    def list_datasets(self, project: str, label_filter: str = "") -> list[dict[str, Any]]:
        """``datasets.list``, every one whose labels are those of *label_filter*, by id."""
        wanted = [_label(word) for word in label_filter.split()]
        return [
            {
                "kind": "bigquery#dataset",
                "id": ":".join(key),
                "datasetReference": {"projectId": key[0], "datasetId": key[1]},
                "labels": entry.resource.get("labels", {}),
                "location": LOCATION,
            }
            for key, entry in sorted(self._catalog.datasets.items())
            if key[0] == project and all(_has_label(entry, *label) for label in wanted)
        ]

    def delete_dataset(self, project: str, dataset: str, *, delete_contents: bool = False) -> None:
        """``datasets.delete``; one with tables needs *delete_contents*."""
        key = self._dataset((project, dataset)).key
        if not delete_contents and any((ref.project, ref.dataset) == key for ref in self._catalog.tables):
            raise invalid(f"Dataset {':'.join(key)} is still in use", "dataset")
        self._catalog.drop_dataset(key)

    def dataset_resource(self, entry: DatasetEntry) -> dict[str, Any]:
        """``Dataset``."""
        project, dataset = entry.key
        return {
            **entry.resource,
            "kind": "bigquery#dataset",
            "id": f"{project}:{dataset}",
            "etag": entry.etag,
            "datasetReference": {"projectId": project, "datasetId": dataset},
            "location": LOCATION,
            "creationTime": str(entry.created),
            "lastModifiedTime": str(entry.modified),
        }

    def create_table(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """``tables.insert``."""
        given = resource.get("tableReference")
        if not isinstance(given, Mapping) or not all(
            isinstance(given.get(part), str) for part in ("projectId", "datasetId", "tableId")
        ):
            raise invalid("Required parameter is missing: tableReference", "tableReference")
        reference = TableReference(given["projectId"], given["datasetId"], given["tableId"])
        self._dataset((reference.project, reference.dataset))
        entry = self._catalog.create_table(reference, self._declared_table(reference.project, resource))
        if entry is None:
            raise already_exists("Table", table_name(reference))
        return self.table_resource(entry)

    def get_table(self, reference: TableReference) -> dict[str, Any]:
        """``tables.get``."""
        return self.table_resource(self.entry(reference))

    def list_tables(self, project: str, dataset: str) -> list[dict[str, Any]]:
        """``tables.list``, every one, by id."""
        key = self._dataset((project, dataset)).key
        return [
            {
                "kind": "bigquery#table",
                "id": table_name(reference),
                "tableReference": _reference(reference),
                "type": "VIEW" if entry.is_view else "TABLE",
                **({"view": {"useLegacySql": False}} if entry.is_view else {}),
                "labels": entry.resource.get("labels", {}),
                "creationTime": str(entry.created),
            }
            for reference, entry in sorted(self._catalog.tables.items(), key=lambda item: item[0].table)
            if (reference.project, reference.dataset) == key
        ]

    def patch_table(
        self, reference: TableReference, resource: Mapping[str, Any], *, etag: str | None = None, replace: bool = False
    ) -> dict[str, Any]:
        """``tables.patch``; with *replace*, ``tables.update``.

        Parameters
        ----------
        etag
            The etag that was read (``If-Match``); another current one is answered with 412.
        """
        entry = self.entry(reference)
        if etag not in (None, "*", entry.etag):
            raise stale_etag()
        merged = _merged({} if replace else entry.resource, resource)
        # A schema is never removed, and a view stays one.
        for name in ("schema", *(("view",) if entry.is_view else ())):
            merged.setdefault(name, entry.resource[name])
        declared = self._declared_table(reference.project, merged)
        if ("view" in declared) is not entry.is_view:
            raise invalid(f"Table {table_name(reference)} cannot be made a view", "view")
        if not entry.is_view:
            check_growth(entry.fields, declared["schema"]["fields"], table_name(reference))
        changed = self._catalog.change_table(entry, declared)
        if changed is None:
            raise stale_etag()
        return self.table_resource(changed)

    def delete_table(self, reference: TableReference) -> TableEntry:
        """``tables.delete``."""
        entry = self.entry(reference)
        self._catalog.drop_table(entry)
        return entry

    def entry(self, reference: TableReference) -> TableEntry:
        """The table, or ``NotFound``."""
        entry = self._catalog.tables.get(reference)
        if entry is None:
            raise not_found("Table", table_name(reference))
        return entry

    def table_resource(self, entry: TableEntry) -> dict[str, Any]:
        """``Table``."""
        rows = self._catalog.count_rows(entry)
        return {
            **entry.resource,
            "kind": "bigquery#table",
            "id": table_name(entry.reference),
            "etag": entry.etag,
            "tableReference": _reference(entry.reference),
            "type": "VIEW" if entry.is_view else "TABLE",
            "location": LOCATION,
            "creationTime": str(entry.created),
            # Milliseconds: the official client multiplies, and microseconds overflow its datetime.
            "lastModifiedTime": str(entry.modified),
            "numRows": str(rows),
            "numBytes": str(rows * estimated_bytes(entry.fields)),
            "numLongTermBytes": "0",
        }

    def _dataset(self, key: DatasetKey) -> DatasetEntry:
        entry = self._catalog.datasets.get(key)
        if entry is None:
            raise not_found("Dataset", ":".join(key))
        return entry

    def _declared_table(self, project: str, resource: Mapping[str, Any]) -> dict[str, Any]:
        for name in _UNSUPPORTED:
            if resource.get(name) is not None:
                raise not_supported(f"a table with {name}")
        declared = _declared(resource)
        view = declared.pop("view", None)
        if view is not None:
            declared["view"] = {"query": _view_query(view), "useLegacySql": False}
            # The schema of a view is what its query has now; it is kept, as BigQuery keeps it.
            declared["schema"] = {"fields": checked_schema(self._describe(project, declared["view"]["query"]))}
            return declared
        schema = declared.get("schema") or {}
        if not isinstance(schema, Mapping):
            raise invalid("schema must be an object", "schema")
        declared["schema"] = {**schema, "fields": checked_schema(schema.get("fields") or [])}
        return declared


def estimated_bytes(fields: list[Field], names: frozenset[str] | None = None) -> int:
    """A guess of the bytes of a row, by the types alone; *names* (lower case) picks top-level columns."""
    return sum(_size(field) for field in fields if names is None or field["name"].lower() in names)


def _size(field: Field) -> int:
    kind = canonical_type(field["type"])
    size = sum(map(_size, field["fields"])) if kind == "RECORD" else _SIZES.get(kind, 8)
    return size * 2 if is_repeated(field) else size


def _declared(resource: Mapping[str, Any]) -> dict[str, Any]:
    labels = resource.get("labels")
    if labels is not None and not (
        isinstance(labels, Mapping) and all(isinstance(value, str) for value in labels.values())
    ):
        raise invalid("labels must be an object whose values are text", "labels")
    object_in(resource, "labels")
    return {name: value for name, value in resource.items() if name not in _COMPUTED}


def _merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """*old* with what a patch says: null removes a field, and so it does a label."""
    merged = {**old, **patch}
    if patch.get("labels") is not None:
        labels = {**(old.get("labels") or {}), **object_in(patch, "labels")}
        merged["labels"] = {name: value for name, value in labels.items() if value is not None}
    return {name: value for name, value in merged.items() if value is not None}


def _view_query(view: object) -> str:
    if not isinstance(view, Mapping) or not isinstance(view.get("query"), str):
        raise invalid("Required parameter is missing: view.query", "view.query")
    for name, value in view.items():
        if value and name != "query":
            raise not_supported(f"a view with {name[:80]}" if name != "useLegacySql" else "a view in legacy SQL")
    if view.get("useLegacySql") is not False:
        # It is true when it is left out.
        raise not_supported("a view in legacy SQL (useLegacySql is true unless it is given as false)")
    return str(view["query"])


def _label(word: str) -> tuple[str, str | None]:
    match = _LABEL.fullmatch(word)
    if match is None:
        raise invalid("filter must be labels.NAME or labels.NAME:VALUE, several with a space between them", "filter")
    return match[1], match[2]


def _has_label(entry: DatasetEntry, name: str, value: str | None) -> bool:
    labels = entry.resource.get("labels") or {}
    return name in labels and value in (None, labels[name])


def _dataset_key(project: object, dataset: object) -> DatasetKey:
    # The rules of both ids are those of a table's reference; any table id does.
    if not isinstance(project, str) or not isinstance(dataset, str):
        raise invalid("Required parameter is missing: datasetReference.datasetId", "datasetReference")
    reference = TableReference(project, dataset, "t")
    return reference.project, reference.dataset


def _reference(reference: TableReference) -> dict[str, str]:
    return {"projectId": reference.project, "datasetId": reference.dataset, "tableId": reference.table}
