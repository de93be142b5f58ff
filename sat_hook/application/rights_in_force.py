"""Who has which right, for people who audit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sat_hook.application.person import Person
from sat_hook.application.rights import DEFAULTS, Holders, Right, rights_in
from sat_hook.application.service import Service


class RightsSource(StrEnum):
    """Where the rights come from."""

    FILE = "file"
    DEFAULTS = "defaults"
    AUTH_MANAGER = "auth_manager"


@dataclass(frozen=True, slots=True)
class HoldersRow:
    """The holders of one right.

    :param is_default: whether the file leaves it out, so that the defaults by role count.
    """

    right: Right
    users: tuple[str, ...]
    roles: tuple[str, ...]
    is_default: bool


@dataclass(frozen=True, slots=True)
class RightsShown:
    """All rights. Airflow's auth manager answers for one user at a time, so it names no holders."""

    source: RightsSource
    rights: tuple[HoldersRow, ...]


@dataclass(frozen=True, slots=True)
class RightsInForce(Service):
    """Reads who has which right, as it is at this moment."""

    def shown(self, person: Person) -> RightsShown:
        """Every right with its holders.

        :raises RightsFileError: the file cannot be used, so no user has any right.
        :raises RightMissingError: the person may not audit.
        """
        person.require(Right.AUDIT)
        settings = self.installation.settings()
        if settings.rights_from_auth_manager:
            return RightsShown(RightsSource.AUTH_MANAGER, ())
        holders = rights_in(settings.rights_file)
        rows = tuple(
            HoldersRow(right, found.users, found.roles, found is DEFAULTS.get(right, found))
            for right in Right
            for found in [holders.get(right, Holders())]
        )
        return RightsShown(RightsSource.FILE if settings.rights_file else RightsSource.DEFAULTS, rows)
