"""The long-running operation, by the samples of the API reference."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from dicomkit import errors
from dicomkit.errors import ApiError, InvalidArgument
from dicomkit.resources.operation import RPC_CODES, Operation, rpc_status

NAME = "projects/P/locations/L/datasets/D/operations/1234567890"
METADATA: dict[str, Any] = {
    "@type": "type.googleapis.com/google.cloud.healthcare.v1.OperationMetadata",
    "apiMethodName": "google.cloud.healthcare.v1.dicom.DicomService.ImportDicomData",
    "createTime": "2026-01-01T00:00:00.000000Z",
    "endTime": "2026-01-01T00:00:10.000000Z",
    "counter": {"success": "3", "failure": "1"},
}
DONE: dict[str, Any] = {
    "name": NAME,
    "metadata": METADATA,
    "done": True,
    "response": {"@type": "type.googleapis.com/google.cloud.healthcare.v1.dicom.ImportDicomDataResponse"},
}


def test_an_operation_is_read_and_written() -> None:
    """First answer, running, done."""
    for wire in ({"name": NAME}, {"name": NAME, "metadata": METADATA}, DONE):
        operation = Operation.from_api(wire)
        assert operation.to_api() == wire
        assert operation.to_api(omit_defaults=True) == wire
        assert operation.failure() is None


def test_counters_are_numbers() -> None:
    """On the wire int64 is a string, and a counter of zero is left out."""
    assert Operation.from_api(DONE).counters == {"success": 3, "failure": 1}
    assert Operation(name=NAME).counters == {}
    assert Operation(metadata={"counter": {}}).counters == {}


@pytest.mark.parametrize(
    "counter", [None, 5, "x", [], {"success": None}, {"success": "x"}, {"success": "9" * 5000}, {"success": [1]}]
)
def test_counters_that_are_none_are_left_out(counter: object) -> None:
    """Metadata is the server's; nothing in it makes a client fail."""
    assert Operation(metadata={"counter": counter}).counters == {}


def test_a_failed_operation_becomes_an_error() -> None:
    """With its name, its counters and the canonical code in words."""
    error = {"code": 9, "message": "destination is not empty", "details": []}
    failure = Operation.from_api({"name": NAME, "metadata": METADATA, "done": True, "error": error}).failure()
    assert failure is not None
    assert str(failure) == "destination is not empty (FAILED_PRECONDITION)"
    assert (failure.operation, failure.counters) == (NAME, {"success": 3, "failure": 1})


@pytest.mark.parametrize("error", [{}, {"code": "x"}, {"code": 99, "message": None}, {"code": None, "message": ""}])
def test_a_failure_without_reason_says_so(error: dict[str, Any]) -> None:
    """An empty google.rpc.Status is a failure still."""
    assert str(Operation(error=error).failure()) == "the operation failed without saying why (UNKNOWN)"


def test_an_operation_cannot_fail_and_succeed() -> None:
    """Either error or response is available."""
    with pytest.raises(InvalidArgument, match="^error: must not be set together with response"):
        Operation(response={}, error={})


def test_the_codes_are_those_of_google_rpc() -> None:
    """google.rpc.Code of googleapis-common-protos is the oracle."""
    assert dict(code_pb2.Code.items()) == RPC_CODES


def test_every_error_has_a_number() -> None:
    """The canonical code of each class of errors is one of google.rpc.Code."""
    for name in errors.__all__:
        cls = getattr(errors, name)
        if isinstance(cls, type) and issubclass(cls, ApiError):
            assert rpc_status(cls("m"))["code"] == RPC_CODES[cls.code]


@given(st.sampled_from(sorted(RPC_CODES)), st.text(min_size=1))
def test_the_status_of_an_error_reads_as_its_failure(code: str, message: str) -> None:
    """What an engine writes into an operation, a client raises."""
    status = rpc_status(ApiError(message, code=code, details=[{"@type": "x"}]))
    assert status["details"] == [{"@type": "x"}]
    assert str(Operation(error=status).failure()) == f"{message} ({code})"
