"""The stories of the golden histories, played again by ``python -m tests.golden record NAME``.

Each is played with the real pipeline on PostgreSQL against the local SAT server. A story may stop working as
the code changes; its history stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain import legacy_events as legacy
from sat_hook.domain.batch import Batch, evolve_batch
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.guards import GuardRules
from sat_hook.domain.order import Order
from sat_hook.domain.order_commands import Quote, RecordStatus
from sat_hook.domain.order_events import QuoteSource
from sat_hook.domain.pricing import CatalogueEntry
from sat_hook.pipeline.approval import approve, ask_for_approval, reject
from sat_hook.pipeline.approval_request import ApprovalPolicy
from sat_hook.pipeline.delivery import deliver
from sat_hook.pipeline.errors import PipelineError
from sat_hook.pipeline.execution import Gate
from sat_hook.pipeline.funding import check_balance, record_observation
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_batch
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import ExecutionLimits, FundingLimits, RecoveryLimits
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.overrides import Resolution, ask_about, pause_account, resolve_order, resume_account
from sat_hook.pipeline.validation import catalogue_of
from sat_hook.store.event_store import Change
from sat_hook.store.guards import PostgresGuardLedger
from tests.integration.pipeline.test_recovery import (
    AT_ONCE,
    Shifted,
    lose_requests,
    recover,
    recover_until_ended,
)
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line

HEADER = "order_id,product_code,client_number\n"
ONE = f"{HEADER}INV-1,50k-simpati,081200000001\n"
BY_OPS = Provenance("user:olivia", "plugin:resolve")
MAKER = Provenance("user:mia", "plugin:submit")
CHECKER = Provenance("user:carl", "answer to task approve")
ENDS_SOON = {"fulfilment": {"min_seconds": 0.15, "max_seconds": 0.2}}


@dataclass(frozen=True)
class Story:
    """What happens, and the SAT it happens with."""

    title: str
    play: Callable[[Line], None]
    scenario: dict[str, object] = field(default_factory=dict)


STORIES: dict[str, Story] = {}


def story(title: str, **scenario: object) -> Callable[[Callable[[Line], None]], Callable[[Line], None]]:
    """Registers a story under its function's name."""

    def register(play: Callable[[Line], None]) -> Callable[[Line], None]:
        name = play.__name__.replace("_", "-")
        STORIES[name] = Story(title, play, {**ENDS_SOON, **scenario})
        return play

    return register


def always(fault: str, **more: object) -> list[dict[str, object]]:
    """Return a scenario's rules: this fault every time."""
    return [{"fault": fault, **more}]


def ready(line: Line, content: str = ONE, **rules: int | None) -> str:
    """Return a batch that is quoted, guarded and funded."""
    batch_id = line.submit(content.encode()).batch_id
    prepare(line, batch_id, **rules)
    return batch_id


def prepare(line: Line, batch_id: str, **rules: int | None) -> None:
    """Take a batch in, quote it, guard it and reserve its funds."""
    line.take_in(batch_id)
    check_balance(line.handler, batch_id, line.look().saldo_rupiah, BY_TEST)
    line.quote(batch_id)
    guard(line, batch_id, **rules)
    line.reserve(batch_id)


def guard(line: Line, batch_id: str, **rules: int | None) -> None:
    """Run the guards."""
    ledger = PostgresGuardLedger(line.store.database)
    guard_batch(line.handler, ledger, batch_id, GuardRules(**rules), BY_TEST)  # type: ignore[arg-type]


def send(
    line: Line,
    batch_id: str,
    gate: Gate | None = None,
    catalogue: dict[str, CatalogueEntry] | None = None,
    limits: ExecutionLimits | None = None,
) -> None:
    """Send the batch as one chunk, behind its gate."""
    line.send(batch_id, gate or Gate(admitted_only=True), catalogue=catalogue, limits=limits)


def pay(line: Line, content: str = ONE) -> str:
    """A batch from its submission to its results."""
    batch_id = ready(line, content)
    send_and_finish(line, batch_id)
    return batch_id


