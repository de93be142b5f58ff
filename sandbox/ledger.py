"""The judge's ledger: records of all arrivals, acceptances, charges, refunds and answers, and their sums.

The ledger is a fold over records, so rereading a journal gives the same ledger. Only :meth:`Ledger.write`
changes it: it stores a record and applies it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.deposit import ConservationError, Deposit, Movement
from sandbox.journal import Journal
from sandbox.orders import Order, Status, Turn


@dataclass(slots=True)
class Entry:
    """Everything known about one request id."""

    request_id: str
    product_code: str
    client_number: str
    reference: str
    posted: int = 0
    lost: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    orders: list[Order] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    remembered_as_lost: bool = False

    @property
    def current(self) -> Order | None:
        """The latest acceptance: what a status shows."""
        return self.orders[-1] if self.orders else None


class Ledger:
    """The ledger of one account."""

    def __init__(self, opening_rupiah: int, now: float, journal: Journal) -> None:
        self.entries: dict[str, Entry] = {}
        self.deposit = Deposit(opening_rupiah, now)
        self.accepted = 0
        self._journal = journal
        self._appliers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "opened": self._apply_opened,
            "posted": self._apply_posted,
            "lost": self._apply_lost,
            "refused": self._apply_refused,
            "accepted": self._apply_accepted,
            "turned": self._apply_turned,
            "moved": self._apply_moved,
            "callback": self._apply_callback,
        }

    def write(self, kind: str, at: float, **members: Any) -> None:
        """Store one record and apply it.

        :raises ConservationError: when the deposit no longer adds up.
        """
        record = {"kind": kind, "at": at, **members}
        self._journal.append(record)
        self.apply(record)

    def apply(self, record: Mapping[str, Any]) -> None:
        """Apply a stored record; ignores kinds that do not belong to the ledger."""
        applier = self._appliers.get(record["kind"])
        if applier is not None:
            applier(record)

    def entry(self, request_id: str) -> Entry | None:
        """The entry of a request id, or ``None`` if it never arrived."""
        return self.entries.get(request_id)

    def order(self, request_id: str) -> Order | None:
        """The order that a status of this id shows, or ``None``."""
        entry = self.entries.get(request_id)
        return entry.current if entry else None

    def audit(self) -> None:
        """Check the deposit against every order, not only against its own sums.

        :raises ConservationError: when they differ.
        """
        self.deposit.check()
        charges = refunds = reclaims = 0
        for entry in self.entries.values():
            for order in entry.orders:
                if not 0 <= order.refunds - order.reclaims <= 1:
                    raise ConservationError(f"{order.request_id} was refunded more often than charged")
                charges += order.charged_rupiah
                refunds += order.charged_rupiah * order.refunds
                reclaims += order.charged_rupiah * order.reclaims
        moved = self.deposit.moved_rupiah
        found = (charges, refunds, reclaims)
        booked = (moved[Movement.CHARGE], moved[Movement.REFUND], moved[Movement.RECLAIM])
        if found != booked:
            raise ConservationError(f"orders say {found} charged, refunded, reclaimed; the deposit {booked}")

    def _apply_opened(self, record: Mapping[str, Any]) -> None:
        if self.entries or self.deposit.moved_rupiah:
            raise ConservationError("a deposit is opened once, before anything moves")
        self.deposit = Deposit(record["rupiah"], record["at"])

    def _apply_posted(self, record: Mapping[str, Any]) -> None:
        request_id = record["request_id"]
        entry = self.entries.get(request_id)
        if entry is None:
            entry = self.entries[request_id] = Entry(
                request_id, record["product_code"], record["client_number"], record["reference"]
            )
        entry.posted += 1

    def _apply_lost(self, record: Mapping[str, Any]) -> None:
        entry = self.entries[record["request_id"]]
        entry.lost += 1
        entry.remembered_as_lost = entry.remembered_as_lost or record.get("remembered", False)

    def _apply_refused(self, record: Mapping[str, Any]) -> None:
        entry = self.entries[record["request_id"]]
        entry.refused[record["code"]] += 1
        entry.duplicates += record.get("duplicate", False)

    def _apply_accepted(self, record: Mapping[str, Any]) -> None:
        order = Order.from_record(record)
        self.entries[order.request_id].orders.append(order)
        self.accepted += 1
        self.deposit.move(Movement.CHARGE, order.charged_rupiah, record["at"])

    def _apply_turned(self, record: Mapping[str, Any]) -> None:
        order = self.entries[record["request_id"]].orders[record["generation"] - 1]
        step = order.steps.pop(0)
        order.sealed = None
        if step.turn is Turn.SUCCEED:
            order.status, order.error_code, order.error_detail = Status.SUCCESS, "", ""
            order.fulfilled_at = record["at"]
            order.goods = record["goods"]
        elif step.turn is Turn.FAIL:
            order.status, order.fulfilled_at = Status.FAILED, None
            order.error_code, order.error_detail = step.error_code, step.error_detail
        elif step.turn is Turn.REFUND:
            order.refunds += 1
            self.deposit.move(Movement.REFUND, order.charged_rupiah, record["at"])
        else:
            order.reclaims += 1
            self.deposit.move(Movement.RECLAIM, order.charged_rupiah, record["at"])

    def _apply_moved(self, record: Mapping[str, Any]) -> None:
        self.deposit.move(Movement(record["movement"]), record["rupiah"], record["at"])

    def _apply_callback(self, record: Mapping[str, Any]) -> None:
        entry = self.entries.get(record["request_id"])
        if entry is not None:
            entry.callbacks.append({name: value for name, value in record.items() if name != "kind"})
