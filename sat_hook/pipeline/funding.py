"""Funding: reserve funds for quoted orders before they are sent; otherwise the batch waits, shrinks or ends.

The balance check is early and rough, and reserves nothing.

The deposit is SAT's ledger. We know one saldo, which is a little old, and our own log. The formula of
:mod:`sat_hook.domain.funds` decides what both allow. A lock for each account spans reading what is
outstanding and appending what is added, so batches that reserve at the same time never commit more together
than the formula allows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sat_hook.commands.errors import ContentionError
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain import funds
from sat_hook.domain.account import ReportMovement
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import RefuseBatch
from sat_hook.domain.batch_events import BalanceChecked, FundsReserved, ShortFundsPolicy
from sat_hook.domain.decision import Record, Refusal
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import BalanceObservation, Movement, MovementKind
from sat_hook.domain.grouping import grouped
from sat_hook.domain.identity import digest_of
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_commands import Cancel, Reject, RenewReservation
from sat_hook.domain.order_events import RejectionReason
from sat_hook.domain.ports import Clock
from sat_hook.domain.rupiah import rupiah
from sat_hook.pipeline.errors import BatchStoppedError
from sat_hook.pipeline.limits import FundingLimits
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.protocol.calls import Reply, account_call
from sat_hook.protocol.messages import Account
from sat_hook.store.event_store import EventStore, OrderSlice, each_order
from sat_hook.store.funds import AccountFunds, FundsStore, Unreserved

RESERVABLE = (BatchState.QUOTED, BatchState.COMPLETED)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The result of a reservation. Rupiah.

    ``orders`` and ``reserved_rupiah`` are what it added, ``left_orders`` and ``left_rupiah`` what has no
    reservation yet, ``available_rupiah`` what was free before it.
    """

    batch: Batch
    orders: int
    reserved_rupiah: int
    left_orders: int
    left_rupiah: int
    saldo_rupiah: int
    available_rupiah: int

    @property
    def is_short(self) -> bool:
        """True when some orders have no reservation."""
        return self.left_orders > 0


def observation_of(
    account: str, reply: Reply[Account], requested_at: datetime, received_at: datetime
) -> BalanceObservation:
    """An observation of the deposit, from the answer and its exact bytes."""
    digest = digest_of(reply.response.body)
    return BalanceObservation(account, reply.value.saldo_rupiah, requested_at, received_at, digest)


async def look_at_deposit(sat: SATApi, clock: Clock, account: str) -> BalanceObservation:
    """Ask SAT what the deposit holds (a GET); raises SATError.

    ``clock``, which is the database's time, dates the observation. It is compared with times in the log, so
    a machine with a wrong clock must not date it.
    """
    requested_at = clock.now()
    reply = await sat.ask(account_call())
    return observation_of(account, reply, requested_at, clock.now())


def record_observation(
    store: FundsStore,
    clock: Clock,
    observation: BalanceObservation,
    provenance: Provenance,
    limits: FundingLimits,
) -> Movement | None:
    """Store an observation of a deposit; return, record and log what moved besides our own orders."""
    with store.locked(observation.account) as account:
        return _record(account, clock, observation, provenance, limits)


def reserve(
    store: FundsStore,
    clock: Clock,
    batch_id: str,
    observation: BalanceObservation,
    policy: ShortFundsPolicy,
    provenance: Provenance,
    limits: FundingLimits,
) -> Reservation:
    """Reserve funds for the batch's quoted orders that have no reservation, by row number.

    When the deposit does not cover all of them, ``partial`` reserves as far as it does; ``wait`` and
    ``refuse`` reserve nothing (the caller waits, or calls :func:`refuse_batch`). A repeated call continues
    where the last one stopped, and changes nothing when nothing is left.

    :param observation: a fresh observation of the account's deposit; it is recorded here.
    :raises BatchStoppedError: when the batch is not one whose orders may be sent.
    """
    with store.locked(observation.account) as account:
        batch = load_batch(account.store, batch_id)
        if batch.account != observation.account:
            raise BatchStoppedError(
                f"batch {batch_id} belongs to account {batch.account!r}; this deposit is "
                f"{observation.account!r}'s"
            )
        # The remaining orders of an interrupted withdrawal get no reservation.
        finish_withdrawal(CommandHandler(account.store, clock), batch, provenance)
        if batch.state not in RESERVABLE:
            raise BatchStoppedError(
                f"batch {batch_id} is {batch.state.value}: funds are reserved for batches that are quoted"
            )
        _record(account, clock, observation, provenance, limits)
        # Not necessarily our own observation: another task's may have begun later.
        return _reserve(
            account, clock, batch, account.last_observation() or observation, policy, provenance, limits
        )


