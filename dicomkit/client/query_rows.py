"""The rows of a finished query as an Arrow stream, from a dicomkit engine.

The official client reads a result over REST value by value. Google's Storage API, which gives Arrow instead, wants
gRPC; a dicomkit engine has the same rows in a route of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from dicomkit.client.rest import Rest, quote_path
from dicomkit.errors import DicomFormatError

__all__ = ["arrow_rows"]

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
"""What such an answer is called."""


def arrow_rows(own: Rest, project: str, job_id: str, total: int) -> tuple[Any, Iterator[Any]] | None:
    """The Arrow schema of a query's rows, and all *total* of them as record batches that come as they are asked for.

    Parameters
    ----------
    own
        Leads to a dicomkit engine's own routes.

    Returns
    -------
    tuple or None
        ``None`` where the server is too old to have this route, or has the rows no more.

    Raises
    ------
    ApiError
        The rows are none that BigQuery could write, or the answer broke off.
    """
    import pyarrow as pa

    path = f"projects/{quote_path(project)}/queries/{quote_path(job_id)}/rows"
    response = own.send("GET", path, headers={"Accept": MEDIA_TYPE}, good=(404,))
    with ExitStack() as until_read:
        until_read.enter_context(response)
        if response.headers.get("Content-Type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            return None
        file = until_read.enter_context(own.file(response))
        try:
            reader = until_read.enter_context(pa.ipc.open_stream(file))
        except (pa.ArrowException, MemoryError) as error:
            raise _unreadable(error) from error
        return reader.schema, _batches(reader, total, until_read.pop_all())
    raise AssertionError("unreachable: the block returns or raises")


def _batches(reader: Any, total: int, answer: ExitStack) -> Iterator[Any]:
    """The batches of an answer, which is closed behind the last one."""
    import pyarrow as pa

    count = 0
    with answer:
        while True:
            try:
                batch = reader.read_next_batch()
                batch.validate(full=True)  # what came over a network is not to be trusted with pointers
            except StopIteration:
                break
            except (pa.ArrowException, MemoryError) as error:
                raise _unreadable(error) from error
            count += batch.num_rows
            yield batch
        # A stream that was cut between two record batches looks complete.
        if count != total:
            raise DicomFormatError(f"the rows of a query end after {count} of {total}")


def _unreadable(error: BaseException) -> DicomFormatError:
    return DicomFormatError(f"the rows of a query cannot be read ({type(error).__name__})")
