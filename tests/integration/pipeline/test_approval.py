"""Maker and checker: what is asked for, whose answer counts, and that nothing else is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sat_hook.audit.findings import Finding
from sat_hook.audit.rebuild import compare_projections
from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, load_batch
from sat_hook.domain.approval_events import ApprovalTerms
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import RequestApproval
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import GuardRules
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Admit, Hold, Quote
from sat_hook.domain.order_events import HoldReason, QuoteSource
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.pipeline.approval import approval_is_needed, approve, ask_for_approval, reject
from sat_hook.pipeline.approval_request import ApprovalPolicy, ApprovalRequest, maker_of, quotes_digest
from sat_hook.pipeline.errors import (
    ApprovalRejectedError,
    ApprovalTermsChangedError,
    ApproverRefusedError,
    BatchStoppedError,
    ChargedAboveQuoteError,
)
from sat_hook.pipeline.execution import Gate
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_batch, decide_held_order
from sat_hook.pipeline.limits import ExecutionLimits
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.testing.event_store import MemoryEventStore
from sat_hook.testing.guards import MemoryGuardLedger
from tests.orders import BY_TEST, ManualClock
from tests.pipeline import Line
from tests.quoted_batches import Row, orders_of, quoted_batch

MAKER = Provenance("user:mia", "plugin:submit")
CHECKER = Provenance("user:carl", "answer to task approve")
ALWAYS = ApprovalPolicy(over_rupiah=0)


class Desk:
    """A batch on its way to approval, in memory."""

    def __init__(self, *rows: Row, maker: Provenance = MAKER, rules: GuardRules | None = None) -> None:
        self.clock = ManualClock()
        self.store = MemoryEventStore(self.clock)
        self.handler = CommandHandler(self.store, self.clock)
        self.rules = rules or GuardRules()
        self.batch_id = quoted_batch(self.handler, "a", rows, maker=maker)
        self.guard()

    def guard(self) -> None:
        """Let the guards look."""
        guard_batch(self.handler, MemoryGuardLedger(self.store), self.batch_id, self.rules, BY_TEST)

    def ask(self, policy: ApprovalPolicy = ALWAYS) -> ApprovalRequest | None:
        """What has to be approved."""
        return ask_for_approval(self.handler, self.batch_id, policy, BY_TEST)

    def asked(self, policy: ApprovalPolicy = ALWAYS) -> ApprovalTerms:
        """The terms of what is asked for, and something is."""
        request = self.ask(policy)
        assert request is not None
        return request.terms

    def approve(
        self, terms: ApprovalTerms, who: Provenance = CHECKER, policy: ApprovalPolicy = ALWAYS
    ) -> Batch:
        """Answer yes."""
        return approve(self.handler, self.batch_id, policy, terms, who)

    @property
    def orders(self) -> list[Order]:
        return orders_of(self.handler, self.batch_id)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Actor and data of the batch's events of a type."""
        stream = self.store.read_stream(StreamId(StreamKind.BATCH, self.batch_id))
        return [(e.provenance.actor, e.data) for e in stream if e.type_name == name]


TWO = (Row("081211000001", 10_000), Row("081211000002", 20_000))
TWINS = (Row("081211000001", 10_000), Row("081211000001", 10_000), Row("081211000003", 20_000))


@pytest.mark.parametrize(
    ("over_rupiah", "needed"), [(None, False), (0, True), (29_999, True), (30_000, False), (30_001, False)]
)
def test_an_approval_is_needed_over_the_threshold(over_rupiah: int | None, needed: bool) -> None:
    """None is never, 0 is always, and exactly the threshold is not over it."""
    desk = Desk(*TWO)
    request = desk.ask(ApprovalPolicy(over_rupiah))
    assert (request is not None) is needed
    assert bool(desk.events("ApprovalRequested")) is needed


