"""IAM policies: who has which role on a dataset or a DICOM store, and the requests that carry them.

A policy is read as it comes, so that one with members of a kind that is younger than dicomkit survives a change of
something else; :meth:`Policy.check_members` is the rule for what a server takes. Source: Cloud Healthcare API v1,
``Policy``, ``Binding``, ``Expr``, ``SetIamPolicyRequest`` and ``TestIamPermissionsRequest`` in the discovery document.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from dicomkit.resources._json import invalid, json_value, kind_of, located, quoted, text
from dicomkit.resources._wire import Resource, many, one, wire

__all__ = [
    "DEFAULT_MASK",
    "MAX_GROUPS",
    "MAX_PRINCIPALS",
    "Binding",
    "Expr",
    "Policy",
    "SetIamPolicyRequest",
    "TestIamPermissionsRequest",
    "check_member",
    "check_permission",
    "check_role",
    "check_version",
    "member_kind",
]

MAX_PRINCIPALS = 1_500
"""Most principals of a policy; each occurrence counts."""

MAX_GROUPS = 250
"""How many of the principals may be groups."""

DEFAULT_MASK = "bindings, etag"
"""``updateMask`` of setIamPolicy where the request has none."""

VERSIONS = (0, 1, 3)
CONDITIONAL = 3
"""The version of a policy that has conditions."""

_EMAIL = r"[^\s@:?]+@[A-Za-z0-9][A-Za-z0-9.-]*"
_POOL = (
    r"iam\.googleapis\.com/(?:locations/global/workforcePools/[^/\s]+"
    r"|projects/[0-9]+/locations/global/workloadIdentityPools/[^/\s]+)"
)
_SUBJECT = rf"principal://{_POOL}/subject/\S+"
_MEMBER = re.compile(
    rf"allUsers|allAuthenticatedUsers|(?:user|group|serviceAccount):{_EMAIL}"
    r"|serviceAccount:[A-Za-z0-9.:-]+\.svc\.id\.goog\[[^\s/\[\]]+/[^\s/\[\]]+\]"
    r"|domain:[A-Za-z0-9](?:[A-Za-z0-9-]*\.)*[A-Za-z0-9-]*[A-Za-z0-9]"
    rf"|{_SUBJECT}|principalSet://{_POOL}/(?:group/\S+|attribute\.[^/\s]+/\S+|\*)"
    rf"|deleted:(?:user|group|serviceAccount):{_EMAIL}\?uid=[0-9]+|deleted:{_SUBJECT}"
)
_ROLE = re.compile(r"(?:(?:projects|organizations)/[^/\s]+/)?roles/[A-Za-z0-9_.]+")
_PERMISSION = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9]*){2,}")


def check_member(member: object) -> str:
    """Return *member* if it has a documented form, else raise ``InvalidArgument``."""
    name = text(member)
    if not _MEMBER.fullmatch(name):
        raise invalid(
            "must be allUsers, allAuthenticatedUsers, or begin with user:, group:, serviceAccount:, domain:, "
            f"principal://, principalSet:// or deleted:; {quoted(name)} has none of these forms; write one like "
            "user:alice@example.com",
            path="member",
        )
    return name


def check_role(role: object) -> str:
    """Return *role* if it has the form of a role's name, else raise ``InvalidArgument``."""
    name = text(role)
    if not _ROLE.fullmatch(name):
        raise invalid(
            f"must be the name of a role; {quoted(name)} is none; write one like roles/healthcare.dicomViewer",
            path="role",
        )
    return name


def check_permission(permission: object) -> str:
    """Return *permission* if it has the form of one permission, else raise ``InvalidArgument``."""
    name = text(permission)
    if "*" in name:
        raise invalid(f"must not have wildcards, {quoted(name)} has one; name each permission")
    if not _PERMISSION.fullmatch(name):
        raise invalid(
            "must have the form service.resource.verb, "
            f"{quoted(name)} has not; write one like healthcare.dicomStores.get"
        )
    return name


