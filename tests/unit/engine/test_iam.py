"""getIamPolicy, setIamPolicy and testIamPermissions over HTTP, and the permission of every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from dicomkit.engine import Engine
from dicomkit.engine.handlers import all_routes
from dicomkit.engine.routes import DATASET as DATASET_RULE
from dicomkit.engine.routes import STORE as STORE_RULE
from dicomkit.resources.roles import METHODS
from tests.unit.engine.factories import DATASET, PARENT, STORE, client

VIEWER = "roles/healthcare.dicomViewer"
ADMIN = "roles/healthcare.datasetAdmin"
ALICE = "user:alice@example.com"
CONFLICT = "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
BINDING = {"role": VIEWER, "members": [ALICE]}

both = pytest.mark.parametrize("resource", [DATASET, STORE], ids=["dataset", "store"])


def read(answer: TestResponse) -> Any:
    """Its JSON."""
    return answer.json


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine)


def set_policy(http: Client, resource: str, policy: dict[str, Any], **fields: Any) -> Any:
    """Answer of setIamPolicy."""
    return http.post(f"{resource}:setIamPolicy", json={"policy": policy} | fields)


def test_every_route_has_a_permission() -> None:
    """A method that is not in the table could not be guarded: it needs its row, be it that it needs nothing."""
    missing = {route.method_id for route in all_routes()} - METHODS.keys()
    assert not missing, f"resources/roles.py says nothing of {sorted(missing)}"


def test_permission_is_asked_for_on_a_resource_of_the_path() -> None:
    """A store's permission needs a store in the path, a dataset's a dataset."""
    for route in all_routes():
        rule = re.sub(r"^(/dicomkit)?/v1(beta1)?/", "/v1/", route.rule)
        needs = METHODS[route.method_id]
        if route.method_id.startswith("bigquery."):
            assert needs.on == "project"
        elif rule.startswith(STORE_RULE):
            assert needs.on == "store", route.method_id
        elif rule.startswith(DATASET_RULE):
            assert needs.on == "dataset", route.method_id
        else:
            assert needs.on == "project", route.method_id


@both
def test_resource_without_a_policy_has_an_empty_one(http: Client, resource: str) -> None:
    """Not 404: an empty policy, with the etag that Google gives for it."""
    assert http.get(f"{resource}:getIamPolicy").json == {"etag": "ACAB"}


@both
def test_policy_that_was_set_is_read_again(http: Client, resource: str) -> None:
    """The answer is the policy as it now is, version 1 without conditions, with a new etag."""
    answer = set_policy(http, resource, {"bindings": [BINDING], "version": 3})
    assert answer.status_code == 200
    etag = answer.json["etag"]
    assert answer.json == {"version": 1, "etag": etag, "bindings": [BINDING]}
    assert etag != "ACAB"
    assert http.get(f"{resource}:getIamPolicy?options.requestedPolicyVersion=3").json == answer.json
    again = set_policy(http, resource, {"bindings": [BINDING], "etag": etag})
    assert again.json["etag"] != etag


def test_policies_of_a_dataset_and_its_store_are_two(http: Client) -> None:
    """What a store inherits is not copied into its own policy."""
    set_policy(http, DATASET, {"bindings": [{"role": ADMIN, "members": [ALICE]}]})
    assert http.get(f"{STORE}:getIamPolicy").json == {"etag": "ACAB"}


@both
def test_stale_etag_is_a_conflict_that_changes_nothing(http: Client, resource: str) -> None:
    """409 ABORTED in Google's words; the etag of the empty policy goes stale, too."""
    current = set_policy(http, resource, {"bindings": [BINDING], "etag": "ACAB"}).json
    for stale in ("ACAB", "BwWWja0YfJA="):
        answer = set_policy(http, resource, {"etag": stale})
        assert answer.status_code == 409
        assert read(answer)["error"] == {"code": 409, "status": "ABORTED", "message": CONFLICT}
    assert http.get(f"{resource}:getIamPolicy").json == current


