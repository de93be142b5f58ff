"""Alerting: read events from the log, note one alert for each, and notify people.

The log is read from a cursor up to a closed position, so each event is noted exactly once. Messages are sent
at least once: a process that dies after sending a message and before noting it sends the message again.

An alert without an event is added to the book under its own key, and sent like the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sat_hook.domain.alerts import Alert, AlertMessage, alert_of, messages_of
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.limits import AlertingLimits
from sat_hook.store.alerts import AlertBook
from sat_hook.store.event_store import EventStore

Tell = Callable[[Sequence[Alert]], object]
"""Raises alerts. Raising the same alert again does nothing."""

ONLY_LOGGED = "no notifier is set (variable sat_alerts): it is in the log of the task notify alone"
NOT_TRIED = "not tried, because the notifier had failed before"


@dataclass(slots=True)
class TellingReport:
    """One round: messages sent, alerts they contained, and the errors of messages that were not sent."""

    messages: int = 0
    told: int = 0
    not_told: int = 0
    trouble: list[str] = field(default_factory=list)


def no_alerts(alerts: Sequence[Alert]) -> None:
    """Sends nothing."""


def collect_alerts(store: EventStore, book: AlertBook, limits: AlertingLimits) -> int:
    """Note the alerts of all events since the last call; return how many alerts are new.

    :raises StoreUnavailableError: when the database is away; what was noted stays noted.
    """
    closed = store.horizon()
    after = book.read_up_to()
    new = 0
    while candidates := book.candidates(after, closed, limits.page):
        found = (alert_of(c.recorded, c.earlier_ends, c.account, c.batch_id) for c in candidates)
        after = candidates[-1].recorded.position
        new += book.add([alert for alert in found if alert is not None], read_up_to=after)
    book.add((), read_up_to=closed)
    return new


def tell_people(
    book: AlertBook,
    clock: Clock,
    send: Callable[[AlertMessage], None],
    limits: AlertingLimits,
    *,
    reaches_people: bool = True,
) -> TellingReport:
    """Send the alerts that were not sent yet, one message for each kind and account.

    :param reaches_people: False when ``send`` only writes a log and notifies no person.
    :param send: may raise any exception; the message is then sent in a later round.
    :raises StoreUnavailableError: when the database is away.
    """
    now = clock.now()
    claimed = book.claim(now, now + timedelta(seconds=limits.lease_seconds), limits.alerts)
    tries = {item.alert.key: item.tries for item in claimed}
    report = TellingReport()
    for message, alerts in messages_of([item.alert for item in claimed]):
        keys = [alert.key for alert in alerts]
        trouble = NOT_TRIED if len(report.trouble) >= limits.failures_to_stop else _sent(send, message)
        if trouble is not None:
            # Messages that were not tried are due in the next round. With the same pause they would always
            # queue behind those that fail.
            is_tried = trouble != NOT_TRIED
            pause = limits.pause_seconds(min(tries[key] for key in keys)) if is_tried else 0.0
            book.settle_not_notified(keys, clock.now() + timedelta(seconds=pause), trouble)
            report.not_told += len(keys)
            report.trouble.append(f"{message.subject}: {trouble}")
            continue
        if reaches_people:
            book.settle_notified(keys, clock.now())
        else:
            book.settle_logged(keys, clock.now(), ONLY_LOGGED)
        report.messages += 1
        report.told += len(keys)
    return report


def _sent(send: Callable[[AlertMessage], None], message: AlertMessage) -> str | None:
    try:
        send(message)
    except Exception as error:
        # A notifier's error only delays the alert. Its text may hold addresses and secrets.
        return type(error).__name__
    return None