def check_version(value: object) -> int:
    """Return *value* if it is the version of a policy, else raise ``InvalidArgument``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(f"must be a whole number, not {kind_of(value)}; write 0, 1 or 3")
    if value not in VERSIONS:
        raise invalid("must be 0, 1 or 3; leave it out, or write 3 for a policy with conditions")
    return value


def member_kind(member: str) -> str:
    """What kind of principal *member* is: ``user``, ``group``, ``deleted:user``, ``allUsers``, ..."""
    kind, _, rest = member.partition(":")
    return f"{kind}:{rest.partition(':')[0]}" if kind == "deleted" else kind


def etag_bytes(etag: str) -> bytes | None:
    """What *etag* stands for, in either alphabet of base64 (proto3 JSON); ``None`` if it is not base64."""
    plain = etag.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain.encode() + b"=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        return None


def _etag(value: object) -> str:
    etag = text(value)
    if etag_bytes(etag) is None:
        raise invalid("must be base64; send the etag of getIamPolicy as it came, or none")
    return etag


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise invalid(f"must be an array, not {kind_of(value)}; write [...] around it")
    items = []
    for index, item in enumerate(value):
        with located(f"[{index}]"):
            if not text(item):
                raise invalid("must not be empty; remove it")
            items.append(text(item))
    return tuple(items)


def _objects(value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise invalid(f"must be an array, not {kind_of(value)}; write [...] around it")
    return tuple(json_value(item) for item in value)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Expr(Resource):
    """The condition of a binding, in the Common Expression Language.

    Parameters
    ----------
    expression
        The text that is true where the binding holds. Required.
    title, description, location
        What it is called, what it is for, and where it comes from.
    """

    expression: str | None = wire(text, default="")
    title: str | None = wire(text, default="")
    description: str | None = wire(text, default="")
    location: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a condition that says nothing."""
        if not self.expression:
            raise invalid("is required; write the condition, or leave condition out", path="expression")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Binding(Resource):
    """One role and who has it.

    Parameters
    ----------
    role
        Its name, as ``roles/healthcare.dicomViewer``. Required.
    members
        Principals, as ``user:alice@example.com``; at least one.
    condition
        When the binding holds; always, where there is none.
    """

    role: str | None = wire(text, default="")
    members: tuple[str, ...] | None = wire(_texts, default=[])
    condition: Expr | None = one(Expr)  # noqa: RUF009 - it is a dataclass field

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a binding without a role or without members."""
        if not self.role:
            raise invalid("is required; write one like roles/healthcare.dicomViewer", path="role")
        if not self.members:
            raise invalid("must have at least one member; name one, or remove the binding", path="members")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Policy(Resource):
    """Who may do what with a resource: a list of bindings.

    Parameters
    ----------
    version
        0, 1 or 3; a policy with conditions has 3.
    bindings
        Roles and their members; at most 1,500 principals, of which 250 groups.
    etag
        Names the state that was read; a change that carries it is made on that state or not at all.
    audit_configs
        What is logged; kept as it came.
    """

    MASK_PATHS: ClassVar[frozenset[str]] = frozenset(("bindings", "etag", "version", "auditConfigs"))

    version: int | None = wire(check_version, default=0)
    bindings: tuple[Binding, ...] | None = many(Binding)
    etag: str | None = wire(_etag, default="")
    audit_configs: tuple[Any, ...] | None = wire(_objects, default=[])

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for too many principals, and for conditions in a version that has none."""
        members = [member for binding in self.bindings or () for member in binding.members or ()]
        groups = sum(member_kind(member) == "group" for member in members)
        for count, most, what in ((len(members), MAX_PRINCIPALS, "principals"), (groups, MAX_GROUPS, "groups")):
            if count > most:
                raise invalid(
                    f"must have at most {most} {what}, each occurrence counted; there are {count}; "
                    "put several people into one group",
                    path="bindings",
                )
        if self.has_conditions and self.version != CONDITIONAL:
            raise invalid("must be 3 for a policy with conditions; write 3, or remove the conditions", path="version")

    def check_members(self) -> None:
        """Raise ``InvalidArgument`` for a member or a role in a form that the API does not document."""
        for at, binding in enumerate(self.bindings or ()):
            with located(f"bindings[{at}]"):
                check_role(binding.role)
                for number, member in enumerate(binding.members or ()):
                    try:
                        check_member(member)
                    except ValueError as error:
                        rule = str(error).removeprefix("member: ")
                        raise invalid(rule, path=f"members[{number}]") from None

    @property
    def has_conditions(self) -> bool:
        """Whether a binding holds under a condition only."""
        return any(binding.condition is not None for binding in self.bindings or ())

    def granted(self, role: str, member: str) -> Policy:
        """Return the policy with *member* having *role*, without a condition; itself where it is so already.

        Raises
        ------
        InvalidArgument
            The role or the member has no documented form, or there would be too many principals.
        """
        check_role(role)
        check_member(member)
        bindings = list(self.bindings or ())
        same = [at for at, b in enumerate(bindings) if b.role == role and b.condition is None]
        if any(member in (bindings[at].members or ()) for at in same):
            return self
        if same:
            bindings[same[0]] = bindings[same[0]].replace(members=(*(bindings[same[0]].members or ()), member))
        else:
            bindings.append(Binding(role=role, members=(member,)))
        return self.replace(bindings=tuple(bindings))

    def revoked(self, role: str, member: str) -> Policy:
        """Return the policy without *member* in any binding of *role*, conditional or not; itself if it is in none."""
        left: list[Binding] = []
        for binding in self.bindings or ():
            members = binding.members or ()
            if binding.role != role or member not in members:
                left.append(binding)
            elif others := tuple(other for other in members if other != member):
                left.append(binding.replace(members=others))
        bindings = tuple(left)
        return self if bindings == (self.bindings or ()) else self.replace(bindings=bindings)

    def roles_of(self, member: str) -> tuple[str, ...]:
        """The roles that name *member*, each once."""
        roles = [b.role or "" for b in self.bindings or () if member in (b.members or ())]
        return tuple(dict.fromkeys(roles))

    def __repr__(self) -> str:
        bindings = self.bindings or ()
        count = f"{len(bindings)} binding{'' if len(bindings) == 1 else 's'}"
        lines = [f"<Policy with {count}, etag {self.etag or 'none'}"]
        for binding in bindings:
            condition = " (conditional)" if binding.condition is not None else ""
            lines.append(f"  {quoted(binding.role or '')[1:-1]}: {_listed(binding.members or ())}{condition}")
        return "\n".join(lines) + ">"