def test_the_request_pins_file_number_total_and_every_quote() -> None:
    """What is asked for is what would be sent, with its maker, and no customer's number."""
    desk = Desk(*TWO)
    request = desk.ask()
    assert request is not None
    assert request.terms == ApprovalTerms(
        digest="0" * 64,
        orders=2,
        total_rupiah=30_000,
        quotes_digest=quotes_digest(
            [(o.request_id, o.quote_rupiah or 0) for o in desk.orders],
            payloads={o.request_id: o.payload_digest for o in desk.orders},
        ),
    )
    assert request.maker == "mia"
    assert request.products == {"50k-simpati": (2, 30_000)}
    assert "0812110000" not in repr(request)
    assert desk.ask() == replace(request, batch=load_batch(desk.store, desk.batch_id))
    assert len(desk.events("ApprovalRequested")) == 1, "asked again, recorded once"


def test_an_approval_is_about_whom_the_orders_are_for() -> None:
    """With another client number behind a request id, however it came there, nothing is approved."""
    desk = Desk(*TWO)
    terms = desk.asked()
    changed = desk.orders[0].model_copy(update={"client_number": "081966666666"})
    desk.store.orders[changed.request_id] = changed
    with pytest.raises(ApprovalTermsChangedError):
        desk.approve(terms)
    assert {order.approved_rupiah for order in desk.orders} == {None}


def test_terms_of_an_earlier_release_are_still_what_was_asked() -> None:
    """Asked before the digest covered client numbers, answered after it does."""
    desk = Desk(*TWO)
    request = desk.ask()
    assert request is not None
    earlier = request.terms.model_copy(
        update={"quotes_digest": quotes_digest((o.request_id, o.quote_rupiah or 0) for o in desk.orders)}
    )
    desk.handler.apply_to_batch(desk.batch_id, RequestApproval(earlier, 0), BY_TEST)
    assert desk.approve(earlier).approved == earlier
    assert [order.approved_rupiah for order in desk.orders] == [10_000, 20_000]


def test_the_digest_of_quotes_covers_ids_and_prices_in_any_order() -> None:
    """Another id, another price or another set is another digest."""
    one, two = ("S1", 10), ("S2", 20)
    assert quotes_digest([one, two]) == quotes_digest([two, one])
    others = ([one], [one, ("S2", 21)], [one, ("S3", 20)], [("S1", 20), ("S2", 10)])
    digests = {quotes_digest(other) for other in others}
    assert len(digests) == 4
    assert quotes_digest([one, two]) not in digests


def test_an_approval_is_recorded_under_its_user_order_by_order() -> None:
    """The batch and each order carry what was approved; asked again, nothing is."""
    desk = Desk(*TWO)
    batch = desk.approve(desk.asked())
    assert (batch.approver, batch.approved) == ("carl", batch.asked_for)
    assert [order.approved_rupiah for order in desk.orders] == [10_000, 20_000]
    [(actor, data)] = desk.events("BatchApproved")
    assert actor == "user:carl"
    assert '"approver":"carl"' in data
    for order in desk.orders:
        events = desk.store.read_stream(StreamId(StreamKind.ORDER, order.request_id))
        assert [e.provenance.actor for e in events if e.type_name == "OrderApproved"] == ["user:carl"]
    assert desk.ask() is None


@pytest.mark.parametrize("name", ["mia", "Mia", "MIA", "ｍｉａ", " mia ", "m\u200bia", "mi\u00ada"])
def test_nobody_approves_their_own_batch(name: str) -> None:
    """Refused and recorded under the maker's name; another user's answer still counts afterwards."""
    desk = Desk(*TWO)
    terms = desk.asked()
    with pytest.raises(ApproverRefusedError, match="expected another user"):
        desk.approve(terms, Provenance(f"user:{name}", "answer"))
    [(actor, data)] = desk.events("ApprovalRefused")
    assert actor == f"user:{name}"
    assert '"own_batch"' in data
    assert not any(order.approved_rupiah for order in desk.orders)
    assert desk.approve(terms).approver == "carl"


def test_an_answer_of_nobody_does_not_count() -> None:
    """An actor that is no user cannot approve."""
    desk = Desk(*TWO)
    with pytest.raises(ApproverRefusedError, match="names no user"):
        desk.approve(desk.asked(), BY_TEST)


