"""The error tree and its one table to the wire."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from dicomkit import errors
from dicomkit.errors import (
    ApiError,
    DicomFormatError,
    DicomkitError,
    DicomkitWarning,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OperationError,
    PermissionDenied,
    from_body,
    to_body,
)

API_ERRORS: list[type[ApiError]] = [
    cls
    for cls in (getattr(errors, name) for name in errors.__all__)
    if isinstance(cls, type) and issubclass(cls, ApiError)
]

STATUS = {
    "InvalidArgument": (400, "INVALID_ARGUMENT"),
    "FailedPrecondition": (400, "FAILED_PRECONDITION"),
    "OutOfRange": (400, "OUT_OF_RANGE"),
    "Unauthenticated": (401, "UNAUTHENTICATED"),
    "PermissionDenied": (403, "PERMISSION_DENIED"),
    "NotFound": (404, "NOT_FOUND"),
    "AlreadyExists": (409, "ALREADY_EXISTS"),
    "Aborted": (409, "ABORTED"),
    "ResourceExhausted": (429, "RESOURCE_EXHAUSTED"),
    "Cancelled": (499, "CANCELLED"),
    "Internal": (500, "INTERNAL"),
    "Unimplemented": (501, "UNIMPLEMENTED"),
    "Unavailable": (503, "UNAVAILABLE"),
    "DeadlineExceeded": (504, "DEADLINE_EXCEEDED"),
}
"""HTTP mapping in the comments of google/rpc/code.proto."""

details = st.lists(
    st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.lists(st.integers(), max_size=2), max_size=3),
    max_size=2,
)


@pytest.mark.parametrize("cls", API_ERRORS, ids=lambda cls: cls.__name__)
@given(message=st.text(), details=details)
def test_an_error_survives_the_wire(cls: type[ApiError], message: str, details: list[dict[str, Any]]) -> None:
    """What the engine raises, the client raises."""
    error = cls(message, details=details)
    again = from_body(json.loads(json.dumps(to_body(error))))
    assert type(again) is cls
    assert again == error
    assert from_body([to_body(error)]) == error


@pytest.mark.parametrize("cls", API_ERRORS, ids=lambda cls: cls.__name__)
def test_an_error_survives_another_status_of_its_code(cls: type[ApiError]) -> None:
    """A stale etag of BigQuery is FAILED_PRECONDITION with 412."""
    error = FailedPrecondition("stale", status=412)
    assert from_body(to_body(error)) == error
    assert pickle.loads(pickle.dumps(cls("m", status=418, details=[{"a": 1}]))) == cls(
        "m", status=418, details=[{"a": 1}]
    )


@pytest.mark.parametrize(("name", "pair"), STATUS.items())
def test_status_and_code_are_those_of_google_rpc(name: str, pair: tuple[int, str]) -> None:
    """By code.proto, which Google's APIs share."""
    cls = getattr(errors, name)
    assert (cls.status, cls.code) == pair
    assert pair[1] in code_pb2.Code.keys()


def test_status_and_code_choose_one_class() -> None:
    """No two classes share both."""
    assert len({(cls.status, cls.code) for cls in API_ERRORS}) == len(API_ERRORS)


def test_the_table_holds_every_class() -> None:
    """A class that is forgotten there would come back as another."""
    assert set(errors._Wire.classes) == set(API_ERRORS) - {ApiError}


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InvalidArgument", ValueError),
        ("OutOfRange", ValueError),
        ("PermissionDenied", PermissionError),
        ("NotFound", LookupError),
        ("DeadlineExceeded", TimeoutError),
        ("DicomFormatError", ValueError),
    ],
)
def test_an_error_is_also_the_builtin_one_expects(name: str, builtin: type[Exception]) -> None:
    """except ValueError works without knowing dicomkit."""
    assert issubclass(getattr(errors, name), builtin)
    assert issubclass(getattr(errors, name), DicomkitError)


def test_every_public_class_has_its_root() -> None:
    """One root for errors, one for warnings."""
    for name in errors.__all__:
        thing = getattr(errors, name)
        if isinstance(thing, type):
            assert issubclass(thing, DicomkitError | DicomkitWarning)
            assert issubclass(thing, Warning) == issubclass(thing, DicomkitWarning)


@pytest.mark.parametrize("cls", API_ERRORS, ids=lambda cls: cls.__name__)
def test_the_text_of_an_error_is_its_message(cls: type[ApiError]) -> None:
    """Also where a builtin base would format it in its own way; never an empty line."""
    assert str(cls("what to do")) == "what to do"
    assert str(cls("")) == f"HTTP {cls.status} {cls.code}"


def test_method_and_url_are_not_sent() -> None:
    """They are the client's own knowledge, and no part of equality."""
    error = NotFound("m", method="GET", url="http://h/v1/x")
    assert to_body(error) == {"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}}
    again = from_body(to_body(error), method="GET", url="http://h/v1/x")
    assert (again, again.method, again.url) == (error, "GET", "http://h/v1/x")
    assert hash(again) == hash(error)


def test_errors_of_two_classes_differ() -> None:
    """Even with one message, status and code."""
    assert InvalidArgument("m") != ApiError("m", status=400, code="INVALID_ARGUMENT")
    assert InvalidArgument("m") != "m"


@pytest.mark.parametrize(
    ("body", "status", "cls"),
    [
        ({"error": {"code": 404, "message": "m"}}, None, NotFound),
        ({"error": {"status": "NOT_FOUND", "message": "m"}}, None, NotFound),
        ({"error": {"code": 412, "status": "FAILED_PRECONDITION"}}, None, FailedPrecondition),
        ({"error": {"code": 400, "status": "NEW_CODE"}}, None, InvalidArgument),
        ({"error": {"code": 418}}, None, ApiError),
        (None, 403, PermissionDenied),
        ("<html>", 404, NotFound),
        ({}, None, Internal),
        ([], 404, NotFound),
    ],
)
def test_a_body_that_says_less_still_chooses_a_class(body: object, status: int | None, cls: type[ApiError]) -> None:
    """By code, then by HTTP status."""
    assert type(from_body(body, status=status)) is cls


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    json_values
    | st.fixed_dictionaries({}, optional={"error": json_values})
    | st.fixed_dictionaries(
        {
            "error": st.fixed_dictionaries(
                {}, optional=dict.fromkeys(["code", "status", "message", "details"], json_values)
            )
        }
    )
)
def test_no_body_makes_reading_it_fail(body: object) -> None:
    """A proxy may send anything; the answer is an ApiError with an HTTP status."""
    error = from_body(body, status=502)
    assert isinstance(error, ApiError)
    assert 400 <= error.status <= 599
    assert str(error)
    assert from_body(to_body(error)) == error


def test_a_format_error_says_where() -> None:
    """Tag and offset after the message, as far as they are known."""
    assert str(DicomFormatError("cut", offset=132, tag="7FE00010")) == "cut [(7FE0,0010), offset 132]"
    assert str(DicomFormatError("cut", offset=0)) == "cut [offset 0]"
    assert str(DicomFormatError("cut")) == "cut"
    again = pickle.loads(pickle.dumps(DicomFormatError("cut", offset=132, tag="7FE00010")))
    assert str(again) == "cut [(7FE0,0010), offset 132]"


def test_an_operation_error_keeps_its_counters() -> None:
    """They say how far it got."""
    error = OperationError("m", operation="o", counters={"success": 1})
    assert (str(error), error.operation, error.counters) == ("m", "o", {"success": 1})
    assert OperationError("m").counters == {}
