"""Notifications: which alerts there are, who has seen them, and what each user wants to be told of."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sat_hook.application.installation import Channel
from sat_hook.application.pages import USUAL_PAGE, Page, limited, list_name, page_of, place_in
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service, clock_on
from sat_hook.commands.aggregates import USERS
from sat_hook.commands.handler import CommandHandler
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.console_users import AcknowledgeAlerts
from sat_hook.domain.errors import NotificationRefusedError
from sat_hook.domain.identity import user_id_of
from sat_hook.domain.notifications import Choice, checked_address
from sat_hook.store.notifications import LAST_ALERT, AlertSeen, NotificationBook

ACKNOWLEDGING = (Right.DECIDE, Right.PAUSE, Right.FINANCE, Right.AUDIT)
"""The rights of which one lets a person acknowledge alerts for everyone."""
MAXIMUM_ACKNOWLEDGED = 200
"""Most alerts that one act acknowledges."""


@dataclass(frozen=True, slots=True)
class Notifications(Service):
    """Alerts and what users chose of them.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it. A
    user reads and changes only the user's own choices.
    """

    def alerts(
        self,
        person: Person,
        *,
        kinds: Sequence[AlertKind] | None = None,
        account: str | None = None,
        only_open: bool = True,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[AlertSeen]:
        """A page of alerts, the newest first.

        :param only_open: only those that no one has acknowledged.
        """
        person.require(Right.VIEW)
        name = list_name("alerts", kinds and sorted(kinds), account, only_open)
        limit = limited(limit)
        (before,) = place_in(name, cursor, tuple[int]) or (LAST_ALERT,)
        found = self._book().page(kinds, account, limit + 1, only_open=only_open, before_id=before)
        return page_of(name, found, limit, lambda row: (row.alert_id,))

    def acknowledge(self, keys: Collection[str], reason: str, person: Person) -> int:
        """Record that the person has seen alerts to it; returns how many no one had acknowledged before.

        The act is recorded in the log first, with its reason.

        :raises ReasonRefusedError: there is no usable reason.
        :raises NotificationRefusedError: no alert is named, or too many.
        """
        person.require(*ACKNOWLEDGING)
        named = sorted(set(keys))
        if not 1 <= len(named) <= MAXIMUM_ACKNOWLEDGED:
            raise NotificationRefusedError(
                f"alerts: found {len(named)}; expected 1 to {MAXIMUM_ACKNOWLEDGED}"
            )
        store = self.store
        clock = clock_on(store)
        command = AcknowledgeAlerts(tuple(named), checked_reason(reason))
        CommandHandler(store, clock).apply_to(
            USERS, user_id_of(person.name), command, person.by("acknowledge")
        )
        return len(self._book().acknowledge(named, person.name, clock.now()))

    def channels(self, person: Person) -> tuple[Channel, ...]:
        person.require(Right.VIEW)
        return tuple(self.installation.channels())

    def choices(self, person: Person) -> tuple[Choice, ...]:
        """What the person wants to be told of."""
        person.require(Right.VIEW)
        return tuple(self._book().choices(person.name))

    def choose(
        self, channel: str, address: str, kinds: Collection[AlertKind], person: Person, *, is_digest: bool
    ) -> Choice:
        """Keep what the person wants to be told of on a channel; without a kind and a digest, nothing.

        :raises NotificationRefusedError: there is no such channel, or the address cannot be used there.
        """
        person.require(Right.VIEW)
        known = {one.name: one for one in self.installation.channels()}
        if channel not in known:
            raise NotificationRefusedError(
                f"channel: found {channel!r}; expected one of {', '.join(sorted(known)) or 'no channel'}"
            )
        pattern = known[channel].address_pattern
        checked = checked_address(address) if pattern else ""
        if pattern and not re.fullmatch(pattern, checked):
            raise NotificationRefusedError(
                f"address: found one that the channel {channel} does not take; expected {pattern}"
            )
        now = self.store.database_time()
        choice = Choice(person.name, channel, checked, frozenset(kinds), is_digest, now)
        if choice.kinds:
            self._book().keep(choice)
        else:
            self._book().drop(person.name, channel)
        return choice

    def _book(self) -> NotificationBook:
        return NotificationBook(self.database)
