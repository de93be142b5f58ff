"""Decisions about many orders in the database: operational state, kept until each is carried out.

A decision is kept with its orders as they were shown, in parts. A process that carries it on locks its row,
decides one part and records the outcome in one transaction. So several processes may work on decisions, and a
process that dies leaves its part to another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.domain.grouping import ORDERS_A_COMMIT, grouped
from sat_hook.store.statements import Statements, queries

KEPT_SECONDS = 30 * 86_400


class ShownOrder(NamedTuple):
    """An order as a decision's preview showed it.

    :param version: 0 when there was no such order.
    """

    request_id: str
    version: int
    rupiah: int


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision and how far it is. Rupiah.

    :param decided_by: the user.
    :param ended_at: None while it is under way.
    """

    decision_id: str
    act: str
    reason: str
    decided_by: str
    orders: int
    done: int
    done_rupiah: int
    undone_by_code: Mapping[str, int]
    begun_at: datetime
    changed_at: datetime
    ended_at: datetime | None

    @property
    def looked_at(self) -> int:
        """The orders that were decided or refused so far."""
        return self.done + sum(self.undone_by_code.values())


class DecisionPart:
    """The next orders of a decision, for the process that has locked it."""

    def __init__(
        self, connection: Connection, decision: StoredDecision, number: int, orders: Sequence[ShownOrder]
    ) -> None:
        self.decision = decision
        self.orders = orders
        self._connection = connection
        self._number = number

    def record(self, done: int, done_rupiah: int, undone: Sequence[tuple[str, Any]]) -> None:
        """The orders were decided, but for ``undone``: a code and a JSON value each."""
        counts = dict(self.decision.undone_by_code)
        for code, _ in undone:
            counts[code] = counts.get(code, 0) + 1
        queries("bulk_decisions").record_part(
            self._connection,
            decision_id=self.decision.decision_id,
            part=self._number,
            done=done,
            done_rupiah=done_rupiah,
            undone_by_code=json.dumps(counts),
            undone=json.dumps([value for _, value in undone]),
        )


class BulkDecisionStore(Statements, room="bulk_decisions"):
    """The tables ``sat.bulk_decisions`` and ``…_parts``."""

    def add(
        self,
        decision_id: str,
        act: str,
        reason: str,
        decided_by: str,
        digest: str,
        orders: Sequence[ShownOrder],
    ) -> str:
        """Keep a decision. Returns its id, or that of the same decision while that is under way."""
        parts = list(grouped(orders, ORDERS_A_COMMIT))
        same = {"act": act, "decided_by": decided_by, "digest": digest}
        with self._database.transaction() as connection:
            self._sql.forget_decisions(connection, kept_seconds=KEPT_SECONDS)
            added = self._sql.add_decision(
                connection,
                decision_id=decision_id,
                reason=reason,
                orders=len(orders),
                parts=len(parts),
                **same,
            )
            if added is None:
                return self._sql.decision_under_way(connection, **same) or decision_id
            for number, part in enumerate(parts):
                self._sql.add_part(
                    connection,
                    decision_id=decision_id,
                    part=number,
                    request_ids=[order.request_id for order in part],
                    versions=[order.version for order in part],
                    rupiah=[order.rupiah for order in part],
                )
        return decision_id

    def find(self, decision_id: str) -> StoredDecision | None:
        """A decision; None when there is none, or it was deleted."""
        row = self._run(self._sql.decision, decision_id=decision_id)
        return None if row is None else StoredDecision(*row)

    def undone(self, decision_id: str, limit: int) -> list[Any]:
        """The JSON values of the first orders that could not be decided."""
        rows = self._run(self._sql.undone_orders, decision_id=decision_id, limit=limit)
        return [value for (value,) in rows]

    def newest(self, limit: int) -> list[StoredDecision]:
        """The decisions that were made last."""
        return [StoredDecision(*row) for row in self._run(self._sql.newest_decisions, limit=limit)]

    @contextmanager
    def next_part(self) -> Iterator[DecisionPart | None]:
        """Lock the decision that has waited longest for the block.

        None when nothing is under way, or other processes carry it on.
        """
        with self._database.transaction() as connection:
            taken = self._sql.take_decision(connection)
            if taken is None:
                yield None
                return
            *state, number = taken
            decision = StoredDecision(*state)
            shown = self._sql.part_of(connection, decision_id=decision.decision_id, part=number)
            yield DecisionPart(
                connection, decision, number, [ShownOrder(*one) for one in zip(*shown, strict=True)]
            )
