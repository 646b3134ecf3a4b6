"""Who may do what: every role on every method of every route, asked over HTTP with a token of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import dicomkit as dk
from dicomkit.engine.handlers import all_routes
from dicomkit.resources.roles import METHODS, PERMISSIONS, ROLES
from tests.contract.instances import ct_slice
from tests.unit.server.callers import ALICE, BOB, DATASET, LOCATION, OWNER_TOKEN, STORE, Site, path_of, site

READ = "healthcare.dicomStores.dicomWebRead"
VIEWER = "roles/healthcare.dicomViewer"
EDITOR = "roles/healthcare.dicomEditor"
ADMIN = "roles/healthcare.dicomStoreAdmin"
DATASET_ADMIN = "roles/healthcare.datasetAdmin"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for the tests that leave it as it was."""
    with site(tmp_path_factory.mktemp("site") / "home") as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "home") as made:
        yield made


def is_granted(role: str | None, on: str, method_id: str) -> bool:
    """What the tables say of a method when *role* was granted on a dataset or a store."""
    needs = METHODS[method_id]
    if needs.permission is None:
        return True
    reach = {"dataset": ("dataset", "store"), "store": ("store",)}[on]
    return role is not None and needs.on in reach and needs.permission in ROLES[role]


@pytest.mark.parametrize("on", ["dataset", "store"])
@pytest.mark.parametrize("role", [None, *ROLES])
def test_each_method_answers_as_the_tables_say(shared: Site, role: str | None, on: str) -> None:
    """403 where the role does not have the permission, on this resource or above; anything else where it has."""

    def prepare() -> None:
        shared.furnish()
        for resource in (DATASET, STORE):
            shared.grant(resource)
        if role is not None:
            shared.grant(DATASET if on == "dataset" else STORE, (role, ALICE.member))

    prepare()
    wrong = []
    for route in all_routes():
        answer = shared.call("token-of-alice", route.verb, path_of(route), data=b"")
        is_denied = answer.status_code == 403
        if is_denied == is_granted(role, on, route.method_id):
            wrong.append(f"{route.method_id}: {answer.status_code}")
        if is_denied:
            error = answer.json()["error"]
            permission = METHODS[route.method_id].permission
            assert error["status"] == "PERMISSION_DENIED"
            assert error["details"][0]["metadata"]["permission"] == permission
        elif route.method_id.endswith((".datasets.delete", ".dicomStores.delete")):
            prepare()  # it is gone
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_permissions_are_those_of_the_role(shared: Site, role: str) -> None:
    """testIamPermissions answers for the caller: the role's permissions, no more, no less."""
    asked = sorted(permission for permission in PERMISSIONS if permission.startswith("healthcare."))
    shared.furnish()
    shared.grant(DATASET)
    shared.grant(STORE, (role, ALICE.member))
    for token, held in (("token-of-alice", ROLES[role]), ("token-of-bob", set()), (OWNER_TOKEN, PERMISSIONS)):
        body = {"permissions": asked}
        for resource, inherited in ((STORE, held), (DATASET, PERMISSIONS if token == OWNER_TOKEN else set())):
            answer = shared.call(token, "POST", f"/v1/{resource}:testIamPermissions", json=body).json()
            assert set(answer.get("permissions", ())) == set(asked) & set(inherited)


@pytest.mark.parametrize(
    ("member", "alice", "bob"),
    [
        ("user:alice@example.com", True, False),
        ("user:Alice@Example.com", True, False),
        ("serviceAccount:bob@example.iam.gserviceaccount.com", False, True),
        ("group:readers@example.com", True, False),
        ("group:others@example.com", False, False),
        ("domain:example.com", True, False),
        ("domain:ample.com", False, False),
        ("allUsers", True, True),
        ("allAuthenticatedUsers", True, True),
        ("user:bob@example.iam.gserviceaccount.com", False, False),
        ("group:alice@example.com", False, False),
        ("deleted:user:alice@example.com?uid=123", False, False),
    ],
)
def test_member_stands_for(shared: Site, member: str, alice: bool, bob: bool) -> None:
    """A person, a service account, a group, a domain, or everybody who has a token."""
    shared.furnish()
    shared.grant(DATASET)
    shared.grant(STORE, (VIEWER, member))
    assert shared.may("token-of-alice", READ) is alice
    assert shared.may("token-of-bob", READ) is bob


def test_what_is_missing_is_denied_like_what_is_there(shared: Site) -> None:
    """A caller without rights learns no name: the same answer but for the name that was asked for."""
    shared.furnish()
    shared.grant(DATASET)
    shared.grant(STORE)
    for there, missing in (
        (STORE, f"{DATASET}/dicomStores/z"),
        (DATASET, f"{LOCATION}/datasets/z"),
        (
            f"{STORE}/dicomWeb/studies/1.2/metadata",
            f"{LOCATION}/datasets/z/dicomStores/s/dicomWeb/studies/1.2/metadata",
        ),
    ):
        answers = [shared.call("token-of-alice", "GET", f"/v1/{name}") for name in (there, missing)]
        assert [answer.status_code for answer in answers] == [403, 403]
        texts = [re.sub(r"projects/[^'\"]*", "NAME", answer.text) for answer in answers]
        assert texts[0] == texts[1]
        assert answers[0].headers.keys() == answers[1].headers.keys()


