"""What can go wrong with a reconciliation itself. A break is a result, never an exception."""

from __future__ import annotations

from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.errors import StepError


class ReconciliationError(StepError):
    """Base of the reconciliation's own trouble: nothing was recorded, and it can be run again."""

    is_worth_a_retry = True


class ClocksApartError(ReconciliationError):
    """A machine's clock differs from the database's: what it dates cannot stand in books."""


class BooksRefusedError(ReconciliationError):
    """What was asked for is not possible as the books stand; the text says found and expected."""

    is_worth_a_retry = False


class NotReproducedError(ReconciliationError):
    """The same day at the same position came to another result than before: nobody may sign it."""

    is_worth_a_retry = False


class SettlementRefusedError(ReconciliationError):
    """A settlement file or its mapping cannot be used; the text says file, found and expected."""

    is_worth_a_retry = False


class SettlementLostError(SettlementRefusedError):
    """A file that was taken in cannot be read any more from where it is kept."""

    def __init__(self, settlement: SettlementImported, text: str) -> None:
        super().__init__(text)
        self.settlement = settlement
