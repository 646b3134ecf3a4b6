"""Rules of IAM policies, as the discovery document states them, and the change of one binding."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.policy import (
    Binding,
    Policy,
    SetIamPolicyRequest,
    TestIamPermissionsRequest,
    check_member,
    check_role,
    etag_bytes,
    member_kind,
)

VIEWER = "roles/healthcare.dicomViewer"
EDITOR = "roles/healthcare.dicomEditor"
ALICE = "user:alice@example.com"
POOL = "iam.googleapis.com/locations/global/workforcePools/pool"
WORKLOAD = "iam.googleapis.com/projects/12/locations/global/workloadIdentityPools/pool"
CONDITION = {"title": "expirable", "expression": "request.time < timestamp('2030-10-01T00:00:00.000Z')"}


def bound(*members: str, **fields: Any) -> dict[str, Any]:
    """A policy that gives *members* one role."""
    return {"bindings": [{"role": VIEWER, "members": list(members)} | fields]}


@pytest.mark.parametrize(
    "member",
    [
        "allUsers",
        "allAuthenticatedUsers",
        ALICE,
        "serviceAccount:my-other-app@appspot.gserviceaccount.com",
        "serviceAccount:my-project.svc.id.goog[my-namespace/my-kubernetes-sa]",
        "group:admins@example.com",
        "domain:google.com",
        f"principal://{POOL}/subject/subject-attribute-value",
        f"principalSet://{POOL}/group/g-1",
        f"principalSet://{POOL}/attribute.department/radiology",
        f"principalSet://{POOL}/*",
        f"principal://{WORKLOAD}/subject/s",
        f"principalSet://{WORKLOAD}/group/g",
        f"principalSet://{WORKLOAD}/attribute.a/b",
        f"principalSet://{WORKLOAD}/*",
        "deleted:user:alice@example.com?uid=123456789012345678901",
        "deleted:serviceAccount:my-other-app@appspot.gserviceaccount.com?uid=123456789012345678901",
        "deleted:group:admins@example.com?uid=123456789012345678901",
        f"deleted:principal://{POOL}/subject/my-subject-attribute-value",
    ],
)
def test_every_documented_member_is_taken(member: str) -> None:
    """The forms listed at Binding.members."""
    assert check_member(member) == member
    Policy.from_api(bound(member), strict=True).check_members()


@pytest.mark.parametrize(
    "member",
    [
        "",
        "alice@example.com",
        "user:",
        "user:alice",
        "user:alice@",
        "user:alice@example.com ",
        "user:alice@example.com\n",
        "USER:alice@example.com",
        "allusers",
        "allUsers:x",
        "domain:",
        "domain:a b",
        "projectOwner:p",
        "principal://evil.example.com/subject/s",
        f"principal://{POOL}/*",
        "deleted:user:alice@example.com",
        "deleted:domain:example.com?uid=1",
        5,
        None,
    ],
)
def test_another_member_is_refused(member: Any) -> None:
    """What has none of the documented forms is told so."""
    with pytest.raises(InvalidArgument):
        check_member(member)


def test_refusal_of_a_member_names_its_place() -> None:
    """The path leads to the one that is wrong."""
    policy = Policy.from_api(bound(ALICE, "bob"), strict=True)
    with pytest.raises(InvalidArgument, match=r'^bindings\[0\]\.members\[1\]: must be allUsers.* "bob" has none'):
        policy.check_members()


@pytest.mark.parametrize("role", ["roles/viewer", VIEWER, "projects/p/roles/own", "organizations/1/roles/own"])
def test_role_has_the_form_of_a_role(role: str) -> None:
    """Predefined roles, and those that a project or an organization made."""
    assert check_role(role) == role


@pytest.mark.parametrize("role", ["", "viewer", "roles/", "role/viewer", "roles/a b", "roles/x/../y", "roles/x\n"])
def test_another_role_is_refused(role: str) -> None:
    """A role is named in full."""
    with pytest.raises(InvalidArgument, match="^role: "):
        check_role(role)


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"version": 2}, "version"),
        ({"version": -1}, "version"),
        ({"version": "3"}, "version"),
        ({"version": True}, "version"),
        ({"bindings": {}}, "bindings"),
        ({"bindings": [{"role": VIEWER}]}, r"bindings\[0\]\.members"),
        ({"bindings": [{"role": VIEWER, "members": []}]}, r"bindings\[0\]\.members"),
        ({"bindings": [{"role": VIEWER, "members": "allUsers"}]}, r"bindings\[0\]\.members"),
        ({"bindings": [{"role": VIEWER, "members": [ALICE, ""]}]}, r"bindings\[0\]\.members\[1\]"),
        ({"bindings": [{"members": [ALICE]}]}, r"bindings\[0\]\.role"),
        ({"etag": "!"}, "etag"),
        ({"etag": "A"}, "etag"),
        ({"etag": 1}, "etag"),
        ({"auditConfigs": {}}, "auditConfigs"),
        (bound(ALICE, condition={}) | {"version": 3}, r"bindings\[0\]\.condition\.expression"),
        (bound(ALICE, condition=CONDITION), "version"),
        (bound(ALICE, condition=CONDITION) | {"version": 1}, "version"),
        (bound(*(f"user:u{i}@example.com" for i in range(1501))), "bindings"),
        (bound(*(f"group:g{i}@example.com" for i in range(251))), "bindings"),
    ],
)
def test_policy_that_breaks_a_rule_is_refused_by_its_path(policy: dict[str, Any], path: str) -> None:
    """Each rule of Policy and Binding; the message begins with the field."""
    with pytest.raises(InvalidArgument, match=f"^{path}: "):
        Policy.from_api(policy)


def test_policy_may_have_1500_principals_of_which_250_are_groups() -> None:
    """The limits themselves are allowed, and each occurrence counts."""
    users = [f"user:u{i}@example.com" for i in range(1250)]
    groups = [f"group:g{i}@example.com" for i in range(250)]
    policy = Policy.from_api(bound(*users, *groups), strict=True)
    with pytest.raises(InvalidArgument, match="at most 1500 principals"):
        policy.granted(EDITOR, users[0])


@pytest.mark.parametrize("version", [0, 1, 3])
def test_three_versions_are_valid(version: int) -> None:
    """Valid values are 0, 1 and 3."""
    assert Policy.from_api(bound(ALICE) | {"version": version}, strict=True).version == version


def test_what_is_not_known_survives_a_change() -> None:
    """Fields, members of a new kind, conditions and audit configs come back as they came."""
    data = {
        "version": 3,
        "etag": "BwWWja0YfJA=",
        "bindings": [
            {"role": VIEWER, "members": ["martian:zork"], "bindingId": "b-1"},
            {"role": VIEWER, "members": [ALICE], "condition": CONDITION | {"flavour": "CEL"}},
        ],
        "auditConfigs": [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}],
        "rules": [{"x": 1}],
    }
    policy = Policy.from_api(data)
    assert policy.to_api() == data
    changed = policy.granted(VIEWER, ALICE).to_api()
    assert changed["bindings"][0] == {"role": VIEWER, "members": ["martian:zork", ALICE], "bindingId": "b-1"}
    assert changed["bindings"][1:] == data["bindings"][1:]  # type: ignore[index]
    assert {k: v for k, v in changed.items() if k != "bindings"} == {k: v for k, v in data.items() if k != "bindings"}


def test_unknown_names_are_refused_by_a_server() -> None:
    """Strict reading goes into the request, the policy and its bindings."""
    bodies: list[dict[str, Any]] = [{"policies": {}}, {"policy": {"rule": 1}}, {"policy": bound(ALICE, rolle="x")}]
    for body in bodies:
        with pytest.raises(InvalidArgument, match="Cannot find field"):
            SetIamPolicyRequest.from_api(body, strict=True)


def test_request_needs_a_policy() -> None:
    """An empty policy is one; none is none."""
    assert SetIamPolicyRequest.from_api({"policy": {}}, strict=True).policy == Policy()
    with pytest.raises(InvalidArgument, match="^policy: is required"):
        SetIamPolicyRequest.from_api({}, strict=True)


def test_grant_joins_the_binding_of_the_role() -> None:
    """One binding a role, and a grant that is there already changes nothing."""
    policy = Policy().granted(VIEWER, ALICE).granted(EDITOR, ALICE).granted(VIEWER, "domain:example.com")
    assert policy.to_api() == {
        "bindings": [
            {"role": VIEWER, "members": [ALICE, "domain:example.com"]},
            {"role": EDITOR, "members": [ALICE]},
        ]
    }
    assert policy.granted(EDITOR, ALICE) is policy
    assert policy.roles_of(ALICE) == (VIEWER, EDITOR)


def test_revoke_takes_the_member_out_of_every_binding_of_the_role() -> None:
    """Conditional ones too: who is revoked must not keep the role. A binding without members goes."""
    policy = Policy.from_api(
        {
            "version": 3,
            "bindings": [
                {"role": VIEWER, "members": [ALICE]},
                {"role": VIEWER, "members": [ALICE, "allUsers"], "condition": CONDITION},
                {"role": EDITOR, "members": [ALICE]},
            ],
        }
    )
    revoked = policy.revoked(VIEWER, ALICE)
    assert [b.members for b in revoked.bindings or ()] == [("allUsers",), (ALICE,)]
    assert revoked.roles_of(ALICE) == (EDITOR,)
    assert revoked.revoked(VIEWER, ALICE) is revoked


def test_etags_are_equal_by_their_bytes() -> None:
    """Proto3 JSON takes both alphabets of base64, with and without padding."""
    raw = b"\xfb\xff\xfe\x01"
    standard, urlsafe = base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()
    assert standard != urlsafe
    assert {etag_bytes(e) for e in (standard, urlsafe, standard.rstrip("="))} == {raw}


@pytest.mark.parametrize(
    "permission", ["*", "healthcare.*", "healthcare.dicomStores.*", "", "get", "a.b", "a.b.c\n", "a..b.c", 5]
)
def test_permission_with_a_wildcard_or_of_another_form_is_refused(permission: Any) -> None:
    """Permissions with wildcards are not allowed."""
    with pytest.raises(InvalidArgument, match=r"^permissions\[1\]: "):
        TestIamPermissionsRequest.from_api({"permissions": ["healthcare.dicomStores.get", permission]}, strict=True)


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        (ALICE, "user"),
        ("allUsers", "allUsers"),
        (f"principalSet://{POOL}/*", "principalSet"),
        ("deleted:user:a@b.c?uid=1", "deleted:user"),
        (f"deleted:principal://{POOL}/subject/s", "deleted:principal"),
    ],
)
def test_kind_is_what_stands_before_the_principal(member: str, kind: str) -> None:
    """The prefixes of Binding.members."""
    assert member_kind(member) == kind


def test_repr_lists_roles_and_members_on_few_lines() -> None:
    """A line for each binding, and no control characters from outside."""
    members = tuple(f"user:u{i}@example.com" for i in range(8))
    text = repr(Policy(etag="ACAB", bindings=(Binding(role=VIEWER, members=members),)))
    assert text.splitlines()[0] == "<Policy with 1 binding, etag ACAB"
    assert f"{VIEWER}: user:u0@example.com" in text
    assert text.endswith("and 3 more>")
    assert "\x1b" not in repr(Policy(bindings=(Binding(role="r", members=("x\x1b[31m",)),)))
    assert repr(Policy()) == "<Policy with 0 bindings, etag none>"