def send_and_finish(line: Line, batch_id: str, gate: Gate | None = None) -> None:
    """Send a batch behind its gate, wait for its orders and write its results."""
    send(line, batch_id, gate)
    line.wait(batch_id)
    line.finish(batch_id)


def look_again(line: Line, order: Order) -> None:
    """Ask SAT for the order's status again, regardless of its state."""
    asked_at = SystemClock().now()
    with BlockingSATClient(line.settings, SystemClock()) as sat:
        ask = status_command(order.request_id, sat.ask_status(order.request_id), asked_at)
    assert ask is not None
    line.handler.apply([ask], BY_TEST)


def escalated(line: Line) -> Order:
    """Return an order whose request never arrived and that recovery escalated."""
    batch_id = ready(line)
    lose_requests(line, batch_id)
    for seconds in (3, 6):
        recover(line, ahead=timedelta(seconds=seconds), limits=RecoveryLimits(attempts=1))
    return line.only_order(batch_id)


def decide(line: Line, order: Order, resolution: Resolution, reason: str) -> None:
    """A person ends an escalated order, or has it sent again."""
    handler = line.handler
    handler.clock = Shifted(timedelta(seconds=8))
    resolve_order(handler, order.request_id, resolution, reason, BY_OPS, RecoveryLimits())


@story("Paid at the first attempt; the goods are delivered")
def paid(line: Line) -> None:
    """The usual life of an order."""
    batch_id = pay(line)
    deliver(line.store, batch_id, reason="sent to the shop", provenance=BY_OPS, clock=SystemClock())


@story("A bill: inquired, quoted with its fee, paid")
def bill_paid(line: Line) -> None:
    """The price is the inquiry's."""
    pay(line, f"{HEADER}INV-1,pln-postpaid,530000000000\n")


@story("Rows that are never sent: refused, repeated, unknown, inactive, too dear")
def never_sent(line: Line) -> None:
    """Verdicts of intake and validation, and a batch that completes without a payment."""
    content = (
        "order_id,product_code,client_number,amount_rupiah,max_rupiah\n"
        "A1,no-such-product,081200000001,,\n"
        "A2,100k-indosat,085600000001,,\n"
        "A3,50k-simpati,0812 0000 0002,,\n"
        "A4,50k-simpati,081200000003,,1000\n"
        "A1,no-such-product,081200000001,,\n"
    )
    batch_id = ready(line, content)
    line.finish(batch_id)


@story("A file that is no order file")
def file_refused(line: Line) -> None:
    """The batch ends as a whole."""
    batch_id = line.submit(b"order_id,product_code\nA1,50k-simpati\n").batch_id
    take_in(line.handler, line.spool, batch_id, BY_TEST)
    line.finish(batch_id)


@story("Refused by SAT at checkout, definitely")
def refused_by_sat(line: Line) -> None:
    """SAT answers P04 to the only transmission."""
    pay(line, f"{HEADER}INV-1,voucher-game-50k,081200000001\n")


@story("Failed at SAT, and signed so", faults=always("fails", code="S02", detail="Product is not available"))
def failed(line: Line) -> None:
    """The money is refunded."""
    pay(line)


@story("Failed, and a success after all", faults=always("failed_then_success", after_seconds=0.3))
def failed_then_success(line: Line) -> None:
    """The late success is an event of its own; results already written stay the same."""
    batch_id = pay(line)
    order = line.only_order(batch_id)
    line.server.wait_until(lambda book: book["requests"][order.request_id]["status"] == "Success")
    look_again(line, order)
    line.finish(batch_id)


@story("Paid, reversed, and contradicted", faults=always("success_then_reversed", after_seconds=0.3))
def reversed_and_contradicted(line: Line) -> None:
    """A signed Failed after a signed Success; a further Success is recorded, and the order is in doubt."""
    batch_id = pay(line)
    order = line.only_order(batch_id)
    line.server.wait_until(lambda book: book["requests"][order.request_id]["status"] == "Failed")
    look_again(line, order)
    again = RecordStatus("Success", SystemClock().now(), "c" * 64)
    line.handler.apply([OrderCommandRequest(order.request_id, again)], BY_TEST)
    line.finish(batch_id)


