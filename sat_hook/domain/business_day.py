"""The business day in Jakarta time (WIB), and times formatted for readers there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone

WIB = timezone(timedelta(hours=7), "WIB")
"""Jakarta time; Indonesia has no daylight saving time."""

MAXIMUM_CUT_OFF_MINUTES = 720
"""Largest distance between midnight and the cut-off of a business day."""


def business_day(moment: datetime) -> date:
    return moment.astimezone(WIB).date()


def midnight(day: date) -> datetime:
    """The moment at which a business day begins, in UTC."""
    return datetime.combine(day, time(), WIB).astimezone(UTC)


def day_bounds(moment: datetime) -> tuple[datetime, datetime]:
    """Start and end (exclusive) of the business day of ``moment``, in UTC."""
    begin = midnight(business_day(moment))
    return begin, begin + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class BusinessDay:
    """A business day of an account's books, with that account's cut-off.

    :param cut_off_minutes: minutes after midnight WIB at which the day begins; it ends 24 hours later. -60
        means from 23:00 of the day before until 23:00.
    :param opens_minutes: when it begins instead, if the day before had another cut-off.
    """

    day: date
    cut_off_minutes: int = 0
    opens_minutes: int | None = field(default=None, metadata={"absent_when_none": True})

    @property
    def opens_at(self) -> datetime:
        """The first moment of the day (inclusive), WIB."""
        minutes = self.cut_off_minutes if self.opens_minutes is None else self.opens_minutes
        return self._midnight + timedelta(minutes=minutes)

    @property
    def closes_at(self) -> datetime:
        """The first moment after the day (exclusive), WIB."""
        return self._midnight + timedelta(days=1, minutes=self.cut_off_minutes)

    @property
    def _midnight(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, tzinfo=WIB)

    @classmethod
    def of(cls, moment: datetime, cut_off_minutes: int = 0) -> BusinessDay:
        return cls((moment.astimezone(WIB) - timedelta(minutes=cut_off_minutes)).date(), cut_off_minutes)


def local_time(moment: datetime) -> datetime:
    """A moment in WIB without its zone, as spreadsheets hold times."""
    return moment.astimezone(WIB).replace(tzinfo=None)


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
    """A duration in at most two units: ``2 d 3 h``, ``45 min``, ``20 s``."""
    seconds = int(span.total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