def missing_rupiah(
    store: FundsStore, batch: Batch, observation: BalanceObservation, limits: FundingLimits
) -> int:
    """How much the deposit lacks for all orders of the batch without a reservation; 0 when it covers them.

    For waiting only: it records nothing and takes no lock, so a reservation may still find another result.
    """
    with store.looking(batch.account) as account:
        wanted = sum(order.quote_rupiah for order in account.unreserved(batch.batch_id))
        still_out = account.outstanding(_included_before(observation, limits))
    return max(0, wanted - funds.available_rupiah(observation, still_out)) if wanted else 0


def missing_for(store: FundsStore, batches: EventStore, batch_id: str, limits: FundingLimits) -> int | None:
    """The result of :func:`missing_rupiah` for the newest observation; None before the first."""
    batch = load_batch(batches, batch_id)
    with store.looking(batch.account) as account:
        observation = account.last_observation()
    return None if observation is None else missing_rupiah(store, batch, observation, limits)


def lacking_rupiah(
    store: FundsStore,
    observation: BalanceObservation,
    wanted_rupiah: int,
    limits: FundingLimits,
) -> int:
    """How much the deposit lacks for ``wanted_rupiah`` to be free now; 0 when it suffices. Reads only."""
    with store.looking(observation.account) as account:
        still_out = account.outstanding(_included_before(observation, limits))
    return max(0, wanted_rupiah - funds.available_rupiah(observation, still_out))


def refuse_batch(handler: CommandHandler, batch_id: str, detail: str, provenance: Provenance) -> Batch:
    """End every unsent order of a batch for lack of funds, and the batch itself if nothing of it was sent."""
    batch = load_batch(handler.store, batch_id)
    unsent = (OrderState.RECEIVED, OrderState.QUOTED, OrderState.HELD)
    orders = list(each_order(handler.store, OrderSlice(batch_id, unsent)))
    for group in grouped(orders):
        commands = [
            OrderCommandRequest(
                order.request_id,
                Cancel(detail)
                if order.state is OrderState.HELD
                else Reject(RejectionReason.INSUFFICIENT_FUNDS, detail),
            )
            for order in group
        ]
        handler.apply(commands, provenance)
    if all(count.state.was_never_sent for count in handler.store.count_by_state(batch_id)):
        batch, _ = handler.apply_to_batch(
            batch_id, RefuseBatch(RejectionReason.INSUFFICIENT_FUNDS.value, detail), provenance
        )
    return batch


def shortage(reservation: Reservation) -> str:
    """The missing amount, in words."""
    wanted = reservation.left_rupiah
    free = reservation.available_rupiah - reservation.reserved_rupiah
    return (
        f"the deposit of account {reservation.batch.account!r} does not reach for "
        f"{reservation.left_orders} orders of batch {reservation.batch.batch_id}: they cost "
        f"{rupiah(wanted)}; found {rupiah(max(0, free))} free of a saldo of "
        f"{rupiah(reservation.saldo_rupiah)}, so {rupiah(wanted - free)} are missing"
    )


def _record(
    account: AccountFunds,
    clock: Clock,
    observation: BalanceObservation,
    provenance: Provenance,
    limits: FundingLimits,
) -> Movement | None:
    lag = limits.saldo_lag_seconds
    earlier = account.last_compared()
    is_compared = earlier is None or funds.may_be_compared(earlier, observation, lag)
    account.record(observation, is_compared=is_compared)
    if earlier is None or not is_compared:
        return None
    movement = funds.movement_between(
        earlier,
        observation,
        may_go_rupiah=account.outstanding(earlier.includes_before(lag)).sent_rupiah,
        may_come_rupiah=account.may_come_back_rupiah(
            earlier.includes_before(lag + limits.refund_wait_seconds)
        ),
    )
    if movement is not None:
        command = ReportMovement(movement, observation.requested_at, earlier.requested_at)
        CommandHandler(account.store, clock).apply_to_account(observation.account, command, provenance)
        _tell(observation.account, movement)
    return movement


def _tell(account: str, movement: Movement) -> None:
    if movement.kind is MovementKind.FOREIGN_SPEND:
        _log.warning(
            "Account %s: the deposit holds Rp %s; our own orders explain no less than Rp %s. Another "
            "party seems to spend from it.",
            account,
            f"{movement.found_rupiah:,}",
            f"{movement.expected_rupiah:,}",
        )
    else:
        _log.info("Account %s: topped up by Rp %s or more.", account, f"{movement.rupiah:,}")


