"""Alerting: what happened is read from the log, noted once for each event, and told to people.

The log is read after a cursor up to a closed position, so nothing is passed over and nothing is noted twice.
Telling is at least once: a process that dies between the message and its note tells again.

What is no event of the log is noted with :func:`raise_alerts`, under a key of its own; it is then told like
everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from psycopg2.extensions import connection as Connection

from sat_hook.domain.alerts import Alert, AlertMessage, alert_of, messages_of
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.limits import AlertingLimits
from sat_hook.store.alerts import AlertBook
from sat_hook.store.event_store import EventStore

Tell = Callable[[Sequence[Alert]], object]
"""Has people told of alerts. The same alert again is no news."""

ONLY_LOGGED = "no notifier is set (variable sat_alerts): it is in the log of the task notify alone"
NOT_TRIED = "not tried, because the notifier had failed before"


@dataclass(slots=True)
class TellingReport:
    """One round: messages that went out, alerts told by them, and what was wrong with the others."""

    messages: int = 0
    told: int = 0
    not_told: int = 0
    trouble: list[str] = field(default_factory=list)


def no_alerts(alerts: Sequence[Alert]) -> None:
    """Tells nobody."""


def raise_alerts(book: AlertBook, alerts: Sequence[Alert], connection: Connection | None = None) -> int:
    """Have people told of ``alerts``; a key that was ever raised before is no news. Returns how many are.

    :param connection: the caller's own transaction, if the alerts are to be undone with it.
    :raises StoreUnavailableError: when the database is away.
    """
    return book.add(alerts, connection=connection)


def collect_alerts(store: EventStore, book: AlertBook, limits: AlertingLimits | None = None) -> int:
    """Note everything that the log has to tell since the last time; returns how many alerts are new.

    :raises StoreUnavailableError: when the database is away; what was noted stays noted.
    """
    page = (limits or AlertingLimits()).page
    closed = store.close_position()
    after = book.read_up_to()
    new = 0
    while candidates := book.candidates(after, closed, page):
        found = (alert_of(c.recorded, c.earlier_ends, c.account, c.batch_id) for c in candidates)
        after = candidates[-1].recorded.position
        new += book.add([alert for alert in found if alert is not None], read_up_to=after)
    book.add((), read_up_to=closed)
    return new


def tell_people(
    book: AlertBook,
    clock: Clock,
    send: Callable[[AlertMessage], None],
    limits: AlertingLimits | None = None,
    *,
    reaches_people: bool = True,
) -> TellingReport:
    """Send what nobody was told of yet, one message for each kind and account.

    :param reaches_people: False when ``send`` only writes a log: then nobody was told.
    :param send: may raise whatever it likes; the message then goes out another time.
    :raises StoreUnavailableError: when the database is away.
    """
    bounds = limits or AlertingLimits()
    now = clock.now()
    claimed = book.claim(now, now + timedelta(seconds=bounds.lease_seconds), bounds.alerts)
    tries = {item.alert.key: item.tries for item in claimed}
    report = TellingReport()
    for message, alerts in messages_of([item.alert for item in claimed]):
        keys = [alert.key for alert in alerts]
        trouble = NOT_TRIED if len(report.trouble) >= bounds.failures_to_stop else _sent(send, message)
        if trouble is not None:
            # Who was not tried is due in the next round. After the same pause it would always stand behind
            # those that fail.
            is_tried = trouble != NOT_TRIED
            pause = bounds.pause_seconds(min(tries[key] for key in keys)) if is_tried else 0.0
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
        # Whatever a notifier does, the alert is only late. Its words may hold addresses and secrets.
        return type(error).__name__
    return None
