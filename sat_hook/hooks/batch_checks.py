"""What a check of a file reads of an Airflow connection and its account, and its answer as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.funds import BalanceObservation
from sat_hook.hooks.sat import SATHook
from sat_hook.pipeline.account_rules import rules_of_account
from sat_hook.pipeline.batch_check import BatchCheck, Surroundings
from sat_hook.pipeline.funding import observation_of
from sat_hook.pipeline.validation import catalogue_of
from sat_hook.protocol.calls import account_call
from sat_hook.store.funds import PostgresFunds
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.postgres import PostgresEventStore


@contextmanager
def surroundings_of(store: PostgresEventStore, connection_id: str) -> Iterator[Surroundings]:
    """The account of a connection: its price list and deposit at SAT, its orders, funds and rules."""
    hook, clock = SATHook(connection_id, store.database), SystemClock()

    def deposit() -> BalanceObservation:
        return observation_of(hook.settings().account, hook.ask(account_call()), clock.now())

    with closing(hook):
        yield Surroundings(
            store=store,
            ledger=PostgresGuardLedger(store.database),
            funds=PostgresFunds(store.database),
            clock=clock,
            rules=hook.rules().stricter(rules_of_account(store, hook.settings().account)),
            catalogue=lambda: catalogue_of(hook.list_product()),
            deposit=deposit,
        )


def as_document(found: BatchCheck) -> dict[str, Any]:
    """The check as JSON, with words for the rows that need a person."""
    document = asdict(found)
    known = document.pop("known_batch")
    document["known_batch"] = known and {"batch_id": known["batch_id"], "state": known["state"]}
    return {**document, "missing_rupiah": found.missing_rupiah, "needs_in_words": found.needs_in_words}
