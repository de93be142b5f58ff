"""People's actions on an account's books: top-ups, breaks, settlement files, sign-offs, reports.

Each needs a right of the person, who is the actor of its event (law 13).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.books_commands import Seen
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.book_commands import Signed

if TYPE_CHECKING:
    from sat_hook.reconciliation.kept_reports import KeptReport

MAXIMUM_ORDERS_ON_REQUEST = 100_000
"""The DAG makes reports with more orders, to keep the API server free."""


class Signature(StrEnum):
    """The two signatures of a day: one person prepares it, then another certifies and freezes it."""

    PREPARE = "prepare"
    CERTIFY = "certify"


@dataclass(frozen=True, slots=True)
class DayBooks(Service):
    """The books of accounts."""

    def record_top_up(
        self,
        named: str,
        *,
        reference: str,
        amount_rupiah: int,
        credited_at: datetime,
        reason: str,
        person: Person,
    ) -> tuple[str, bool]:
        """Record a top-up of a deposit; return the account, and whether the reference is new."""
        person.require(Right.FINANCE)
        account = self.account_of(named)
        is_new = book_commands.top_up(
            self.keeper,
            account,
            reference=reference,
            amount_rupiah=amount_rupiah,
            credited_at=credited_at,
            note=checked_reason(reason),
            provenance=person.by("top-up"),
        )
        return account, is_new

    def decide_break(self, named: str, break_id: str, act: BreakAct, reason: str, person: Person) -> bool:
        """Explain, resolve or write off a break; False when it already had that state."""
        person.require(Right.FINANCE)
        keeper, account = self.keeper, self.account_of(named)
        return book_commands.settle_break(
            keeper, account, break_id, act.state, checked_reason(reason), person.by(act)
        )

    def choose_settlement(
        self, named: str, day: date, file: str, reason: str, person: Person
    ) -> tuple[str, bool]:
        """Choose which of several settlement files with the same orders counts from the next close on."""
        person.require(Right.FINANCE)
        account = self.account_of(named)
        is_new = book_commands.choose_file(
            self.keeper, account, day, file, checked_reason(reason), person.by("choose")
        )
        return account, is_new

    def sign(
        self,
        named: str,
        day: date,
        signature: Signature,
        reason: str,
        person: Person,
        seen: Seen | None = None,
    ) -> Signed:
        """Sign the newest close of a day.

        :param seen: what the person saw: the signature is refused when the day has changed since.
        """
        person.require(Right.SIGN_OFF)
        act = book_commands.prepare if signature is Signature.PREPARE else book_commands.certify
        account, note = self.account_of(named), checked_reason(reason)
        return act(self.keeper, account, day, note, person.by(signature), seen)

    def report(self, named: str, day: date, version: int | None, person: Person) -> tuple[str, KeptReport]:
        """A version of a day's report, the newest by default. It is written if it does not exist yet.

        :raises BooksRefusedError: there is no such version, or the day is too large to be written here.
        """
        person.require(Right.FINANCE, Right.SIGN_OFF, Right.AUDIT)
        # pandas is loaded by the first report, not with the server.
        from sat_hook.reconciliation.kept_reports import report_of

        account = self.account_of(named)
        results = self.installation.results()
        return account, report_of(self.keeper, results, account, day, version, MAXIMUM_ORDERS_ON_REQUEST)
