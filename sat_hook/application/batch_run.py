"""One run of a batch, from submitted rows to a result file. Each method is one step and can be repeated.

This module merges the rules of the run with those of the account's connection, and chooses the conditions for
sending. Every step checks that the batch belongs to the connection's account, and finds out by itself what is
left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import NamedTuple

from sat_hook.application.errors import BatchRefusedError, WrongAccountError
from sat_hook.application.ports import Ports
from sat_hook.application.rollback import pause_if_rolled_back
from sat_hook.application.run_facts import RunFacts, RunRules, asked_run
from sat_hook.commands.handler import load_batch
from sat_hook.domain.alerts import unreadable_products
from sat_hook.domain.approval_events import ApprovalTerms
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import ShortFundsPolicy
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.funds import BalanceObservation
from sat_hook.domain.guards import AccountRules
from sat_hook.pipeline.account_rules import (
    owner_of_client,
    refuse_looser_run,
    rules_asked,
    rules_of_account,
    start_batch_run,
)
from sat_hook.pipeline.approval import approval_is_needed, approve, ask_for_approval, reject
from sat_hook.pipeline.approval_request import ApprovalPolicy, ApprovalRequest
from sat_hook.pipeline.batch_summary import BatchSummary
from sat_hook.pipeline.chunks import Chunk, plan_chunks
from sat_hook.pipeline.escalations import EscalatedOrders, escalated_orders
from sat_hook.pipeline.execution import ChunkExecutor, ExecutionReport, Gate
from sat_hook.pipeline.funding import (
    BalanceReport,
    Reservation,
    check_balance,
    record_observation,
    refuse_batch,
    reserve,
    shortage,
)
from sat_hook.pipeline.guards import GuardReport, guard_batch
from sat_hook.pipeline.intake import IntakeReport, take_in
from sat_hook.pipeline.limits import BadRowsPolicy, FundingLimits
from sat_hook.pipeline.quoting import Quoter, QuotingReport, close_quoting
from sat_hook.pipeline.results import ResultFile, complete, write_results
from sat_hook.pipeline.sat_api import SATApi
from sat_hook.pipeline.status_polling import StatusPoller, escalate_in_flight, orders_in_flight
from sat_hook.pipeline.table_intake import settle_rows, submit_claimed_rows
from sat_hook.pipeline.validation import ValidationReport, catalogue_of, validate_orders
from sat_hook.protocol.errors import ProductNotFoundError
from sat_hook.protocol.messages import Product
from sat_hook.store.event_store import OrderSlice
from sat_hook.store.order_intake import OrderIntake
from sat_hook.store.poll_schedule import PollScope

STEPS = (
    "intake",
    "validate",
    "check_balance",
    "plan",
    "quote",
    "close_quotes",
    "guard",
    "approve",
    "reserve",
    "execute",
    "wait",
    "results",
)
"""A run's steps in order, by task id."""
STEPS_OF_CHUNKS = ("quote", "execute")
"""Steps that work on one chunk each, many at the same time."""
STEPS_AFTER_ALL = ("wait", "results")
"""Steps that run even when earlier steps failed."""


class WaitRound(NamedTuple):
    """One round of status queries for orders in flight.

    :param left: how many of the awaited orders have not ended.
    :param pause_seconds: the time until the next query is due; None when none is scheduled.
    """

    left: int
    pause_seconds: float | None


class BatchResults(NamedTuple):
    """A batch's state, its result file, and its escalated orders."""

    summary: BatchSummary
    file: ResultFile
    exceptions: EscalatedOrders


