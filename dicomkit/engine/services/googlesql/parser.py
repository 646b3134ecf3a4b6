"""The statement as sqlglot's tree, with every function a bare call."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import SqlglotError

from dicomkit.engine.services.bigquery_errors import invalid_query, not_supported

__all__ = ["POSITIONAL", "only", "parse", "tokens", "what"]

MAX_LENGTH = 1_000_000
"""Most characters of a statement (BigQuery, "Quotas and limits": 1 MB)."""

POSITIONAL = "__dk_"
"""What the name of a positional parameter begins with."""

STATEMENTS = exp.Insert | exp.Update | exp.Delete | exp.Merge | exp.TruncateTable | exp.Create | exp.Drop | exp.Alter
"""What there is beside queries."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_SYNTAX_FUNCTIONS = ("ARRAY", "CAST", "EXTRACT", "SAFE_CAST")


class _GoogleSQL(BigQuery):
    """BigQuery's dialect without sqlglot's own ideas of its functions."""

    class Parser(BigQuery.Parser):  # type: ignore[valid-type, misc]
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parser for name, parser in BigQuery.Parser.FUNCTION_PARSERS.items() if name in _SYNTAX_FUNCTIONS
        }

        def _warn_unsupported(self) -> None:
            # It would log the statement, which may hold patients' data; what is not known is refused later.
            return None


_DIALECT = _GoogleSQL()


def parse(sql: str) -> exp.Expr:
    """The one statement in *sql*, each ``?`` in it a named parameter: ``@__dk_1``, ``@__dk_2``, ...

    Raises
    ------
    InvalidArgument
        A syntax error, more than one statement, or a statement that the embedded BigQuery has not.
    """
    if len(sql) > MAX_LENGTH:
        raise invalid_query(f"The query is too large: {len(sql)} characters; the limit is {MAX_LENGTH}")
    try:
        statements = [statement for statement in _DIALECT.parse(_numbered(sql)) if statement is not None]
    except SqlglotError as error:
        # The first line says what and where; the rest repeats the statement, which may hold patients' data.
        first = _ANSI.sub("", str(error)).split("\n", 1)[0]
        raise invalid_query(f"Syntax error: {first}") from None
    except RecursionError:
        raise invalid_query("The query is nested too deeply") from None
    if not statements:
        raise invalid_query("Syntax error: Unexpected end of statement")
    if len(statements) > 1:
        raise not_supported("a script of several statements")
    (statement,) = statements
    if not isinstance(statement, exp.Query | STATEMENTS):
        word = re.match(r"[A-Za-z]+", sql.strip())
        raise not_supported(f"the statement {word.group().upper()[:40] if word else what(statement)}")
    return statement


def _numbered(sql: str) -> str:
    """*sql* with its positional parameters numbered in the order of the text.

    The writer does not go through a query in that order: it has to know FROM before the SELECT list.
    """
    places = [token.start for token in tokens(sql) if token.token_type is TokenType.PLACEHOLDER and token.text == "?"]
    for number, place in reversed(list(enumerate(places, 1))):
        sql = f"{sql[:place]}@{POSITIONAL}{number}{sql[place + 1 :]}"
    return sql


def tokens(sql: str) -> list[Token]:
    """The tokens of *sql*; none where it is none: the parser says what is wrong."""
    try:
        return list(_DIALECT.tokenize(sql))
    except SqlglotError:
        return []


def only(node: exp.Expr, *known: str) -> None:
    """Refuse *node* when it has a part beyond *known*: what is not written would be lost silently."""
    for name, value in node.args.items():
        if value and name not in known:
            raise not_supported(f"{what(node)} with {name.strip('_').replace('_', ' ')}")


def what(node: exp.Expr) -> str:
    """The name of a kind of expression for a message."""
    words = re.findall(r"[A-Z][a-z0-9]*|[A-Z]+", type(node).__name__)
    return " ".join(words).upper() or node.key.upper()
