"""Makes breaks, each with an id that stays the same on every day it is found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sat_hook.domain.breaks import BreakCategory, BreakEvidence, MatchKind
from sat_hook.domain.identity import break_id_of
from sat_hook.reconciliation.model import Break

MAXIMUM_TEXT_CHARACTERS = 120
MAXIMUM_ITEMISED = 10_000
"""Maximum number of breaks of one rule that are itemised. The rest becomes one break with their number and
sum.
"""
REST = "rest:"


@dataclass(frozen=True, slots=True)
class BreakFactory:
    """Makes the breaks of one match of one account's day.

    :param day: the day that the breaks are about, and the first day of those not known from before.
    """

    account: str
    match: MatchKind
    day: date

    def found(
        self,
        rule: str,
        subject: str,
        category: BreakCategory,
        what: str,
        *,
        ours: str = "",
        theirs: str = "",
        amount_rupiah: int = 0,
        order: tuple[str, str] | None = None,
        evidence: BreakEvidence | None = None,
    ) -> Break:
        """Return a break. ``rule`` and ``subject`` make its identity; its category may change from day to
        day.

        :param order: request id and order id, if the break is about an order.
        """
        return Break(
            break_id=break_id_of(self.account, self.match.value, rule, subject),
            match=self.match,
            category=category,
            subject=subject,
            day=self.day,
            first_seen=self.day,
            request_id=order[0] if order else None,
            order_id=printable(order[1]) if order else None,
            what=what,
            ours=printable(ours),
            theirs=printable(theirs),
            amount_rupiah=amount_rupiah,
            evidence=evidence or BreakEvidence(),
        )

    def rest(self, rule: str, category: BreakCategory, what: str, count: int, amount_rupiah: int) -> Break:
        """Return the one break for everything beyond :data:`MAXIMUM_ITEMISED`. It stands until the day
        agrees.
        """
        return self.found(
            rule,
            f"{REST}{rule}:{self.day.isoformat()}",
            category,
            f"{count:,} more of the same: {what}",
            amount_rupiah=amount_rupiah,
        )


def printable(text: str) -> str:
    """Return foreign text as one short line."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= MAXIMUM_TEXT_CHARACTERS else f"{clean[: MAXIMUM_TEXT_CHARACTERS - 1]}…"