@both
def test_policy_without_an_etag_overwrites(http: Client, resource: str) -> None:
    """As documented: who sends no etag takes no part in the control of concurrent changes."""
    set_policy(http, resource, {"bindings": [BINDING]})
    assert "bindings" not in set_policy(http, resource, {}).json
    assert "bindings" not in read(http.get(f"{resource}:getIamPolicy"))


def test_mask_says_which_fields_count(http: Client) -> None:
    """The default is "bindings, etag"; the etag is compared whatever the mask."""
    first = set_policy(http, STORE, {"bindings": [BINDING]}).json
    kept = set_policy(http, STORE, {"bindings": []}, updateMask="etag").json
    assert kept["bindings"] == [BINDING]
    assert set_policy(http, STORE, {"etag": first["etag"]}, updateMask="bindings").status_code == 409
    answer = set_policy(http, STORE, {"auditConfigs": [{"service": "allServices"}], "bindings": [BINDING]})
    assert "auditConfigs" not in answer.json


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        ({}, 400, "INVALID_ARGUMENT", "policy: is required"),
        ({"policy": []}, 400, "INVALID_ARGUMENT", "policy: "),
        ({"policy": {"version": 2}}, 400, "INVALID_ARGUMENT", "policy.version: must be 0, 1 or 3"),
        ({"policy": {}, "updateMask": "role"}, 400, "INVALID_ARGUMENT", "updateMask: "),
        ({"policy": {"rolls": 1}}, 400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown name"),
        ({"policy": {"etag": "?"}}, 400, "INVALID_ARGUMENT", "policy.etag: "),
        (
            {"policy": {"bindings": [{"role": VIEWER, "members": []}]}},
            400,
            "INVALID_ARGUMENT",
            "policy.bindings[0].members: must have at least one",
        ),
        (
            {"policy": {"bindings": [{"role": VIEWER, "members": ["bob"]}]}},
            400,
            "INVALID_ARGUMENT",
            "policy.bindings[0].members[0]: must be ",
        ),
        (
            {"policy": {"bindings": [{"role": "roles/healthcare.dicomViwer", "members": [ALICE]}]}},
            400,
            "INVALID_ARGUMENT",
            'policy.bindings[0].role: "roles/healthcare.dicomViwer" is no predefined role',
        ),
        (
            {"policy": {"bindings": [BINDING | {"condition": {"expression": "true"}}]}},
            400,
            "INVALID_ARGUMENT",
            "policy.version: must be 3",
        ),
        (
            {"policy": {"version": 3, "bindings": [BINDING | {"condition": {"expression": "true"}}]}},
            501,
            "UNIMPLEMENTED",
            "policy.bindings[0].condition: this server does not evaluate",
        ),
        (
            {"policy": {"auditConfigs": [{"service": "allServices"}]}, "updateMask": "auditConfigs"},
            501,
            "UNIMPLEMENTED",
            "policy.auditConfigs: this server keeps no audit log",
        ),
        (
            {
                "policy": {
                    "bindings": [{"role": VIEWER, "members": [f"user:{'u' * 90}{i}@example.com" for i in range(1000)]}]
                }
            },
            400,
            "INVALID_ARGUMENT",
            "policy: must have at most 64 KiB",
        ),
    ],
)
def test_policy_that_is_wrong_is_refused_and_changes_nothing(
    http: Client, body: dict[str, Any], status: int, code: str, message: str
) -> None:
    """Field, rule and remedy; what would not be heeded is refused, never kept for show."""
    before = set_policy(http, STORE, {"bindings": [BINDING]}).json
    answer = http.post(f"{STORE}:setIamPolicy", json=body)
    assert (answer.status_code, read(answer)["error"]["status"]) == (status, code)
    assert read(answer)["error"]["message"].startswith(message)
    assert http.get(f"{STORE}:getIamPolicy").json == before


