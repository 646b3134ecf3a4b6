"""Rows of a query from servers that behave oddly, as small WSGI applications."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
import requests
from werkzeug.wrappers import Response

from dicomkit.client.query_rows import MEDIA_TYPE, arrow_rows
from dicomkit.client.rest import Rest
from dicomkit.errors import InvalidArgument, Unavailable
from dicomkit.transport import ORIGIN, EngineAdapter

BATCH = pa.record_batch({"x": pa.array(range(1_000))})


def own(answer: Response) -> Rest:
    """The own routes of a server that gives *answer* to everything."""
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(answer))
    return Rest(session, f"{ORIGIN}/dicomkit/v1", sleep=lambda seconds: None)


def stream(batches: int) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, BATCH.schema) as writer:
        for _ in range(batches):
            writer.write_batch(BATCH)
    return sink.getvalue()


def test_rows_come_batch_by_batch() -> None:
    """The schema is there before the first of them."""
    found = arrow_rows(own(Response(stream(3), content_type=MEDIA_TYPE)), "p", "job", 3_000)
    assert found is not None
    schema, batches = found
    assert schema.names == ["x"]
    assert [batch.num_rows for batch in batches] == [1_000] * 3


@pytest.mark.parametrize("length", [20_000, 8_500, 100, 0])
def test_a_stream_that_was_cut_is_no_result(length: int) -> None:
    """Between two batches it looks complete; the number of rows tells."""
    data = stream(3)[:length]
    with pytest.raises(Unavailable):
        found = arrow_rows(own(Response(data, content_type=MEDIA_TYPE)), "p", "job", 3_000)
        assert found is not None
        list(found[1])


def test_whole_batches_of_a_cut_stream_are_no_result() -> None:
    """Two of three, and the end behind them."""
    found = arrow_rows(own(Response(stream(2), content_type=MEDIA_TYPE)), "p", "job", 3_000)
    assert found is not None
    with pytest.raises(Unavailable, match="broke off"):
        list(found[1])


def test_bytes_that_are_no_stream_are_no_result() -> None:
    """Whatever the media type says."""
    with pytest.raises(Unavailable):
        arrow_rows(own(Response(b"\xff" * 1_000, content_type=MEDIA_TYPE)), "p", "job", 3_000)


@pytest.mark.parametrize(
    "answer", [Response("{}", status=404, content_type="application/json"), Response("[]", content_type="text/html")]
)
def test_a_server_without_the_route_is_asked_the_usual_way(answer: Response) -> None:
    """An older engine does not know it; the official client pages then."""
    assert arrow_rows(own(answer), "p", "job", 3_000) is None


def test_an_error_is_an_error() -> None:
    """Rows that cannot be written are not asked for again in another form."""
    answer = Response('{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}', status=400)
    answer.content_type = "application/json"
    with pytest.raises(InvalidArgument):
        arrow_rows(own(answer), "p", "job", 3_000)
