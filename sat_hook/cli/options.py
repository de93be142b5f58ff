"""Reasons, amounts and times as users type them, with one rule for every command.

Times are in Jakarta's time unless they give a zone.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from sat_hook.cli.errors import CommandError
from sat_hook.domain.business_day import WIB


def _checked(text: str) -> str:
    """Return the reason as it will be recorded, so that a poor one is refused before anything is sent.

    :raises CommandError: the pipeline would refuse the reason.
    """
    from sat_hook.commands.errors import ReasonRefusedError
    from sat_hook.commands.reasons import checked_reason

    try:
        return checked_reason(text)
    except ReasonRefusedError as error:
        raise CommandError(f"--{error}") from None


Reason = Annotated[
    str, typer.Option(help="Why; it is recorded with your Airflow user", metavar="TEXT", callback=_checked)
]

MAXIMUM_RUPIAH = 10**15
EXPECTED_RUPIAH = "whole rupiah above 0: 50000000, 50.000.000 or Rp 50,000,000"

_PLAIN = re.compile(r"[1-9][0-9]{0,20}")
_GROUPED = (
    re.compile(r"[1-9][0-9]{0,2}(\.[0-9]{3}){1,6}(,00?|,-)?"),
    re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3}){1,6}(\.00?)?"),
    re.compile(r"[1-9][0-9]{0,2}( [0-9]{3}){1,6}"),
)


def rupiah_from(text: str, where: str) -> int:
    """Read an amount with or without ``Rp`` and thousands separators.

    :raises CommandError: naming ``where``, when the text is ambiguous or is not an amount.
    """
    typed = re.sub(r"(?i)^(rp\.?|idr) ?", "", " ".join(text.split()))
    amount = 0
    if _PLAIN.fullmatch(typed):
        amount = int(typed)
    elif any(pattern.fullmatch(typed) for pattern in _GROUPED):
        amount = int(re.sub(r"[., ]", "", re.sub(r"(,00?|,-|\.00?)$", "", typed)))
    if not 0 < amount <= MAXIMUM_RUPIAH:
        raise CommandError.at(where, repr(text), EXPECTED_RUPIAH)
    return amount


_AGO = re.compile(r"([0-9]{1,6})\s*(min|h|d|w)")
_UNITS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
EXPECTED_TIME = (
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
            raise CommandError.at(option, repr(text), EXPECTED_TIME) from None
    try:
        moment = datetime.fromisoformat(typed)
        return (moment if moment.tzinfo else moment.replace(tzinfo=WIB)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandError.at(option, repr(text), EXPECTED_TIME) from None


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