def _included_before(observation: BalanceObservation, limits: FundingLimits) -> datetime:
    return observation.includes_before(limits.saldo_lag_seconds)


def _reserve(
    account: AccountFunds,
    clock: Clock,
    batch: Batch,
    observation: BalanceObservation,
    policy: ShortFundsPolicy,
    provenance: Provenance,
    limits: FundingLimits,
) -> Reservation:
    included_before = _included_before(observation, limits)
    available = funds.available_rupiah(observation, account.outstanding(included_before))
    waiting = account.unreserved(batch.batch_id)
    reached = funds.reach([order.quote_rupiah for order in waiting], available)
    if policy is not ShortFundsPolicy.PARTIAL and reached < len(waiting):
        reached = 0
    handler = CommandHandler(account.store, clock)
    chosen, left = waiting[:reached], waiting[reached:]
    chosen = _renewed(handler, chosen, provenance)
    left_rupiah = sum(order.quote_rupiah for order in left)
    reserved_rupiah = sum(order.quote_rupiah for order in chosen)
    if chosen:
        batch = _append(
            handler,
            batch,
            FundsReserved(
                up_to_row=max(batch.reserved_up_to_row, chosen[-1].row_number),
                orders=len(chosen),
                renewed=sum(1 for order in chosen if order.must_be_renewed),
                total_rupiah=reserved_rupiah,
                saldo_rupiah=observation.saldo_rupiah,
                observed_at=observation.requested_at,
                included_before=included_before,
                available_rupiah=available,
                policy=policy,
                left_orders=len(left),
                left_rupiah=left_rupiah,
            ),
            provenance,
        )
    return Reservation(
        batch, len(chosen), reserved_rupiah, len(left), left_rupiah, observation.saldo_rupiah, available
    )


def _renewed(handler: CommandHandler, chosen: list[Unreserved], provenance: Provenance) -> list[Unreserved]:
    """The chosen orders, except those whose renewal is refused: just held, or more expensive now."""
    refused: set[str] = set()
    lost = [order for order in chosen if order.must_be_renewed]
    for group in grouped(lost):
        commands = [OrderCommandRequest(o.request_id, RenewReservation(o.quote_rupiah)) for o in group]
        done = handler.apply(commands, provenance)
        refused.update(key for key, resolution in done.items() if not resolution.is_accepted)
    return [order for order in chosen if order.request_id not in refused]


def _append(handler: CommandHandler, batch: Batch, reserved: FundsReserved, provenance: Provenance) -> Batch:
    after, refusal = handler.apply_to_batch(batch.batch_id, Record(reserved), provenance)
    if isinstance(refusal, Refusal):
        # An exception that leaves the block also rolls the renewals back.
        raise ContentionError(f"batch {batch.batch_id} changed while funds were reserved: {refusal.detail}")
    return after


UNSENT = (OrderState.RECEIVED, OrderState.QUOTED)


@dataclass(frozen=True, slots=True)
class BalanceReport:
    """Rupiah. ``unpriced`` orders need an inquiry first and count as 0 in the estimate."""

    saldo_rupiah: int
    estimate_rupiah: int
    priced: int
    unpriced: int

    @property
    def is_short(self) -> bool:
        """True when the deposit holds less than the lowest possible cost of the orders."""
        return self.estimate_rupiah > self.saldo_rupiah

    @property
    def in_words(self) -> str:
        """The comparison, for people."""
        return (
            f"the deposit holds {rupiah(self.saldo_rupiah)}; {self.priced} orders cost at least "
            f"{rupiah(self.estimate_rupiah)}, {self.unpriced} bills are not known yet"
        )


def check_balance(
    handler: CommandHandler, batch_id: str, saldo_rupiah: int, provenance: Provenance
) -> BalanceReport:
    """Compare the deposit with the lowest possible cost of the unsent orders."""
    batch = load_batch(handler.store, batch_id)
    estimate = priced = unpriced = 0
    for order in each_order(handler.store, OrderSlice(batch_id, UNSENT)):
        price = order.quote_rupiah or (order.amount_rupiah if order.is_inquiry else order.list_price_rupiah)
        if price:
            estimate += price
            priced += 1
        else:
            unpriced += 1
    if batch.state is BatchState.VALIDATED:
        checked = BalanceChecked(saldo_rupiah=saldo_rupiah, estimate_rupiah=estimate)
        handler.apply_to_batch(batch_id, Record(checked), provenance)
    return BalanceReport(saldo_rupiah, estimate, priced, unpriced)