@pytest.mark.parametrize("version", ["2", "4", "x", "-1", "", "1" * 5000, "³"])
def test_version_that_is_none_is_refused(http: Client, version: str) -> None:
    """Requests specifying an invalid value will be rejected."""
    answer = http.get(f"{STORE}:getIamPolicy", query_string={"options.requestedPolicyVersion": version})
    assert (answer.status_code, read(answer)["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("version", ["0", "1", "3"])
def test_any_valid_version_reads_a_policy_without_conditions(http: Client, version: str) -> None:
    """Policies with no conditional role bindings may specify any valid value."""
    assert http.get(f"{STORE}:getIamPolicy?options.requestedPolicyVersion={version}").status_code == 200


@pytest.mark.parametrize("missing", [f"{PARENT}/datasets/none", f"{DATASET}/dicomStores/none"])
def test_missing_resource(http: Client, missing: str) -> None:
    """NOT_FOUND for its policy, but an empty set for its permissions."""
    assert http.get(f"{missing}:getIamPolicy").status_code == 404
    assert set_policy(http, missing, {}).status_code == 404
    answer = http.post(f"{missing}:testIamPermissions", json={"permissions": ["healthcare.dicomStores.get"]})
    assert (answer.status_code, answer.json) == (200, {})


@both
def test_owner_holds_every_permission_that_there_is(http: Client, resource: str) -> None:
    """A subset of what was asked, in its order; a permission that does not exist is held by nobody."""
    asked = ["healthcare.dicomStores.setIamPolicy", "healthcare.dicomStores.fly", "healthcare.dicomStores.dicomWebRead"]
    answer = http.post(f"{resource}:testIamPermissions", json={"permissions": [*asked, asked[0]]})
    assert answer.json == {"permissions": [asked[0], asked[2]]}
    assert http.post(f"{resource}:testIamPermissions", json={}).json == {}


@pytest.mark.parametrize("permission", ["*", "storage.*", "healthcare.dicomStores.*", "", "get", 1, None])
def test_wildcards_are_refused(http: Client, permission: Any) -> None:
    """Permissions with wildcards are not allowed, and what is no permission is none."""
    for resource in (STORE, f"{DATASET}/dicomStores/none"):
        answer = http.post(f"{resource}:testIamPermissions", json={"permissions": [permission]})
        assert (answer.status_code, read(answer)["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_policy_survives_a_restart(tmp_path: Path) -> None:
    """It is in the catalog when the answer comes."""
    with Engine(tmp_path) as first:
        answer = set_policy(client(first), STORE, {"bindings": [BINDING]}).json
    with Engine(tmp_path) as second:
        assert Client(second).get(f"{STORE}:getIamPolicy").json == answer


def test_policy_goes_with_its_resource(http: Client, engine: Engine) -> None:
    """A store or dataset that is made anew starts with no policy, and an old etag is stale for it."""
    old = set_policy(http, STORE, {"bindings": [BINDING]}).json["etag"]
    assert http.delete(STORE).status_code == 200
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=ct").status_code == 200
    assert http.get(f"{STORE}:getIamPolicy").json == {"etag": "ACAB"}
    assert set_policy(http, STORE, {"etag": old}).status_code == 409
    for resource in (DATASET, STORE):
        set_policy(http, resource, {"bindings": [BINDING]})
    assert http.delete(DATASET).status_code == 200
    client(engine)
    for resource in (DATASET, STORE):
        assert http.get(f"{resource}:getIamPolicy").json == {"etag": "ACAB"}


def test_of_twenty_writers_with_one_etag_one_wins(http: Client, engine: Engine) -> None:
    """The others are told to read again, and what is kept is the winner's."""
    etag = set_policy(http, STORE, {"bindings": [BINDING]}).json["etag"]

    def write(number: int) -> tuple[int, int]:
        binding = {"role": VIEWER, "members": [f"user:u{number}@example.com"]}
        answer = set_policy(Client(engine), STORE, {"bindings": [binding], "etag": etag})
        return answer.status_code, number

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(write, range(20)))
    winners = [number for status, number in answers if status == 200]
    assert sorted(status for status, _ in answers) == [200] + [409] * 19
    kept = read(http.get(f"{STORE}:getIamPolicy"))["bindings"]
    assert kept == [{"role": VIEWER, "members": [f"user:u{winners[0]}@example.com"]}]
