"""Apply an account's rules: which are in force, which a run adopts, and which runs are refused.

Every step that lets orders pass checks the rules here. Neither a connection nor a run's parameter can loosen
what two people confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sat_hook.commands.handler import CommandHandler, load_batch, standing_of
from sat_hook.domain.account import BindClient
from sat_hook.domain.account_rules import AdoptRules, RecordRun, RuleValues, looser_than
from sat_hook.domain.batch_events import BatchRunRefused, BatchRunStarted
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.pipeline.errors import RunRefusedError
from sat_hook.pipeline.limits import RecoveryLimits
from sat_hook.store.event_store import EventStore

EARLY_START_SECONDS = 60
"""How long before its planned start a batch's run may begin: Airflow's clock may be ahead of ours."""

ORIGINS = ("AccountRulesAdopted", "AccountRulesConfirmed")


@dataclass(frozen=True, slots=True)
class AskedRun:
    """A run that was started, and the rules it asks for.

    :param run: the DAG's id and the run's.
    :param connection: the account's connection.
    :param client: the client of SAT's that it pays as, as ``AccountSettings.client`` names it.
    :param of_connection: what that asks for.
    :param of_run: the rules that the run names, by name; None where it says nothing.
    :param parameters: everything that the run was given, as text.
    """

    run: str
    connection: str
    client: str
    of_connection: AccountRules
    of_run: Mapping[str, float | None]
    parameters: Mapping[str, str]


def rules_of_account(store: EventStore, account: str) -> AccountRules:
    """The rules that only two people can loosen."""
    return standing_of(store, account).rules.in_force


def dedup_horizon_seconds(rules: AccountRules, deployment: RecoveryLimits) -> float:
    """How long after its first sending an order may be sent again: by the rules, else by the deployment."""
    hours = rules.dedup_horizon_hours
    return deployment.dedup_horizon_seconds if hours is None else hours * 3600.0


def adopt_rules(
    handler: CommandHandler, account: str, connection: str, asked: AccountRules, provenance: Provenance
) -> AccountRules:
    """The account's rules. What its connection asks for counts until two people have confirmed rules."""
    standing, _ = handler.apply_to_account(account, AdoptRules(connection, asked), provenance)
    return standing.rules.in_force


def origin_of_rules(store: EventStore, account: str) -> RecordedEvent | None:
    """The event that says which rules the account has; None before there is one."""
    events = store.read_stream(StreamId(StreamKind.ACCOUNT, standing_of(store, account).account_id))
    return next((event for event in reversed(events) if event.type_name in ORIGINS), None)


def start_batch_run(
    handler: CommandHandler, batch_id: str, asked: AskedRun, provenance: Provenance
) -> AccountRules:
    """Record who started the batch's run and with which rules; return its rules.

    A retry of the same run records nothing.

    :raises RunRefusedError: when the run begins before the batch's planned start, asks for less than the
        account does, or its connection pays as the client of another account; that is recorded as well.
    """
    batch, given = load_batch(handler.store, batch_id), dict(asked.parameters)
    account = batch.account

    def refuse(text: str) -> RunRefusedError:
        refused = BatchRunRefused(run=asked.run, parameters=given, reason=text)
        handler.apply_to_batch(batch_id, Record(refused), provenance)
        return RunRefusedError(text)

    earliest = None if batch.starts_at is None else batch.starts_at - timedelta(seconds=EARLY_START_SECONDS)
    if earliest is not None and handler.clock.now() < earliest:
        raise refuse(
            f"batch {batch_id}: found a run that begins before the planned start; expected none until "
            f"{batch.starts_at:%F %R %Z}"
        )
    if owner := owner_of_client(handler.store, account, asked.client):
        raise refuse(_of_another_account(account, owner, asked))
    handler.apply_to_account(account, BindClient(asked.connection, asked.client), provenance)
    of_account = adopt_rules(handler, account, asked.connection, asked.of_connection, provenance)
    if looser := looser_than(of_account, asked.of_run):
        raise refuse(_refusal(account, looser))
    rules = of_account.stricter(asked.of_connection).stricter(rules_asked(asked.of_run))
    started = BatchRunStarted(
        run=asked.run, connection=asked.connection, rules=RuleValues.of(rules), parameters=given
    )
    events = handler.store.read_stream(StreamId(StreamKind.BATCH, batch_id))
    if not any(e.type_name == started.type_name and e.event == started for e in events):
        handler.apply_to_batch(batch_id, Record(started), provenance)
    return rules


def refuse_looser_run(handler: CommandHandler, account: str, asked: AskedRun, provenance: Provenance) -> None:
    """Check that a run that has no batch yet is at least as strict as its account's rules.

    :raises RunRefusedError: naming each rule, what was found and what was expected; or that the connection
        pays as the client of another account. It is recorded in the account that has the rules.
    """
    if owner := owner_of_client(handler.store, account, asked.client):
        text = _of_another_account(account, owner, asked)
        handler.apply_to_account(owner, RecordRun(asked.run, asked.parameters, text), provenance)
        raise RunRefusedError(text)
    if looser := looser_than(rules_of_account(handler.store, account), asked.of_run):
        raise refuse_account_run(handler, account, asked.run, asked.parameters, looser, provenance)


def record_account_run(
    handler: CommandHandler, account: str, run: str, parameters: Mapping[str, str], provenance: Provenance
) -> None:
    """Record that a person started a run for the account with parameters of their own."""
    handler.apply_to_account(account, RecordRun(run, parameters), provenance)


def refuse_account_run(
    handler: CommandHandler,
    account: str,
    run: str,
    parameters: Mapping[str, str],
    looser: Mapping[str, str],
    provenance: Provenance,
) -> RunRefusedError:
    """Record that a run was refused and why; return the error to raise."""
    text = _refusal(account, looser)
    handler.apply_to_account(account, RecordRun(run, parameters, text), provenance)
    return RunRefusedError(text)


def rules_asked(of_run: Mapping[str, float | None]) -> AccountRules:
    """The rules that a run names. A rule that it does not name asks for nothing."""
    nothing = RuleValues.of(NO_RULES).model_dump()
    named = {name: value for name, value in of_run.items() if value is not None}
    return RuleValues.model_validate({**nothing, **named}).rules


def owner_of_client(store: EventStore, account: str, client: str) -> str | None:
    """The account that pays as this client, when it is another one.

    Rules, duplicates, funds and request ids are kept by the account's name: another name for the same deposit
    would have none of them.
    """
    if client in standing_of(store, account).clients:
        return None
    return next((owner for owner in store.accounts_of_client(client) if owner != account), None)


def _of_another_account(account: str, owner: str, asked: AskedRun) -> str:
    return (
        f"connection {asked.connection!r}, field account: found {account!r}; expected {owner!r}, the account "
        "that pays with this client id in the log: an account keeps its name, because its rules, duplicates "
        "and request ids are kept by it"
    )


def _refusal(account: str, looser: Mapping[str, str]) -> str:
    found = "; ".join(f"{name}: {text}" for name, text in looser.items())
    return (
        f"the run is looser than the rules of account {account!r}: {found}. A run can only be stricter; two "
        "people change the rules (sat account propose, sat account confirm)"
    )
