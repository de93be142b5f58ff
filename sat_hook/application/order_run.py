"""Pay one order once: a batch of one row, with the steps of every batch."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.errors import BatchRefusedError
from sat_hook.application.ports import Ports
from sat_hook.application.run_facts import RunFacts, RunRules
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Escalate
from sat_hook.pipeline.funding import Reservation
from sat_hook.pipeline.results import complete
from sat_hook.pipeline.single_order import SingleOrder, ask_now, load_order, submit_single, take_single
from sat_hook.protocol.outcomes import StatusOutcome

TO_BE_SENT = (OrderState.RECEIVED, OrderState.QUOTED)
_log = logging.getLogger(__name__)


class Bought(NamedTuple):
    """The order's state, and the reservation to wait for when the deposit does not suffice."""

    order: Order
    short: Reservation | None = None


async def buy(
    ports: Ports, wanted: SingleOrder, facts: RunFacts, rules: RunRules, on_short_funds: ShortFundsPolicy
) -> Bought:
    """Pay the order once, even when earlier tries have worked on it.

    An order that was sent before is queried instead. An order that belongs to another batch is left to it.

    :param on_short_funds: wait: the order stays quoted and the caller waits; otherwise the order ends.
    :raises MissingKeyError: when a key is missing that is needed to send the order or to end it.
    :raises SubmissionRefusedError: when its order id has control characters.
    :raises OrderNotTakenError: when it cannot become an order, or its order id stands for another order.
    :raises RunRefusedError: when the run is less strict than the account's rules.
    :raises PipelineError: when it was not sent, for the pipeline's own reasons.
    """
    own_batch, order = await ports.offload(partial(_taken, ports, wanted, facts))
    if order.state.is_in_flight or order.state is OrderState.ESCALATED:
        _log.info("The order was sent before: asking for its status, not sending it again.")
        order = (await ask_status(ports, order.request_id, facts.provenance))[1] or order
    elif order.batch_id != own_batch:
        _log.info("The very same order belongs to batch %s, which sends it.", order.batch_id)
    elif order.state in TO_BE_SENT:
        if (short := await _send(ports, order, facts, rules, on_short_funds)) is not None:
            return Bought(order, short)
        order = await ports.offload(partial(load_order, ports.store, order.request_id))
    await ports.offload(partial(complete, ports.handler, own_batch, facts.provenance))
    return Bought(order)


def _taken(ports: Ports, wanted: SingleOrder, facts: RunFacts) -> tuple[str, Order]:
    """The batch of this order, and the order; both are created here unless they exist."""
    ports.require_keys()
    # The user who started the run is the maker, as authenticated by Airflow.
    submission = submit_single(
        ports.store, ports.submissions, ports.clock, ports.account, wanted, facts.asker, ports.limits.files
    )
    batch_id = submission.batch_id
    return batch_id, take_single(
        ports.handler, ports.submissions, batch_id, wanted, facts.provenance, ports.limits.files
    )


async def _send(
    ports: Ports, order: Order, facts: RunFacts, rules: RunRules, on_short_funds: ShortFundsPolicy
) -> Reservation | None:
    """Run the steps of the order's batch; return a reservation that is short and must be waited for."""
    async with ports.sat() as sat:
        # One client, and so one token, for all steps.
        opened = replace(ports, sat=lambda: nullcontext(sat))
        run = BatchRun(opened, order.batch_id, facts, rules, products=(order.product_code,))
        await ports.offload(run.start)
        await run.validate()
        await run.quote()
        await ports.offload(run.close_quotes)
        await ports.offload(run.guard)
        guarded = await ports.offload(partial(load_order, ports.store, order.request_id))
        if guarded.state is not OrderState.QUOTED:
            return None
        waits = on_short_funds is ShortFundsPolicy.WAIT
        policy = ShortFundsPolicy.WAIT if waits else ShortFundsPolicy.REFUSE
        try:
            found = await run.reserve(policy, ports.limits.funding)
        except BatchRefusedError:
            return None
        if found.is_short:
            return found
        await run.execute()
        return None


async def ask_status(
    ports: Ports, request_id: str, provenance: Provenance
) -> tuple[StatusOutcome, Order | None]:
    """Query one order's status and record what the answer proves.

    The order is None when the account's log does not have it; it is then only queried.

    :raises WrongAccountError: when the order belongs to another account; SAT is not called then.
    """
    known = await ports.offload(lambda: ports.store.load_orders([request_id]).get(request_id))
    if known is not None:
        ports.require_account(known.account, f"order {request_id}")
    async with ports.sat() as sat:
        return await ask_now(ports.handler, sat, request_id, provenance)


def own_order(ports: Ports, request_id: str) -> Order:
    """The order's current state. Blocks.

    :raises OrderNotFoundError: when there is none.
    :raises WrongAccountError: when it belongs to another account.
    """
    order = load_order(ports.store, request_id)
    ports.require_account(order.account, f"order {request_id}")
    return order


def escalate_order(ports: Ports, order: Order, reason: str, provenance: Provenance) -> Order:
    """Escalate an order in flight. It stays as it is while its last attempt may be under way."""
    command = OrderCommandRequest(order.request_id, Escalate(reason, ports.clock.now()))
    return ports.handler.apply([command], provenance)[order.request_id].after or order
