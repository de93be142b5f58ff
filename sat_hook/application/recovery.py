"""One round of recovery for one account: the orders that any batch left in flight."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sat_hook.application.drafts import discard_old_drafts
from sat_hook.application.ports import Ports
from sat_hook.application.rollback import pause_if_rolled_back
from sat_hook.application.run_facts import RunFacts
from sat_hook.domain.event_record import Provenance
from sat_hook.pipeline.account_rules import (
    dedup_horizon_seconds,
    owner_of_client,
    record_account_run,
    refuse_account_run,
    rules_of_account,
)
from sat_hook.pipeline.funding import look_at_deposit, record_observation
from sat_hook.pipeline.misdirected_callbacks import tell_of_misdirected
from sat_hook.pipeline.recovery import Recovery, RecoveryReport
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.table_intake import free_lost_rows
from sat_hook.protocol.errors import SATError
from sat_hook.store.callbacks import CallbackReader
from sat_hook.store.order_drafts import OrderDrafts
from sat_hook.store.order_intake import OrderIntake

GROUPS_OF_DECISIONS = 200
"""Groups of orders that people decided and that one round carries out, at most."""

_log = logging.getLogger(__name__)


async def recover_orders(
    ports: Ports,
    facts: RunFacts,
    table: OrderIntake | None = None,
    callbacks: CallbackReader | None = None,
    drafts: OrderDrafts | None = None,
    decide_next: Callable[[], bool] | None = None,
    *,
    horizon_seconds: float | None = None,
    give_up_after_seconds: float | None = None,
) -> RecoveryReport:
    """Recover every order of the account that is in flight, see :mod:`sat_hook.pipeline.recovery`.

    Nothing is sent again while the connection pays as the client of another account; orders that SAT does not
    know are then escalated. If the database was rolled back, the account is paused first. The deposit is
    observed, and rows of ``order_intake`` are freed when their run ended without a batch.

    :param table: ``order_intake``, if there is one.
    :param callbacks: the callbacks of the account's orders, if a receiver stores them; misdirected ones raise
        an alert.
    :param drafts: people's drafts; old ones are deleted.
    :param decide_next: carries out the next group of a person's decision about many orders, if the web
        application has left one; returns whether there was one.
    :param horizon_seconds: how long after its first sending an order may be sent again; None uses the
        account's rules.
    :param give_up_after_seconds: the age at which an order without an end is escalated; None uses the
        deployment's setting.
    :raises RunRefusedError: when the run asks for a longer horizon than the account's rules.
    """
    horizon = await ports.offload(partial(_horizon_seconds, ports, facts, horizon_seconds))
    owner = await ports.offload(partial(owner_of_client, ports.store, ports.account, ports.settings.client))
    if owner is not None:
        # SAT does not know these orders under that client; a resend would be paid from another deposit.
        _log.error("Connection %s pays as the client of account %r: no resends.", ports.connection, owner)
        horizon = 0.0
    await ports.offload(partial(pause_if_rolled_back, ports, facts.provenance))
    limits = replace(ports.limits.recovery, dedup_horizon_seconds=horizon)
    if give_up_after_seconds is not None:
        limits = replace(limits, give_up_after_seconds=give_up_after_seconds)
    async with ports.sat() as sat:
        await _look_at_deposit(ports, sat, facts.provenance)
        recovery = Recovery(
            ports.handler,
            ports.schedule,
            sat,
            ports.chance,
            facts.provenance,
            limits=limits,
            polling=ports.limits.polling,
            sending=ports.limits.execution,
            trusted=ports.trusted,
        )
        report = await recovery.run(ports.account)
    # After the orders: trouble with these keeps no order from being followed.
    if table is not None:
        await ports.offload(partial(_free_lost_rows, ports, table))
    if callbacks is not None:
        await ports.offload(partial(_tell_of_misdirected, ports, callbacks))
    if drafts is not None:
        await ports.offload(partial(discard_old_drafts, drafts, ports.clock.now()))
    if decide_next is not None:
        await ports.offload(partial(_carry_on_decisions, decide_next))
    return report


def _horizon_seconds(ports: Ports, facts: RunFacts, asked: float | None) -> float:
    """How long after its first sending an order may be sent again. A person's own value is recorded."""
    rules = rules_of_account(ports.store, ports.account)
    longest = dedup_horizon_seconds(rules, ports.limits.recovery)
    if asked is not None and asked > longest:
        looser = {"dedup_horizon_hours": f"found {asked / 3600:g}; expected at most {longest / 3600:g}"}
        raise refuse_account_run(
            ports.handler, ports.account, facts.run, facts.parameters, looser, facts.asker
        )
    if facts.parameters and facts.user:
        record_account_run(ports.handler, ports.account, facts.run, facts.parameters, facts.asker)
    return longest if asked is None else asked


def _carry_on_decisions(decide_next: Callable[[], bool]) -> None:
    for _ in range(GROUPS_OF_DECISIONS):
        if not decide_next():
            return


def _free_lost_rows(ports: Ports, table: OrderIntake) -> None:
    """Free rows of runs that ended without a batch, for the next run, and raise alerts."""
    if freed := free_lost_rows(
        ports.store, table, ports.account, ports.alert, ports.limits.claims, ports.limits.files
    ):
        _log.warning("Freed rows of order_intake of %s runs that came to nothing.", len(freed))


def _tell_of_misdirected(ports: Ports, callbacks: CallbackReader) -> None:
    """Raise alerts for misdirected callbacks: their content does not match the order with their id."""
    if found := tell_of_misdirected(callbacks, ports.account, ports.alert):
        _log.warning("%s callbacks are about another product or number than their order.", found)


async def _look_at_deposit(ports: Ports, sat: SATApi, provenance: Provenance) -> None:
    """Store an observation of the deposit. An error here does not stop the recovery of orders."""
    try:
        seen = await look_at_deposit(sat, ports.clock, ports.account)
    except SATError as error:
        _log.warning("The deposit could not be looked at: %s", error)
        return
    limits = ports.limits.funding
    await ports.offload(partial(record_observation, ports.funds, ports.clock, seen, provenance, limits))
