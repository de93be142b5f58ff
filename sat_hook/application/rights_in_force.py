"""Who has which right, and what was seen to change, for people who audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sat_hook.application.pages import Page, list_name, page_of, place_in
from sat_hook.application.rights import DEFAULTS, Holders, Person, Right, rights_in
from sat_hook.application.service import Service
from sat_hook.domain.console_users import UserRightsSeen
from sat_hook.domain.event_record import RecordedEvent
from sat_hook.domain.rights_seen import RightsSeen, RightsSource
from sat_hook.store.log_pages import LAST_POSITION, LogPages, LogSlice

PAGE = 20
_TYPES = (RightsSeen.__name__, UserRightsSeen.__name__)


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
class RightsChange:
    """A change of rights that was seen, as the event at a position of the log."""

    position: int
    seen_at: datetime
    event: RightsSeen | UserRightsSeen


@dataclass(frozen=True, slots=True)
class RightsInForce(Service):
    """Reads who has which right, as it is at this moment, and its changes."""

    def shown(self, person: Person) -> RightsShown:
        """Every right with its holders.

        :raises RightsFileError: the file cannot be used, so no user has any right.
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

    def changes(self, person: Person, *, cursor: str | None = None) -> Page[RightsChange]:
        """The changes that were seen, the newest first."""
        person.require(Right.AUDIT)
        name = list_name("rights")
        (before,) = place_in(name, cursor, tuple[int]) or (LAST_POSITION,)
        found = LogPages(self.database).newest(LogSlice(types=_TYPES), PAGE + 1, before)
        rows = [RightsChange(one.position, one.recorded_at, _change_of(one)) for one in found]
        return page_of(name, rows, PAGE, lambda row: (row.position,))


def _change_of(recorded: RecordedEvent) -> RightsSeen | UserRightsSeen:
    event = recorded.event
    assert isinstance(event, RightsSeen | UserRightsSeen)
    return event
