"""The discovery document of the Cloud Healthcare API as an oracle: what a request and an answer must look like.

The document is the one that google-api-python-client ships; nothing in it was written by this project. A check gives
violations as sentences, none of which repeats a value.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from googleapiclient.discovery_cache import get_static_doc

EXCLUDED = ("fhirStores", "hl7V2Stores", "consentStores", "annotationStores", "dataMapperWorkspaces", "services")
"""Resources of other products: FHIR, HL7v2, consent, annotations, data mapper, and natural language (``services``)."""

CODES = frozenset(
    "CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "UNAUTHENTICATED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL "
    "UNAVAILABLE DATA_LOSS".split()
)
"""Names of ``google.rpc.Code`` that an error may have."""

_VARIABLE = re.compile(r"\{(\w+)\}")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?Z")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
_FIELD_MASK = re.compile(r"[A-Za-z_][\w.\-`]*(,[A-Za-z_][\w.\-`]*)*")
_DIGITS = re.compile(r"-?\d+", re.ASCII)
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


@dataclass(frozen=True, eq=False)
class Method:
    """A method of the API."""

    version: str
    id: str
    verb: str
    flat_path: str
    parameters: Mapping[str, Any]
    request: str | None
    response: str

    @property
    def is_web(self) -> bool:
        """Whether it is one of DICOMweb's, whose parameters and bodies are DICOM's and not this document's."""
        return "dicomWebPath" in self.parameters

    def example(self) -> str:
        """A path that the method has."""
        return "/" + _VARIABLE.sub(lambda m: "1.2" if m[1][:-3] in _UID_VARIABLES else "x1", self.flat_path)

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the paths of the method look like.

        The variables of bulk data stand for any depth: the document wants two components at least, where the
        conformance statement shows one (``bulkdata/7FE00010``). So does the last one of a resource whose own pattern
        says it: ``flatPath`` has the highest level only.
        """
        is_deep = any(item.get("pattern", "").endswith("/studies/.*$") for item in self.parameters.values())
        parts = []
        flat_path = self.flat_path.replace("/{bulkdataId}/{bulkdataId1}", "/{bulkdataId}")
        for text, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", flat_path):
            has_slashes = name.startswith("bulkdata") or (is_deep and name == "studiesId" and not self.is_web)
            parts.append(re.escape(text) + (".+" if has_slashes else "[^/]+" if name else ""))
        return re.compile("/" + "".join(parts))


_UID_VARIABLES = ("studies", "series", "instances")


VERSIONS = ("v1", "v1beta1")
"""The versions of the API."""


@cache
def document(version: str = "v1") -> dict[str, Any]:
    """The discovery document of a version of the API."""
    text = get_static_doc("healthcare", version)
    assert text is not None
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def methods(version: str = "v1") -> tuple[Method, ...]:
    """Every method under ``projects.locations`` but those of ``EXCLUDED``, the most literal path first."""
    found = _methods(version, document(version)["resources"]["projects"]["resources"]["locations"])
    return tuple(sorted(found, key=lambda m: -len(_VARIABLE.sub("", m.flat_path))))


def _methods(version: str, resource: Mapping[str, Any]) -> Iterator[Method]:
    for item in resource.get("methods", {}).values():
        yield Method(
            version=version,
            id=item["id"],
            verb=item["httpMethod"],
            flat_path=item["flatPath"],
            parameters=item.get("parameters", {}),
            request=item.get("request", {}).get("$ref"),
            response=item["response"]["$ref"],
        )
    for name, inner in resource.get("resources", {}).items():
        if name not in EXCLUDED:
            yield from _methods(version, inner)


def find(verb: str, path: str) -> Method | None:
    """The method that a request is for; *path* is decoded."""
    version = path.split("/")[1]
    for method in methods(version) if version in VERSIONS else ():
        if method.verb == verb and method.pattern.fullmatch(path):
            return method
    return None


# Requests


def request_violations(method: Method, query: str, body: bytes) -> Iterator[str]:
    """What a request has that the document has not, and the other way round."""
    if not method.is_web:
        yield from _query_violations(method, parse_qsl(query, keep_blank_values=True))
    if method.request is None:
        if body and not method.is_web:
            yield "a body where none belongs"
    elif method.request != "HttpBody" and body:  # an empty body is an empty message
        yield from _json_violations(method.version, method.request, body)


def _query_violations(method: Method, query: Iterable[tuple[str, str]]) -> Iterator[str]:
    declared = {**document(method.version)["parameters"], **method.parameters}
    declared = {name: item for name, item in declared.items() if item["location"] == "query"}
    given: dict[str, list[str]] = {}
    for name, value in query:
        given.setdefault(name, []).append(value)
    for name, values in given.items():
        if name not in declared:
            yield f"parameter {name}: not in the document"
            continue
        if len(values) > 1 and not declared[name].get("repeated"):
            yield f"parameter {name}: given {len(values)} times"
        for value in values:
            yield from _parameter_violations(f"parameter {name}", declared[name], value)
    for name, item in declared.items():
        # The document marks parameters of the path only; those of the query say it in words.
        if item.get("description", "").startswith("Required.") and name not in given:
            yield f"parameter {name}: required, and missing"


def _parameter_violations(where: str, schema: Mapping[str, Any], value: str) -> Iterator[str]:
    kind = schema["type"]
    if kind == "boolean":
        if value not in ("true", "false"):
            yield f"{where}: no boolean"
    elif kind in ("integer", "number"):
        if not _DIGITS.fullmatch(value):
            yield f"{where}: no number"
        else:
            yield from value_violations(where, schema, int(value))
    else:
        yield from value_violations(where, schema, value)
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            yield f"{where}: does not match its pattern"


# Bodies


def _json_violations(version: str, schema: str, body: bytes) -> Iterator[str]:
    try:
        value = json.loads(body)
    except ValueError:
        yield f"{schema}: no JSON"
        return
    yield from value_violations(schema, {"$ref": schema}, value, version)


def value_violations(where: str, schema: Mapping[str, Any], value: object, version: str = "v1") -> Iterator[str]:
    """How *value* differs from what *schema* says: fields, types, formats and enums, all the way down."""
    if "$ref" in schema:
        schema = document(version)["schemas"][schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "any":
        return
    if kind == "object":
        if not isinstance(value, dict):
            yield f"{where}: no object"
            return
        yield from _object_violations(where, schema, value, version)
    elif kind == "array":
        if not isinstance(value, list):
            yield f"{where}: no array"
            return
        for index, item in enumerate(value):
            yield from value_violations(f"{where}[{index}]", schema["items"], item, version)
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{where}: no boolean"
    elif kind in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, int if kind == "integer" else int | float):
            yield f"{where}: no {kind}"
        elif schema.get("format") in _RANGES and not _fits(schema["format"], int(value)):
            yield f"{where}: outside of {schema['format']}"
    elif not isinstance(value, str):
        yield f"{where}: no string"
    else:
        if "enum" in schema and value not in schema["enum"]:
            yield f"{where}: not in the enum"
        if not _has_format(schema.get("format"), value):
            yield f"{where}: no {schema['format']}"


def _object_violations(where: str, schema: Mapping[str, Any], value: Mapping[str, Any], version: str) -> Iterator[str]:
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    kind = value.get("@type")
    if isinstance(rest, Mapping) and rest.get("type") == "any" and isinstance(kind, str):
        # An Any, as in an operation: it says itself which message it is.
        name = kind.rpartition(".")[2]
        if name in document(version)["schemas"]:
            yield from value_violations(
                f"{where}({name})", {"$ref": name}, {k: v for k, v in value.items() if k != "@type"}, version
            )
        return
    for key, item in value.items():
        if key in known:
            yield from value_violations(f"{where}.{key}", known[key], item, version)
        elif rest is not None:
            yield from value_violations(f"{where}[]", rest, item, version)
        else:
            yield f"{where}.{key}: not in the document"


def _fits(kind: str, number: int) -> bool:
    least, most = _RANGES[kind]
    return least <= number <= most


def _has_format(kind: str | None, text: str) -> bool:
    if kind in _RANGES:
        return _DIGITS.fullmatch(text) is not None and _fits(kind, int(text))
    if kind == "google-datetime":
        return _DATETIME.fullmatch(text) is not None
    if kind == "google-duration":
        return _DURATION.fullmatch(text) is not None
    if kind == "google-fieldmask":
        return _FIELD_MASK.fullmatch(text) is not None
    if kind == "byte":
        try:
            base64.b64decode(text, validate=True)
        except binascii.Error:
            return False
    return True


# Answers


def answer_violations(method: Method | None, status: int, content_type: str, body: bytes) -> Iterator[str]:
    """What is wrong with an answer; DICOMweb's own bodies are not looked at."""
    if status >= 400:
        if method is None or not method.is_web or b'"error"' in body[:40]:
            yield from _error_violations(status, content_type, body)
    elif method is not None and method.response != "HttpBody":
        if not content_type.startswith("application/json"):
            yield "the answer is no application/json"
        yield from _json_violations(method.version, method.response, body)


