"""Values of Python as query parameters of BigQuery; types are those of BigQuery's documentation."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from google.cloud import bigquery

from dicomkit.client.sql_parameters import parameters
from dicomkit.errors import InvalidArgument


def sent(value: Any) -> dict[str, Any]:
    """The parameter as it goes over the wire."""
    (parameter,) = parameters({"p": value})
    body = parameter.to_api_repr()
    assert body.pop("name") == "p"
    return dict(body)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, "BOOL", "true"),
        (np.bool_(False), "BOOL", "false"),
        (3, "INT64", "3"),
        (np.int64(-4), "INT64", "-4"),
        (2.5, "FLOAT64", 2.5),
        (np.float32(0.5), "FLOAT64", 0.5),
        ("o'Neill", "STRING", "o'Neill"),
        (b"ab", "BYTES", "YWI="),
        (datetime.date(2024, 2, 29), "DATE", "2024-02-29"),
        (datetime.time(10, 30), "TIME", "10:30:00"),
        (datetime.datetime(2024, 1, 2, 3, 4, 5), "DATETIME", "2024-01-02T03:04:05.000000"),
        (pd.Timestamp("2024-01-02", tz="UTC"), "TIMESTAMP", "2024-01-02 00:00:00+00:00"),
        (decimal.Decimal("1.10"), "NUMERIC", "1.10"),
        (decimal.Decimal("1E-20"), "BIGNUMERIC", "1E-20"),
    ],
)
def test_a_scalar_has_the_type_of_its_value(value: object, kind: str, text: object) -> None:
    """Python's, numpy's and pandas' alike."""
    body = sent(value)
    assert body["parameterType"] == {"type": kind}
    assert body["parameterValue"]["value"] == text


@pytest.mark.parametrize(
    "values",
    [["a", "b"], ("a", "b"), pd.Series(["a", "b"]), pd.Index(["a", "b"]), np.array(["a", "b"]), pd.array(["a", "b"])],
    ids=lambda values: type(values).__name__,
)
def test_what_holds_several_values_is_an_array(values: object) -> None:
    """A column of a frame is the usual list of UIDs."""
    body = sent(values)
    assert body["parameterType"] == {"type": "ARRAY", "arrayType": {"type": "STRING"}}
    assert body["parameterValue"]["arrayValues"] == [{"value": "a"}, {"value": "b"}]


def test_whole_numbers_among_others_are_floats() -> None:
    """[1, 2.5] has one type for Python's reader, too."""
    assert sent([1, 2.5])["parameterType"]["arrayType"] == {"type": "FLOAT64"}


def test_a_dict_is_a_struct_and_a_list_of_them_an_array() -> None:
    """Fields keep their names, and their order."""
    struct = sent({"uid": "1.2", "n": 3})
    types = [{"name": "uid", "type": {"type": "STRING"}}, {"name": "n", "type": {"type": "INT64"}}]
    assert struct["parameterType"] == {"type": "STRUCT", "structTypes": types}
    assert struct["parameterValue"]["structValues"] == {"uid": {"value": "1.2"}, "n": {"value": "3"}}
    array = sent([{"uid": "1.2"}, {"uid": "1.3"}])
    assert array["parameterType"]["arrayType"]["type"] == "STRUCT"
    assert len(array["parameterValue"]["arrayValues"]) == 2


def test_googles_own_parameters_pass() -> None:
    """The way for types that no value of Python tells; the name is that of the dict."""
    body = sent(bigquery.ArrayQueryParameter(None, "STRING", []))
    assert body["parameterType"] == {"type": "ARRAY", "arrayType": {"type": "STRING"}}
    assert sent(bigquery.ScalarQueryParameter("other", "DATE", None))["parameterType"] == {"type": "DATE"}


@pytest.mark.parametrize(
    "value",
    [None, pd.NaT, pd.NA, [], {}, [None], [["a"]], ["a", 1], frozenset(), {"a": None}, 1 << 63, decimal.Decimal("NaN")],
    ids=repr,
)
def test_a_value_without_a_type_is_refused_by_its_name(value: object) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidArgument, match="'p"):
        parameters({"p": value})


@pytest.mark.parametrize("name", ["", "a b", "a;b", "1a", "ä", "a" * 129])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """A parameter is named like an identifier."""
    with pytest.raises(InvalidArgument, match="named"):
        parameters({name: 1})
