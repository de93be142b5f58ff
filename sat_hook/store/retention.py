"""What is old enough to go, what keeps it, and the removal of rows and of files that retention records."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

from sat_hook.domain.batch import BatchState
from sat_hook.domain.order_state import ENDED_UNSENT, OrderState
from sat_hook.store.statements import Statements

_FINAL_STATES = [state.value for state in OrderState if state.is_final]
_FINAL_BATCH_STATES = [state.value for state in BatchState if state.is_final]


class OldBatch(NamedTuple):
    """A batch, its files, and what keeps them.

    :param unended_orders: how many orders have no end.
    :param is_changed_since: whether an order changed within the term.
    :param unsigned_day: the first day (WIB) of an order's end that is not signed off.
    """

    account: str
    spool_uri: str
    size_bytes: int
    results_uri: str | None
    is_ended: bool
    unended_orders: int
    is_changed_since: bool
    unsigned_day: date | None


class OldFile(NamedTuple):
    """A stored file."""

    uri: str
    size_bytes: int


class OldRows(NamedTuple):
    """Rows that may go, their bytes, and how many rows of that age must stay."""

    rows: int
    size_bytes: int
    staying: int


class RetentionTables(Statements, room="retention"):
    """Reads and removes what retention is about."""

    def batches(self, before: datetime, *, require_signed_days: bool) -> list[OldBatch]:
        """The batches that were submitted before a moment."""
        rows = self._run(
            self._sql.old_batches,
            before=before,
            require_signed_days=require_signed_days,
            final_states=_FINAL_STATES,
            unsent_states=[state.value for state in ENDED_UNSENT],
            final_batch_states=_FINAL_BATCH_STATES,
        )
        return [OldBatch(*row) for row in rows]

    def exports(self, before: datetime) -> list[OldFile]:
        """The evidence packs that were written before a moment."""
        return [OldFile(*row) for row in self._run(self._sql.old_exports, before=before)]

    def removed_among(self, uris: Iterable[str]) -> set[str]:
        """Those of these files that retention has removed."""
        return {row[0] for row in self._run(self._sql.removed_among, uris=list(uris))}

    def record_removed(self, uri: str, kind: str, size_bytes: int) -> None:
        """Record that a file was removed."""
        self._run(self._sql.record_removed, uri=uri, kind=kind, size_bytes=size_bytes)

    def alerts(self, before: datetime) -> OldRows:
        """The alerts that were raised before a moment. Those that are not settled stay."""
        return OldRows(*self._run(self._sql.old_alerts, before=before)[0])

    def remove_alerts(self, before: datetime) -> int:
        """Remove these alerts; return how many."""
        return self._remove(self._sql.remove_old_alerts, before)

    def intake(self, before: datetime) -> OldRows:
        """The rows of ``order_intake`` of before a moment. Those that no batch has taken stay."""
        return OldRows(*self._run(self._sql.old_intake, before=before)[0])

    def remove_intake(self, before: datetime) -> int:
        """Remove these rows; return how many."""
        return self._remove(self._sql.remove_old_intake, before)

    def _remove(self, statement: object, before: datetime) -> int:
        removed = 0
        while rows := self._run(statement, before=before):
            removed += len(rows)
        return removed
