"""What users want to be told of, and where; and the digest of a day. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.business_day import to_the_minute
from sat_hook.domain.errors import NotificationRefusedError

MAXIMUM_ADDRESS_CHARACTERS = 200
MAXIMUM_LINES = 30
"""Most alerts that a digest names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user wants to be told of on one channel.

    :param channel: its name in the deployment, for example ``mail``.
    :param address: the user's address there; empty where the channel needs none.
    :param is_digest: once a day at 08:00 WIB, instead of at once.
    :param changed_at: alerts that were raised earlier are not sent.
    """

    user: str
    channel: str
    address: str
    kinds: frozenset[AlertKind]
    is_digest: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DigestMessage:
    """The message of a digest. It has the members of :class:`~sat_hook.domain.alerts.AlertMessage`."""

    count: int
    subject: str
    text: str
    kind: str = "digest"
    account: str = "*"


def checked_address(address: str) -> str:
    """An address without blanks around it.

    :raises NotificationRefusedError: it is too long, or more than one printable line.
    """
    stripped = address.strip()
    if len(stripped) > MAXIMUM_ADDRESS_CHARACTERS or not stripped.isprintable():
        raise NotificationRefusedError(
            f"address: found {len(stripped)} characters; expected one line of at most "
            f"{MAXIMUM_ADDRESS_CHARACTERS} printable ones"
        )
    return stripped


def digest_of(alerts: Sequence[Alert], waiting: Sequence[str], now: datetime) -> DigestMessage:
    """The digest of some alerts, with what waits for people.

    :param waiting: lines about what waits now.
    """
    counts = Counter((alert.account, alert.kind) for alert in alerts)
    lines = [f"{account}: {number} {kind.headline}" for (account, kind), number in sorted(counts.items())]
    named = [f"{to_the_minute(alert.occurred_at)} WIB  {alert.text}" for alert in alerts[:MAXIMUM_LINES]]
    if len(alerts) > len(named):
        named.append(f"… and {len(alerts) - len(named)} more")
    parts = [
        "\n".join(lines) if lines else "No new alert.",
        "\n".join(["Waiting for people:", *waiting] if waiting else ["Nothing waits for people."]),
        "\n".join(named),
    ]
    subject = f"SAT digest of {to_the_minute(now)} WIB: {len(alerts)} new alerts"
    return DigestMessage(len(alerts), subject, "\n\n".join(part for part in parts if part))
