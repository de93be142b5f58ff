"""What can be done with many breaks at once, and why a break is not decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sat_hook.application.service import clock_on
from sat_hook.commands.errors import ContentionError
from sat_hook.domain.books_commands import DecideBreaks
from sat_hook.domain.break_decisions import refused
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.event_record import Provenance
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.store.breaks import BreakTable, FoundBreak
from sat_hook.store.bulk_decisions import Shown, ShownPart
from sat_hook.store.postgres import PostgresEventStore

NOT_FOUND, FAILED = "not_found", "failed"
ROUNDS = 3
"""How often a part is decided again after another person decided one of its breaks at the same moment."""


class BreakAct(StrEnum):
    """A decision about a break."""

    EXPLAIN = "explain"
    RESOLVE = "resolve"
    WRITE_OFF = "write-off"

    @property
    def state(self) -> BreakState:
        return _STATES[self]


_STATES = {
    BreakAct.EXPLAIN: BreakState.EXPLAINED,
    BreakAct.RESOLVE: BreakState.RESOLVED,
    BreakAct.WRITE_OFF: BreakState.WRITTEN_OFF,
}


@dataclass(frozen=True, slots=True)
class UndoneBreak:
    """A break that cannot be decided.

    :param code: the refusal's reason, :data:`NOT_FOUND` or :data:`FAILED`.
    :param account: empty when there is no such break.
    :param what: what was found, as the close recorded it; empty when it could not be read.
    """

    break_id: str
    code: str
    text: str
    account: str = ""
    what: str = ""
    order_id: str | None = None


class ActOnBreaks:
    """An act and what it needs."""

    def __init__(self, act: BreakAct, store: PostgresEventStore) -> None:
        self.act = act
        self._table = BreakTable(store.database)
        self._keeper = BookKeeper(store, clock_on(store))

    def refusal(self, break_id: str, found: FoundBreak | None) -> UndoneBreak | None:
        """Why the break would not be decided now; None when it would. Changes nothing."""
        if found is None:
            return UndoneBreak(break_id, NOT_FOUND, f"found no break {break_id}")
        refusal = refused(break_id, found.state, self.act.state)
        if refusal is None:
            return None
        booked = found.booked
        return UndoneBreak(
            break_id, refusal.reason.value, refusal.detail, found.account, booked.what, booked.order_id
        )

    def carry_out(self, part: ShownPart, reason: str, by: Provenance) -> list[UndoneBreak]:
        """Decide the breaks of a part that this decision has not decided. Returns those that were refused.

        :raises StepError: nothing could be recorded.
        """
        left = self._not_decided_before(part, by)
        for _ in range(ROUNDS):
            found = self._standing([item.id for item in left])
            refusals = [self.refusal(item.id, found.get(item.id)) for item in left]
            undone = [refusal for refusal in refusals if refusal is not None]
            named = {one.break_id for one in undone}
            decided = tuple(item.id for item in left if item.id not in named)
            if not decided:
                return undone
            try:
                self._keeper.post(part.account, DecideBreaks(decided, self.act.state, reason), by)
            except BooksRefusedError:
                continue
            return undone
        raise ContentionError(f"breaks of account {part.account} kept changing while they were decided")

    def _standing(self, break_ids: Sequence[str]) -> dict[str, FoundBreak]:
        self._table.catch_up()
        return self._table.named(break_ids)

    def _not_decided_before(self, part: ShownPart, by: Provenance) -> Sequence[Shown]:
        """The breaks that no process decided for this decision and then ended before it recorded that."""
        if not part.account:
            return part.items
        since = min(item.version for item in part.items)
        before = self._table.decided_by(self._keeper.stream(part.account), since, by)
        return [item for item in part.items if item.id not in before]