def test_whoever_may_approves_what_a_service_submitted() -> None:
    """Rows of a table that a schedule had paid have no maker among users."""
    desk = Desk(*TWO, maker=Provenance("service:airflow", "task intake"))
    assert maker_of(desk.store, desk.batch_id) is None
    assert desk.approve(desk.asked()).approver == "carl"


@pytest.mark.parametrize("change", ["price", "fewer", "more"])
def test_what_changed_since_it_was_shown_is_not_approved(change: str) -> None:
    """Another total or another set of orders: refused, recorded, and nothing is approved."""
    desk = Desk(*TWINS)
    terms = desk.asked()
    first, twin, _ = desk.orders
    if change == "price":
        until = desk.clock.now()
        desk.handler.apply(
            [OrderCommandRequest(first.request_id, Quote(9_000, QuoteSource.CATALOGUE, None, until))], BY_TEST
        )
    elif change == "fewer":
        desk.handler.apply(
            [OrderCommandRequest(first.request_id, Hold(HoldReason.LIMIT, "by another run"))], BY_TEST
        )
    else:
        decide_held_order(desk.handler, twin.request_id, HeldDecision.RELEASE, "both", CHECKER)
        desk.guard()
    with pytest.raises(ApprovalTermsChangedError, match="has changed since"):
        desk.approve(terms)
    [(actor, data)] = desk.events("ApprovalRefused")
    assert actor == "user:carl"
    assert '"terms_changed"' in data
    assert not any(order.approved_rupiah for order in desk.orders)
    assert desk.approve(desk.asked()).approver == "carl"


def test_an_approval_cut_short_is_finished_under_its_approver() -> None:
    """The batch's approval is recorded first; the next run gives its orders theirs, and asks no person."""
    desk = Desk(*TWO)
    terms = desk.asked()

    class CutShortError(Exception):
        """The process dies here."""

    class Dying(CommandHandler):
        def apply(self, *_: object, **__: object) -> dict[str, object]:  # type: ignore[override]
            raise CutShortError

    with pytest.raises(CutShortError):
        approve(Dying(desk.store, desk.clock), desk.batch_id, ALWAYS, terms, CHECKER)
    assert not any(order.approved_rupiah for order in desk.orders)
    assert desk.ask() is None
    for order in desk.orders:
        last = desk.store.read_stream(StreamId(StreamKind.ORDER, order.request_id))[-1]
        assert (last.type_name, last.provenance.actor) == ("OrderApproved", "user:carl")


def test_a_rejected_batch_ends_and_none_of_its_orders_is_sent() -> None:
    """Quoted ones are rejected, held ones cancelled, the batch refused, by name. Makers may reject, too."""
    desk = Desk(*TWINS)
    terms = desk.asked()
    with pytest.raises(ApprovalRejectedError, match="'mia' rejected"):
        reject(desk.handler, desk.batch_id, terms, MAKER)
    assert [order.state for order in desk.orders] == [
        OrderState.REJECTED,
        OrderState.CANCELLED,
        OrderState.REJECTED,
    ]
    assert desk.orders[0].reason_code == "approval_rejected"
    batch = load_batch(desk.store, desk.batch_id)
    assert (batch.state, batch.refusal_code) == (BatchState.REFUSED, "approval_rejected")
    assert [actor for actor, _ in desk.events("ApprovalRejected")] == ["user:mia"]
    with pytest.raises(BatchStoppedError, match="was refused"):
        desk.ask()


def test_held_orders_stay_held_unless_they_are_asked_for() -> None:
    """By default an approval is about what the guards let through."""
    desk = Desk(*TWINS)
    assert desk.asked().orders == 2
    desk.approve(desk.asked())
    assert [order.state for order in desk.orders] == [
        OrderState.QUOTED,
        OrderState.HELD,
        OrderState.QUOTED,
    ]


