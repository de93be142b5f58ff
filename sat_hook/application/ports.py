"""The ports of one account's use cases: its log, its deposit, SAT, spools, time and randomness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from random import SystemRandom

from sat_hook.application.errors import MissingKeyError, WrongAccountError
from sat_hook.application.settings import DeploymentSettings
from sat_hook.audit.errors import CheckpointForkedError
from sat_hook.clients.settings import AccountSettings
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.alerts import Alert
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.domain.ports import Clock, Offload, Randomness
from sat_hook.pipeline.funding import look_at_deposit
from sat_hook.pipeline.limits import (
    ClaimLimits,
    ExecutionLimits,
    FileLimits,
    FundingLimits,
    PollingLimits,
    QuotingLimits,
    RecoveryLimits,
)
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.trusted_callbacks import TrustedCallbacks
from sat_hook.store.alerts import AlertBook
from sat_hook.store.callbacks import PostgresCallbackInbox
from sat_hook.store.database import Database
from sat_hook.store.event_store import EventStore
from sat_hook.store.funds import FundsStore, PostgresFunds
from sat_hook.store.guards import GuardLedger, PostgresGuardLedger
from sat_hook.store.poll_schedule import PollSchedule, PostgresPollSchedule
from sat_hook.store.spool import Spool

OpenSAT = Callable[[], AbstractAsyncContextManager[SATApi]]


@dataclass(frozen=True, slots=True)
class StepLimits:
    """Settings of the steps that call SAT."""

    quoting: QuotingLimits = field(default_factory=QuotingLimits)
    execution: ExecutionLimits = field(default_factory=ExecutionLimits)
    funding: FundingLimits = field(default_factory=FundingLimits)
    polling: PollingLimits = field(default_factory=PollingLimits)
    recovery: RecoveryLimits = field(default_factory=RecoveryLimits)
    files: FileLimits = field(default_factory=FileLimits)
    claims: ClaimLimits = field(default_factory=ClaimLimits)

    @classmethod
    def of(cls, deployment: DeploymentSettings, settings: AccountSettings) -> StepLimits:
        """The deployment's settings, within the limits of the account's connection."""
        return cls(
            quoting=deployment.quoting,
            execution=replace(
                deployment.execution,
                in_flight=settings.max_in_flight,
                reply_timeout_seconds=settings.total_timeout_seconds,
            ),
            funding=deployment.funding,
            polling=deployment.polling,
            recovery=deployment.recovery,
            files=deployment.maximum,
            claims=deployment.claim,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one account.

    :param connection: the name of the account's connection, for the log and for error texts.
    :param settings: the account at SAT.
    :param rules: reads the connection's rules for sending. Steps that send nothing do not call it, so a rule
        that cannot be read does not stop orders in flight from being followed.
    :param handler: decides every command; holds the event store, the clock and the way to run blocking work.
    :param sat: opens a client of the account.
    :param submissions: the spool of submitted files.
    :param results: the spool of result files.
    :param rollback: how the database falls short of its published checkpoints, or None; see
        :func:`~sat_hook.audit.rollback_detection.detect_rollback`.
    :param alert: raises alerts.
    :param trusted: ends orders by their callbacks; None queries every order.
    """

    connection: str
    settings: AccountSettings
    rules: Callable[[], AccountRules]
    handler: CommandHandler
    sat: OpenSAT
    funds: FundsStore
    guards: GuardLedger
    schedule: PollSchedule
    submissions: Spool
    results: Spool
    rollback: Callable[[], CheckpointForkedError | None]
    alert: Callable[[Sequence[Alert]], object]
    chance: Randomness
    trusted: TrustedCallbacks | None
    limits: StepLimits

    @property
    def account(self) -> str:
        """The account's name in the log."""
        return self.settings.account

    @property
    def store(self) -> EventStore:
        """The account's log."""
        return self.handler.store

    @property
    def clock(self) -> Clock:
        """The database's time."""
        return self.handler.clock

    @property
    def offload(self) -> Offload:
        """The way to run blocking work from an event loop."""
        return self.handler.offload

    async def look_at_deposit(self) -> BalanceObservation:
        """The deposit as reported by SAT; raises SATError. Records nothing."""
        async with self.sat() as sat:
            return await look_at_deposit(sat, self.clock, self.account)

    def require_account(self, owner: str, what: str) -> None:
        """Refuse an order or a batch of another account than the connection's.

        SAT knows an order only under its own account. A query from another account would return "no such
        order", which would look like permission to send it again.

        :param owner: the account's name in the log.
        :param what: the order or batch, for the error.
        :raises WrongAccountError: when the connection belongs to another account.
        """
        if owner != self.account:
            raise WrongAccountError(
                f"{what} belongs to account {owner!r}; connection {self.connection} is account "
                f"{self.account!r}"
            )

    def require_keys(self) -> None:
        """Check that the account has the keys to send orders and to end them.

        :raises MissingKeyError: naming the connection's field.
        """
        keys = ("private_key", self.settings.signer), ("sat_public_keys", self.settings.verifier)
        for name, key in keys:
            if key is None:
                raise MissingKeyError(
                    f"connection {self.connection!r}, field {name}: found no key, expected one (or its "
                    "path): without it no checkout can be signed and no final status verified"
                )


def ports_on(
    database: Database,
    handler: CommandHandler,
    settings: AccountSettings,
    sat: OpenSAT,
    *,
    submissions: Spool,
    results: Spool,
    limits: StepLimits,
    rollback: Callable[[], CheckpointForkedError | None] = lambda: None,
    connection: str = "",
    rules: Callable[[], AccountRules] = lambda: NO_RULES,
) -> Ports:
    inbox = PostgresCallbackInbox(database)
    return Ports(
        connection=connection or settings.account,
        settings=settings,
        rules=rules,
        handler=handler,
        sat=sat,
        funds=PostgresFunds(database),
        guards=PostgresGuardLedger(database),
        schedule=PostgresPollSchedule(database),
        submissions=submissions,
        results=results,
        rollback=rollback,
        alert=AlertBook(database).add,
        chance=SystemRandom(),
        trusted=TrustedCallbacks(inbox, settings.account, settings.verifier)
        if settings.trust_callbacks
        else None,
        limits=limits,
    )
