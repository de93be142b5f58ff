"""Tells users what they chose to be told of, at once or in a digest each morning.

A message is sent at least once: a process that dies after sending it and before recording it sends it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from sat_hook.domain.alerts import AlertMessage, messages_of
from sat_hook.domain.notifications import Choice, DigestMessage, digest_of
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.alerting import TellingReport
from sat_hook.store.notifications import NotificationBook

SendTo = Callable[[Choice, AlertMessage | DigestMessage], None]
"""Sends a message to a user's channel. It may raise any exception; the message is then sent later."""

MAXIMUM_AGE = timedelta(days=7)
"""An alert that a channel refused for so long is not sent to it any more."""
MAXIMUM_ALERTS = 1_000
"""Most alerts for one user and channel in one round; the next round goes on."""


def tell_users(book: NotificationBook, clock: Clock, send: SendTo) -> TellingReport:
    """Send each user what is to be sent at once, one message for each kind and account.

    A channel that fails costs only its own user's messages, until the next round.

    :raises StoreUnavailableError: when the database is away.
    """
    report = TellingReport()
    for choice in book.choices():
        if choice.is_digest or not choice.kinds:
            continue
        alerts = book.to_tell(choice, clock.now() - MAXIMUM_AGE, MAXIMUM_ALERTS)
        groups = messages_of(alerts)
        for place, (message, group) in enumerate(groups):
            if not _took(report, choice, message, send):
                report.not_told += sum(len(rest) for _, rest in groups[place:])
                break
            book.settle(choice, [alert.key for alert in group], clock.now())
            report.told += len(group)
    return report


def send_digests(book: NotificationBook, clock: Clock, send: SendTo, waiting: Sequence[str]) -> TellingReport:
    """Send each user who wants one a digest of the alerts since the last one. A quiet day has one, too.

    :param waiting: lines about what waits for people now.
    :raises StoreUnavailableError: when the database is away.
    """
    report = TellingReport()
    for choice in book.choices():
        if not choice.is_digest:
            continue
        alerts = book.to_tell(choice, clock.now() - MAXIMUM_AGE, MAXIMUM_ALERTS)
        if _took(report, choice, digest_of(alerts, waiting, clock.now()), send):
            book.settle(choice, [alert.key for alert in alerts], clock.now())
            report.told += len(alerts)
        else:
            report.not_told += len(alerts)
    return report


def _took(report: TellingReport, choice: Choice, message: AlertMessage | DigestMessage, send: SendTo) -> bool:
    try:
        send(choice, message)
    except Exception as error:
        # Its text may hold addresses and secrets.
        report.trouble.append(f"{choice.user} on {choice.channel}: {type(error).__name__}")
        return False
    report.messages += 1
    return True
