"""Changes of a policy against a server that is Google's in what matters: conditions, unknown fields, conflicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from dicomkit.client.access import ATTEMPTS, change_policy
from dicomkit.client.connection import Connection
from dicomkit.client.dataset import Dataset
from dicomkit.client.rest import Rest
from dicomkit.errors import Aborted, InvalidArgument, to_body
from dicomkit.names import DatasetName
from dicomkit.transport import ORIGIN, EngineAdapter

NAME = "projects/p/locations/l/datasets/d"
VIEWER = "roles/healthcare.dicomViewer"
ALICE = "user:alice@example.com"
CONDITION = {"title": "t", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')", "flavour": "CEL"}


class Server:
    """Keeps one policy, and refuses as many writes as it is told to."""

    def __init__(self, policy: dict[str, Any], *, conflicts: int = 0) -> None:
        self.policy = policy
        self.conflicts = conflicts
        self.requests: list[tuple[str, str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        body = json.loads(request.get_data() or b"null")
        self.requests.append((request.path, request.query_string.decode(), body))
        answer, status = self.policy, 200
        if request.path.endswith(":setIamPolicy"):
            if self.conflicts:
                self.conflicts -= 1
                # Somebody else's change, which the next reading has to see.
                self.policy = {**self.policy, "etag": f"{self.conflicts:04}"}
                answer, status = to_body(Aborted("There were concurrent policy changes.")), 409
            else:
                answer = self.policy = {**body["policy"], "etag": "BwWWja0YfJA="}
        return Response(json.dumps(answer), status, content_type="application/json")(environ, start_response)


def session_of(server: Server) -> requests.Session:
    session = requests.Session()
    session.mount(f"{ORIGIN}/", EngineAdapter(server))
    return session


def dataset_of(server: Server) -> Dataset:
    connection = Connection(session_of(server), base_url=f"{ORIGIN}/v1", bigquery_endpoint=None, place="test")
    return Dataset(connection, DatasetName.parse(NAME))


def test_what_is_not_known_is_written_back() -> None:
    """A grant changes one binding; conditions, new fields and new kinds of members stay as they were."""
    before = {
        "version": 3,
        "etag": "ACAB",
        "bindings": [
            {"role": VIEWER, "members": [ALICE], "condition": CONDITION},
            {"role": "roles/editor", "members": ["martian:zork"], "bindingId": "b"},
        ],
        "auditConfigs": [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}],
        "rules": [{"x": 1}],
    }
    server = Server(before)
    dataset = dataset_of(server)
    dataset.grant(VIEWER, "allUsers")
    path, _, sent = server.requests[-1]
    assert path == f"/v1/{NAME}:setIamPolicy"
    added = {"role": VIEWER, "members": ["allUsers"]}
    assert sent == {"policy": before | {"bindings": [*before["bindings"], added]}}  # type: ignore[misc]
    assert dataset.iam()["condition"].tolist()[0] == CONDITION["expression"]
    assert dataset.iam()["condition"].isna().tolist() == [False, True, True]


def test_policy_is_read_in_the_version_that_shows_conditions() -> None:
    """Version 1 would hide them, and a write of it would lose them."""
    server = Server({"etag": "ACAB"})
    dataset_of(server).grant(VIEWER, ALICE)
    assert server.requests[0][:2] == (f"/v1/{NAME}:getIamPolicy", "options.requestedPolicyVersion=3")


def test_revoke_takes_conditional_grants_too() -> None:
    """Who is revoked does not keep the role for a part of the time."""
    server = Server({"version": 3, "bindings": [{"role": VIEWER, "members": [ALICE], "condition": CONDITION}]})
    dataset_of(server).revoke(VIEWER, ALICE)
    assert server.requests[-1][2]["policy"]["bindings"] == []


def test_conflict_repeats_the_whole_change_with_growing_pauses() -> None:
    """Each try reads the policy anew and sends the etag that it read."""
    server = Server({"etag": "ACAB"}, conflicts=4)
    pauses: list[float] = []
    rest = Rest(session_of(server), f"{ORIGIN}/v1")
    policy = change_policy(rest, NAME, lambda current: current.granted(VIEWER, ALICE), sleep=pauses.append)
    assert policy.roles_of(ALICE) == (VIEWER,)
    etags = [body["policy"]["etag"] for _, _, body in server.requests if body]
    assert etags == ["ACAB", "0003", "0002", "0001", "0000"]
    assert len(pauses) == 4
    assert all(0 <= pause <= 0.05 * 2**attempt for attempt, pause in enumerate(pauses))


def test_conflict_without_end_is_raised() -> None:
    """After the last try the caller hears of it."""
    server = Server({"etag": "ACAB"}, conflicts=1000)
    pauses: list[float] = []
    rest = Rest(session_of(server), f"{ORIGIN}/v1")
    with pytest.raises(Aborted):
        change_policy(rest, NAME, lambda current: current.granted(VIEWER, ALICE), sleep=pauses.append)
    assert len(pauses) == ATTEMPTS - 1
    assert len(server.requests) == 2 * ATTEMPTS


def test_nothing_is_sent_for_a_member_that_is_none() -> None:
    """The rule is known here."""
    server = Server({"etag": "ACAB"})
    with pytest.raises(InvalidArgument):
        dataset_of(server).grant(VIEWER, "alice")
    assert server.requests == []


def test_grant_that_is_there_already_is_not_written() -> None:
    """One reading, no writing."""
    server = Server({"etag": "ACAB", "bindings": [{"role": VIEWER, "members": [ALICE]}]})
    assert dataset_of(server).grant(VIEWER, ALICE).etag == "ACAB"
    assert len(server.requests) == 1
