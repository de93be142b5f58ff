"""Decisions about many orders or breaks: kept until each is carried out, with how far it is and its outcome.

:mod:`~sat_hook.application.bulk_decisions` and :mod:`~sat_hook.application.bulk_break_decisions` choose what
is decided and begin a decision; :mod:`~sat_hook.application.decision_worker` carries it out, also when its
person has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sat_hook.application import decision_acts
from sat_hook.application.break_acts import BreakAct, UndoneBreak
from sat_hook.application.decision_acts import BulkAct, Undone
from sat_hook.application.decision_worker import DecisionWorker
from sat_hook.application.errors import DecisionNotFoundError
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.identity import decision_id_of
from sat_hook.store.bulk_decisions import AccountOutcome, BulkDecisionStore, ShownPart, StoredDecision

SHOWN_UNDONE = 1_000
"""What cannot be decided is named up to so many; all is counted."""
SHOWN_DECISIONS = 50

Act = BulkAct | BreakAct

READERS: dict[Act, tuple[Right, ...]] = {
    **{act: decision_acts.RIGHTS[act] for act in BulkAct},
    **dict.fromkeys(BreakAct, BOOK_READERS),
}
"""Who may read a decision."""


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """A decision, and how far it is.

    :param undone: the first orders or breaks that were not decided, and why.
    :param accounts: what was recorded in each account, of a decision about breaks.
    """

    act: Act
    standing: StoredDecision
    undone: tuple[Undone | UndoneBreak, ...] = ()
    accounts: tuple[AccountOutcome, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptDecisions(Service):
    """Decisions of all people about many orders, or about many breaks.

    :param worker: carries out decisions in this process.
    """

    worker: DecisionWorker

    about: ClassVar[type[BulkAct] | type[BreakAct]]
    """The kind of acts whose decisions this service has."""

    def find(self, decision_id: str, person: Person, wait_seconds: float = 0.0) -> KeptDecision:
        """A decision of any person. One that is under way is carried on.

        :param wait_seconds: how long to wait for its end.
        :raises DecisionNotFoundError: there is none.
        """
        found = self._decisions.find(decision_id)
        if found is None or found.act not in {*self.about}:
            raise DecisionNotFoundError(f"there is no decision {decision_id}")
        act = self.about(found.act)
        person.require(*READERS[act])
        if found.ended_at is None:
            self.worker.wake()
            self.worker.wait(wait_seconds)
            found = self._decisions.find(decision_id) or found
        undone = self._decisions.undone(decision_id, SHOWN_UNDONE)
        kind = UndoneBreak if isinstance(act, BreakAct) else Undone
        return KeptDecision(
            act,
            found,
            tuple(kind(**one) for one in undone),
            tuple(self._decisions.by_account(decision_id)),
        )

    def newest(self, person: Person) -> list[KeptDecision]:
        """The decisions of all people that were made last, without what was not decided."""
        person.require(*{right for act in self.about for right in READERS[act]})
        acts = [act for act in self.about if person.rights.intersection(READERS[act])]
        newest = self._decisions.newest(acts, SHOWN_DECISIONS)
        found = [KeptDecision(self.about(one.act), one) for one in newest]
        if any(one.standing.ended_at is None for one in found):
            self.worker.wake()
        return found

    def keep(self, act: Act, digest: str, reason: str, person: Person, parts: Sequence[ShownPart]) -> str:
        """Keep a decision about what was shown. The same decision, sent again while it is under way, is one.

        :returns: the decision's id, for :meth:`find`.
        """
        decision_id = self._decisions.add(
            decision_id_of(person.name, digest, self.clock.now().isoformat()),
            act,
            reason,
            person.name,
            digest,
            parts,
        )
        self.worker.wake()
        return decision_id

    @property
    def _decisions(self) -> BulkDecisionStore:
        return BulkDecisionStore(self.database)