@story(
    "Paid, called failed by a stale answer, doubted, and paid after all",
    faults=always("stale_failure", skip=1),
)
def reversal_doubted(line: Line) -> None:
    """A signed Failed that was old: the next Success is confirmed by another query before it counts."""
    batch_id = pay(line)
    order = line.only_order(batch_id)
    for _ in range(2):
        look_again(line, order)
    for seconds in (3, 6):
        recover(line, ahead=timedelta(seconds=seconds))
    line.finish(batch_id)


@story(
    "SAT signs a status about another number, a person gets the order, and SAT is right in the end",
    faults=always("garbled_reply", manner="other_number", operations=["status"]),
)
def told_of_another_number(line: Line) -> None:
    """A status with the order's id and a good signature but another number does not end this order."""
    batch_id = ready(line)
    line.execution = AT_ONCE
    send(line, batch_id)
    line.wait(batch_id)
    line.server.set_faults({"faults": []})
    look_again(line, line.only_order(batch_id))
    line.finish(batch_id)


@story("The answer was lost, the order was not", faults=always("response_lost", times=1))
def answer_lost(line: Line) -> None:
    """Unknown, then a signed success."""
    pay(line)


@story("The request was lost, P02, sent again as it was, paid once")
def request_lost_and_sent_again(line: Line) -> None:
    """Recovery sends again only when SAT says that it does not know the order."""
    batch_id = ready(line)
    lose_requests(line, batch_id)
    for seconds in (3, 6):
        recover(line, ahead=timedelta(seconds=seconds))
    recover_until_ended(line, batch_id)
    line.finish(batch_id)


@story("Stuck at SAT, escalated, ended as succeeded by a person", faults=always("stuck_pending"))
def succeeded_by_operator(line: Line) -> None:
    """The order has no end after a day."""
    batch_id = ready(line)
    line.execution = AT_ONCE
    send(line, batch_id)
    recover(line, ahead=timedelta(seconds=3))
    recover(line, ahead=timedelta(hours=25))
    handler = line.handler
    handler.clock = Shifted(timedelta(hours=25))
    resolve_order(
        handler,
        line.only_order(batch_id).request_id,
        Resolution.SUCCEEDED,
        "seen in SAT's console",
        BY_OPS,
        RecoveryLimits(),
    )
    line.finish(batch_id)


@story("Escalated, ended as failed by a person, contradicted by a signed success")
def operator_contradicted(line: Line) -> None:
    """Signed evidence takes precedence, also over people."""
    order = escalated(line)
    decide(line, order, Resolution.FAILED, "SAT says that it has no trace")
    signed = RecordStatus("Success", Shifted(timedelta(seconds=9)).now(), "e" * 64, sales_price_rupiah=52_000)
    line.handler.apply([OrderCommandRequest(order.request_id, signed)], BY_TEST)
    line.finish(order.batch_id)


@story("Unknown, and a person has SAT asked about it")
def asked_by_operator(line: Line) -> None:
    """Who asked and why is recorded before SAT's answer."""
    batch_id = ready(line)
    lose_requests(line, batch_id)
    order = line.only_order(batch_id)
    ask_about(line.handler, [order.request_id], "the customer waits", BY_OPS)
    for seconds in (3, 6):
        recover(line, ahead=timedelta(seconds=seconds))
    recover_until_ended(line, batch_id)
    line.finish(batch_id)


@story("Escalated, allowed to be sent again by a person, paid")
def resend_allowed(line: Line) -> None:
    """SAT is asked once more first."""
    order = escalated(line)
    decide(line, order, Resolution.RESEND, "SAT has no trace")
    for seconds in (9, 12):
        recover(line, ahead=timedelta(seconds=seconds), limits=RecoveryLimits(attempts=1))
    recover_until_ended(line, order.batch_id)
    line.finish(order.batch_id)


