"""Policies of datasets and stores: as frames, granted, revoked, and changed by many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import dicomkit as dk
from dicomkit.errors import InvalidArgument, NotFound, Unimplemented
from dicomkit.frames import IAM

VIEWER = "roles/healthcare.dicomViewer"
EDITOR = "roles/healthcare.dicomEditor"
ALICE = "user:alice@example.com"
GROUP = "group:radiology@example.com"


@pytest.fixture(params=["dataset", "store"])
def guarded(request: pytest.FixtureRequest, conn: dk.Dataset) -> dk.Dataset | dk.Store:
    """A dataset, and a store: both have a policy."""
    return conn if request.param == "dataset" else conn.create_store("ct")


def test_policy_is_a_frame_with_one_row_per_member(guarded: dk.Dataset | dk.Store) -> None:
    """Typed, also where nobody has a role."""
    empty = guarded.iam()
    assert len(empty) == 0
    assert {name: str(dtype) for name, dtype in empty.dtypes.items()} == {c.name: c.dtype for c in IAM}
    for role, member in ((VIEWER, ALICE), (EDITOR, "allUsers"), (VIEWER, GROUP)):
        guarded.grant(role, member)
    frame = guarded.iam()
    assert frame.dtypes.equals(empty.dtypes)
    assert frame[["role", "member", "kind"]].to_numpy().tolist() == [
        [VIEWER, ALICE, "user"],
        [VIEWER, GROUP, "group"],
        [EDITOR, "allUsers", "allUsers"],
    ]
    assert frame["condition"].isna().all()
    assert set(frame["resource"]) == {guarded.name}


def test_grant_and_revoke_return_the_policy(guarded: dk.Dataset | dk.Store) -> None:
    """As the server has it, with its etag; what is granted already is not written again."""
    granted = guarded.grant(VIEWER, ALICE)
    assert granted.roles_of(ALICE) == (VIEWER,)
    assert guarded.grant(VIEWER, ALICE).etag == granted.etag
    assert f"{VIEWER}: {ALICE}" in repr(granted)
    revoked = guarded.revoke(VIEWER, ALICE)
    assert not revoked.bindings
    assert revoked.etag not in (None, "", granted.etag)
    assert guarded.iam().empty


def test_revoke_of_what_is_not_granted_says_so(guarded: dk.Dataset | dk.Store) -> None:
    """A typing error must not look like success."""
    guarded.grant(EDITOR, ALICE)
    with pytest.raises(NotFound, match=r"it has roles/healthcare\.dicomEditor; see iam"):
        guarded.revoke(VIEWER, ALICE)
    with pytest.raises(NotFound, match="it has no role"):
        guarded.revoke(EDITOR, "user:alcie@example.com")
    assert guarded.iam()["role"].tolist() == [EDITOR]


@pytest.mark.parametrize(
    ("role", "member"), [("viewer", ALICE), (VIEWER, "alice@example.com"), ("roles/healthcare.dicomViwer", ALICE)]
)
def test_role_or_member_that_is_none_is_refused(guarded: dk.Dataset | dk.Store, role: str, member: str) -> None:
    """The message names the field; nothing is granted."""
    with pytest.raises(InvalidArgument, match="role|member"):
        guarded.grant(role, member)
    assert guarded.iam().empty


def test_policies_of_dataset_and_store_are_apart(conn: dk.Dataset) -> None:
    """A store's frame has its own policy only."""
    store = conn.create_store("ct")
    conn.grant(VIEWER, ALICE)
    assert store.iam().empty
    store.grant(VIEWER, GROUP)
    assert conn.iam()["member"].tolist() == [ALICE]


def test_policy_of_what_does_not_exist(conn: dk.Dataset) -> None:
    """NotFound for the policy, and no permission."""
    store = conn.create_store("ct")
    store.grant(VIEWER, ALICE)
    store.delete()
    with pytest.raises(NotFound):
        store.iam()
    with pytest.raises(NotFound):
        store.grant(VIEWER, ALICE)
    assert store.test_iam_permissions(["healthcare.dicomStores.get"]) == []
    assert conn.create_store("ct").iam().empty


def test_owner_holds_what_there_is(guarded: dk.Dataset | dk.Store) -> None:
    """Whoever has the folder, or the plain server, is the owner."""
    asked = ["healthcare.dicomStores.dicomWebRead", "healthcare.datasets.setIamPolicy"]
    assert guarded.test_iam_permissions([*asked, "healthcare.dicomStores.fly"]) == asked
    assert guarded.test_iam_permissions(asked[0]) == asked[:1]
    with pytest.raises(InvalidArgument, match="wildcard"):
        guarded.test_iam_permissions(["healthcare.*"])


def test_conditions_are_refused_and_not_forgotten(conn: dk.Dataset) -> None:
    """A server that does not evaluate them must not grant the role for ever."""
    store = conn.create_store("ct")
    binding = {"role": VIEWER, "members": [ALICE], "condition": {"title": "t", "expression": "true"}}
    url = f"{conn.base_url}/{store.name}:setIamPolicy"
    answer = conn.session.post(url, json={"policy": {"version": 3, "bindings": [binding]}})
    assert answer.status_code == Unimplemented.status
    assert store.iam().empty


def test_of_twenty_writers_with_one_etag_one_wins(conn: dk.Dataset) -> None:
    """The other nineteen get 409 ABORTED."""
    store = conn.create_store("ct")
    etag = store.grant(VIEWER, ALICE).etag
    url = f"{conn.base_url}/{store.name}:setIamPolicy"

    def write(number: int) -> tuple[int, str]:
        bindings = [{"role": VIEWER, "members": [f"user:u{number}@example.com"]}]
        answer = conn.session.post(url, json={"policy": {"etag": etag, "bindings": bindings}})
        return answer.status_code, answer.json().get("error", {}).get("status", "OK")

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(write, range(20)))
    assert sorted(answers) == [(200, "OK")] + [(409, "ABORTED")] * 19
    won = f"user:u{answers.index((200, 'OK'))}@example.com"
    assert store.iam()["member"].tolist() == [won]


def test_twenty_grants_at_once_are_all_there(conn: dk.Dataset) -> None:
    """Who loses reads again, and adds to what the others have written."""
    store = conn.create_store("ct")
    members = [f"user:u{number:02}@example.com" for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda member: store.grant(VIEWER, member), members))
    assert sorted(store.iam()["member"]) == members
