"""Handlers: one function per method id, wire in and wire out; the rules are in ``services``."""

from __future__ import annotations

from dicomkit.engine.handlers import (
    bigquery,
    datasets,
    deidentify,
    dicom_stores,
    dicomweb_bulkdata,
    dicomweb_frames,
    dicomweb_metadata,
    dicomweb_rendered,
    dicomweb_retrieve,
    dicomweb_search,
    dicomweb_store,
    exports,
    iam,
    imports,
    locations,
    metrics,
    operations,
    own,
    query_rows,
    storage_settings,
    stream_errors,
    topics,
    unimplemented,
)
from dicomkit.engine.routes import Route

__all__ = ["all_routes"]


def all_routes() -> tuple[Route, ...]:
    """The route table: every method that this server knows of."""
    return (
        *locations.ROUTES,
        *datasets.ROUTES,
        *operations.ROUTES,
        *dicom_stores.ROUTES,
        *imports.ROUTES,
        *dicomweb_store.ROUTES,
        *dicomweb_search.ROUTES,
        *dicomweb_retrieve.ROUTES,
        *dicomweb_metadata.ROUTES,
        *dicomweb_bulkdata.ROUTES,
        *dicomweb_frames.ROUTES,
        *dicomweb_rendered.ROUTES,
        *metrics.ROUTES,
        *exports.ROUTES,
        *storage_settings.ROUTES,
        *deidentify.ROUTES,
        *iam.ROUTES,
        *own.ROUTES,
        *query_rows.ROUTES,
        *stream_errors.ROUTES,
        *topics.ROUTES,
        *bigquery.ROUTES,
        *unimplemented.ROUTES,
        *unimplemented.BETA,
    )
