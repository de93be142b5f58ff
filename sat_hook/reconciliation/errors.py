"""Errors of the reconciliation itself. A break is a result, never an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sat_hook.domain.errors import NoRetryError, StepError

if TYPE_CHECKING:
    from sat_hook.domain.books_events import SettlementImported


class ReconciliationError(StepError):
    """Base of the reconciliation's own errors. Nothing was recorded, and the step can be run again."""


class _RefusedError(ReconciliationError, NoRetryError):
    """Base of those that a retry does not help."""


class ClocksApartError(ReconciliationError):
    """A machine's clock differs from the database's, so its times cannot be recorded in the books."""


class BooksRefusedError(_RefusedError):
    """The books do not allow the action; the text says what was found and what was expected."""


class NotReproducedError(_RefusedError):
    """The same day at the same position gave another result than before, so it must not be signed."""


class SettlementRefusedError(_RefusedError):
    """A settlement file or its mapping cannot be used; the text says file, found and expected."""


class StatementRefusedError(_RefusedError):
    """A bank's statement cannot be read; the text says file, found and expected."""


class SettlementLostError(SettlementRefusedError):
    """The stored copy of an imported file can no longer be read."""

    def __init__(self, settlement: SettlementImported, text: str) -> None:
        super().__init__(text)
        self.settlement = settlement


class MissingColumnsError(SettlementRefusedError):
    """The header lacks columns of the mapping."""