class BatchRun:
    """The steps of one batch, run for one account.

    Coroutines call SAT; the other steps only block on the database and the spools. Every step raises
    :class:`~sat_hook.application.errors.WrongAccountError` when the batch belongs to another account,
    :class:`~sat_hook.domain.errors.StepError` for the pipeline's own errors, ``SATError`` where it
    calls SAT, and ``StoreUnavailableError`` when the database is away.

    :param ports: the account that pays.
    :param rules: the run's own rules; those of the connection and the account may be stricter.
    :param approve_held: whether the approval includes held orders and releases them.
    :param products: the only product codes in the batch, if known; by default the whole catalogue is read.
    """

    def __init__(
        self,
        ports: Ports,
        batch_id: str,
        facts: RunFacts,
        rules: RunRules | None = None,
        *,
        approve_held: bool = False,
        products: Sequence[str] | None = None,
    ) -> None:
        self.batch_id = batch_id
        self.ports = ports
        self._facts = facts
        self._by = facts.provenance
        self._offload = ports.offload
        self._of_run = dict(rules or {})
        self._approve_held = approve_held
        self._only_products = products
        self._is_own = False

    @cached_property
    def asked(self) -> AccountRules:
        """The stricter of the connection's and run's rules; raises the errors of reading the connection."""
        return self.ports.rules().stricter(rules_asked(self._of_run))

    @property
    def policy(self) -> ApprovalPolicy:
        """What needs an approval, as far as the connection and the run ask for it."""
        return ApprovalPolicy.of(self.asked, held_too=self._approve_held)

    def own_batch(self) -> Batch:
        """The batch's current state. Blocks.

        :raises WrongAccountError: when it belongs to another account than the connection's.
        """
        batch = load_batch(self.ports.store, self.batch_id)
        self.ports.require_account(batch.account, f"batch {self.batch_id}")
        return batch

    def start(self) -> None:
        """Record who started the run and with which rules. A run that began before records nothing.

        :raises RunRefusedError: when it is less strict than the account's rules; the refusal is recorded too.
        """
        self.own_batch()
        asked = asked_run(self.ports, self._facts, self._of_run)
        start_batch_run(self.ports.handler, self.batch_id, asked, self._facts.asker)

    def intake(
        self, on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED, claimed: OrderIntake | None = None
    ) -> IntakeReport:
        """Start the run, and read the submitted rows into orders.

        :param claimed: the table whose rows this run has claimed, if any; the rows are then settled or freed.
        :raises MissingKeyError: when a key is missing that is needed to send orders or to end them.
        :raises RunRefusedError: when the run is less strict than the account's rules.
        """
        self.ports.require_keys()
        self.start()
        submissions = self.ports.submissions
        report = take_in(
            self.ports.handler, submissions, self.batch_id, self._by, on_bad_rows, self.ports.limits.files
        )
        if claimed is not None:
            settle_rows(claimed, self._facts.claim, report.batch)
        return report

    async def validate(self, on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED) -> ValidationReport:
        """Validate every order against SAT's catalogue; raise an alert for unreadable products."""
        await self._offload(self.own_batch)
        async with self.ports.sat() as sat:
            products = await self._products(sat)
        return await self._offload(partial(self._validated, products, on_bad_rows))

    def _validated(self, products: list[Product], on_bad_rows: BadRowsPolicy) -> ValidationReport:
        catalogue = catalogue_of(products)
        report = validate_orders(self.ports.handler, self.batch_id, catalogue, self._by, on_bad_rows)
        unread = [product.code for product in products if product.unreadable]
        self.ports.alert(unreadable_products(self.ports.account, unread, self.ports.clock.now()))
        return report

    async def check_balance(self, policy: ShortFundsPolicy, limits: FundingLimits) -> BalanceReport:
        """Compare the deposit early with the lowest possible cost of the orders.

        :raises BatchRefusedError: when it is less and the policy is to refuse.
        """
        await self._offload(self.own_batch)
        seen = await self.ports.look_at_deposit()
        return await self._offload(partial(self._balance_checked, seen, policy, limits))

    def _balance_checked(
        self, seen: BalanceObservation, policy: ShortFundsPolicy, limits: FundingLimits
    ) -> BalanceReport:
        record_observation(self.ports.funds, self.ports.clock, seen, self._by, limits)
        report = check_balance(self.ports.handler, self.batch_id, seen.saldo_rupiah, self._by)
        if report.is_short and policy is ShortFundsPolicy.REFUSE:
            raise self._refused(report.in_words)
        return report

    def plan_chunks(self, chunk_rows: int) -> list[Chunk]:
        """Split the orders that can still be sent into contiguous ranges of rows."""
        self.own_batch()
        return plan_chunks(self.ports.store, self.batch_id, chunk_rows)

    async def quote(self, rows: Chunk | None = None) -> QuotingReport:
        """Price the orders of a chunk, or of the whole batch: by inquiry where needed, else by catalogue."""
        await self._offload(self.own_batch)
        async with self.ports.sat() as sat:
            catalogue = catalogue_of(await self._products(sat))
            quoter = Quoter(self.ports.handler, sat, catalogue, self.ports.limits.quoting)
            return await quoter.quote_slice(self._slice(rows), self._by)

    def close_quotes(self) -> Batch:
        """Add up what the batch will cost, once every order that can be sent has a price."""
        self.own_batch()
        return close_quoting(self.ports.handler, self.batch_id, self._by)

    def guard(self) -> GuardReport:
        """Hold business duplicates and orders over a limit, and admit the rest."""
        self.own_batch()
        rules = self.asked.guards
        return guard_batch(self.ports.handler, self.ports.guards, self.batch_id, rules, self._by)

    def ask_approval(self) -> ApprovalRequest | None:
        """The approval that the batch needs from a second person before it goes on; None when it needs none.

        :raises ApprovalRejectedError: when a person has rejected the batch.
        """
        self.own_batch()
        return ask_for_approval(self.ports.handler, self.batch_id, self.policy, self._by)

    def answer_approval(self, terms: ApprovalTerms, by: Provenance, *, approves: bool) -> None:
        """Record the answer to a request that showed ``terms``, under its user's name.

        :raises ApprovalRejectedError: when it is a rejection, after it was recorded.
        :raises ApproverRefusedError: when that user must not approve this batch; ask again.
        :raises ApprovalTermsChangedError: when the batch has changed since it was shown.
        """
        self.own_batch()
        if not approves:
            reject(self.ports.handler, self.batch_id, terms, by)
        approve(self.ports.handler, self.batch_id, self.policy, terms, by)

    async def reserve(self, policy: ShortFundsPolicy, limits: FundingLimits) -> Reservation:
        """Reserve funds for the quoted orders; only orders with a reservation are sent.

        When the deposit does not suffice and the policy is to wait, nothing is reserved and the caller waits.

        :raises BatchRefusedError: when it does not suffice and the policy is to refuse.
        """
        await self._offload(self.own_batch)
        seen = await self.ports.look_at_deposit()
        return await self._offload(partial(self._reserved, seen, policy, limits))

    def _reserved(
        self, seen: BalanceObservation, policy: ShortFundsPolicy, limits: FundingLimits
    ) -> Reservation:
        found = reserve(self.ports.funds, self.ports.clock, self.batch_id, seen, policy, self._by, limits)
        if found.is_short and policy is ShortFundsPolicy.REFUSE:
            raise self._refused(shortage(found))
        return found

    async def execute(self, rows: Chunk | None = None) -> ExecutionReport:
        """Send the quoted orders of a chunk, or of the whole batch, each once.

        Only orders that the guards admitted are sent and, where the rules require an approval, only approved
        ones, even when earlier steps failed. If the database was rolled back, the account is paused first.

        :raises AccountPausedError: when the account is paused; the rest stays quoted.
        """
        gate = await self._offload(self._gate)
        async with self.ports.sat() as sat:
            catalogue = catalogue_of(await self._products(sat))
            limits = self.ports.limits
            executor = ChunkExecutor(
                self.ports.handler, sat, catalogue, self._by, limits.execution, limits.quoting, gate
            )
            return await executor.run(self._slice(rows))

    def _gate(self) -> Gate:
        batch = self.own_batch()
        ports = self.ports
        if owner := owner_of_client(ports.store, ports.account, ports.settings.client):
            raise WrongAccountError(
                f"connection {ports.connection} pays as the client of account {owner!r}; "
                f"expected a client of account {ports.account!r}"
            )
        pause_if_rolled_back(ports, self._by)
        rules = self.asked.stricter(rules_of_account(self.ports.store, batch.account))
        return Gate(
            admitted_only=True,
            approved_only=approval_is_needed(self.ports.store, batch, self.policy),
            admitted_today=rules.guards.limits_the_day,
        )

    async def wait(self, sat: SATApi, left: Callable[[], int] | None = None) -> WaitRound:
        """One round of the wait for the batch: query every order that is due.

        :param sat: the client; a wait takes many rounds and keeps it open.
        :param left: counts the awaited orders; by default the batch's orders in flight.
        """
        ports, scope = self.ports, PollScope(batch_id=self.batch_id)
        if not self._is_own:
            # The caller's connection may name another account when it is read again during a long wait.
            await self._offload(self.own_batch)
            self._is_own = True
        poller = StatusPoller(
            ports.handler, ports.schedule, sat, ports.chance, ports.limits.polling, ports.trusted
        )
        await poller.poll_due(scope, self._by)
        in_flight = partial(orders_in_flight, ports.handler, self.batch_id)
        remaining = await self._offload(left or in_flight)
        return WaitRound(remaining, await poller.seconds_to_next(scope))

    def in_flight(self) -> int:
        """The number of the batch's orders that were sent and have not ended."""
        self.own_batch()
        return orders_in_flight(self.ports.handler, self.batch_id)

    def escalate(self, reason: str) -> int:
        """Escalate the orders that are still in flight.

        :returns: how many stay in flight, because their last attempt may still be under way.
        """
        self.own_batch()
        escalate_in_flight(self.ports.handler, self.batch_id, reason, self._by)
        return self.in_flight()

    def results(self) -> BatchResults:
        """Complete the batch if nothing is left to do, and write its result file."""
        self.own_batch()
        ports = self.ports
        summary = complete(ports.handler, self.batch_id, self._by)
        file = write_results(ports.handler, ports.submissions, ports.results, self.batch_id, self._by)
        return BatchResults(summary, file, escalated_orders(ports.store, self.batch_id))

    async def _products(self, sat: SATApi) -> list[Product]:
        try:
            return await sat.list_products(self._only_products)
        except ProductNotFoundError:
            if self._only_products is None:
                # About the whole catalogue this proves nothing of any product.
                raise
            # Validation reports this for every order that needs it.
            return []

    def _slice(self, rows: Chunk | None) -> OrderSlice:
        return OrderSlice(self.batch_id) if rows is None else rows.of(self.batch_id)

    def _refused(self, detail: str) -> BatchRefusedError:
        refuse_batch(self.ports.handler, self.batch_id, detail, self._by)
        return BatchRefusedError(f"batch {self.batch_id} is refused: {detail}")


def submit_waiting_rows(
    ports: Ports, table: OrderIntake, facts: RunFacts, rules: RunRules | None = None
) -> str | None:
    """Submit the rows of ``order_intake`` that wait for the account as a batch of the run.

    :returns: the batch id; None when no row waits.
    :raises MissingKeyError: when a key is missing that is needed to send orders or to end them.
    :raises RunRefusedError: when the run is less strict than the account's rules; no row is claimed then.
    :raises SubmissionRefusedError: when the rows cannot become one batch.
    """
    ports.require_keys()
    refuse_looser_run(ports.handler, ports.account, asked_run(ports, facts, rules), facts.asker)
    submission = submit_claimed_rows(
        ports.store,
        table,
        ports.submissions,
        ports.clock,
        account=ports.account,
        claim=facts.claim,
        # The user who starts the run for the table's rows is the maker, as authenticated by Airflow.
        provenance=facts.asker,
        tell=ports.alert,
        limits=ports.limits.files,
    )
    return None if submission is None else submission.batch_id
