"""Handlers: one function per method id, wire in and wire out; the rules are in ``services``."""

from __future__ import annotations

import importlib
import importlib.util

from dicomkit.engine.handlers import (
    datasets,
    dicom_stores,
    dicomweb_retrieve,
    dicomweb_search,
    dicomweb_store,
    own,
    unimplemented,
)
from dicomkit.engine.routes import Route

__all__ = ["all_routes"]


def all_routes() -> tuple[Route, ...]:
    """The route table: every method that this server knows of."""
    return (
        *datasets.ROUTES,
        *dicom_stores.ROUTES,
        *dicomweb_store.ROUTES,
        *dicomweb_search.ROUTES,
        *dicomweb_retrieve.ROUTES,
        *own.ROUTES,
        *_bigquery_routes(),
        *unimplemented.ROUTES,
    )


def _bigquery_routes() -> tuple[Route, ...]:
    if importlib.util.find_spec("dicomkit.engine.handlers.bigquery") is None:
        return ()
    routes: tuple[Route, ...] = importlib.import_module("dicomkit.engine.handlers.bigquery").ROUTES
    return routes
