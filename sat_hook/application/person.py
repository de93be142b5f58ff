"""The person behind a use case: a name, rights, and the provenance of what the person does."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.application.errors import RightMissingError
from sat_hook.application.rights import Right
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.people import USER_PREFIX


@dataclass(frozen=True, slots=True)
class Person:
    """An authenticated user.

    :param name: the name under which events record what the person does (law 13).
    """

    name: str
    rights: frozenset[Right]

    def has(self, right: Right) -> bool:
        """Whether the person has a right."""
        return right in self.rights

    def require(self, *rights: Right) -> None:
        """Check that the person has one of these rights.

        :raises RightMissingError: when the person has none of them.
        """
        if not self.rights.intersection(rights):
            raise RightMissingError(self.name, *rights)

    def by(self, action: str) -> Provenance:
        """The provenance of an action of the person."""
        return Provenance(f"{USER_PREFIX}{self.name}", f"plugin:{action}")
