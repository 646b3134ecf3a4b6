"""Cloud Storage URIs and the wildcards of imports, parsed without touching any file or network.

Sources: Cloud Healthcare API v1, ``GoogleCloudHealthcareV1DicomGcsSource.uri`` (discovery document, revision
20261013); Cloud Storage, "Bucket naming guidelines" and "Object naming guidelines".

A URI is taken as it stands: percent escapes are not decoded and letters are not folded. What a file system or a
careless decoder could read as another place is refused, although Cloud Storage would take some of it: empty, ``.`` and
``..`` segments, backslashes, control and invisible characters, escapes and look-alikes of all of these.

The document does not say whether ``?`` matches a slash. Here it does not, as nobody would expect it to.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from dicomkit.resources._json import invalid, quoted, text

__all__ = ["MAX_OBJECT_BYTES", "GcsUri", "glob_regex", "parse_gcs_uri"]

SCHEME = "gs://"

MAX_OBJECT_BYTES = 1024
"""Longest name of an object, in UTF-8."""

_COMPONENT = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")
_ADDRESS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_ESCAPE = re.compile(r"%(?:25)*(?:2e|2f|5c|7f|[01][0-9a-f])", re.IGNORECASE)
_WILDCARD = re.compile(r"\*\*|\*|\?")
_EXTENSION = re.compile(r"(?:\.[^./*?]+)*")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"  # parts of words in several scripts
_LOOKS_LIKE_SEPARATORS = "\\\u2044\u2215\u29f5\u29f8\ufe68\uff0f\uff3c"


@dataclass(frozen=True, slots=True)
class GcsUri:
    """The bucket and the object, or the pattern of objects, that a URI names.

    Attributes
    ----------
    bucket
        Name of the bucket.
    object
        Name of the object as it stands in the URI, wildcards included; empty for the bucket itself.
    has_wildcards
        Whether *object* is a pattern.
    """

    bucket: str
    object: str
    has_wildcards: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.object}"

    @property
    def literal(self) -> str:
        """What the name of each object begins with: all before the first wildcard."""
        return _WILDCARD.split(self.object, maxsplit=1)[0] if self.has_wildcards else self.object

    @property
    def is_recursive(self) -> bool:
        """Whether the pattern reaches into all folders below."""
        return self.has_wildcards and "**" in self.object

    def regex(self) -> re.Pattern[str]:
        """What the name of an object, the whole of it, has to match."""
        return glob_regex(self.object) if self.has_wildcards else re.compile(re.escape(self.object))

    def below(self, name: str) -> GcsUri:
        """The object *name* below this prefix, checked; a slash goes between them where there is none."""
        joint = "/" if self.object and not self.object.endswith("/") else ""
        return parse_gcs_uri(f"{self}{joint}{name}")


def glob_regex(pattern: str) -> re.Pattern[str]:
    """*pattern* as a regular expression, which takes no longer than pattern times text, whatever they are."""
    # Splitting with the group keeps the stars, at odd places.
    first, *rest = re.split(r"(\*\*?)", pattern)
    pieces = [_fixed(first)]
    for number in range(0, len(rest), 2):
        run = ".*" if rest[number] == "**" else "[^/]*"
        fixed = _fixed(rest[number + 1])
        # A star before another one need not try again: the first place where what follows it fits is as good as any.
        pieces.append(f"(?>{run}?{fixed})" if number + 2 < len(rest) else f"{run}{fixed}")
    return re.compile("".join(pieces), re.DOTALL)


def _fixed(piece: str) -> str:
    return "[^/]".join(re.escape(part) for part in piece.split("?"))


def parse_gcs_uri(value: object, *, wildcards: bool = False, prefix: bool = False, path: str = "") -> GcsUri:
    """Read a URI of Cloud Storage.

    Parameters
    ----------
    value
        ``gs://{bucket}/{object}``.
    wildcards
        Take ``*``, ``?`` and ``**`` in the object; without it they are refused, as no place could be written to or
        read from.
    prefix
        The URI names a folder: the object may be empty, and may end with a slash.
    path
        Field that the URI stands in, for the message.

    Raises
    ------
    InvalidArgument
        It is no such URI; the message names the field, the rule and the remedy.
    """
    uri = text(value)
    form = "gs://{bucket}/{folder}" if prefix else "gs://{bucket}/{object}"
    if not uri.startswith(SCHEME):
        raise invalid(f"must be {form}; {quoted(uri)} does not begin with gs://", path=path)
    bucket, _slash, name = uri.removeprefix(SCHEME).partition("/")
    _check_bucket(bucket, path)
    if not name and not prefix:
        raise invalid(
            f"must name an object, as {form} does; {_whole(wildcards, f'{SCHEME}{bucket}/')}",
            path=path,
        )
    _check_object(name, path, prefix=prefix)
    if name.endswith("/") and not prefix:
        raise invalid(f"names a folder, not an object; {_whole(wildcards, uri)}", path=path)
    found = bool(_WILDCARD.search(name))
    if found:
        if not wildcards:
            raise invalid("must not have wildcards (*, ?); write the whole name", path=path)
        _check_wildcards(name, path)
    return GcsUri(bucket, name, has_wildcards=found)


def _whole(wildcards: bool, folder: str) -> str:
    return f"write {folder}** for everything below it" if wildcards else "write its whole name"


def _check_bucket(bucket: str, path: str) -> None:
    rule = ""
    if _WILDCARD.search(bucket):
        rule = "must not have a wildcard in the bucket; name one bucket"
    elif not 3 <= len(bucket) <= 222 or not all(_COMPONENT.fullmatch(part) for part in bucket.split(".")):
        rule = (
            "must name a bucket: 3 to 63 lower-case letters, digits, '-' and '_' (or several such names of at most 63 "
            "joined by dots), each beginning and ending with a letter or digit; check the bucket's name"
        )
    elif _ADDRESS.fullmatch(bucket):
        rule = "must not have an IP address as bucket; give the bucket's name"
    elif bucket.startswith("goog") or "google" in bucket:
        rule = "must not have a bucket that begins with goog or contains google; check the bucket's name"
    elif "." not in bucket and len(bucket) > 63:
        rule = "must have a bucket of at most 63 characters; check the bucket's name"
    if rule:
        raise invalid(rule, path=path)


def _check_object(name: str, path: str, *, prefix: bool) -> None:
    rule = ""
    segments = name.split("/")
    if prefix and segments[-1] == "":
        segments.pop()
    # A folder's name ends with a slash; that one is told of elsewhere.
    inner = segments[:-1] if segments and segments[-1] == "" else segments
    folded = unicodedata.normalize("NFKC", name)
    if len(name.encode()) > MAX_OBJECT_BYTES:
        rule = f"must have an object of at most {MAX_OBJECT_BYTES} bytes in UTF-8; shorten its name"
    elif any(unicodedata.category(c) in _HIDDEN and c not in _JOINERS for c in name):
        rule = "must not have control or invisible characters; rename the object"
    elif any(c in name for c in _LOOKS_LIKE_SEPARATORS):
        rule = "must not have backslashes or other characters that look like a slash; separate folders by /"
    elif _ESCAPE.search(name):
        rule = "must not have percent escapes of dots, slashes or control characters; write characters as they are"
    elif any(s in (".", "..") for s in (*segments, *folded.split("/"))):
        rule = "must not have '.' or '..' as a folder or object; write the path without them"
    elif "" in inner or folded.count("/") != name.count("/"):
        rule = "must not have two slashes in a row, or one at the beginning; leave out the empty name between them"
    elif name.startswith(".well-known/acme-challenge/"):
        rule = "must not begin with .well-known/acme-challenge/, which Cloud Storage reserves; rename the object"
    if rule:
        raise invalid(rule, path=path)


def _check_wildcards(name: str, path: str) -> None:
    """``**`` stands at the end, or before an extension, and with no other wildcard; ``***`` is nothing."""
    before, double, after = name.partition("**")
    if double and (_WILDCARD.search(before) or not _EXTENSION.fullmatch(after)):
        raise invalid(
            "must have ** only at the end (dir/**) or before an extension (dir/**.dcm), and no other wildcard with it; "
            "use * within one folder",
            path=path,
        )