def _listed(members: Iterable[str], most: int = 5) -> str:
    """The first of *members*, and how many more there are; escaped, because they come from outside."""
    names = [quoted(member)[1:-1] for member in members]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SetIamPolicyRequest(Resource):
    """Body of setIamPolicy.

    Parameters
    ----------
    policy
        The policy to set. Required.
    update_mask
        Which of its fields count; ``DEFAULT_MASK`` where it is missing.
    """

    policy: Policy | None = one(Policy)  # noqa: RUF009 - it is a dataclass field
    update_mask: str | None = wire(text, default="")

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for a request without a policy."""
        if self.policy is None:
            raise invalid("is required; send {} to remove all bindings", path="policy")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TestIamPermissionsRequest(Resource):
    """Body of testIamPermissions.

    Parameters
    ----------
    permissions
        What is asked about, as ``healthcare.dicomStores.get``; wildcards are not allowed.
    """

    __test__: ClassVar[bool] = False
    """It is no test, whatever pytest makes of its name."""

    permissions: tuple[str, ...] | None = wire(_texts, default=[])

    def validate(self) -> None:
        """Raise ``InvalidArgument`` for what is not the name of one permission."""
        for index, permission in enumerate(self.permissions or ()):
            with located(f"permissions[{index}]"):
                check_permission(permission)
