"""The business day, which is kept in Jakarta's time (WIB), and moments as people there read them. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone

WIB = timezone(timedelta(hours=7), "WIB")
"""Jakarta's time; Indonesia has no summer time."""


def business_day(moment: datetime) -> date:
    """The business day to which a moment belongs."""
    return moment.astimezone(WIB).date()


def midnight(day: date) -> datetime:
    """The moment at which a business day begins, in UTC."""
    return datetime.combine(day, time(), WIB).astimezone(UTC)


def day_bounds(moment: datetime) -> tuple[datetime, datetime]:
    """Begin and end (exclusive) of the business day of ``moment``, in UTC."""
    begin = midnight(business_day(moment))
    return begin, begin + timedelta(days=1)


def in_wib(moment: datetime | None) -> str:
    """``2026-11-03 10:07:30`` in WIB; empty when there is none."""
    return "" if moment is None else f"{moment.astimezone(WIB):%Y-%m-%d %H:%M:%S}"


def to_the_minute(moment: datetime) -> str:
    """``2026-11-03 10:07`` in WIB."""
    return f"{moment.astimezone(WIB):%Y-%m-%d %H:%M}"


def day_text(moment: datetime) -> str:
    """``3 Nov 2026`` in WIB."""
    local = moment.astimezone(WIB)
    return f"{local.day} {local:%b %Y}"


def moment_text(moment: datetime) -> str:
    """``3 Nov 2026 10:07`` in WIB."""
    return f"{day_text(moment)} {moment.astimezone(WIB):%H:%M}"


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