def test_who_may_read_every_store_is_told_that_there_is_none(shared: Site) -> None:
    """404 by a right of the dataset; 403 by a right of another store."""
    shared.furnish()
    shared.grant(STORE)
    shared.grant(DATASET, (VIEWER, ALICE.member))
    assert shared.call("token-of-alice", "GET", f"/v1/{DATASET}/dicomStores/z").status_code == 404
    assert shared.call("token-of-alice", "GET", f"/v1/{STORE}/dicomWeb/studies/1.2").status_code == 404
    shared.grant(DATASET)
    shared.grant(STORE, (VIEWER, ALICE.member))
    assert shared.call("token-of-alice", "GET", f"/v1/{DATASET}/dicomStores/z").status_code == 403


def test_nobody_takes_more_rights_than_given(fresh: Site) -> None:
    """Only setIamPolicy gives some: an editor has it nowhere, an administrator of a store on the store only."""
    policy = {"policy": {"bindings": [{"role": ADMIN, "members": [ALICE.member]}]}}

    def status(resource: str) -> int:
        return fresh.call("token-of-alice", "POST", f"/v1/{resource}:setIamPolicy", json=policy).status_code

    fresh.grant(STORE, (EDITOR, ALICE.member))
    assert (status(STORE), status(DATASET)) == (403, 403)
    fresh.grant(STORE, (ADMIN, ALICE.member))
    assert (status(STORE), status(DATASET)) == (200, 403)
    body = {"policy": {"bindings": [{"role": VIEWER, "members": [BOB.member]}]}}
    assert fresh.call("token-of-alice", "POST", f"/v1/{STORE}:setIamPolicy", json=body).status_code == 200
    # She gave her own right away; what Bob has now, he has on this store.
    assert status(STORE) == 403
    assert fresh.may("token-of-bob", READ)
    assert not fresh.may("token-of-bob", READ, DATASET)


def test_rights_end_with_the_store(fresh: Site) -> None:
    """A store of the same name does not inherit the policy of the one that was deleted."""
    fresh.grant(STORE, (VIEWER, ALICE.member))
    assert fresh.may("token-of-alice", READ)
    fresh.owner("DELETE", f"/v1/{STORE}")
    fresh.furnish()
    assert not fresh.may("token-of-alice", READ)


def test_one_of_twenty_with_the_same_etag_wins(fresh: Site) -> None:
    """The others are told that they were too late; the policy is the winner's."""
    etag = fresh.owner("GET", f"/v1/{STORE}:getIamPolicy")["etag"]

    def write(number: int) -> tuple[int, str, str]:
        member = f"user:u{number}@example.com"
        policy = {"etag": etag, "bindings": [{"role": VIEWER, "members": [member]}]}
        answer = fresh.call(OWNER_TOKEN, "POST", f"/v1/{STORE}:setIamPolicy", json={"policy": policy})
        return answer.status_code, answer.json().get("error", {}).get("status", ""), member

    with ThreadPoolExecutor(20) as pool:
        outcomes = sorted(pool.map(write, range(20)))
    assert [outcome[:2] for outcome in outcomes] == [(200, "")] + [(409, "ABORTED")] * 19
    assert fresh.owner("GET", f"/v1/{STORE}:getIamPolicy")["bindings"][0]["members"] == [outcomes[0][2]]


def test_client_of_a_viewer_reads_and_does_not_write(fresh: Site) -> None:
    """connect with the token of somebody who has a role on one store, and nothing on its dataset."""
    with dk.connect(f"{fresh.origin}/v1/{DATASET}", token=OWNER_TOKEN) as mine:
        image = ct_slice()
        mine.store("s").upload(image)
        mine.store("s").grant(VIEWER, ALICE.member)
    with dk.connect(f"{fresh.origin}/v1/{DATASET}", token="token-of-alice") as theirs:
        store = theirs.store("s")
        assert len(store.search_instances()) == 1
        assert store.test_iam_permissions([READ]) == [READ]
        with pytest.raises(dk.errors.PermissionDenied, match=r"healthcare\.dicomStores\.dicomWebWrite"):
            store.upload(ct_slice())
        with pytest.raises(dk.errors.PermissionDenied, match=r"healthcare\.dicomStores\.delete"):
            theirs.delete_store("s")
        with pytest.raises(dk.errors.PermissionDenied, match=r"healthcare\.dicomStores\.list"):
            theirs.stores()
    with pytest.raises(dk.errors.Unauthenticated):
        dk.connect(f"{fresh.origin}/v1/{DATASET}", token="token-of-nobody")
