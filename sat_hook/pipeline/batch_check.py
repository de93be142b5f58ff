"""Check a file without submitting it: the outcome of each row, prices, deposit, guards and approval.

Every rule is that of the pipeline: the same deciders and folds, row by row in memory. Nothing is recorded, no
id is used, and SAT is asked only for its price list and the deposit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from sat_hook.domain.batch import Batch
from sat_hook.domain.batch_events import BatchSubmitted, RowVerdict
from sat_hook.domain.business_day import business_day
from sat_hook.domain.decision import Refusal
from sat_hook.domain.event_record import Event, StreamId, StreamKind
from sat_hook.domain.funds import BalanceObservation, available_rupiah
from sat_hook.domain.grouping import grouped
from sat_hook.domain.guards import NO_RULES, AccountRules, Usage, amount_of, rule_on
from sat_hook.domain.identity import account_id_of, batch_id_of, digest_of, request_id_of
from sat_hook.domain.masking import masked_words
from sat_hook.domain.order import Order, OrderState, evolve, with_members
from sat_hook.domain.order_commands import Hold, OrderCommand, Quote, Receive, Reject, Validate
from sat_hook.domain.order_decisions import decide
from sat_hook.domain.order_events import OrderReceived, QuoteSource, RejectionReason
from sat_hook.domain.people import USER_PREFIX
from sat_hook.domain.ports import Clock
from sat_hook.domain.pricing import CatalogueEntry, SimilarCodes
from sat_hook.pipeline import row_findings
from sat_hook.pipeline.batch_summary import needs_in_words
from sat_hook.pipeline.errors import OrderFileError, SubmissionRefusedError
from sat_hook.pipeline.file_submission import find_in
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.intake import each_row, received_from, set_aside_by
from sat_hook.pipeline.limits import FILE_LIMITS, BadRowsPolicy, FileLimits, FundingLimits
from sat_hook.pipeline.order_file import FileRow, OrderFile, RowProblem
from sat_hook.pipeline.row_findings import Light, Origin, RowFinding
from sat_hook.pipeline.submission import submitted_name
from sat_hook.pipeline.validation import verdict_on
from sat_hook.store.event_store import EventStore, Need, in_order_of_rows
from sat_hook.store.funds import FundsStore
from sat_hook.store.guards import GuardLedger

READ_AT_ONCE = 5_000
ORIGINS_READ = 20
_NEEDING = (RowVerdict.REFUSED.value, OrderState.REJECTED.value, OrderState.HELD.value)


class ProductTotal(NamedTuple):
    """The payable orders of one product.

    :param price_rupiah: the listed price; None for bills, whose total is not known.
    """

    product_code: str
    orders: int
    price_rupiah: int | None
    rupiah: int


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """The outcome that submitting a file would have. Rupiah.

    :param known_batch: the batch, if the file was submitted before; everything below is then left empty.
    :param known_rows: rows whose orders were submitted before; they are not paid again.
    :param payable: orders that would be sent.
    :param total_rupiah: the cost of the orders with a listed price; ``bills`` are the others.
    :param free_rupiah: the part of the deposit that is not committed.
    :param needs_approval: whether another person would have to approve; None when that rests on the bills.
    :param approvers: how many persons would have to approve the orders with a listed price.
    :param findings: rows that need a person or are not paid again. ``remarks`` are rows that can be paid and
        are worth a look: bills, and rows that the free deposit does not reach.
    :param row_numbers: of every row that was read, in order; ``lights`` has a letter for each
        (:attr:`Light.letter`).
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
    approvers: int = 0
    approval_over_rupiah: int | None = None
    needs: tuple[Need, ...] = ()
    findings: tuple[RowFinding, ...] = ()
    products: tuple[ProductTotal, ...] = ()
    rules: AccountRules = NO_RULES
    remarks: tuple[RowFinding, ...] = field(default=(), repr=False)
    row_numbers: tuple[int, ...] = field(default=(), repr=False)
    lights: bytes = field(default=b"", repr=False)

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
    """Check an order file.

    :raises SubmissionRefusedError: it cannot become a batch.
    :raises SATError: SAT does not give its price list or the deposit.
    """
    digest = digest_of(content)
    batch_id = batch_id_of(account, (reference or digest).strip())
    known = around.store.load_batch(batch_id)
    if known is not None and known.digest == digest:
        return BatchCheck(account, known_batch=known)
    if on_bad_rows is BadRowsPolicy.REFUSE:
        find_in(content, file_name, on_bad_rows, around.files)
    with gc_for_bulk_work():
        return _checked(
            _Check(around, account, batch_id, submitted_name(content, file_name, around.files)),
            content,
            on_bad_rows,
        )


def _checked(check: _Check, content: bytes, on_bad_rows: BadRowsPolicy) -> BatchCheck:
    check.read(content)
    check.validate()
    if on_bad_rows is BadRowsPolicy.REFUSE and check.found:
        needs, first = needs_in_words(check.rows, check.needs()), min(check.found, key=_by_row)
        raise SubmissionRefusedError(f"{needs}; the first: {first.message}")
    check.guard()
    return check.conclude()


