"""Tokens of a server, and whom each of them stands for.

A principals file is TOML or JSON with a list ``principals``::

    [[principals]]
    member = "user:alice@example.com"
    token_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    groups = ["group:radiology@example.com"]

``token`` in place of ``token_sha256`` holds the token itself; then nobody but its owner may be able to read the file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dicomkit.engine.access import OWNER, Caller
from dicomkit.errors import InvalidArgument, SetupError
from dicomkit.resources.policy import check_member, member_kind

__all__ = ["Tokens", "check_token", "read_principals"]

MAX_BYTES = 1 << 20
"""Largest principals file."""

_TOKEN = re.compile(r"[\x21-\x7e]{8,512}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEYS = frozenset({"member", "token", "token_sha256", "groups"})


def check_token(token: str) -> str:
    """Return *token* if it can be one, else raise ``InvalidArgument``, which never repeats it."""
    if not _TOKEN.fullmatch(token):
        raise InvalidArgument("a token is 8 to 512 visible ASCII characters without spaces; choose another one")
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Tokens:
    """Whom a token stands for.

    Parameters
    ----------
    owner
        The token of the owner.
    others
        SHA-256 of a token -> who has it.

    Raises
    ------
    InvalidArgument
        The owner's token is no token, or somebody else has it, too.
    """

    def __init__(self, owner: str, others: Mapping[bytes, Caller] | None = None) -> None:
        digest = _digest(check_token(owner))
        if digest in (others or {}):
            raise InvalidArgument("the owner's token is also one of the principals file; give each its own")
        self._callers = [(digest, OWNER), *(others or {}).items()]

    def __call__(self, token: str) -> Caller | None:
        """The caller with *token*; ``None`` for a token that is none.

        Digests are compared, all of them and each in constant time, so that the time says nothing of a token.
        """
        digest, found = _digest(token), None
        for known, caller in self._callers:
            if hmac.compare_digest(digest, known):
                found = caller
        return found

    def __repr__(self) -> str:
        return f"<{len(self._callers)} tokens>"


def read_principals(path: Path) -> dict[bytes, Caller]:
    """The principals of a file, by the SHA-256 of their tokens.

    Raises
    ------
    SetupError
        The file cannot be read, or others can read the tokens in it.
    InvalidArgument
        An entry breaks a rule; the message says which, and repeats no token.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
            is_private = os.name != "posix" or not os.fstat(file.fileno()).st_mode & 0o077
    except OSError as exc:
        raise SetupError(f"the principals file {str(path)!r} cannot be read ({exc.strerror})") from exc
    if len(raw) > MAX_BYTES:
        raise InvalidArgument(f"the principals file is larger than {MAX_BYTES >> 20} MiB")
    try:
        content = json.loads(raw) if path.suffix.lower() == ".json" else tomllib.loads(raw.decode("utf-8"))
    except ValueError:
        # No `from`: the text of a syntax error can show a part of the line, which may hold a token.
        raise InvalidArgument(f"the principals file {str(path)!r} is no TOML (or, as *.json, no JSON)") from None
    entries = content.get("principals") if isinstance(content, dict) else None
    if not isinstance(entries, list) or set(content) != {"principals"}:
        raise InvalidArgument("the principals file holds one list, principals, and nothing else")
    found: dict[bytes, Caller] = {}
    for at, entry in enumerate(entries):
        digest, caller = _principal(f"principals[{at}]", entry)
        if "token" in entry and not is_private:
            raise SetupError(
                f"others can read the tokens in {str(path)!r}; run `chmod 600` on it, or write token_sha256 instead"
            )
        if digest in found:
            raise InvalidArgument(f"principals[{at}]: its token is somebody else's, too; give each its own")
        found[digest] = caller
    return found


def _principal(where: str, entry: Any) -> tuple[bytes, Caller]:
    if not isinstance(entry, dict) or not entry.keys() <= _KEYS:
        raise InvalidArgument(f"{where}: has member, token_sha256 (or token) and groups, and nothing else")
    member, groups = entry.get("member"), entry.get("groups", [])
    if not _is_member(member, ("user", "serviceAccount")):
        raise InvalidArgument(f"{where}.member: must be like user:alice@example.com or serviceAccount:name@example.com")
    if not isinstance(groups, list) or not all(_is_member(group, ("group",)) for group in groups):
        raise InvalidArgument(f"{where}.groups: must be a list of texts like group:radiology@example.com")
    token, digest = entry.get("token"), entry.get("token_sha256")
    if (token is None) == (digest is None):
        raise InvalidArgument(f"{where}: must have either token_sha256 or token")
    caller = Caller(str(member), frozenset(groups))
    if digest is not None:
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise InvalidArgument(f"{where}.token_sha256: must be 64 lower-case hex digits, as sha256sum writes them")
        return bytes.fromhex(digest), caller
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise InvalidArgument(f"{where}.token: must be 8 to 512 visible ASCII characters without spaces")
    return _digest(token), caller


def _is_member(value: object, kinds: Iterable[str]) -> bool:
    try:
        return member_kind(check_member(value)) in kinds
    except InvalidArgument:
        return False
