"""A query from GoogleSQL to its rows: tables of the catalogue, translation, the run, the error in BigQuery's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import duckdb
from sqlglot import exp

from dicomkit.bigquery.table_uri import TableReference
from dicomkit.engine.persistence.warehouse import Cursor, Result, Warehouse
from dicomkit.engine.persistence.warehouse_catalog import Catalog, TableEntry
from dicomkit.engine.persistence.warehouse_types import Field
from dicomkit.engine.services.bigquery_errors import invalid, invalid_query, job_error, not_supported
from dicomkit.engine.services.bigquery_named_tables import NamedTables
from dicomkit.engine.services.bigquery_parameters import Parameters, query_parameters
from dicomkit.engine.services.googlesql.parser import parse
from dicomkit.engine.services.googlesql.translate import Translation, translate
from dicomkit.engine.services.googlesql.types import Type, from_field
from dicomkit.errors import ApiError

__all__ = ["Prepared", "Queries", "explained"]

_INTERNAL_NAME = re.compile(r"\b__dk_[a-z]+[0-9]+\.?|\bwh\.main\.")
_OWN_MESSAGES = re.compile(
    r"(division by zero|Array cannot have a null element|Required field [A-Za-z_0-9]+ cannot be null"
    r"|ARRAY_(?:FIRST|LAST) cannot get the (?:first|last) element of an empty array|Length cannot be negative"
    r"|Invalid codepoint in CHR\(\)|Non-ASCII at the beginning of ASCII\(\)|The JSON value is not an? [a-z0-9]+"
    r"|ERROR\(\) was called: [^\n]*|Floating point overflow"
    r"|Bitwise shift by a negative number|Position and occurrence in INSTR must not be 0"
    r"|Bad [a-z0-9]+ value in a CAST|Array index is out of bounds|Third argument in SUBSTR[^\n]*"
    r"|CAST of BYTES to STRING[^\n]*)"
)
"""What the macros of the warehouse say; any other message of DuckDB may hold a value."""

_REGEXP_ERROR = re.compile(
    r"missing \)|missing \]|unexpected \)|no argument for repetition|invalid (?:escape|character class|perl|repetition)"
)
"""RE2's words for a pattern that is none."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that can run."""

    translation: Translation
    tables: list[TableReference]
    total_bytes: int
    """The estimate of what is read."""

    kind: ClassVar[str] = "SELECT"


class Queries:
    """Translates and runs."""

    def __init__(self, warehouse: Warehouse, catalog: Catalog) -> None:
        self._warehouse = warehouse
        self._catalog = catalog
        self._types: dict[int, tuple[TableEntry, list[tuple[str, Type]]]] = {}

    def parsed(self, request: Mapping[str, Any]) -> exp.Expr:
        """The statement; *request* is ``JobConfigurationQuery`` or ``QueryRequest``."""
        sql = request.get("query")
        if not isinstance(sql, str) or not sql.strip():
            raise invalid_query("Required parameter is missing: query")
        # True when it is left out, as a client of BigQuery knows; the embedded one has no other SQL than GoogleSQL.
        if request.get("useLegacySql") is True:
            raise not_supported("legacy SQL")
        return parse(sql)

    def is_query(self, tree: exp.Expr) -> bool:
        """Whether the statement has rows."""
        return isinstance(tree, exp.Query)

    def parameters(self, request: Mapping[str, Any]) -> Parameters:
        """The parameters of a request."""
        return query_parameters(request.get("parameterMode"), request.get("queryParameters"))

    def prepare(self, project: str, request: Mapping[str, Any], tree: exp.Expr | None = None) -> Prepared:
        """Translate; *tree* is what :meth:`parsed` gave, where it was called."""
        tables = self.tables(project, request)
        translation = translate(tree or self.parsed(request), tables.find, self.parameters(request))
        return Prepared(translation, tables.references(), tables.size(translation.tables))

    def tables(self, project: str, request: Mapping[str, Any]) -> NamedTables:
        """The tables that the names of a request stand for."""
        default = request.get("defaultDataset") or {}
        if not isinstance(default, Mapping):
            raise invalid("defaultDataset must be an object", "defaultDataset")
        names = [default.get("projectId") or project, default.get("datasetId")]
        if not all(name is None or isinstance(name, str) for name in names):
            raise invalid("defaultDataset must have text for its ids", "defaultDataset")
        return NamedTables(self._catalog, self._columns_of, str(names[0]), names[1])

    def _columns_of(self, entry: TableEntry) -> list[tuple[str, Type]]:
        """Names and types of a table's columns; a wide one's are made once."""
        kept = self._types.get(entry.number)
        if kept is None or kept[0] is not entry:
            kept = (entry, [(field["name"], from_field(field)) for field in entry.fields])
            self._types[entry.number] = kept
        return kept[1]

    def columns(self, project: str, sql: str) -> list[Field]:
        """The schema of a query that stands alone, as a view's does."""
        tree = self.parsed({"query": sql})
        if not self.is_query(tree):
            raise not_supported(f"the statement {tree.key.upper()} as a view")
        return self.describe(self.prepare(project, {"query": sql}, tree)).fields

    def describe(self, prepared: Prepared) -> Result:
        """The query's schema, without its rows."""
        sql = f"SELECT * FROM ({prepared.translation.sql}) LIMIT 0"  # noqa: S608 - the translator's own text
        return self._run(sql, prepared, None)

    def run(self, prepared: Prepared, cursor: Cursor) -> Result:
        """All rows; another thread may interrupt *cursor*."""
        return self._run(prepared.translation.sql, prepared, cursor)

    def _run(self, sql: str, prepared: Prepared, cursor: Cursor | None) -> Result:
        try:
            return self._warehouse.read(sql, prepared.translation.values, cursor=cursor)
        except duckdb.Error as error:
            raise explained(error) from None


def explained(error: duckdb.Error) -> ApiError:
    """DuckDB's error as BigQuery's, without a value from a table."""
    text = str(error)
    if isinstance(error, duckdb.InterruptException):
        return job_error({"reason": "stopped", "message": "Job execution was cancelled: User requested cancellation"})
    if isinstance(error, duckdb.OutOfMemoryException):
        return job_error({"reason": "resourcesExceeded", "message": "Resources exceeded during query execution"})
    if "Could not parse string" in text:
        return invalid_query("Failed to parse input string")
    own = _OWN_MESSAGES.search(text)
    if own:
        return invalid_query(own.group(1))
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException):
        first = _INTERNAL_NAME.sub("", text.split("\n", 1)[0])
        return invalid_query(f"{first} (the embedded BigQuery)")
    if isinstance(error, duckdb.InvalidInputException) and _REGEXP_ERROR.search(text):
        return invalid_query("Cannot parse regular expression")
    if isinstance(error, duckdb.ConversionException):
        return invalid_query("Bad value in a CAST or conversion")
    if isinstance(error, duckdb.OutOfRangeException):
        return invalid_query("A value is out of range: overflow")
    return invalid_query(f"The query failed in the embedded BigQuery: {type(error).__name__}")
