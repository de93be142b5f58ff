"""Webhooks: which other systems are told of what, and what became of their messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sat_hook.application.errors import WebhookNotFoundError
from sat_hook.application.pages import USUAL_PAGE, Page, limited, list_name, page_of, place_in
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.clients.webhooks import checked_url, fingerprint, networks_in
from sat_hook.commands.aggregates import WEBHOOKS
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.decision import Record, RefusalReason
from sat_hook.domain.errors import WebhookRefusedError
from sat_hook.domain.event_record import Event
from sat_hook.domain.identity import webhooks_id
from sat_hook.domain.webhooks import (
    Webhook,
    WebhookMessagesResent,
    WebhookRemoved,
    WebhookSet,
    WebhookTopic,
    checked_name,
)
from sat_hook.pipeline.webhooks import webhooks_of
from sat_hook.store.webhooks import LAST_MESSAGE, MessageRow, MessageState, Unsettled, WebhookQueue

READING = (Right.WEBHOOKS, Right.AUDIT)
"""The rights of which one reads webhooks and their messages."""
MAXIMUM_RESENT = 200
"""Most messages that one act sends once more."""


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook and how it stands.

    :param added_at_position: it is told of later events.
    :param key_ids: the fingerprints of its secrets, the newest first; none when they cannot be read.
    :param trouble: why its secrets cannot be read; otherwise empty.
    """

    webhook: Webhook
    added_at_position: int
    key_ids: tuple[str, ...]
    trouble: str
    waiting: Unsettled | None
    dead: Unsettled | None


@dataclass(frozen=True, slots=True)
class Webhooks(Service):
    """Webhooks and their messages.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it.
    """

    def webhooks(self, person: Person) -> tuple[WebhookRow, ...]:
        """Those in force, by name."""
        person.require(*READING)
        unsettled = self._queue().unsettled()
        return tuple(self._row(*found, unsettled) for _, found in sorted(webhooks_of(self.store).items()))

    def set(
        self,
        name: str,
        url: str,
        connection: str,
        topics: Collection[WebhookTopic],
        accounts: Collection[str],
        reason: str,
        person: Person,
    ) -> WebhookRow:
        """Add a webhook, or give the one of this name other members.

        A new one is told of the events after it. What it could not be told yet goes to its new address.

        :param connection: the name of the connection whose password holds its secrets.
        :param accounts: by either name; none for all accounts.
        :raises WebhookRefusedError: its name, address, topics or secrets cannot be used.
        """
        person.require(Right.WEBHOOKS)
        if not topics:
            raise WebhookRefusedError(f"topics: found none; expected some of {', '.join(WebhookTopic)}")
        event = WebhookSet(
            name=checked_name(name),
            url=str(checked_url(url, networks_in(self.installation.settings().webhook_networks))),
            connection=connection,
            topics=tuple(topic for topic in WebhookTopic if topic in topics),
            accounts=tuple(sorted({self.account_of(account) for account in accounts})),
            reason=checked_reason(reason),
        )
        self.installation.webhook_secrets(connection)
        self._record(event, person)
        return self._row(*webhooks_of(self.store)[name], self._queue().unsettled())

    def remove(self, name: str, reason: str, person: Person) -> None:
        """Remove a webhook, and forget its messages.

        :raises WebhookNotFoundError: there is none of this name.
        """
        person.require(Right.WEBHOOKS)
        self._require(name)
        self._record(WebhookRemoved(name=name, reason=checked_reason(reason)), person)
        self._queue().drop(name)

    def messages(
        self,
        person: Person,
        *,
        state: MessageState = MessageState.DEAD,
        webhook: str | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[MessageRow]:
        """A page of messages in a state, the newest first."""
        person.require(*READING)
        list_of = list_name("webhook messages", state.value, webhook)
        limit = limited(limit)
        (before,) = place_in(list_of, cursor, tuple[int]) or (LAST_MESSAGE,)
        found = self._queue().page(state, webhook, limit + 1, before)
        return page_of(list_of, found, limit, lambda row: (row.number,))

    def resend(self, name: str, message_ids: Sequence[str], reason: str, person: Person) -> int:
        """Let messages of a webhook be sent once more, with the same ids; returns how many.

        The act is recorded in the log first, with its reason. Messages that still wait are left alone.

        :raises WebhookNotFoundError: there is no webhook of this name.
        :raises WebhookRefusedError: no message is named, too many are, or none of them is settled.
        """
        person.require(Right.WEBHOOKS)
        self._require(name)
        if not 1 <= len(set(message_ids)) <= MAXIMUM_RESENT:
            raise WebhookRefusedError(
                f"messages: found {len(set(message_ids))}; expected 1 to {MAXIMUM_RESENT}"
            )
        found = self._queue().settled(name, message_ids)
        if not found:
            raise WebhookRefusedError(
                f"messages: found none of webhook {name} that was delivered or given up; expected their ids"
            )
        event = WebhookMessagesResent(name=name, messages=tuple(found), reason=checked_reason(reason))
        self._record(event, person)
        self._queue().resend(name, found, self.clock.now())
        return len(found)

    def _record(self, event: Event, person: Person) -> None:
        result = self.handler.apply_to(WEBHOOKS, webhooks_id(), Record(event), person.by("webhooks"))
        if result.refusal is not None and result.refusal.reason is not RefusalReason.ALREADY_SO:
            raise WebhookRefusedError(result.refusal.detail)

    def _require(self, name: str) -> None:
        known = webhooks_of(self.store)
        if name not in known:
            there_are = ", ".join(sorted(known)) or "none"
            raise WebhookNotFoundError(f"webhook: found no {name!r}; there are: {there_are}")

    def _row(
        self, webhook: Webhook, added_at: int, unsettled: dict[tuple[str, MessageState], Unsettled]
    ) -> WebhookRow:
        keys: tuple[str, ...] = ()
        trouble = ""
        try:
            keys = tuple(map(fingerprint, self.installation.webhook_secrets(webhook.connection)))
        except WebhookRefusedError as error:
            trouble = str(error)
        except Exception as error:
            # The installation's own error about a connection.
            trouble = f"connection {webhook.connection}: {type(error).__name__}"
        waiting, dead = (
            unsettled.get((webhook.name, state)) for state in (MessageState.WAITING, MessageState.DEAD)
        )
        return WebhookRow(webhook, added_at, keys, trouble, waiting, dead)

    def _queue(self) -> WebhookQueue:
        return WebhookQueue(self.database)
