"""Checks the invariants after every step, and trusts neither the pipeline nor SAT.

The watch sees every committed change, every checkout that is written and every response, and folds the events
itself. It knows the rules from the design's laws. From the product's code it uses only the fold of an event
and the parsing of a body.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sat_hook.domain.account import AccountPaused, AccountResumed
from sat_hook.domain.approval_events import ApprovalRequested, ApprovalSigned, BatchApproved, OrdersLeftOut
from sat_hook.domain.batch_events import BatchSubmitted, FundsReserved
from sat_hook.domain.event_record import Event, Provenance, StreamId, StreamKind
from sat_hook.domain.order import Order, evolve
from sat_hook.pipeline.trusted_callbacks import BY_CALLBACK
from sat_hook.store.event_store import Change
from tests.simulation.knowledge import BrokenInvariantError
from tests.simulation.processes import Process
from tests.simulation.watched_events import WatchedEvents
from tests.simulation.watched_wire import WatchedWire

__all__ = ["BrokenInvariantError", "Watch"]


class Watch(WatchedEvents, WatchedWire):
    """The invariants of one run."""

    def before_the_last_commit(self, request_id: str, process: Process) -> Order | None:
        """Return the order as it was before another process' last commit, or None."""
        known = self.known.get(request_id)
        if known is None or known.last_writer is process:
            return None
        return known.before

    def begins_at(self, stream: StreamId, version: int) -> None:
        """Note a stream that has events from before the watch began."""
        self._versions[stream] = version

    def appended(
        self,
        process: Process,
        changes: Sequence[Change],
        conflicts: frozenset[StreamId],
        provenance: Provenance,
        occurred_at: datetime,
    ) -> None:
        """Check committed changes; conflicting ones are excluded."""
        for change in changes:
            stream = change.stream
            if stream in conflicts:
                self.count("store:conflict")
                self.note(process.name, f"conflict on {stream}")
                self.require(
                    self._versions[stream] != change.expected_version,
                    "a change was refused although its version was the current one",
                    str(stream),
                )
                continue
            self.require(
                self._versions[stream] == change.expected_version,
                "events were appended under a version that had passed",
                str(stream),
            )
            self._versions[stream] += len(change.events)
            if stream.kind is StreamKind.ORDER:
                self._order_changed(process, change, provenance, occurred_at)
                continue
            for event in change.events:
                self.count(f"event:{event.type_name}")
                self.note(process.name, f"{stream.kind.value}: {event.type_name}")
                self._other_happened(stream.key, event, provenance)

    def _other_happened(self, key: str, event: Event, provenance: Provenance) -> None:
        match event:
            case BatchSubmitted():
                self._makers[key] = provenance.actor
            case ApprovalRequested():
                if key not in self._asked_for or self._asked_for[key].terms != event.terms:
                    self._signers[key].clear()
                self._asked_for[key] = event
            case OrdersLeftOut():
                self._signers[key].clear()
            case ApprovalSigned():
                self._check_approver(key, provenance)
            case BatchApproved():
                self._check_approver(key, provenance)
                self._check_signers(key)
            case AccountPaused():
                self._paused_at = self._time.seconds
            case AccountResumed():
                self._paused_at = None
            case FundsReserved():
                self._reserved_up_to[key] = event.up_to_row
                committed = sum(map(self._committed(event.included_before), self.known.values()))
                self.require(
                    committed <= event.saldo_rupiah,
                    f"more is committed than the saldo bears: {committed} of {event.saldo_rupiah} rupiah",
                    key,
                )
                self.require(
                    event.saldo_rupiah in self.saldos, "a reservation on a saldo that SAT never told", key
                )
            case _:
                pass

    def _order_changed(
        self, process: Process, change: Change, provenance: Provenance, occurred_at: datetime
    ) -> None:
        request_id = change.stream.key
        known = self.known[request_id]
        known.before = known.order
        known.last_writer = process
        for item in change.evidence:
            known.evidence.setdefault(item.digest, item)
        if provenance == BY_CALLBACK:
            self.count("callback:taken at its word")
            self.require(
                known.order is not None and known.order.state.is_in_flight,
                "a callback ended what was not in flight",
                request_id,
            )
        for event in change.events:
            before = known.order
            self._check_event(process, request_id, known, event, provenance, occurred_at)
            known.order = evolve(before, request_id, event, occurred_at)
            known.events.append((event, occurred_at))
            state = before.state.value if before else "nothing"
            step = f"{state} -{event.type_name}-> {known.order.state.value}"
            self.counters[f"transition:{step}"] += 1
            self.note(process.name, f"{request_id} {step}")
        self.require(change.after == known.order, "the projection is not the fold of the events", request_id)

    def projected(self, request_id: str, stored: Order | None) -> None:
        """Check what the store shows of an order right after a change of it."""
        self.require(
            stored == self.known[request_id].order, "the projection is not the fold of the log", request_id
        )
