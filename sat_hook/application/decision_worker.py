"""Carries out decisions about many orders or breaks, part by part, until none is under way.

:func:`decide_next_part` does one part. Every process may call it, beside others and after a crash: the
decision is locked meanwhile, and what was decided before a crash is recognised by its events.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from sat_hook.application.break_acts import FAILED, ActOnBreaks, BreakAct, UndoneBreak
from sat_hook.application.decision_acts import ActOnOrders, BulkAct, Undone, failed
from sat_hook.application.installation import Installation
from sat_hook.application.rights import Person
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.order import Order
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.store.bulk_decisions import BulkDecisionStore, DecisionPart, Shown, ShownPart, StoredDecision
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore

_log = logging.getLogger(__name__)
T = TypeVar("T")


class DecisionWorker:
    """A thread that carries out decisions while there are any. One for each process is enough."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._changed = threading.Condition()
        self._is_running = self._is_asked = False

    def wake(self) -> None:
        """Carry out what is under way, unless that is being done already."""
        with self._changed:
            self._is_asked = True
            if self._is_running:
                return
            self._is_running = True
        # A process that ends does not wait for it: another one, or the next, goes on.
        threading.Thread(target=self._work, name="bulk-decisions", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Wait until the thread has nothing to do, or for some time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_running, seconds)

    def _work(self) -> None:
        while self._has_been_asked():
            try:
                installation = self._installation
                while decide_next_part(installation.store(), installation.settings().recovery):
                    pass
            except StoreUnavailableError as error:
                _log.warning("Decisions in bulk stopped; the next look at them goes on: %s", error)
            except Exception:
                _log.exception("Decisions in bulk stopped; the next look at them goes on.")

    def _has_been_asked(self) -> bool:
        with self._changed:
            self._is_running, self._is_asked = self._is_asked, False
            if not self._is_running:
                self._changed.notify_all()
            return self._is_running


def decide_next_part(store: PostgresEventStore, limits: RecoveryLimits) -> bool:
    """Decide the next part of the decision that has waited longest.

    :returns: False when there is nothing to do, or other processes do it.
    :raises StoreUnavailableError: the database is away. A later call does the part again.
    """
    with BulkDecisionStore(store.database).next_part() as part:
        if part is None:
            return False
        decision = part.decision
        by = Person(decision.decided_by, frozenset()).by(f"{decision.act}:{decision.decision_id}")
        if decision.act in {*BreakAct}:
            breaks = _undone_breaks(part, store, by)
            part.record({one.break_id: (one.code, asdict(one)) for one in breaks})
        else:
            orders = _undone_orders(part, store, limits, by)
            part.record({one.request_id: (one.code, asdict(one)) for one in orders})
    return True


def _undone_breaks(part: DecisionPart, store: PostgresEventStore, by: Provenance) -> list[UndoneBreak]:
    """Decide the breaks of a part. Returns those that were refused."""
    decision = part.decision
    act = ActOnBreaks(BreakAct(decision.act), store)
    undone, why = _attempt(
        decision, lambda: act.carry_out(ShownPart(part.account, part.items), decision.reason, by)
    )
    if why is None:
        return undone
    return [UndoneBreak(item.id, FAILED, str(why), part.account) for item in part.items]


def _undone_orders(
    part: DecisionPart, store: PostgresEventStore, limits: RecoveryLimits, by: Provenance
) -> list[Undone]:
    """Decide the orders of a part that were not decided before. Returns those that were refused."""
    decision = part.decision
    found = store.load_orders([item.id for item in part.items])
    before: dict[str, Order | None] = {}
    left: dict[str, Order | None] = {}
    for item in part.items:
        order = found.get(item.id)
        (before if order and _was_decided(store, item, order, by) else left)[item.id] = order

    def decide() -> list[Undone]:
        act = ActOnOrders(BulkAct(decision.act), store, limits, decision.decided_by)
        act.finish(before, by)
        return act.decide(left, decision.reason, by)

    undone, why = _attempt(decision, decide)
    return undone if why is None else [failed(request_id, order, why) for request_id, order in left.items()]


def _attempt(decision: StoredDecision, decide: Callable[[], list[T]]) -> tuple[list[T], StepError | None]:
    """What could not be decided, or why nothing could be recorded. A new preview shows what was decided."""
    try:
        return decide(), None
    except StoreUnavailableError:
        raise
    except StepError as error:
        return [], error
    except Exception:
        _log.exception("A part of decision %s could not be recorded.", decision.decision_id)
        return [], StepError("an error of the program; the server's log has it")


def _was_decided(store: PostgresEventStore, shown: Shown, order: Order, by: Provenance) -> bool:
    """Whether a process decided the order, and ended before it recorded that."""
    if order.version == shown.version:
        return False
    events = store.read_stream(StreamId(StreamKind.ORDER, shown.id))
    return any(event.version > shown.version and event.provenance == by for event in events)