def _error_violations(status: int, content_type: str, body: bytes) -> Iterator[str]:
    if not content_type.startswith("application/json"):
        yield "the error is no application/json"
        return
    error = json.loads(body).get("error")
    if not isinstance(error, dict):
        yield "the error has no object `error`"
        return
    if error.get("code") != status:
        yield "error.code is not the HTTP status"
    if error.get("status") not in CODES:
        yield "error.status is no canonical code"
    if not error.get("message"):
        yield "error.message is missing"
    status_fields = {key: error[key] for key in error if key != "status"}
    yield from value_violations("error", {"$ref": "Status"}, status_fields)


# In front of a server

Application = Callable[..., Iterable[bytes]]


@dataclass
class Validator:
    """Looks at every request for the API and at its answer, on their way through a WSGI application.

    Attributes
    ----------
    violations
        ``"METHOD id: what is wrong"``.
    seen
        Ids of the methods that were called, and answered with success.
    """

    violations: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def call(self, app: Application, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Let *app* answer, and check what went in and what came out."""
        path = environ.get("PATH_INFO", "").encode("latin-1").decode()
        if not path.startswith(("/v1/", "/v1beta1/")):
            return app(environ, start_response)
        method = find(environ["REQUEST_METHOD"], path)
        name = method.id if method else f"{environ['REQUEST_METHOD']} (no method of the API)"
        if method is None:
            self._note(name, ["the document has no such method"])
        elif method.request != "HttpBody":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ = {**environ, "wsgi.input": io.BytesIO(body)}
            self._note(name, request_violations(method, environ.get("QUERY_STRING", ""), body))
        status, content_type = 0, ""

        def start(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status, content_type
            status = int(line[:3])
            content_type = {key.lower(): value for key, value in headers}.get("content-type", "")
            return start_response(line, headers, *rest)

        answer = app(environ, start)
        if method is not None and status < 400:
            self.seen.add(method.id)
            if method.response == "HttpBody":
                return answer
        try:
            pieces = list(answer)
        finally:
            getattr(answer, "close", lambda: None)()
        self._note(name, answer_violations(method, status, content_type, b"".join(pieces)))
        return pieces

    def _note(self, name: str, violations: Iterable[str]) -> None:
        self.violations += [f"{name}: {violation}" for violation in violations]
