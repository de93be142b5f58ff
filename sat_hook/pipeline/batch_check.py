"""Check a file without submitting it. The pipeline's own steps run on a store that is thrown away: nothing is
recorded, and SAT is asked only for its price list and the deposit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import BytesIO
from typing import BinaryIO, NamedTuple

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import BatchSource, RowVerdict
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.funds import BalanceObservation, available_rupiah
from sat_hook.domain.guards import AccountRules, Usage
from sat_hook.domain.identity import account_id_of, batch_id_of, digest_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Quote
from sat_hook.domain.order_events import QuoteSource
from sat_hook.domain.ports import Clock
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.pipeline.approval import ApprovalPolicy, approval_is_needed
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.file_submission import find_in
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import FILE_LIMITS, BadRowsPolicy, FileLimits, FundingLimits, QuotingLimits
from sat_hook.pipeline.needs import needs_in_words
from sat_hook.pipeline.results import BatchSummary, rows_set_aside, summarise
from sat_hook.pipeline.submission import submit
from sat_hook.pipeline.validation import validate_orders
from sat_hook.store.event_store import NEEDING_STATES, EventStore, Need, OrderSlice, each_order
from sat_hook.store.funds import FundsStore
from sat_hook.store.guards import GuardLedger, LockedAccount
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.guards import MemoryGuardLedger

MAXIMUM_CHECKED_ROWS = 10_000
_CHECK = Provenance("service:check", "check")


class RowFinding(NamedTuple):
    """A row that needs a person, with no customer's number in its message."""

    row_number: int
    order_id: str
    standing: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """The outcome that submitting a file would have. Rupiah.

    :param known_batch: the batch, if the file was submitted before; everything below is then left empty.
    :param known_rows: rows whose orders were submitted before; they are not paid again.
    :param payable: orders that would be sent.
    :param total_rupiah: the cost of the orders with a listed price; ``bills`` are the others.
    :param free_rupiah: the part of the deposit that is not committed.
    :param needs_approval: whether a second person would have to approve; None when that rests on the bills.
    """

    account: str
    known_batch: Batch | None = None
    pause_reason: str | None = None
    rows: int = 0
    known_rows: int = 0
    payable: int = 0
    bills: int = 0
    total_rupiah: int = 0
    saldo_rupiah: int = 0
    free_rupiah: int = 0
    needs_approval: bool | None = False
    approval_over_rupiah: int | None = None
    needs: tuple[Need, ...] = ()
    findings: tuple[RowFinding, ...] = ()

    @property
    def needs_in_words(self) -> str:
        """How many rows need a person, and why; empty when none does."""
        return needs_in_words(self.rows, self.needs)

    @property
    def missing_rupiah(self) -> int:
        """How much the deposit lacks for the orders whose price is listed."""
        return max(0, self.total_rupiah - self.free_rupiah)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a check reads besides the file.

    :param catalogue: SAT's price list, asked for when a file turns out to have rows.
    :param deposit: an observation of the deposit.
    """

    store: EventStore
    ledger: GuardLedger
    funds: FundsStore
    clock: Clock
    rules: AccountRules
    catalogue: Callable[[], Mapping[str, CatalogueEntry]]
    deposit: Callable[[], BalanceObservation]
    files: FileLimits = FILE_LIMITS
    quoting: QuotingLimits = field(default_factory=QuotingLimits)
    funding: FundingLimits = field(default_factory=FundingLimits)


def check_batch(
    around: Surroundings,
    *,
    account: str,
    reference: str | None,
    file_name: str,
    content: bytes,
    on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED,
) -> BatchCheck:
    """Check a file.

    :raises SubmissionRefusedError: it cannot become a batch, or has too many rows to check here.
    :raises SATError: SAT does not give its price list or the deposit.
    """
    batch_id = batch_id_of(account, (reference or digest_of(content)).strip())
    known = around.store.load_batch(batch_id)
    if known is not None and known.digest == digest_of(content):
        return BatchCheck(account, known_batch=known)
    found = find_in(content, file_name, on_bad_rows, around.files)
    if found.rows > MAXIMUM_CHECKED_ROWS:
        raise SubmissionRefusedError(
            f"{file_name}: found {found.rows:,} rows; expected at most {MAXIMUM_CHECKED_ROWS:,}, which "
            "is the most that is checked without a run"
        )
    trial, spool = _Trial(around.store, around.clock), _OneBlob()
    submit(
        trial,
        spool,
        around.clock,
        account=account,
        reference=reference,
        source=BatchSource.FILE,
        file_name=file_name,
        content=content,
        provenance=_CHECK,
        limits=around.files,
    )
    handler = CommandHandler(trial, around.clock)
    take_in(handler, spool, batch_id, _CHECK, on_bad_rows, around.files)
    validated = validate_orders(handler, batch_id, around.catalogue(), _CHECK)
    if validated.rejected and on_bad_rows is BadRowsPolicy.REFUSE:
        summary = summarise(trial, batch_id)
        first = next(_findings(trial, summary.batch))
        raise SubmissionRefusedError(f"{summary.needs_in_words}; the first: {first.message}")
    _price(handler, batch_id, around.quoting.quote_lifetime_seconds)
    guard_batch(handler, _TrialLedger(trial, around.ledger, batch_id), batch_id, around.rules.guards, _CHECK)
    return _conclude(around, trial, summarise(trial, batch_id))


def _price(handler: CommandHandler, batch_id: str, lifetime_seconds: float) -> None:
    """Quote the orders that have a listed price. Bills are not inquired: SAT may count inquiries."""
    valid_until = handler.clock.now() + timedelta(seconds=lifetime_seconds)
    received = list(each_order(handler.store, OrderSlice(batch_id, (OrderState.RECEIVED,))))
    handler.apply(
        [
            OrderCommandRequest(
                order.request_id, Quote(order.list_price_rupiah, QuoteSource.CATALOGUE, None, valid_until)
            )
            for order in received
            if not order.is_inquiry and order.list_price_rupiah is not None
        ],
        _CHECK,
        {order.request_id: order for order in received},
    )


def _conclude(around: Surroundings, trial: _Trial, summary: BatchSummary) -> BatchCheck:
    batch = summary.batch
    standing = around.store.load_account(account_id_of(batch.account))
    quoted = [count for count in summary.counts if count.state is OrderState.QUOTED]
    bills = summary.orders_in(OrderState.RECEIVED)
    over_rupiah = around.rules.approval_over_rupiah
    needs_approval: bool | None = approval_is_needed(trial, batch, ApprovalPolicy(over_rupiah))
    if bills and over_rupiah is not None and not needs_approval:
        needs_approval = None
    observation = around.deposit()
    with around.funds.looking(batch.account) as funds:
        before = observation.includes_before(around.funding.saldo_lag_seconds)
        free = available_rupiah(observation, funds.outstanding(before))
    aside = list(rows_set_aside(trial, batch.batch_id))
    return BatchCheck(
        account=batch.account,
        pause_reason=standing.pause_reason if standing is not None and standing.is_paused else None,
        rows=batch.rows,
        known_rows=sum(row.verdict is RowVerdict.ALREADY_KNOWN for row in aside),
        payable=sum(count.orders for count in quoted) + bills,
        bills=bills,
        total_rupiah=sum(count.quoted_rupiah for count in quoted),
        saldo_rupiah=observation.saldo_rupiah,
        free_rupiah=free,
        needs_approval=needs_approval,
        approval_over_rupiah=over_rupiah,
        needs=summary.needs,
        findings=tuple(_findings(trial, batch)),
    )


def _findings(trial: _Trial, batch: Batch) -> Iterator[RowFinding]:
    found = [
        RowFinding(row.row_number, row.order_id or "", row.verdict.value, row.code, row.message)
        for row in rows_set_aside(trial, batch.batch_id)
    ]
    found += [
        RowFinding(
            order.row_number,
            order.order_id,
            order.state.value,
            order.reason_code or "",
            f"{batch.file_name} row {order.row_number}: {order.reason_detail}",
        )
        for order in each_order(trial, OrderSlice(batch.batch_id, NEEDING_STATES))
    ]
    yield from sorted(found)


class _Trial(MemoryEventStore):
    """An overlay on the event store: appended events stay here, earlier ones are read from the store."""

    def __init__(self, beneath: EventStore, clock: Clock) -> None:
        super().__init__(clock)
        self._beneath = beneath

    def load_orders(self, request_ids: Iterable[str]) -> dict[str, Order]:
        wanted = list(request_ids)
        unseen = [request_id for request_id in wanted if request_id not in self.orders]
        for request_id, order in self._beneath.load_orders(unseen).items() if unseen else ():
            self.orders[request_id] = order
            self._heads[StreamId(StreamKind.ORDER, request_id)] = order.version
        return super().load_orders(wanted)

    def load_account(self, account_id: str) -> AccountStanding | None:
        return super().load_account(account_id) or self._beneath.load_account(account_id)


class _TrialLedger:
    """The guards' ledger over both: what counts already and what this file would add."""

    def __init__(self, trial: _Trial, beneath: GuardLedger, batch_id: str) -> None:
        self._memory = MemoryGuardLedger(trial)
        self._beneath = beneath
        self._batch_id = batch_id

    @contextmanager
    def locked(self, account: str) -> Iterator[LockedAccount]:
        with self._memory.locked(account) as trial, self._beneath.locked(account) as beneath:
            yield _TrialAccount(trial, beneath, self._batch_id)


class _TrialAccount:
    def __init__(self, trial: LockedAccount, beneath: LockedAccount, batch_id: str) -> None:
        self._trial = trial
        self._beneath = beneath
        self._batch_id = batch_id
        self.store: EventStore = trial.store

    def kin(self, orders: Sequence[Order], since: datetime) -> list[Order]:
        own = {order.request_id: order for order in self._trial.kin(orders, since)}
        return [*own.values(), *(o for o in self._beneath.kin(orders, since) if o.request_id not in own)]

    def used_by_batch(self, batch_id: str, without: Sequence[str]) -> Usage:
        return self._trial.used_by_batch(batch_id, without)

    def used_in_period(self, start: datetime, end: datetime) -> Usage:
        counted, added = (
            self._beneath.used_in_period(start, end),
            self._trial.used_by_batch(self._batch_id, ()),
        )
        return Usage(counted.orders + added.orders, counted.rupiah + added.rupiah)


class _OneBlob:
    """A spool for one submission."""

    def __init__(self) -> None:
        self._content = b""

    def write(self, name: str, content: bytes) -> str:
        self._content = content
        return f"check:{name}"

    def open(self, uri: str) -> BinaryIO:
        del uri  # there is only one
        return BytesIO(self._content)
