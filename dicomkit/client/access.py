"""Who may do what with a dataset or a DICOM store: its IAM policy as a frame, and changes of it.

A change is read-modify-write under the policy's etag, repeated as a whole with exponential backoff when somebody else
was faster. Source: Cloud Healthcare API v1, getIamPolicy, setIamPolicy and testIamPermissions of datasets and stores.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable

import pandas as pd

from dicomkit.client.named import NamedResource
from dicomkit.client.rest import Rest
from dicomkit.errors import Aborted, NotFound
from dicomkit.frames.columns import IAM
from dicomkit.frames.tables import table
from dicomkit.resources.policy import Policy, check_member, check_role, member_kind

__all__ = ["AccessControl", "change_policy"]

ATTEMPTS = 12
"""How often a change is tried at most."""

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 5.0

_READ = {"options.requestedPolicyVersion": "3"}
"""Only version 3 shows conditions, and a policy that is written back without them loses them."""


class AccessControl(NamedResource):
    """What a dataset and a store have in common: an IAM policy."""

    def iam(self) -> pd.DataFrame:
        """Who has which role here: one row for each member of a role, columns ``frames.IAM``.

        What is inherited from above (a store's dataset, the project) is not in it. ``dicomkit serve`` with a file of
        principals does as the policies say; whoever opens a folder, or has the server's own token, is the owner.

        Notes
        -----
        Healthcare API ``getIamPolicy``.
        """
        bindings = _read(self._rest, self._path).bindings or ()
        rows = [(binding, member) for binding in bindings for member in binding.members or ()]
        return table(
            IAM,
            {
                "role": [binding.role for binding, _ in rows],
                "member": [member for _, member in rows],
                "kind": [member_kind(member) for _, member in rows],
                "condition": [binding.condition.expression if binding.condition else None for binding, _ in rows],
                "resource": [self.name for _ in rows],
            },
        )

    def grant(self, role: str, member: str) -> Policy:
        """Give a role to a member, and return the policy as it then is; one that has it already keeps it.

        Parameters
        ----------
        role
            As ``"roles/healthcare.dicomViewer"``.
        member
            As ``"user:alice@example.com"``, ``"group:..."``, ``"serviceAccount:..."``, ``"domain:..."``.

        Raises
        ------
        InvalidArgument
            The role or the member has no documented form, or the server has no such role.
        Aborted
            Others changed the policy each time that this change was tried.

        Notes
        -----
        Healthcare API ``getIamPolicy`` and ``setIamPolicy``. What dicomkit does not know in the policy stays in it.
        """
        check_role(role)
        check_member(member)
        return change_policy(self._rest, self._path, lambda policy: policy.granted(role, member))

    def revoke(self, role: str, member: str) -> Policy:
        """Take a role from a member, with and without conditions, and return the policy as it then is.

        Raises
        ------
        NotFound
            The member does not have the role here; the message says which roles it has.
        Aborted
            Others changed the policy each time that this change was tried.

        Notes
        -----
        Healthcare API ``getIamPolicy`` and ``setIamPolicy``. What a member inherits from above stays.
        """

        def without(policy: Policy) -> Policy:
            changed = policy.revoked(role, member)
            if changed is policy:
                has = ", ".join(policy.roles_of(member)) or "no role"
                raise NotFound(f"{member!a} does not have {role!a} on {self.name}, it has {has}; see iam()")
            return changed

        return change_policy(self._rest, self._path, without)

    def test_iam_permissions(self, permissions: Iterable[str]) -> list[str]:
        """Which of *permissions* the caller holds here; none on a resource that does not exist.

        Parameters
        ----------
        permissions
            As ``["healthcare.dicomStores.dicomWebRead"]``, without wildcards.

        Notes
        -----
        Healthcare API ``testIamPermissions``.
        """
        body = {"permissions": [permissions] if isinstance(permissions, str) else list(permissions)}
        path = f"{self._path}:testIamPermissions"
        answer = self._rest.json("POST", path, body=body, is_repeatable=True) or {}
        return list(answer.get("permissions", ()))


def change_policy(
    rest: Rest, path: str, edit: Callable[[Policy], Policy], *, sleep: Callable[[float], None] = time.sleep
) -> Policy:
    """Read a policy, edit it and write it back, again and again until nobody interferes.

    Parameters
    ----------
    path
        Of the resource, below the API's base URL.
    edit
        Gives the policy that is wanted, or the same object where nothing is to be written.
    sleep
        Waits between two attempts.
    """
    for attempt in range(ATTEMPTS):
        current = _read(rest, path)
        wanted = edit(current)
        if wanted is current:
            return current
        try:
            # Without a mask: bindings and etag are what counts by default.
            return Policy.from_api(rest.json("POST", f"{path}:setIamPolicy", body={"policy": wanted.to_api()}) or {})
        except Aborted:
            if attempt == ATTEMPTS - 1:
                raise
            # Full jitter, as for other requests: those that collided must not collide again.
            sleep(random.uniform(0, min(FIRST_DELAY_S * 2**attempt, LONGEST_DELAY_S)))  # noqa: S311 - no secret
    raise AssertionError("unreachable: the last attempt returns or raises")


def _read(rest: Rest, path: str) -> Policy:
    return Policy.from_api(rest.json("GET", f"{path}:getIamPolicy", params=_READ) or {})
