"""Reasons and amounts as users type them, with one rule for every command."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from sat_hook.cli.errors import CommandError


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
EXPECTED = "whole rupiah above 0: 50000000, 50.000.000 or Rp50,000,000"

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
        raise CommandError.at(where, repr(text), EXPECTED)
    return amount
