"""The columns of frames about a streamed table and queries over it, as data."""

from __future__ import annotations

from dicomkit.frames.columns import INTEGER, NUMBER, TEXT, Column

__all__ = ["ATTRIBUTES", "DOCTOR", "QUERY_COST", "TABLE_SCHEMA"]

TABLE_SCHEMA: tuple[Column, ...] = (
    Column(name="path", dtype=TEXT, line="Names from the top, e.g. RequestAttributesSequence.RequestedProcedureID."),
    Column(name="type", dtype=TEXT, line="Type in BigQuery, e.g. STRING, DATE, RECORD."),
    Column(name="mode", dtype=TEXT, line="NULLABLE, or REPEATED where there can be several."),
    Column(name="tag", dtype=TEXT, line="The attribute, eight hex digits; missing for columns that are none."),
    Column(name="vr", dtype=TEXT, line="Its VR in the dictionary, e.g. DS."),
    Column(name="description", dtype=TEXT, line="Its name in the dictionary, or what the column is for."),
)
"""The schema of a streamed table: one row for each column, those inside of others after them."""

QUERY_COST: tuple[Column, ...] = (
    Column(name="bytes", dtype=INTEGER, unit="B", line="Bytes that the query would read; BigQuery's bill is by these."),
    Column(name="gb", dtype=NUMBER, unit="GB", line="The same, in units of 10^9 bytes."),
)
"""What a query would read: one row."""

DOCTOR: tuple[Column, ...] = (
    Column(name="table_uri", dtype=TEXT, line="The stream's table; missing where the store itself is meant."),
    Column(name="check", dtype=TEXT, line="What was looked at, e.g. dataset, permission, schema, rows."),
    Column(name="state", dtype=TEXT, line="ok, warning, failed, or unknown where it could not be seen."),
    Column(name="finding", dtype=TEXT, line="What was seen."),
    Column(name="remedy", dtype=TEXT, line="What to do; missing where nothing is to be done."),
)
"""The links from a store to its tables: one row for each check."""

ATTRIBUTES: tuple[Column, ...] = (
    Column(name="name", dtype=TEXT, line="The column, a DICOM keyword where it is an attribute."),
    Column(name="tag", dtype=TEXT, line="The attribute, eight hex digits; missing where the column is none."),
    Column(name="vr", dtype=TEXT, line="Its VR in the dictionary."),
    Column(name="dtype", dtype=TEXT, line="The dtype of the column."),
    Column(name="present", dtype=INTEGER, unit="rows", line="Rows that have a value."),
    Column(name="missing", dtype=INTEGER, unit="rows", line="Rows that have none."),
    Column(name="distinct", dtype=INTEGER, line="Different values."),
    Column(name="smallest", dtype=TEXT, line="The smallest number or earliest time, as text."),
    Column(name="largest", dtype=TEXT, line="The largest number or latest time, as text."),
    Column(name="description", dtype=TEXT, line="What the dictionary calls it."),
)
"""What a frame has of each attribute: one row for each column of it."""
