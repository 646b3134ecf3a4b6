"""The forms of WADO-RS answers: one body or several parts, with the files they come from held until they are sent.

Sources: RFC 9110 sections 13 (conditions) and 14 (ranges), RFC 2387 (multipart/related), DICOM PS3.18 section 8.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.dicom.multipart_writer import new_boundary
from dicomkit.engine.accept import MULTIPART, Accept
from dicomkit.engine.persistence.blob_reader import Hold
from dicomkit.engine.routes import WEB
from dicomkit.engine.services.retrieve import Target
from dicomkit.engine.wire import check_uids, store_name
from dicomkit.errors import FailedPrecondition, OutOfRange, to_body
from dicomkit.names import DicomStoreName

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = [
    "ID",
    "INSTANCE",
    "SERIES",
    "STUDY",
    "AnswerPart",
    "accept_of",
    "letting_go",
    "multipart",
    "names",
    "single",
    "started",
]

ID = "healthcare.projects.locations.datasets.dicomStores.studies"
STUDY = f"{WEB}/studies/<study>"
SERIES = f"{STUDY}/series/<series>"
INSTANCE = f"{SERIES}/instances/<instance>"

_CONDITIONS = frozenset({"HTTP_RANGE", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"})

_JOINED_BYTES = 64 << 10
"""A chunk below this goes out together with the header of its part."""


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """One part of a multipart answer."""

    content_type: str
    chunks: Callable[[], Iterator[bytes]]
    length: int | None = None
    """Bytes of the content, where they are known before it is made."""

    def head(self, boundary: str) -> bytes:
        """Delimiter and header."""
        text = f"--{boundary}\r\nContent-Type: {self.content_type}\r\n"
        if self.length is not None:
            text += f"Content-Length: {self.length}\r\n"
        return (text + "\r\n").encode("ascii")


def names(
    project: str,
    location: str,
    dataset: str,
    store: str,
    study: str,
    series: str | None = None,
    instance: str | None = None,
) -> tuple[DicomStoreName, Target]:
    """The store and what in it a path names, checked."""
    check_uids(study=study, series=series, instance=instance)
    return store_name(project, location, dataset, store), Target(study, series, instance)


def accept_of(engine: Engine, request: Request) -> Accept:
    """What the request takes; the query parameter of PS3.18 counts in friendly mode."""
    return Accept.of(request.headers.get("Accept"), request.query_string, heeds_query=engine.mode == "friendly")


@contextmanager
def letting_go(hold: Hold) -> Iterator[None]:
    """Close *hold* where no answer is made that would do it."""
    try:
        yield
    except BaseException:
        hold.close()
        raise


def started(chunks: Iterator[bytes], hold: Hold | None = None) -> Iterator[bytes]:
    """*chunks*, of which the first is made now: damage that it shows is an error and not a broken answer.

    At the end, or when the client has gone, *hold* is closed.
    """
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        try:
            yield first
            yield from chunks
        finally:
            if hold is not None:
                hold.close()

    return rest()


def single(
    request: Request,
    content: Callable[[int, int], Iterator[bytes]],
    length: int,
    content_type: str,
    hold: Hold,
    *,
    etag: str | None = None,
) -> Response:
    """One body of known length: whole, the range of it that is asked for, or nothing when the client has it.

    Parameters
    ----------
    content
        ``content(start, stop)`` gives those bytes.
    etag
        Strong validator of the bytes; without it there are no conditions and no ranges.

    Raises
    ------
    FailedPrecondition
        ``If-Match`` names other bytes.
    """
    headers = {"Content-Type": content_type}
    status, start, stop = 200, 0, length
    if etag is not None:
        headers |= {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Vary": "Accept"}
        if not _CONDITIONS.isdisjoint(request.environ):
            if request.if_match and not request.if_match.contains(etag):
                raise FailedPrecondition("the instance is not the one that If-Match names", status=412)
            if request.if_none_match.contains_weak(etag):
                hold.close()
                return Response(status=304, headers=headers)
            asked = _range(request, etag, length)
            if asked is not None:
                status, (start, stop) = 206, asked
                if start >= stop:
                    hold.close()
                    return _not_satisfiable(length, headers)
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        hold.close()
        return Response(status=status, headers=headers)
    return Response(started(content(start, stop), hold), status=status, headers=headers, direct_passthrough=True)


def _range(request: Request, etag: str, length: int) -> tuple[int, int] | None:
    """The one range that is asked for, empty when it is not there; ``None`` when the whole body is to be sent."""
    wanted = request.range
    if request.method != "GET" or wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    # Only a strong validator keeps bytes of two representations apart, and a date is none (RFC 9110 section 13.1.5).
    if request.headers.get("If-Range", f'"{etag}"').strip() != f'"{etag}"':
        return None
    return wanted.range_for_length(length) or (0, 0)


def _not_satisfiable(length: int, headers: dict[str, str]) -> Response:
    error = OutOfRange(f"the range begins behind the {length} bytes that there are", status=416)
    return Response(
        orjson.dumps(to_body(error)),
        status=416,
        headers={**headers, "Content-Type": "application/json; charset=UTF-8", "Content-Range": f"bytes */{length}"},
    )


def multipart(parts: Sequence[AnswerPart], media: str, hold: Hold | None = None) -> Response:
    """A multipart/related answer, made part by part; its length is announced where every part's is known."""
    boundary = new_boundary()
    end = f"--{boundary}--\r\n".encode("ascii")

    def body() -> Iterator[bytes]:
        before = b""
        for part in parts:
            before += part.head(boundary)
            for chunk in part.chunks():
                # A small part goes out in one piece.
                if len(chunk) < _JOINED_BYTES:
                    yield before + chunk
                else:
                    if before:
                        yield before
                    yield chunk
                before = b""
            before += b"\r\n"
        yield before + end

    response = Response(
        started(body(), hold),
        content_type=f'{MULTIPART}; type="{media}"; boundary={boundary}',
        direct_passthrough=True,
    )
    lengths = [part.length for part in parts]
    if None not in lengths:
        heads = sum(len(part.head(boundary)) + 2 for part in parts)
        response.content_length = heads + sum(length or 0 for length in lengths) + len(end)
    return response
