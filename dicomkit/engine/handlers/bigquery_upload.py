"""Media uploads of load jobs: one multipart request, or a resumable one in pieces.

Bodies go to files of the home's ``tmp`` folder as they arrive.

Source: BigQuery REST v2, ``jobs.insert`` (media upload); Google's APIs, "Resumable uploads".
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from werkzeug.wrappers import Request, Response

from dicomkit.dicom.multipart import Part, parts
from dicomkit.engine.services.bigquery_errors import invalid
from dicomkit.engine.services.bigquery_uploads import Upload, bad_range, spooled
from dicomkit.errors import DicomFormatError

if TYPE_CHECKING:
    from dicomkit.engine.app import Engine

__all__ = ["begin_upload", "continue_upload", "upload_multipart"]

_RANGE = re.compile(r"bytes (?:\*|(\d{1,18})-(\d{1,18}))/(\*|\d{1,18})")
_MAX_RESOURCE = 10 << 20


def upload_multipart(engine: Engine, request: Request, project: str) -> dict[str, Any]:
    """``uploadType=multipart``: the job's resource, then the file, whatever content type it is said to have."""
    found: list[Part] = []
    path: Path | None = None
    try:
        content_type = request.headers.get("Content-Type", "")
        for part in parts(request.stream, content_type, tmp_dir=engine.storage.home.tmp, max_parts=2):
            found.append(part)
        if len(found) != 2 or found[0].size > _MAX_RESOURCE:
            raise invalid("A multipart upload has two parts: the job's resource, and the file")
        resource = _resource(found[0].buffer()[:])
        path = spooled(engine.storage.home.tmp)
        if found[1].file is not None:
            found[1].file.rename(path)
        else:
            path.write_bytes(found[1].buffer())
        return _started(engine, project, resource)(path)
    except DicomFormatError as error:
        raise invalid(f"The multipart body cannot be read: {error}") from None
    finally:
        for part in found:
            part.close()


def _started(engine: Engine, project: str, resource: dict[str, Any]) -> Callable[[Path], dict[str, Any]]:
    """Starts the job over a file, which is gone when that fails."""

    def start(path: Path) -> dict[str, Any]:
        try:
            return engine.bigquery.jobs.load(project, resource, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    return start


def _resource(data: bytes) -> dict[str, Any]:
    try:
        resource = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise invalid("Parse Error: the job's resource is not JSON") from None
    if not isinstance(resource, dict):
        raise invalid("Parse Error: the job's resource must be a JSON object")
    return resource


def begin_upload(engine: Engine, request: Request, project: str, resource: dict[str, Any]) -> Response:
    """``uploadType=resumable``: where the pieces go."""
    upload = engine.bigquery.uploads.begin(project, resource, engine.storage.home.tmp)
    response = Response(status=200)
    response.headers["Location"] = f"{request.base_url}?uploadType=resumable&upload_id={quote(upload.id)}"
    response.headers["X-GUploader-UploadID"] = upload.id
    return response


def continue_upload(engine: Engine, request: Request, project: str) -> Response | dict[str, Any]:
    """A piece, or the question how far the upload is: 308 until it is whole, then the job."""
    uploads = engine.bigquery.uploads
    upload = uploads.get(project, request.args.get("upload_id", ""))
    text = request.headers.get("Content-Range", "")
    with upload.lock:
        if upload.answer is not None:
            _drain(request)
            return upload.answer
        total = _receive(upload, request, text)
        if total is None or upload.size < total:
            return _incomplete(upload)
        return uploads.finish(upload, _started(engine, project, upload.resource))


def _receive(upload: Upload, request: Request, text: str) -> int | None:
    """Take what the request holds; the size of the whole where it is told."""
    if not text:
        # Everything that is left, in one request.
        count = request.content_length
        if count is None:
            raise bad_range(text)
        upload.append(request.stream, upload.size, count)
        return upload.size
    match = _RANGE.fullmatch(text)
    if match is None:
        raise bad_range(text)
    first, last, whole = match.groups()
    total = None if whole == "*" else int(whole)
    if first is not None:
        start, end = int(first), int(last)
        if end < start or (total is not None and end >= total):
            raise bad_range(text)
        if start <= upload.size:
            upload.append(request.stream, start, end - start + 1)
        # A piece from further on cannot be kept: the answer says where to go on.
    if total is not None and upload.size > total:
        raise bad_range(text)
    return total


def _incomplete(upload: Upload) -> Response:
    response = Response(status=308)
    if upload.size:
        response.headers["Range"] = f"bytes=0-{upload.size - 1}"
    return response


def _drain(request: Request) -> None:
    with contextlib.suppress(OSError):
        while request.stream.read(1 << 20):
            pass
