"""What GoogleSQL has and DuckDB has not, as functions in Python that DuckDB calls with columns.

Source: GoogleSQL reference, "Hash functions", "String functions", "Operators".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType
from duckdb.sqltypes import BIGINT, BLOB, VARCHAR, DuckDBPyType

from dicomkit.engine.persistence.farm_hash import fingerprints

__all__ = ["create_functions"]

_BITS = 64
_ARROW = {VARCHAR: pa.string(), BIGINT: pa.int64(), BLOB: pa.binary()}

_SOUNDEX = {
    letter: digit
    for digit, letters in (("1", "BFPV"), ("2", "CGJKQSXZ"), ("3", "DT"), ("4", "L"), ("5", "MN"), ("6", "R"))
    for letter in letters
}


def _soundex(text: str) -> str:
    """The first letter and three digits; vowels part two letters of one digit, H and W do not."""
    letters = [letter for letter in text.upper() if "A" <= letter <= "Z"]
    if not letters:
        return ""
    code, last = letters[0], _SOUNDEX.get(letters[0], "")
    for letter in letters[1:]:
        digit = _SOUNDEX.get(letter, "")
        if digit and digit != last:
            code += digit
        if letter not in "HW":
            last = digit
    return f"{code:0<4}"[:4]


def _signed(value: int) -> int:
    value &= (1 << _BITS) - 1
    return value - (1 << _BITS) if value >> (_BITS - 1) else value


def _shift(value: int, count: int, *, left: bool) -> int:
    if count < 0:
        raise ValueError("Bitwise shift by a negative number")
    unsigned = value & ((1 << _BITS) - 1)
    return 0 if count >= _BITS else _signed(unsigned << count if left else unsigned >> count)


def _instr(text: str, part: str, position: int, occurrence: int) -> int:
    """Where *part* is found the *occurrence*-th time, from *position* on, or backwards from there; 0 for nowhere."""
    if position == 0 or occurrence < 1:
        raise ValueError("Position and occurrence in INSTR must not be 0")
    place = position - 1 if position > 0 else len(text) + position
    for _ in range(occurrence):
        if position > 0:
            found = text.find(part, place)
            place = found + 1
        else:
            found = text.rfind(part, 0, place + len(part)) if place >= 0 else -1
            place = found - 1
        if found < 0:
            return 0
    return found + 1


def _by_value(function: Callable[..., Any], count: int, result: DuckDBPyType) -> Callable[..., pa.Array]:
    """*function* over *count* columns; NULL where an argument is."""

    def call(*columns: pa.ChunkedArray) -> pa.Array:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        return pa.array([None if None in row else function(*row) for row in rows], _ARROW[result])

    # DuckDB counts the parameters that are written.
    written: dict[int, Callable[..., pa.Array]] = {
        1: lambda a: call(a),
        2: lambda a, b: call(a, b),
        4: lambda a, b, c, d: call(a, b, c, d),
    }
    return written[count]


_FUNCTIONS: tuple[tuple[str, Callable[..., Any], list[DuckDBPyType], DuckDBPyType], ...] = (
    ("bq_sha512", lambda data: hashlib.sha512(data).digest(), [BLOB], BLOB),
    ("bq_soundex", _soundex, [VARCHAR], VARCHAR),
    ("bq_decode", lambda data: data.decode("utf-8", "replace"), [BLOB], VARCHAR),
    ("bq_instr", _instr, [VARCHAR, VARCHAR, BIGINT, BIGINT], BIGINT),
    ("bq_shift_left", lambda value, count: _shift(value, count, left=True), [BIGINT, BIGINT], BIGINT),
    ("bq_shift_right", lambda value, count: _shift(value, count, left=False), [BIGINT, BIGINT], BIGINT),
)


def create_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Make them known to *connection*."""
    functions = (
        ("bq_farm_fingerprint", fingerprints, [BLOB], BIGINT),
        *(
            (name, _by_value(function, len(parameters), result), parameters, result)
            for name, function, parameters, result in _FUNCTIONS
        ),
    )
    for name, function, parameters, result in functions:
        connection.create_function(
            name,
            function,
            parameters,  # type: ignore[arg-type]
            result,
            type=PythonUDFType.ARROW,
            null_handling=FunctionNullHandling.SPECIAL,
        )
