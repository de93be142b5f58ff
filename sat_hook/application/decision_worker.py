"""Carries out decisions about many orders, group by group, until none is under way.

:func:`decide_next_part` does one group. Every process may call it, beside others and after a crash: the
decision is locked meanwhile, and orders that were decided before a crash are recognised by their events.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict

from sat_hook.application.decision_acts import ActOnOrders, BulkAct, Undone, failed
from sat_hook.application.installation import Installation
from sat_hook.application.rights import Person
from sat_hook.domain.errors import StepError
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.order import Order
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.store.bulk_decisions import BulkDecisionStore, DecisionPart, ShownOrder
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore

_log = logging.getLogger(__name__)


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
                _log.warning("Decisions about many orders stopped; the next look at them goes on: %s", error)
            except Exception:
                _log.exception("Decisions about many orders stopped; the next look at them goes on.")

    def _has_been_asked(self) -> bool:
        with self._changed:
            self._is_running, self._is_asked = self._is_asked, False
            if not self._is_running:
                self._changed.notify_all()
            return self._is_running


def decide_next_part(store: PostgresEventStore, limits: RecoveryLimits) -> bool:
    """Decide the next group of the decision that has waited longest.

    :returns: False when there is nothing to do, or other processes do it.
    :raises StoreUnavailableError: the database is away. A later call does the group again.
    """
    with BulkDecisionStore(store.database).next_part() as part:
        if part is None:
            return False
        undone = {one.request_id: one for one in _undone_of(part, store, limits)}
        done = [order for order in part.orders if order.request_id not in undone]
        part.record(
            len(done),
            sum(order.rupiah for order in done),
            [(one.code, asdict(one)) for one in undone.values()],
        )
    return True


def _undone_of(part: DecisionPart, store: PostgresEventStore, limits: RecoveryLimits) -> list[Undone]:
    """Decide the orders of a part that were not decided before. Returns those that were refused."""
    decision = part.decision
    by = Person(decision.decided_by, frozenset()).by(f"{decision.act}:{decision.decision_id}")
    found = store.load_orders([shown.request_id for shown in part.orders])
    before: dict[str, Order | None] = {}
    left: dict[str, Order | None] = {}
    for shown in part.orders:
        order = found.get(shown.request_id)
        (before if order and _was_decided(store, shown, order, by) else left)[shown.request_id] = order
    try:
        act = ActOnOrders(BulkAct(decision.act), store, limits, decision.decided_by)
        act.finish(before, by)
        return act.decide(left, decision.reason, by)
    except StoreUnavailableError:
        raise
    except StepError as error:
        why = error
    except Exception:
        _log.exception("A group of decision %s could not be recorded.", decision.decision_id)
        why = StepError("an error of the program; the server's log has it")
    # A new preview shows what of this group was decided. The other groups go on.
    return [failed(request_id, order, why) for request_id, order in left.items()]


def _was_decided(store: PostgresEventStore, shown: ShownOrder, order: Order, by: Provenance) -> bool:
    """Whether a process decided the order, and ended before it recorded that."""
    if order.version == shown.version:
        return False
    events = store.read_stream(StreamId(StreamKind.ORDER, shown.request_id))
    return any(event.version > shown.version and event.provenance == by for event in events)
