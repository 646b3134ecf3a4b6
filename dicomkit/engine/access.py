"""Who calls: the owner of the home, or one of those whom the owner gave a token.

Whatever authenticates (``dicomkit serve``) puts a :class:`Caller` into the WSGI environment; a request without one
comes from this process, which is the owner's. What a caller may do is for ``services.iam`` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werkzeug.wrappers import Request

__all__ = ["CALLER", "METHOD_ID", "OWNER", "Caller", "caller_of"]

CALLER = "dicomkit.caller"
"""Key of the WSGI environment with the :class:`Caller`."""

METHOD_ID = "dicomkit.method_id"
"""Key of the WSGI environment in which the engine leaves the id of the method that answered."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a token.

    Parameters
    ----------
    member
        As policies name it: ``user:alice@example.com``, or ``serviceAccount:...``. Empty for the owner.
    groups
        The groups it belongs to, as ``group:radiology@example.com``.
    """

    member: str
    groups: frozenset[str] = frozenset()

    @property
    def is_owner(self) -> bool:
        """Whether it is the owner, who may do everything."""
        return not self.member

    @property
    def names(self) -> frozenset[str]:
        """Every member of a policy that stands for the caller, in lower case.

        A person is also in the domain of the address. Whoever has a token is authenticated; without one nobody is
        let in at all, so that ``allUsers`` says no more than ``allAuthenticatedUsers``.
        """
        names = {self.member, *self.groups, "allUsers", "allAuthenticatedUsers"}
        kind, _, address = self.member.partition(":")
        if kind == "user":
            names.add(f"domain:{address.rpartition('@')[2]}")
        return frozenset(name.lower() for name in names)


OWNER = Caller("")
"""The owner of the home."""


def caller_of(request: Request) -> Caller:
    """Who sent *request*."""
    caller = request.environ.get(CALLER, OWNER)
    if not isinstance(caller, Caller):
        raise TypeError(f"{CALLER} is no Caller")
    return caller
