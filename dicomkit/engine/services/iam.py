"""IAM policies of datasets and DICOM stores: kept, answered, and asked what a caller may do.

The owner may do everything, and costs no look at a policy. Others may do what the policies of the store and of its
dataset grant them. Above a dataset there are no policies here, so that what needs a permission on the project, making
and listing datasets and all of BigQuery, is the owner's alone.

Source: Cloud Healthcare API v1, getIamPolicy, setIamPolicy and testIamPermissions; "Access control" (which permission
on which resource); IAM, "Policy" (etag, inheritance).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import orjson

from dicomkit.engine.access import OWNER, Caller
from dicomkit.engine.persistence import catalog
from dicomkit.engine.persistence.database import Connection
from dicomkit.engine.persistence.policies import Kind, policy, set_policy
from dicomkit.engine.persistence.storage import Storage
from dicomkit.errors import Aborted, InvalidArgument, NotFound, PermissionDenied, Unimplemented
from dicomkit.names import DatasetName, DicomStoreName
from dicomkit.resources import Policy, apply_mask
from dicomkit.resources._json import located
from dicomkit.resources.policy import (
    DEFAULT_MASK,
    SetIamPolicyRequest,
    TestIamPermissionsRequest,
    check_version,
    etag_bytes,
)
from dicomkit.resources.roles import METHODS, PERMISSIONS, ROLES, check_predefined

__all__ = ["CONFLICT", "MAX_BYTES", "Iam"]

EMPTY: dict[str, Any] = {"etag": "ACAB"}
"""The policy of a resource that never had one, as Google answers it."""

CONFLICT = "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff."
"""Google's message for an etag that is not the current one."""

MAX_BYTES = 64 << 10
"""Largest policy as JSON; the API says "a few 10s of KB"."""


class Iam:
    """The policies of a home."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def get(self, name: DatasetName | DicomStoreName, requested_version: int | None = None) -> dict[str, Any]:
        """The policy of a resource; an empty one with an etag where none was set.

        Raises
        ------
        NotFound
            The resource does not exist.
        InvalidArgument
            *requested_version* is none of 0, 1 and 3.
        """
        if requested_version is not None:
            with located("options.requestedPolicyVersion"):
                check_version(requested_version)
        with self._storage.database.read() as connection:
            return policy(connection, *_key(connection, name)) or dict(EMPTY)

    def set(self, name: DatasetName | DicomStoreName, body: dict[str, Any]) -> dict[str, Any]:
        """Set the policy of a resource and return it with its new etag.

        Raises
        ------
        Aborted
            The request has an etag, and the policy was changed since it was given.
        InvalidArgument
            The policy breaks a rule, or names a role that is not predefined.
        Unimplemented
            The policy has conditions or audit configs, which nothing here would heed.
        """
        request = SetIamPolicyRequest.from_api(body, strict=True)
        wanted = request.policy or Policy()
        with self._storage.database.write() as connection:
            kind, key = _key(connection, name)
            current = policy(connection, kind, key) or EMPTY
            if wanted.etag and etag_bytes(wanted.etag) != etag_bytes(current["etag"]):
                raise Aborted(CONFLICT)
            mask = request.update_mask or DEFAULT_MASK
            merged = apply_mask(current, wanted.to_api(), mask, Policy.MASK_PATHS)
            # The version says how the request is to be read, and counts whatever the mask.
            merged["version"] = wanted.version or 0
            with located("policy"):
                changed = Policy.from_api(merged)
                _check(changed)
            # Random, so that a store which is deleted and made again never has an etag of the old one.
            etag = base64.b64encode(secrets.token_bytes(8)).decode()
            # Without conditions the version says nothing; Google answers 1.
            result = changed.replace(version=1, etag=etag).to_api(omit_defaults=True)
            if len(orjson.dumps(result)) > MAX_BYTES:
                raise InvalidArgument(
                    f"policy: must have at most {MAX_BYTES >> 10} KiB as JSON; put several members into one group"
                )
            set_policy(connection, kind, key, result)
        return result

    def test(self, name: DatasetName | DicomStoreName, body: dict[str, Any], caller: Caller = OWNER) -> list[str]:
        """Which of the permissions in *body* the caller holds on a resource: none on one that does not exist."""
        asked = TestIamPermissionsRequest.from_api(body, strict=True).permissions or ()
        with self._storage.database.read() as connection:
            try:
                _key(connection, name)
            except NotFound:
                return []
            held = PERMISSIONS if caller.is_owner else _held(connection, caller, name)
        return [permission for permission in dict.fromkeys(asked) if permission in held]

    def authorize(self, caller: Caller, method_id: str, path: Mapping[str, str]) -> None:
        """Raise unless *caller* may call a method; *path* holds the variables of the route.

        Raises
        ------
        PermissionDenied
            It may not, or the resource does not exist and the caller is none who may know.
        InvalidArgument
            A name in the path has no valid form.
        """
        if caller.is_owner:
            return
        needs = METHODS.get(method_id)
        if needs is None:
            raise PermissionDenied(f"no permission is known for {method_id}; only the owner may call it")
        if needs.permission is None:
            return
        if needs.on == "project":
            raise _denied(needs.permission, f"projects/{path['project']}")
        dataset = DatasetName(path["project"], path["location"], path["dataset"])
        self.require(caller, needs.permission, dataset.store(path["store"]) if needs.on == "store" else dataset)

    def require(self, caller: Caller, permission: str, name: DatasetName | DicomStoreName) -> None:
        """Raise ``PermissionDenied`` unless *caller* holds a permission on a resource."""
        if caller.is_owner:
            return
        with self._storage.database.read() as connection:
            held = _held(connection, caller, name)
        if permission not in held:
            raise _denied(permission, str(name))


def _held(connection: Connection, caller: Caller, name: DatasetName | DicomStoreName) -> set[str]:
    """The permissions that the policies of a resource and of what it is in grant; of what is missing, none.

    A store that is missing still inherits from its dataset: who may read every store of it is told that there is none.
    """
    names = caller.names
    held: set[str] = set()
    for each in (name.dataset, name) if isinstance(name, DicomStoreName) else (name,):
        try:
            found = policy(connection, *_key(connection, each))
        except NotFound:
            break
        for binding in (found or EMPTY).get("bindings", ()):
            if "condition" not in binding and any(member.lower() in names for member in binding["members"]):
                held |= ROLES.get(binding["role"], frozenset())
    return held


def _denied(permission: str, resource: str) -> PermissionDenied:
    """The same answer for what is missing and for what is there, so that nobody learns which names are taken."""
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "IAM_PERMISSION_DENIED",
        "domain": "iam.googleapis.com",
        "metadata": {"permission": permission, "resource": resource},
    }
    message = f"Permission '{permission}' denied on resource '{resource}' (or it may not exist)."
    return PermissionDenied(message, details=[info])


def _check(changed: Policy) -> None:
    changed.check_members()
    for at, binding in enumerate(changed.bindings or ()):
        if binding.condition is not None:
            raise Unimplemented(
                f"policy.bindings[{at}].condition: this server does not evaluate conditions, so the role would always "
                "be granted; send the binding without a condition, or not at all"
            )
        with located(f"bindings[{at}]"):
            check_predefined(binding.role or "")
    if changed.audit_configs:
        raise Unimplemented("policy.auditConfigs: this server keeps no audit log; leave auditConfigs out of updateMask")


def _key(connection: Connection, name: DatasetName | DicomStoreName) -> tuple[Kind, int]:
    if isinstance(name, DicomStoreName):
        return "store", catalog.store(connection, name).key
    return "dataset", catalog.dataset_key(connection, name)[0]
