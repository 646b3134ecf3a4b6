"""GoogleSQL to DuckDB's SQL: pure text in, pure text out; what is not known is refused by name.

The statement is parsed by sqlglot with every function left as a bare call. A writer of our own then makes the text for
DuckDB: it knows each kind of expression and each function that it lets through, and resolves each name against the
catalogue. So nothing passes that nobody looked at, and no name from outside is ever an identifier without a check.

Source: GoogleSQL reference (BigQuery documentation), "Query syntax", "Lexical structure", "Functions".
"""