class _Check:
    """The rows of a file on their way through the rules."""

    def __init__(self, around: Surroundings, account: str, batch_id: str, file_name: str) -> None:
        self.file_name = file_name
        self.found: list[RowFinding] = []
        self._around, self._account, self._batch_id = around, account, batch_id
        self._now = around.clock.now()
        self._row_numbers: list[int] = []
        # Orders are large: each is made when it is looked at, of the order before it and its row.
        self._received: dict[str, tuple[Order | None, OrderReceived]] = {}
        self._quoted: list[Order] = []
        # By product, an order that was received for the first time, validated and quoted.
        self._models: dict[str, Order] = {}
        self._bills: list[Order] = []
        self._origins: dict[str, Origin] = {}

    @property
    def rows(self) -> int:
        return len(self._row_numbers)

    def read(self, content: bytes) -> None:
        """Read the rows, and receive those that can be orders."""
        try:
            file = OrderFile(content, self.file_name, self._around.files)
            for group in grouped(each_row(file), READ_AT_ONCE):
                self._receive(group)
        except OrderFileError as error:
            raise SubmissionRefusedError(str(error)) from None

    def _receive(self, group: Sequence[FileRow]) -> None:
        request_ids = {
            row.row_number: request_id_of(self._account, row.outcome.order_id)
            for row in group
            if not isinstance(row.outcome, RowProblem)
        }
        known = self._around.store.load_orders(set(request_ids.values()) - self._received.keys())
        for row in group:
            self._row_numbers.append(row.row_number)
            if isinstance(row.outcome, RowProblem):
                self.found.append(
                    row_findings.of_problem(row.row_number, row.order_id, row.outcome, self.file_name)
                )
                continue
            request_id = request_ids[row.row_number]
            received = received_from(self._account, self._batch_id, row.row_number, row.outcome)
            is_again = request_id in self._received
            before = self._order(request_id) if is_again else known.get(request_id)
            decision = decide(before, Receive(received))
            if isinstance(decision, Refusal):
                assert before is not None  # only an order can refuse
                aside = set_aside_by(row, received, before, decision.reason, self.file_name)
                self.found.append(row_findings.of_row_set_aside(aside, before, self._origin_of(before)))
                continue
            self._received[request_id] = before, received

    def validate(self) -> None:
        """Judge the orders by the catalogue, and quote those that have a listed price."""
        catalogue = self._around.catalogue()
        similar = SimilarCodes(catalogue)
        active = SimilarCodes(code for code, entry in catalogue.items() if entry.is_active)
        valid_until = self._now + timedelta(days=1)
        for request_id, (_, received) in self._received.items():
            verdict = verdict_on(received, catalogue, similar)
            if isinstance(verdict, Reject):
                order = self._order(request_id)
                entry = catalogue.get(order.product_code)
                near = similar.to(order.product_code) if entry is None else None
                if verdict.reason is RejectionReason.INACTIVE_PRODUCT:
                    near = active.to(order.product_code)
                self.found.append(row_findings.of_rejection(order, verdict, entry, near, self.file_name))
            elif verdict.is_inquiry:
                self._bills.append(self._after(self._order(request_id), verdict))
            else:
                price = verdict.list_price_rupiah
                quote = Quote(price, QuoteSource.CATALOGUE, None, valid_until)
                self._quoted.append(self._quoted_order(request_id, verdict, quote))

    def _order(self, request_id: str) -> Order:
        """An order of this file, as received."""
        before, received = self._received[request_id]
        return self._folded(before, request_id, (received,))

    def _quoted_order(self, request_id: str, validate: Validate, quote: Quote) -> Order:
        """An order of this file, validated and quoted.

        Deciding and folding is done once a product: its orders that were received for the first time differ
        only in what their rows say, which neither command reads or changes.
        """
        before, received = self._received[request_id]
        model = self._models.get(received.product_code) if before is None else None
        if model is not None:
            return with_members(model, {**received.__dict__, "request_id": request_id})
        order = self._after(self._order(request_id), validate, quote)
        if before is None:
            self._models[received.product_code] = order
        return order

    def _after(self, order: Order, *commands: OrderCommand) -> Order:
        for command in commands:
            decision = decide(order, command)
            assert not isinstance(decision, Refusal), decision
            order = self._folded(order, order.request_id, decision)
        return order

    def _folded(self, order: Order | None, request_id: str, events: Iterable[Event]) -> Order:
        for event in events:
            order = evolve(order, request_id, event, self._now)
        assert order is not None
        return order

    def guard(self) -> None:
        """Ask the guards, who read what counts already and lock nothing."""
        rules, kin, day_used = self._around.rules.guards, list[Order](), Usage()
        with self._around.ledger.reading(self._account) as account:
            if rules.duplicate_days:
                since = self._now - timedelta(days=rules.duplicate_days)
                for group in grouped(self._quoted, READ_AT_ONCE):
                    kin += account.kin(group, since)
            if rules.limits_the_day:
                day_used = account.used_on(business_day(self._now))
        orders = {order.request_id: order for order in self._quoted}
        self._quoted = []
        for ruling in rule_on(list(orders.values()), kin, Usage(), day_used, rules, self._now):
            order, command = orders[ruling.request_id], ruling.command
            if isinstance(command, Hold):
                origin = self._origin_of(ruling.earlier) if ruling.earlier is not None else None
                self.found.append(row_findings.of_hold(order, ruling, command, origin, self.file_name))
            else:
                self._quoted.append(order)

    def needs(self) -> tuple[Need, ...]:
        """The rows that need a person, by reason."""
        counted = Counter((one.standing, one.code) for one in self.found if one.standing in _NEEDING)
        return in_order_of_rows(Need(standing, code, rows) for (standing, code), rows in counted.items())

    def conclude(self) -> BatchCheck:
        """Compare with the deposit and the threshold of approval."""
        around, products = self._around, self._products()
        total = sum(product.rupiah for product in products)
        standing = around.store.load_account(account_id_of(self._account))
        observation = around.deposit()
        with around.funds.looking(self._account) as funds:
            before = observation.includes_before(around.funding.saldo_lag_seconds)
            free = available_rupiah(observation, funds.outstanding(before))
        over_rupiah, tiers = around.rules.approval_over_rupiah, around.rules.approval_tiers
        approvers = tiers.persons(total)
        needs_approval: bool | None = approvers > 0
        if self._bills and any(over is not None for over in tiers.over_rupiah) and not needs_approval:
            needs_approval = None
        remarks = sorted(self._remarks(free, total), key=_by_row)
        return BatchCheck(
            account=self._account,
            pause_reason=masked_words(standing.pause_reason or "")
            if standing is not None and standing.is_paused
            else None,
            rows=self.rows,
            known_rows=sum(one.standing == RowVerdict.ALREADY_KNOWN.value for one in self.found),
            payable=len(self._quoted) + len(self._bills),
            bills=len(self._bills),
            total_rupiah=total,
            saldo_rupiah=observation.saldo_rupiah,
            free_rupiah=free,
            needs_approval=needs_approval,
            approvers=approvers,
            approval_over_rupiah=over_rupiah,
            needs=self.needs(),
            findings=tuple(sorted(self.found, key=_by_row)),
            products=products,
            rules=around.rules,
            remarks=tuple(remarks),
            row_numbers=tuple(self._row_numbers),
            lights=self._lights(remarks),
        )

    def _remarks(self, free_rupiah: int, total_rupiah: int) -> Iterator[RowFinding]:
        """The bills, and the rows that the free deposit does not reach."""
        for order in self._bills:
            yield row_findings.of_bill(order, self.file_name)
        for order in self._quoted if total_rupiah > free_rupiah else ():
            free_rupiah -= amount_of(order)
            if free_rupiah < 0:
                yield row_findings.of_short_funds(order, self.file_name)

    def _products(self) -> tuple[ProductTotal, ...]:
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for order in self._quoted:
            totals[order.product_code][0] += 1
            totals[order.product_code][1] += amount_of(order)
        prices = {order.product_code: order.quote_rupiah for order in self._quoted}
        priced = [ProductTotal(code, n, prices[code], rupiah) for code, (n, rupiah) in totals.items()]
        bills = Counter(order.product_code for order in self._bills)
        unpriced = [ProductTotal(code, number, None, 0) for code, number in bills.items()]
        return tuple(sorted(priced + unpriced, key=lambda one: (-one.rupiah, one.product_code)))

    def _lights(self, remarks: Iterable[RowFinding]) -> bytes:
        lights = dict.fromkeys(self._row_numbers, Light.GREEN.letter)
        for finding in (*remarks, *self.found):
            lights[finding.row_number] = finding.light.letter
        return b"".join(lights.values())

    def _origin_of(self, order: Order) -> Origin | None:
        """Where an earlier order came from; None for one of this file, or after many others."""
        batch_id = order.batch_id
        if batch_id == self._batch_id:
            return None
        if batch_id not in self._origins and len(self._origins) < ORIGINS_READ:
            self._origins[batch_id] = _origin(self._around.store, batch_id)
        return self._origins.get(batch_id) or Origin("", "", "")


def _origin(store: EventStore, batch_id: str) -> Origin:
    for recorded in store.read_stream(StreamId(StreamKind.BATCH, batch_id)):
        if isinstance(event := recorded.event, BatchSubmitted):
            maker = recorded.provenance.actor.removeprefix(USER_PREFIX)
            return Origin(event.file_name, maker, recorded.recorded_at.isoformat(timespec="seconds"))
    return Origin("", "", "")


def _by_row(finding: RowFinding) -> tuple[int, str]:
    return finding.row_number, finding.code
