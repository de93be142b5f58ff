"""Funds: how much of a deposit is still available, by one conservative formula. Pure; rupiah and UTC.

Available = the last observed saldo - every commitment not proven debited before that observation began (less
a lag). SAT keeps the saldo: it may be stale, refunds may come late, and others may spend from it. So a
commitment counts until the saldo certainly includes its debit, and a refund counts only once the saldo
includes it. Spending by others is detected (:func:`movement_between`), not prevented.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sat_hook.domain.guards import amount_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_state import ENDED_UNPAID

ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)
"""Later than any observation of a deposit: marks what lasts until the order's state changes."""


@dataclass(frozen=True, slots=True)
class BalanceObservation:
    """One observation of a deposit, kept as evidence.

    ``saldo_rupiah`` was true at a moment between ``requested_at`` less the lag and ``received_at``.
    ``response_digest`` is the SHA-256 (hex) of the answer's bytes, if they were available.
    """

    account: str
    saldo_rupiah: int
    requested_at: datetime
    received_at: datetime
    response_digest: str | None = None

    def includes_before(self, lag_seconds: float) -> datetime:
        """The saldo certainly includes a debit that was proven before this moment."""
        return self.requested_at - timedelta(seconds=lag_seconds)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What one order takes, or may take, from the deposit.

    :param rupiah: see :func:`sat_hook.domain.rupiah.committed_rupiah`.
    :param is_sent: False while it is only reserved.
    :param debit_proven_at: since when SAT has certainly taken the money; None while that is not certain.
    """

    rupiah: int
    is_sent: bool
    debit_proven_at: datetime | None = None

    def is_outstanding(self, included_before: datetime) -> bool:
        """True unless a saldo that includes everything before a moment certainly includes the debit."""
        return self.debit_proven_at is None or self.debit_proven_at >= included_before


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Commitments that a saldo may not show yet: reserved ones, and those that may be in flight."""

    reserved_rupiah: int = 0
    sent_rupiah: int = 0

    @property
    def total_rupiah(self) -> int:
        """Both together: what the saldo must still cover."""
        return self.reserved_rupiah + self.sent_rupiah


def is_reserved(order: Order, reserved_up_to_row: int) -> bool:
    """Whether funds are reserved for an unsent order: its row is within its batch's reservation, and no later
    event (a hold, a higher quote) requires a new one."""
    return (
        order.state is OrderState.QUOTED
        and order.row_number <= reserved_up_to_row
        and not order.must_be_reserved_again
    )


def outstanding_until(order: Order) -> datetime | None:
    """A deposit observed by then may not show the debit of ``order``; None when it takes nothing, or not yet.

    :data:`ALWAYS` while no debit is proven and one may be under way.
    """
    if order.state is OrderState.QUOTED:
        return None
    if order.debit_proven_at is not None:
        return order.debit_proven_at
    return ALWAYS if order.state.is_in_flight or order.state is OrderState.ESCALATED else None


def commitment_of(order: Order, reserved_up_to_row: int) -> Commitment | None:
    """What ``order`` takes from the deposit; None when it takes nothing or ended without a charge.

    A signed Failed still counts as a debit; its refund counts once a saldo shows it. Rejected, cancelled and
    held orders take nothing, nor do orders whose only transmission got a listed rejection.

    :param reserved_up_to_row: of the order's batch.
    """
    if is_reserved(order, reserved_up_to_row):
        return Commitment(amount_of(order), is_sent=False)
    until = outstanding_until(order)
    if until is None:
        return None
    return Commitment(amount_of(order), is_sent=True, debit_proven_at=None if until is ALWAYS else until)


def outstanding(commitments: Iterable[Commitment], included_before: datetime) -> Outstanding:
    """Sum the commitments that a saldo may not show, each once."""
    reserved = sent = 0
    for commitment in commitments:
        if not commitment.is_outstanding(included_before):
            continue
        if commitment.is_sent:
            sent += commitment.rupiah
        else:
            reserved += commitment.rupiah
    return Outstanding(reserved, sent)


def refundable_until(order: Order) -> datetime | None:
    """Until when a refund of ``order`` may still be to come; None when there can be none.

    :data:`ALWAYS` while the order is in flight; after an end without success, when that end was last
        reported.
    """
    if order.state.is_in_flight or order.state is OrderState.ESCALATED:
        return ALWAYS
    if order.state in ENDED_UNPAID:
        known = [moment for moment in (order.debit_proven_at, order.evidence_at) if moment is not None]
        return max(known, default=None)
    return None


def may_come_back_rupiah(order: Order, since: datetime) -> int:
    """The most that a refund of ``order`` may bring, if it is in flight or ended without success since."""
    until = refundable_until(order)
    return amount_of(order) if until is not None and until >= since else 0


def available_rupiah(observation: BalanceObservation, still_out: Outstanding) -> int:
    """What may still be committed; negative when others spent committed funds.

    :param still_out: the commitments outstanding against this observation.
    """
    return observation.saldo_rupiah - still_out.total_rupiah


def reach(prices_rupiah: Sequence[int], funds_rupiah: int) -> int:
    """How many of the prices the funds cover, from the first on and without skipping any."""
    spent = 0
    for count, price in enumerate(prices_rupiah):
        spent += price
        if spent > funds_rupiah:
            return count
    return len(prices_rupiah)


class MovementKind(StrEnum):
    """What moved a saldo besides our own orders."""

    FOREIGN_SPEND = "foreign_spend"
    TOP_UP = "top_up"


@dataclass(frozen=True, slots=True)
class Movement:
    """A saldo that our own orders do not explain.

    ``expected_rupiah`` is the lowest (foreign spend) or highest (top-up) saldo that they could explain.
    """

    kind: MovementKind
    expected_rupiah: int
    found_rupiah: int

    @property
    def rupiah(self) -> int:
        """The lowest possible amount that moved."""
        return abs(self.found_rupiah - self.expected_rupiah)


def may_be_compared(earlier: BalanceObservation, later: BalanceObservation, lag_seconds: float) -> bool:
    """Whether the later saldo is certainly not older than the earlier one, for any lag."""
    return later.includes_before(lag_seconds) >= earlier.received_at


def movement_between(
    earlier: BalanceObservation, later: BalanceObservation, may_go_rupiah: int, may_come_rupiah: int
) -> Movement | None:
    """The movement between two saldos that our orders do not explain; None when they explain it.

    :param may_go_rupiah: the most that our orders may have taken since the earlier saldo.
    :param may_come_rupiah: the most that refunds may have brought since then.
    """
    lowest = earlier.saldo_rupiah - may_go_rupiah
    highest = earlier.saldo_rupiah + may_come_rupiah
    if later.saldo_rupiah < lowest:
        return Movement(MovementKind.FOREIGN_SPEND, lowest, later.saldo_rupiah)
    if later.saldo_rupiah > highest:
        return Movement(MovementKind.TOP_UP, highest, later.saldo_rupiah)
    return None
