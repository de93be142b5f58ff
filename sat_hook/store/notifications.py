"""What users want to be told of, which channel took which alert, and who has seen one. Operational state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.notifications import Choice
from sat_hook.store.alerts import ToldAlert, told_alert
from sat_hook.store.statements import Statements

LAST_ALERT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert with whom it reached, and who has acknowledged it.

    :param channels: the channels of users that took it, by name.
    """

    alert_id: int
    told: ToldAlert
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    channels: Sequence[str]


class NotificationBook(Statements, room="notifications"):
    """The tables of notifications."""

    def choices(self, user: str | None = None) -> list[Choice]:
        """What every user wants to be told of, or one user."""
        if user is None:
            rows = self._run(self._sql.choices)
        else:
            rows = self._run(self._sql.choices_of, user_name=user)
        known = set(AlertKind)
        return [
            Choice(name, channel, address, frozenset(AlertKind(k) for k in kinds if k in known), digest, at)
            for name, channel, address, kinds, digest, at in rows
        ]

    def keep(self, choice: Choice) -> None:
        """Keep a user's choice for a channel, in place of an earlier one."""
        self._run(
            self._sql.keep_choice,
            user_name=choice.user,
            channel=choice.channel,
            address=choice.address,
            kinds=sorted(kind.value for kind in choice.kinds),
            is_digest=choice.is_digest,
            changed_at=choice.changed_at,
        )

    def drop(self, user: str, channel: str) -> None:
        """Forget a user's choice for a channel."""
        self._run(self._sql.drop_choice, user_name=user, channel=channel)

    def to_tell(self, choice: Choice, since: datetime, limit: int) -> list[Alert]:
        """Alerts that the user's channel did not take yet, the oldest first.

        :param since: not those that were raised earlier.
        """
        rows = self._run(
            self._sql.alerts_to_tell,
            user_name=choice.user,
            channel=choice.channel,
            kinds=sorted(kind.value for kind in choice.kinds),
            since=max(since, choice.changed_at),
            limit=limit,
        )
        return [
            Alert(key, AlertKind(kind), account, text, occurred_at, batch_id, subject)
            for key, kind, account, text, occurred_at, batch_id, subject in rows
        ]

    def settle(self, choice: Choice, keys: Collection[str], now: datetime) -> None:
        """Record that the user's channel took these: they were told."""
        with self._database.transaction() as connection:
            of = {"keys": list(keys), "now": now}
            self._sql.record_deliveries(connection, user_name=choice.user, channel=choice.channel, **of)
            self._sql.mark_told(connection, **of)

    def page(
        self,
        kinds: Sequence[AlertKind] | None,
        account: str | None,
        limit: int,
        *,
        only_open: bool,
        before_id: int = LAST_ALERT,
    ) -> list[AlertSeen]:
        """A page of alerts, the newest first."""
        rows: Sequence[Any] = self._run(
            self._sql.alerts_page,
            kinds=None if kinds is None else [kind.value for kind in kinds],
            account=account,
            only_open=only_open,
            before_id=before_id,
            limit=limit,
        )
        return [AlertSeen(row[0], told_alert(row[1:12]), *row[12:]) for row in rows]

    def acknowledge(self, keys: Collection[str], user: str, now: datetime) -> list[str]:
        """Record who has seen these; returns the keys that no one had acknowledged."""
        rows = self._run(self._sql.acknowledge, keys=list(keys), user_name=user, now=now)
        return sorted(key for (key,) in rows)