def test_held_orders_that_are_asked_for_are_released_by_the_approval() -> None:
    """They alone make an approval necessary; released, admitted and approved in one act of its approver."""
    desk = Desk(*TWINS)
    policy = ApprovalPolicy(held_too=True)
    request = desk.ask(policy)
    assert request is not None
    assert (request.terms.orders, dict(request.held)) == (3, {"business_duplicate": 1})
    desk.approve(request.terms, policy=policy)
    assert all(order.admitted_at and order.approved_rupiah for order in desk.orders)
    twin = desk.orders[1]
    events = desk.store.read_stream(StreamId(StreamKind.ORDER, twin.request_id))[-3:]
    assert [e.type_name for e in events] == ["OrderReleased", "OrderAdmitted", "OrderApproved"]
    assert {e.provenance.actor for e in events} == {"user:carl"}
    desk.guard()
    assert desk.orders[1].state is OrderState.QUOTED


def test_once_asked_a_batch_is_never_sent_without_an_approval() -> None:
    """Run again with a laxer policy, the batch still needs one: also for what is released later."""
    desk = Desk(*TWINS)
    desk.approve(desk.asked())
    decide_held_batch(desk.handler, desk.batch_id, HeldDecision.RELEASE, "checked", MAKER)
    desk.guard()
    never = ApprovalPolicy()
    assert approval_is_needed(desk.store, load_batch(desk.store, desk.batch_id), never)
    terms = desk.asked(never)
    assert terms.orders == 3, "everything that would be sent now"
    with pytest.raises(ApproverRefusedError):
        desk.approve(terms, MAKER, never)


def test_bit_by_bit_does_not_go_around_the_threshold() -> None:
    """The sum is that of the whole batch, whatever of it went out before."""
    desk = Desk(*TWINS)
    policy = ApprovalPolicy(over_rupiah=35_000)
    assert desk.ask(policy) is None
    decide_held_batch(desk.handler, desk.batch_id, HeldDecision.RELEASE, "checked", MAKER)
    desk.guard()
    assert desk.ask(policy) is not None


CSV = b"order_id,product_code,client_number\nA1,25k-xl,081811110001\nA2,25k-xl,081811110002\n"


def ready(line: Line, content: bytes = CSV) -> str:
    """A batch that is quoted, guarded and funded."""
    batch_id = line.quoted(content)
    guard_batch(line.handler, PostgresGuardLedger(line.store.database), batch_id, GuardRules(), BY_TEST)
    line.reserve(batch_id)
    return batch_id


def test_only_approved_orders_are_sent_whatever_became_of_the_task_before(line: Line) -> None:
    """Without an approval they are held; approved and run again they go out, at most at that price."""
    batch_id = ready(line)
    assert line.send(batch_id, Gate(True, True)).held == 2
    assert not line.server.ledger()["requests"]
    policy = ApprovalPolicy(over_rupiah=0, held_too=True)
    request = ask_for_approval(line.handler, batch_id, policy, BY_TEST)
    assert request is not None
    approve(line.handler, batch_id, policy, request.terms, CHECKER)
    line.reserve(batch_id)
    assert line.send(batch_id, Gate(True, True)).accepted == 2
    assert len(line.server.ledger()["requests"]) == 2


def test_a_price_above_the_approved_one_holds_the_order(line: Line) -> None:
    """Approved at one price, found dearer when it is sent: a person has to look again."""
    batch_id = ready(line)
    request = ask_for_approval(line.handler, batch_id, ALWAYS, BY_TEST)
    assert request is not None
    approve(line.handler, batch_id, ALWAYS, request.terms, CHECKER)
    first = line.orders(batch_id)["A1"]
    dearer = Quote(first.quote_rupiah + 1, first.quote_source, None, first.quote_valid_until)  # type: ignore[operator,arg-type]
    line.handler.apply([OrderCommandRequest(first.request_id, dearer)], BY_TEST)
    # The guards have looked at the dearer quote, too.
    line.handler.apply([OrderCommandRequest(first.request_id, Admit(first.admitted_at))], BY_TEST)  # type: ignore[arg-type]
    line.reserve(batch_id)
    catalogue = {
        "25k-xl": CatalogueEntry("25k-xl", dearer.price_rupiah, is_inquiry=False, is_active=True, status=1)
    }
    report = line.send(batch_id, Gate(True, True), catalogue=catalogue)
    assert (report.accepted, report.held) == (0, 2)
    orders = line.orders(batch_id)
    assert {order.reason_code for order in orders.values()} == {"approval", "price_above_quote"}
    assert orders["A1"].held_rupiah == dearer.price_rupiah
    assert not line.server.ledger()["requests"]