@story("Held as a duplicate in a completed batch, released, reserved anew and paid")
def held_and_released(line: Line) -> None:
    """The batch runs once more."""
    batch_id = pay(line, f"{ONE}INV-2,50k-simpati,081200000001\n")
    decide_held_batch(line.handler, batch_id, HeldDecision.RELEASE, "two phones, two top-ups", BY_OPS)
    guard(line, batch_id)
    line.reserve(batch_id)
    send_and_finish(line, batch_id)


@story("Held over a limit and cancelled")
def held_and_cancelled(line: Line) -> None:
    """It was never sent and never will be."""
    batch_id = ready(line, order_limit_rupiah=10_000)
    decide_held_batch(line.handler, batch_id, HeldDecision.CANCEL, "not meant", BY_OPS)
    line.finish(batch_id)


@story("Held as a duplicate and over each limit, with what the hold rests on")
def held_with_facts(line: Line) -> None:
    """A page in any language can say why."""
    rows = "".join(f"INV-{n},50k-simpati,08120000000{n}\n" for n in range(1, 4))
    dear = "INV-4,pln-prepaid-token-100k,530012340001\n"
    twice = "INV-5,50k-simpati,081200000001\n"
    batch_id = line.quoted(f"{HEADER}{rows}{dear}{twice}".encode())
    guard(line, batch_id, order_limit_rupiah=90_000, batch_limit_orders=2)
    line.finish(batch_id)


@story("Approved by a second person: the maker's own answer does not count, the checker's does")
def approved(line: Line) -> None:
    """A batch with a held row that the approval releases."""
    policy = ApprovalPolicy(over_rupiah=0, held_too=True)
    batch_id = by_maker(line)
    request = ask_for_approval(line.handler, batch_id, policy, BY_TEST)
    assert request is not None
    try:
        approve(line.handler, batch_id, policy, request.terms, MAKER)
    except PipelineError as refusal:
        print(f"  {refusal}")
    approve(line.handler, batch_id, policy, request.terms, CHECKER)
    line.reserve(batch_id)
    send_and_finish(line, batch_id, Gate(admitted_only=True, approved_only=True))


@story("An approval that is refused: nothing is paid")
def approval_rejected(line: Line) -> None:
    """Every order ends unsent."""
    rejected(line)


@story("Approved in part by two people: rows left out are held, and both sign what is left")
def approved_in_part(line: Line) -> None:
    """The second one's reason is recorded with the signature; a third signature is not needed."""
    policy = ApprovalPolicy(over_rupiah=0, second_over_rupiah=50_000)
    rows = "".join(f"INV-{n},50k-simpati,08120000000{n}\n" for n in (1, 2, 3))
    batch_id = by_maker(line, f"{HEADER}{rows}")
    request = ask_for_approval(line.handler, batch_id, policy, BY_TEST)
    assert request is not None
    last = [key for key, row in request.rows.items() if row == 4]
    reason = "the third number is not our customer's"
    batch = approve(line.handler, batch_id, policy, request.terms, CHECKER, left_out=last, reason=reason)
    assert batch.asked_for is not None
    second = Provenance("user:dina", "answer to task approve")
    approve(line.handler, batch_id, policy, batch.asked_for, second, reason="called the shop")
    line.reserve(batch_id)
    send_and_finish(line, batch_id, Gate(admitted_only=True, approved_only=True))


@story("An approval that is refused with a reason")
def approval_rejected_for_a_reason(line: Line) -> None:
    """The reason is recorded; every order ends unsent."""
    rejected(line, "the list is last month's")


@story("Charged above its quote: recorded, and the chunk stops")
def charged_above_quote(line: Line) -> None:
    """SAT's list was behind its prices."""
    batch_id = ready(line)
    order = line.only_order(batch_id)
    assert order.quote_rupiah is not None
    assert order.quote_valid_until is not None
    listed = order.quote_rupiah - 500
    quote = Quote(listed, QuoteSource.CATALOGUE, None, order.quote_valid_until)
    line.handler.apply([OrderCommandRequest(order.request_id, quote)], BY_TEST)
    catalogue = {"50k-simpati": CatalogueEntry("50k-simpati", listed, False, True, 1)}
    try:
        send(line, batch_id, catalogue=catalogue)
    except PipelineError as stopped:
        print(f"  {stopped}")
    line.wait(batch_id)
    line.finish(batch_id)


