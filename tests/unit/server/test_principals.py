"""The file with the tokens of others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dicomkit.engine.access import OWNER, Caller
from dicomkit.errors import InvalidArgument, SetupError
from dicomkit.server import Tokens, read_principals

DIGEST = hashlib.sha256(b"token-of-alice").hexdigest()
ALICE = {"member": "user:alice@example.com", "token_sha256": DIGEST}


def _json(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "principals.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(0o600)
    return path


def test_file_is_toml_or_json(tmp_path: Path) -> None:
    """The same principals either way; a token by its SHA-256 or as it is."""
    toml = tmp_path / "principals.toml"
    toml.write_text(
        f"""
        [[principals]]
        member = "user:alice@example.com"
        token_sha256 = "{DIGEST}"
        groups = ["group:readers@example.com"]

        [[principals]]
        member = "serviceAccount:bob@example.com"
        token = "token-of-bob"
        """
    )
    toml.chmod(0o600)
    entries = [
        {**ALICE, "groups": ["group:readers@example.com"]},
        {"member": "serviceAccount:bob@example.com", "token": "token-of-bob"},
    ]
    found = read_principals(toml)
    assert found == read_principals(_json(tmp_path, {"principals": entries}))
    tokens = Tokens("token-of-the-owner", found)
    assert tokens("token-of-alice") == Caller("user:alice@example.com", frozenset({"group:readers@example.com"}))
    assert tokens("token-of-bob") == Caller("serviceAccount:bob@example.com")
    assert tokens("token-of-the-owner") is OWNER
    for wrong in ("", "token-of-alic", DIGEST, "Token-of-alice", "token-of-alice ", "\udc80"):
        assert tokens(wrong) is None


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "JSON"),
        ([], "list"),
        ({}, "list"),
        ({"principals": {}}, "list"),
        ({"principals": [ALICE], "more": 1}, "nothing else"),
        ({"principals": [1]}, r"principals\[0\]"),
        ({"principals": [ALICE, {**ALICE, "member": "user:b@example.com"}]}, r"principals\[1\].*somebody else"),
        ({"principals": [{**ALICE, "role": "x"}]}, "nothing else"),
        ({"principals": [{**ALICE, "member": "alice@example.com"}]}, "member"),
        ({"principals": [{**ALICE, "member": "allUsers"}]}, "member"),
        ({"principals": [{**ALICE, "member": "group:a@example.com"}]}, "member"),
        ({"principals": [{**ALICE, "member": ""}]}, "member"),
        ({"principals": [{**ALICE, "groups": "group:a@example.com"}]}, "groups"),
        ({"principals": [{**ALICE, "groups": ["user:a@example.com"]}]}, "groups"),
        ({"principals": [{**ALICE, "token": "secret-token"}]}, "either"),
        ({"principals": [{"member": ALICE["member"]}]}, "either"),
        ({"principals": [{**ALICE, "token_sha256": DIGEST.upper()}]}, "64"),
        ({"principals": [{"member": ALICE["member"], "token": "short"}]}, "8 to 512"),
        ({"principals": [{"member": ALICE["member"], "token": 12345678}]}, "8 to 512"),
        ({"principals": [{"member": ALICE["member"], "token": "secret token"}]}, "8 to 512"),
    ],
)
def test_what_breaks_a_rule_is_refused_without_a_token_in_the_message(tmp_path: Path, content: Any, word: str) -> None:
    """The message says where and what; the server does not start half open."""
    with pytest.raises(InvalidArgument, match=word) as caught:
        read_principals(_json(tmp_path, content))
    assert "secret" not in str(caught.value)
    assert DIGEST not in str(caught.value)


def test_tokens_that_others_can_read_are_refused(tmp_path: Path) -> None:
    """Like a private key of ssh; digests may be seen."""
    path = _json(tmp_path, {"principals": [{"member": ALICE["member"], "token": "token-of-alice"}]})
    path.chmod(0o640)
    with pytest.raises(SetupError, match="chmod 600"):
        read_principals(path)
    path = _json(tmp_path, {"principals": [ALICE]})
    path.chmod(0o644)
    assert len(read_principals(path)) == 1


def test_syntax_error_does_not_show_its_line(tmp_path: Path) -> None:
    """It may hold a token, and so may the exception behind it."""
    path = tmp_path / "principals.toml"
    path.write_text('token = "secret-token')
    with pytest.raises(InvalidArgument) as caught:
        read_principals(path)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(SetupError, match="cannot be read"):
        read_principals(tmp_path / "missing.toml")


def test_owner_has_a_token_of_its_own(tmp_path: Path) -> None:
    """Somebody else with it would be the owner."""
    found = read_principals(_json(tmp_path, {"principals": [ALICE]}))
    with pytest.raises(InvalidArgument, match="owner"):
        Tokens("token-of-alice", found)
    with pytest.raises(InvalidArgument, match="8 to 512"):
        Tokens("short")
    assert "token-of" not in repr(Tokens("token-of-the-owner", found))
