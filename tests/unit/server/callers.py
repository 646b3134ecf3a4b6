"""A served engine, the tokens of its callers, and requests of theirs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from dicomkit.engine.access import Caller
from dicomkit.engine.app import Engine
from dicomkit.engine.routes import Route
from dicomkit.server import Gate, Tokens
from tests.conftest import LOOPBACK, served

OWNER_TOKEN = "token-of-the-owner"
LOCATION = "projects/p/locations/l"
DATASET = f"{LOCATION}/datasets/d"
STORE = f"{DATASET}/dicomStores/s"

ALICE = Caller("user:alice@example.com", frozenset({"group:readers@example.com"}))
BOB = Caller("serviceAccount:bob@example.iam.gserviceaccount.com")

CALLERS: Mapping[str, Caller] = {"token-of-alice": ALICE, "token-of-bob": BOB}
"""Token -> whose it is."""


@dataclass
class Site:
    """A served engine with a dataset and a store."""

    origin: str
    engine: Engine
    sessions: dict[str, requests.Session] = field(default_factory=dict)

    def call(self, token: str, verb: str, path: str, **options: Any) -> requests.Response:
        """The answer to a request with a token; *path* below the origin."""
        session = self.sessions.setdefault(token, requests.Session())
        session.trust_env = False
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return session.request(verb, f"{self.origin}{path}", headers=headers, timeout=30, **options)

    def owner(self, verb: str, path: str, **options: Any) -> Any:
        """The JSON that the owner gets."""
        answer = self.call(OWNER_TOKEN, verb, path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def furnish(self) -> None:
        """Make the dataset and the store, where they are missing."""
        self.call(OWNER_TOKEN, "POST", f"/v1/{LOCATION}/datasets?datasetId=d", json={})
        self.call(OWNER_TOKEN, "POST", f"/v1/{DATASET}/dicomStores?dicomStoreId=s", json={})

    def grant(self, resource: str, *bindings: tuple[str, str]) -> None:
        """Give a resource a policy of (role, member)."""
        policy = {"bindings": [{"role": role, "members": [member]} for role, member in bindings]}
        self.owner("POST", f"/v1/{resource}:setIamPolicy", json={"policy": policy})

    def may(self, token: str, permission: str, resource: str = STORE) -> bool:
        """Whether testIamPermissions says that a token's caller holds a permission."""
        answer = self.call(
            token, "POST", f"/v1/{resource}:testIamPermissions", json={"permissions": [permission]}
        ).json()
        assert answer in ({}, {"permissions": [permission]})
        return bool(answer)


@contextmanager
def site(home: Path) -> Iterator[Site]:
    """A home that is served to its owner, to Alice and to Bob."""
    others = {hashlib.sha256(token.encode()).digest(): caller for token, caller in CALLERS.items()}
    with Engine(home) as engine:
        with served(engine, Gate(Tokens(OWNER_TOKEN, others), hosts=LOOPBACK)) as origin:
            made = Site(origin, engine)
            made.furnish()
            try:
                yield made
            finally:
                for session in made.sessions.values():
                    session.close()


_VALUES = {"project": "p", "location": "l", "dataset": "d", "store": "s"}
_UIDS = ("study", "series", "instance")


def path_of(route: Route) -> str:
    """A path that a route has, on the dataset and the store of the site."""

    def value(match: re.Match[str]) -> str:
        name = match[1].rpartition(":")[2]
        return _VALUES.get(name) or ("1.2" if name in _UIDS else "1")

    return re.sub(r"<([^>]+)>", value, route.rule)