@story(
    "Paid, and SAT names a negative price and no readable fee: unknown money, and the order has ended",
    faults=[
        *always("other_types", manner="unreadable", operations=["checkout"]),
        *always("other_types", manner="negative", operations=["status"]),
    ],
)
def unknown_amounts(line: Line) -> None:
    """The reply's amounts cannot be read, the signed ones cannot be."""
    pay(line)


@story("Not one byte left; quoted still, sent later and paid")
def not_sent(line: Line) -> None:
    """Refused connections prove that nothing was sent; the breaker stops the chunk."""
    batch_id = ready(line)
    catalogue = dict(catalogue_of(line.products()))
    at_sat = line.settings
    line.settings = nobody_listens(line)
    try:
        send(line, batch_id, catalogue=catalogue, limits=ExecutionLimits(failures_to_stop=1))
    except PipelineError as stopped:
        print(f"  {stopped}")
    line.settings = at_sat
    send_and_finish(line, batch_id)


@story("An account: paused and resumed, spent from by others, topped up")
def account(line: Line) -> None:
    """An account's stream without a batch."""
    no_lag = FundingLimits(saldo_lag_seconds=0.0)
    pause_account(line.handler, ACCOUNT, "fraud alarm", BY_OPS)
    resume_account(line.handler, ACCOUNT, "all clear", BY_OPS)
    record_observation(line.funds, SystemClock(), line.look(), BY_TEST, no_lag)
    line.server.spend_elsewhere(700_000)
    record_observation(line.funds, SystemClock(), line.look(), BY_TEST, no_lag)
    line.server.top_up(900_000)
    record_observation(line.funds, SystemClock(), line.look(), BY_TEST, no_lag)


@story("Results that were written before anybody noted their position")
def results_without_position(line: Line) -> None:
    """The first schema of BatchResultsWritten."""
    batch_id = ready(line)
    send(line, batch_id)
    line.wait(batch_id)
    written = legacy.BatchResultsWritten(
        uri=f"file:///var/lib/sat/spool/results/{batch_id}/orders.results.csv", digest="0" * 64, rows=1
    )
    batch = line.store.load_batch(batch_id)
    after: Batch = evolve_batch(batch, batch_id, written)
    stream = StreamId(StreamKind.BATCH, batch_id)
    line.store.append([Change(stream, after.version - 1, (written,), after)], BY_TEST, SystemClock().now())
    line.finish(batch_id)


def rejected(line: Line, reason: str | None = None) -> None:
    """A checker refuses the approval of a maker's batch."""
    batch_id = by_maker(line)
    policy = ApprovalPolicy(over_rupiah=0, held_too=True)
    request = ask_for_approval(line.handler, batch_id, policy, BY_TEST)
    assert request is not None
    try:
        reject(line.handler, batch_id, request.terms, CHECKER, reason)
    except PipelineError as refusal:
        print(f"  {refusal}")
    line.finish(batch_id)


def by_maker(line: Line, content: str = f"{ONE}INV-2,50k-simpati,081200000001\n") -> str:
    """A person's orders, guarded. By default two equal ones: one of them is held."""
    from sat_hook.domain.batch_events import BatchSource
    from sat_hook.pipeline.submission import submit

    batch_id = submit(
        line.store,
        line.spool,
        SystemClock(),
        account=ACCOUNT,
        reference="november",
        source=BatchSource.FILE,
        file_name="orders.csv",
        content=content.encode(),
        provenance=MAKER,
    ).batch_id
    line.take_in(batch_id)
    line.quote(batch_id)
    guard(line, batch_id)
    return batch_id


def nobody_listens(line: Line):  # type: ignore[no-untyped-def]
    """Return the account's settings with an address that refuses connections."""
    from dataclasses import replace

    return replace(line.settings, base_url="http://127.0.0.1:1/api")
