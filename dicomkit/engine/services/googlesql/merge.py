"""MERGE as DuckDB's, and the check that BigQuery makes beside it.

Source: BigQuery documentation, "Data manipulation language (DML) statements in GoogleSQL" (MERGE statement).
"""

from __future__ import annotations

from sqlglot import exp

from dicomkit.engine.persistence.warehouse_types import quote
from dicomkit.engine.services.bigquery_errors import invalid_query
from dicomkit.engine.services.googlesql.assignment import Target, unset
from dicomkit.engine.services.googlesql.dml import (
    Dml,
    MakeWriter,
    columns_of,
    set_list,
    target_source,
    value_for,
)
from dicomkit.engine.services.googlesql.parser import only
from dicomkit.engine.services.googlesql.scope import Scope, Source
from dicomkit.engine.services.googlesql.sources import write_item
from dicomkit.engine.services.googlesql.writer import Writer

__all__ = ["write_merge"]


def write_merge(node: exp.Merge, target: Target, new_writer: MakeWriter) -> Dml:
    """The statement *node*, which changes *target*."""
    only(node, "this", "using", "on", "whens")
    w, other = new_writer(), new_writer()
    merge = _Merge(w, node, target)
    made = Dml("MERGE", merge.text(), w.values, tables=[(table, None) for table in w.tables.values()])
    made.check, made.check_values = _Merge(other, node, target).twice(), other.values
    return made


class _Merge:
    """One MERGE under way."""

    def __init__(self, w: Writer, node: exp.Merge, target: Target) -> None:
        self._w, self._node, self._target = w, node, target
        self._alias, self._mine = target_source(w, node, target)
        scope = Scope()
        self._using = write_item(w, node.args["using"], scope)
        self._theirs: Source = scope.sources[0]
        self._both = Scope(sources=[self._mine, self._theirs])
        on = node.args["on"]
        self._on = w.text(on, self._both)

    def text(self) -> str:
        """The statement; its rows say what became of each row."""
        whens = " ".join(self._when(when) for when in self._node.args["whens"].expressions)
        into = f"MERGE INTO {self._target.physical} AS {self._alias} USING {self._using} ON {self._on}"
        return f"{into} {whens} RETURNING merge_action"

    def twice(self) -> str:
        """A query with a row where a row of the target would be changed by two of the source; empty if none can be."""
        conditions = []
        for when in self._node.args["whens"].expressions:
            if when.args.get("matched"):
                condition = when.args.get("condition")
                conditions.append(self._w.text(condition, self._both) if condition is not None else "true")
        if not conditions:
            return ""
        joined = f"{self._target.physical} AS {self._alias} JOIN {self._using} ON {self._on}"
        grouped = f"GROUP BY {self._alias}.rowid HAVING count(*) > 1 LIMIT 1"
        return f"SELECT 1 FROM {joined} WHERE {' OR '.join(conditions)} {grouped}"  # noqa: S608 - the writer's own text

    def _when(self, when: exp.When) -> str:
        only(when, "matched", "source", "condition", "then")
        if when.args.get("matched"):
            head, scope = "WHEN MATCHED", self._both
        elif when.args.get("source"):
            head, scope = "WHEN NOT MATCHED BY SOURCE", Scope(sources=[self._mine])
        else:
            head, scope = "WHEN NOT MATCHED", Scope(sources=[self._theirs])
        condition = when.args.get("condition")
        if condition is not None:
            head += f" AND {self._w.text(condition, scope)}"
        return f"{head} THEN {self._then(when, scope)}"

    def _then(self, when: exp.When, scope: Scope) -> str:
        then = when.args["then"]
        inserts = not when.args.get("matched") and not when.args.get("source")
        if isinstance(then, exp.Insert) and inserts:
            return self._insert(then, scope)
        if isinstance(then, exp.Update) and not inserts:
            only(then, "expressions")
            return f"UPDATE SET {set_list(self._w, then.expressions, self._target, self._mine.alias or '', scope)}"
        if isinstance(then, exp.Var) and then.name.upper() == "DELETE" and not inserts:
            return "DELETE"
        raise invalid_query(f"{'INSERT' if inserts else 'UPDATE or DELETE'} is expected in this WHEN clause of MERGE")

    def _insert(self, then: exp.Insert, scope: Scope) -> str:
        only(then, "this", "expression")
        listed = then.this.expressions if isinstance(then.this, exp.Tuple) else []
        columns = columns_of(listed, self._target)
        if isinstance(then.this, exp.Var) and then.this.name.upper() == "ROW":
            # Every column of the source, into the columns of the target by place.
            values: list[exp.Expr] = [exp.column(output.name) for output in self._theirs.columns.values()]
        else:
            value = then.expression
            values = list(value.expressions) if isinstance(value, exp.Tuple) else [value]
        if len(values) != len(columns):
            raise invalid_query(f"Inserted row has wrong column count; Has {len(values)}, expected {len(columns)}")
        texts = [value_for(self._w, value, column, scope) for value, column in zip(values, columns, strict=True)]
        rest = [each for each in self._target.fields if each not in columns]
        names = ", ".join(quote(each["name"]) for each in (*columns, *rest))
        return f"INSERT ({names}) VALUES ({', '.join([*texts, *(unset(each) for each in rest)])})"  # noqa: S608 - our text
