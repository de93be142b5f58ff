"""Moments and rupiah as people in Jakarta read them. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from sat_hook.domain.guards import WIB


def day_text(moment: datetime) -> str:
    """``3 Nov 2026`` in Jakarta's time."""
    local = moment.astimezone(WIB)
    return f"{local.day} {local:%b %Y}"


def moment_text(moment: datetime) -> str:
    """``3 Nov 2026 10:07`` in Jakarta's time."""
    return f"{day_text(moment)} {moment.astimezone(WIB):%H:%M}"


def rupiah_text(amount: int | None) -> str:
    """``Rp25,100``; in words when there is none."""
    return "no price" if amount is None else f"Rp{amount:,}"


def span_text(span: timedelta) -> str:
    """How long something took, to two units: ``2 d 3 h``, ``45 min``, ``20 s``."""
    seconds = int(span.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def midnight(day: date) -> datetime:
    """The moment at which a day begins in Jakarta, in UTC."""
    return datetime.combine(day, time(), WIB).astimezone(UTC)


def business_day(moment: datetime) -> date:
    """The day in Jakarta to which a moment belongs."""
    return moment.astimezone(WIB).date()