def test_an_order_released_after_the_guards_looked_is_not_sent_by_that_run(line: Line) -> None:
    """It stays quoted for the next run of the batch, whose guards look at it first."""
    batch_id = ready(line, CSV + b"A3,25k-xl,081811110001\n")
    twin = line.orders(batch_id)["A3"]
    assert twin.reason_code == "business_duplicate"
    decide_held_order(line.handler, twin.request_id, HeldDecision.RELEASE, "both of them", CHECKER)
    line.reserve(batch_id)
    report = line.send(batch_id, Gate(admitted_only=True))
    assert (report.accepted, report.not_admitted) == (2, 1)
    guard_batch(line.handler, PostgresGuardLedger(line.store.database), batch_id, GuardRules(), BY_TEST)
    assert line.send(batch_id, Gate(admitted_only=True)).accepted == 1
    assert len(line.server.ledger()["requests"]) == 3


def test_a_charge_above_the_quote_stops_the_chunk_and_is_recorded(line: Line) -> None:
    """SAT's list lags behind its prices: the first charge is one too many, the others are not made."""
    rows = "".join(f"A{n},25k-xl,08181111{n:04d}\n" for n in range(20)).encode()
    batch_id = line.quoted(b"order_id,product_code,client_number\n" + rows)
    orders = line.orders(batch_id)
    real = orders["A0"].quote_rupiah
    assert real is not None
    listed = {"25k-xl": CatalogueEntry("25k-xl", real - 500, is_inquiry=False, is_active=True, status=1)}
    cheaper = [
        OrderCommandRequest(o.request_id, Quote(real - 500, QuoteSource.CATALOGUE, None, o.quote_valid_until))  # type: ignore[arg-type]
        for o in orders.values()
    ]
    line.handler.apply(cheaper, BY_TEST)
    line.reserve(batch_id)
    with pytest.raises(ChargedAboveQuoteError, match=f"quoted {real - 500} rupiah and charged {real}"):
        line.send(batch_id, Gate(), catalogue=listed, limits=ExecutionLimits(in_flight=2))
    assert 1 <= len(line.server.ledger()["requests"]) <= 4
    orders = line.orders(batch_id)
    sent = [order for order in orders.values() if order.attempt]
    assert all(order.overcharged_rupiah == real for order in sent)
    events = line.store.read_stream(StreamId(StreamKind.ORDER, sent[0].request_id))
    assert "ChargedAboveQuote" in [event.type_name for event in events]
    assert sum(order.state is OrderState.QUOTED for order in orders.values()) == 20 - len(sent)


def test_projections_follow_from_the_log(line: Line) -> None:
    """Guarded, released, approved, held again: every derived row is what its events say."""
    batch_id = ready(line, CSV + b"A3,25k-xl,081811110001\n")
    policy = ApprovalPolicy(over_rupiah=0, held_too=True)
    request = ask_for_approval(line.handler, batch_id, policy, BY_TEST)
    assert request is not None
    approve(line.handler, batch_id, policy, request.terms, CHECKER)
    twin = line.orders(batch_id)["A3"]
    line.handler.apply(
        [OrderCommandRequest(twin.request_id, Hold(HoldReason.PRICE_ABOVE_QUOTE, "", 90_000))], BY_TEST
    )
    found: list[Finding] = []
    assert compare_projections(line.store.database, found.append).is_clean, found
