"""The progress of a batch in one query, for people who wait for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sat_hook.domain.order import OrderState
from sat_hook.store.database import Database
from sat_hook.store.event_store import StateCount
from sat_hook.store.statements import queries, run


@dataclass(frozen=True, slots=True)
class ProgressLook:
    """The progress of a batch at one moment.

    :param counts: its orders by state, in the order of the states.
    :param settled: how many orders SAT has settled, by a signed status, since the given moment.
    :param first_settled_at: when the first of those was settled; None when there is none.
    """

    counts: tuple[StateCount, ...]
    settled: int
    first_settled_at: datetime | None


class PostgresProgress:
    """Reads the table ``sat.orders``, with any role that may read it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._progress = queries("progress")

    def look(self, batch_id: str, since: datetime) -> ProgressLook:
        """Read the state of the batch, and what was settled since.

        :raises StoreUnavailableError: when the database is away.
        """
        rows = run(self._database, self._progress.look, batch_id=batch_id, since=since)
        place = {state: number for number, state in enumerate(OrderState)}
        counts = [StateCount(OrderState(row[0]), row[1], row[2], row[3]) for row in rows]
        firsts = [row[5] for row in rows if row[5] is not None]
        return ProgressLook(
            tuple(sorted(counts, key=lambda count: place[count.state])),
            sum(row[4] for row in rows),
            min(firsts, default=None),
        )
