"""Decisions about many orders or breaks in the database: operational state, kept until each is carried out.

A decision is kept with what it is about as that was shown, in parts. A process that carries it on locks its
row, decides one part and records the outcome in one transaction. So several processes may work on decisions,
and a process that dies leaves its part to another one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from psycopg2.extensions import connection as Connection

from sat_hook.store.statements import Statements, queries

KEPT_SECONDS = 30 * 86_400


class Shown(NamedTuple):
    """An order or a break as a decision's preview showed it.

    :param id: a request id or a break's id.
    :param version: 0 when there was no such order or break.
    """

    id: str
    version: int
    rupiah: int


class ShownPart(NamedTuple):
    """What one transaction decides.

    :param account: the account of breaks; empty for orders, which one transaction decides for any accounts.
    """

    account: str
    items: Sequence[Shown]


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
    chosen: int
    done: int
    done_rupiah: int
    undone_by_code: Mapping[str, int]
    begun_at: datetime
    changed_at: datetime
    ended_at: datetime | None

    @property
    def looked_at(self) -> int:
        """How many were decided or refused so far."""
        return self.done + sum(self.undone_by_code.values())


class AccountOutcome(NamedTuple):
    """What became of a decision in one account. What is neither done nor undone is still to do."""

    account: str
    chosen: int
    done: int
    done_rupiah: int
    undone: int

    @property
    def waiting(self) -> int:
        return self.chosen - self.done - self.undone


class DecisionPart:
    """The next part of a decision, for the process that has locked it."""

    def __init__(
        self, connection: Connection, decision: StoredDecision, number: int, shown: ShownPart
    ) -> None:
        self.decision = decision
        self.account, self.items = shown
        self._connection = connection
        self._number = number

    def record(self, undone: Mapping[str, tuple[str, Any]]) -> None:
        """The part was decided, but for ``undone``: a code and a JSON value for each id."""
        done = [item.rupiah for item in self.items if item.id not in undone]
        counts = Counter(self.decision.undone_by_code)
        counts.update(code for code, _ in undone.values())
        queries("bulk_decisions").record_part(
            self._connection,
            decision_id=self.decision.decision_id,
            part=self._number,
            done=len(done),
            done_rupiah=sum(done),
            undone_by_code=json.dumps(counts),
            undone=json.dumps([value for _, value in undone.values()]),
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
        parts: Sequence[ShownPart],
    ) -> str:
        """Keep a decision. Returns its id, or that of the same decision while that is under way."""
        same = {"act": act, "decided_by": decided_by, "digest": digest}
        with self._database.transaction() as connection:
            self._sql.forget_decisions(connection, kept_seconds=KEPT_SECONDS)
            added = self._sql.add_decision(
                connection,
                decision_id=decision_id,
                reason=reason,
                chosen=sum(len(part.items) for part in parts),
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
                    account=part.account,
                    ids=[item.id for item in part.items],
                    versions=[item.version for item in part.items],
                    rupiah=[item.rupiah for item in part.items],
                )
        return decision_id

    def find(self, decision_id: str) -> StoredDecision | None:
        """A decision; None when there is none, or it was deleted."""
        row = self._run(self._sql.decision, decision_id=decision_id)
        return None if row is None else StoredDecision(*row)

    def undone(self, decision_id: str, limit: int) -> list[Any]:
        """The JSON values of the first orders or breaks that could not be decided."""
        rows = self._run(self._sql.undone, decision_id=decision_id, limit=limit)
        return [value for (value,) in rows]

    def by_account(self, decision_id: str) -> list[AccountOutcome]:
        """What became of a decision about breaks in each account; empty for one about orders."""
        rows = self._run(self._sql.outcome_by_account, decision_id=decision_id)
        return [AccountOutcome(*row) for row in rows]

    def newest(self, acts: Iterable[str], limit: int) -> list[StoredDecision]:
        """The decisions of some acts that were made last."""
        rows = self._run(self._sql.newest_decisions, acts=list(acts), limit=limit)
        return [StoredDecision(*row) for row in rows]

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
            account, *shown = self._sql.part_of(connection, decision_id=decision.decision_id, part=number)
            items = [Shown(*one) for one in zip(*shown, strict=True)]
            yield DecisionPart(connection, decision, number, ShownPart(account, items))
