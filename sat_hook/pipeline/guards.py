"""The guards: hold duplicates and orders over a limit, before approval and before anything is sent.

Reading, checking and appending happen under the account's lock, a group of rows at a time. Of two batches
that are guarded at the same moment, one therefore sees which orders of the other were admitted. The lock is
free between groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain.approval_events import BatchGuarded, GuardTally
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_events import BatchReopened
from sat_hook.domain.business_day import business_day, day_bounds
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import ORDERS_A_COMMIT
from sat_hook.domain.guards import GuardRules, Ruling, Usage, needs_ruling, rule_on
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.errors import BatchStoppedError
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.store.event_store import EventStore, OrderSlice
from sat_hook.store.guards import GuardLedger, LockedAccount


@dataclass(frozen=True, slots=True)
class GuardReport:
    """The guards' results for the batch so far, and how many orders they checked this time."""

    tally: GuardTally
    ruled_on: int


def guard_batch(
    handler: CommandHandler,
    ledger: GuardLedger,
    batch_id: str,
    rules: GuardRules,
    provenance: Provenance,
) -> GuardReport:
    """Admit or hold every order of the batch that can be sent and was not admitted this business day.

    The account's rules always count; ``rules`` can only be stricter.

    A repeated call checks only what has changed: orders that were released, and orders that were admitted on
    an earlier day and never sent, which count on the day they are sent.

    :raises BatchStoppedError: when the batch is refused.
    """
    batch = load_batch(handler.store, batch_id)
    if batch.state is BatchState.REFUSED:
        raise BatchStoppedError(f"batch {batch_id} was refused: {batch.refusal_message}")
    rules = rules_of_account(handler.store, batch.account).guards.stricter(rules)
    finish_withdrawal(handler, batch, provenance)
    reopen(handler, batch_id, provenance)
    ruled_on = _rule_on_each_page(handler, ledger, batch, rules, provenance)
    tally = _tally(handler.store, ledger, batch)
    handler.apply_to_batch(batch_id, Record(BatchGuarded(tally=tally)), provenance)
    return GuardReport(tally, ruled_on)


def reopen(handler: CommandHandler, batch_id: str, provenance: Provenance) -> Batch:
    """Reopen a completed batch when it has orders again that can be sent."""
    batch = load_batch(handler.store, batch_id)
    if batch.state is not BatchState.COMPLETED:
        return batch
    waiting = [c for c in handler.store.count_by_state(batch_id) if c.state is OrderState.QUOTED]
    if waiting:
        batch, _ = handler.apply_to_batch(
            batch_id, Record(BatchReopened(orders=waiting[0].orders)), provenance
        )
    return batch


def _rule_on_each_page(
    handler: CommandHandler, ledger: GuardLedger, batch: Batch, rules: GuardRules, provenance: Provenance
) -> int:
    quoted = OrderSlice(batch.batch_id, (OrderState.QUOTED,))
    after_row = ruled_on = 0
    while True:
        with ledger.locked(batch.account) as account:
            # Read under the lock: what another run of this batch has changed is seen.
            page = account.store.orders_of_batch(quoted, after_row, ORDERS_A_COMMIT)
            ruled_on += _rule_on_page(handler, account, batch, page, rules, provenance)
        if len(page) < ORDERS_A_COMMIT:
            return ruled_on
        after_row = page[-1].row_number


def _rule_on_page(
    handler: CommandHandler,
    account: LockedAccount,
    batch: Batch,
    page: list[Order],
    rules: GuardRules,
    provenance: Provenance,
) -> int:
    now = handler.clock.now()
    day_start, _ = day_bounds(now)
    orders = [order for order in page if needs_ruling(order, day_start)]
    rulings = _rulings(account, batch, orders, rules, now)
    inside = CommandHandler(account.store, handler.clock)
    known = {order.request_id: order for order in orders}
    inside.apply(
        [OrderCommandRequest(ruling.request_id, ruling.command) for ruling in rulings], provenance, known
    )
    return len(rulings)


def _rulings(
    account: LockedAccount,
    batch: Batch,
    orders: list[Order],
    rules: GuardRules,
    now: datetime,
) -> list[Ruling]:
    if not orders:
        return []
    kin: list[Order] = []
    batch_used = day_used = Usage()
    # A guard that is off makes no query.
    if rules.duplicate_days:
        kin = account.kin(orders, now - timedelta(days=rules.duplicate_days))
    if rules.batch_limit_rupiah is not None or rules.batch_limit_orders is not None:
        batch_used = account.used_by_batch(batch.batch_id, [order.request_id for order in orders])
    if rules.limits_the_day:
        day_used = account.used_on(business_day(now))
    return rule_on(orders, kin, batch_used, day_used, rules, now)


def _tally(store: EventStore, ledger: GuardLedger, batch: Batch) -> GuardTally:
    with ledger.reading(batch.account) as account:
        used = account.used_by_batch(batch.batch_id, [])
    needs = store.needs([batch.batch_id])[batch.batch_id]
    held = {need.code: need.rows for need in needs if need.standing == OrderState.HELD}
    return GuardTally(
        admitted=used.orders,
        admitted_rupiah=used.rupiah,
        held_as_duplicates=held.get(HoldReason.BUSINESS_DUPLICATE, 0),
        held_over_limits=held.get(HoldReason.LIMIT, 0),
    )
