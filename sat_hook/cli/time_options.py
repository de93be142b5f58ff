"""Times as users type them: in Jakarta's time unless they give a zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from sat_hook.cli.errors import CommandError
from sat_hook.domain.business_day import WIB

_AGO = re.compile(r"([0-9]{1,6})\s*(min|h|d|w)")
_UNITS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
EXPECTED = (
    "a time like 2026-11-23, '2026-11-23 14:30' (WIB), 2026-11-23T07:30Z, or an age like 90min, 12h, 7d"
)


def moment_from(text: str, now: datetime, option: str) -> datetime:
    """Return a moment in UTC. A date is its first moment; an age is counted back from ``now``.

    :raises CommandError: naming ``option``, when the text is not a moment.
    """
    typed = text.strip()
    if typed == "now":
        return now
    if ago := _AGO.fullmatch(typed):
        try:
            return now - int(ago[1]) * _UNITS[ago[2]]
        except OverflowError:
            raise CommandError.at(option, repr(text), EXPECTED) from None
    try:
        moment = datetime.fromisoformat(typed)
        return (moment if moment.tzinfo else moment.replace(tzinfo=WIB)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandError.at(option, repr(text), EXPECTED) from None


def end_from(text: str, now: datetime, option: str) -> datetime:
    """Return the end of a period in UTC. A day, in any notation, ends at the first moment of the next day.

    :raises CommandError: naming ``option``, when the text is not a moment.
    """
    moment = moment_from(text, now, option)
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return moment
    return moment + timedelta(days=1)


def day_from(text: str, option: str) -> date:
    """Return a day in Jakarta.

    :raises CommandError: naming ``option``, when the text is not a day.
    """
    try:
        return datetime.combine(date.fromisoformat(text.strip()), time()).date()
    except ValueError:
        raise CommandError.at(option, repr(text), "a day like 2026-11-23") from None
