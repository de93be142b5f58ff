"""The steps one by one: cut short, repeated, raced, and refused."""

from __future__ import annotations

import asyncio
import io
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import openpyxl
import pytest

from sandbox.testing import SandboxServer
from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.domain.batch import BatchState
from sat_hook.domain.batch_events import RowVerdict
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import CheckoutRequested
from sat_hook.pipeline import intake
from sat_hook.pipeline.batch_summary import summarise
from sat_hook.pipeline.chunks import plan_chunks
from sat_hook.pipeline.delivery import deliver
from sat_hook.pipeline.errors import (
    BatchStoppedError,
    ChunkIncompleteError,
    SATUnavailableError,
    SubmissionRefusedError,
)
from sat_hook.pipeline.execution import ChunkExecutor, Gate
from sat_hook.pipeline.funding import check_balance
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import BadRowsPolicy, ExecutionLimits, QuotingLimits
from sat_hook.pipeline.results import render_results, rows_set_aside
from sat_hook.pipeline.status_polling import escalate_in_flight, orders_in_flight
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.store.as_of import as_of_now
from sat_hook.store.errors import SpoolError
from sat_hook.store.event_store import OrderSlice
from stack.databases import ApplicationDatabase
from tests.at_once import at_once
from tests.orders import BY_TEST
from tests.pipeline import Line, line_of

HEADER = "order_id,product_code,client_number,amount_rupiah,max_rupiah\n"


def prepaid(count: int, prefix: str = "P") -> bytes:
    """A file of ``count`` good prepaid orders; each prefix has clients of its own."""
    first = 1_000_000 * (ord(prefix[0]) % 80)
    rows = (f"{prefix}-{n:04d},50k-simpati,0812{first + n:08d},,\n" for n in range(1, count + 1))
    return (HEADER + "".join(rows)).encode()


def ready(line: Line, count: int, prefix: str = "P") -> str:
    """A batch of ``count`` quoted orders with funds behind them."""
    batch_id = line.quoted(prepaid(count, prefix))
    line.reserve(batch_id)
    return batch_id


def test_an_intake_that_was_killed_goes_on_where_it_stood(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the orders of a run and before the run was recorded, no row is lost or doubled."""
    monkeypatch.setattr(intake, "ROWS_A_RUN", 10)
    batch_id = line.submit(prepaid(35)).batch_id
    handler = line.handler
    original = handler.apply_to_batch
    calls = 0

    def killed_at_the_third(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(handler, "apply_to_batch", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        take_in(handler, line.spool, batch_id, BY_TEST)
    half = line.store.load_batch(batch_id)
    assert half is not None
    assert (half.state, half.orders) == (BatchState.SUBMITTED, 20)
    assert len(line.orders(batch_id)) == 30

    report = take_in(line.handler, line.spool, batch_id, BY_TEST)
    assert (report.batch.state, report.batch.orders, report.batch.set_aside) == (BatchState.RECEIVED, 35, 0)
    assert len(line.orders(batch_id)) == 35


def test_two_intakes_at_once_are_one(line: Line) -> None:
    """The same batch taken in by two tasks at the same time has each row once."""
    batch_id = line.submit(prepaid(1200)).batch_id
    at_once(2, lambda _: take_in(line.handler, line.spool, batch_id, BY_TEST))
    batch = line.store.load_batch(batch_id)
    assert batch is not None
    assert (batch.orders, batch.set_aside, batch.state) == (1200, 0, BatchState.RECEIVED)


def test_a_corrected_file_pays_only_what_was_not_submitted(line: Line) -> None:
    """The good rows of an earlier file are recognised; an order id with other contents is refused."""
    first = line.run(HEADER.encode() + b"A,50k-simpati,081234567890,,\nB,50k-simpati,081234567891,,\n")
    second = line.submit(
        HEADER.encode()
        + b"A,50k-simpati,081234567890,,\nB,50k-simpati,081299999999,,\nC,50k-simpati,081234567892,,\n"
    ).batch_id
    line.take_in(second)

    aside = {item.row_number: item for item in rows_set_aside(line.store, second)}
    assert aside[2].verdict is RowVerdict.ALREADY_KNOWN
    assert aside[2].known_batch_id == first
    assert (aside[3].verdict, aside[3].code) == (RowVerdict.REFUSED, "order_id_reused")
    assert set(line.orders(second)) == {"C"}
    text = render_results(as_of_now(line.store), line.spool, second).content.decode("utf-8-sig")
    assert "already submitted: paid" in text


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"order_id,product_code\nA,p\n", "missing_column"),
        (HEADER.encode(), "empty"),
        (HEADER.encode() + b'A,50k-simpati,081234567890,,\nB,"50k,0812\n', "not_csv"),
    ],
)
def test_a_file_that_cannot_be_read_ends_as_refused_and_claims_no_order(
    line: Line, content: bytes, code: str
) -> None:
    """A batch is refused before its first order exists: no order id is burnt by half a file."""
    batch_id = line.submit(content).batch_id
    report = take_in(line.handler, line.spool, batch_id, BY_TEST)
    assert (report.batch.state, report.batch.refusal_code) == (BatchState.REFUSED, code)
    assert line.orders(batch_id) == {}
    assert "refused" in line.finish(batch_id)[1].content.decode("utf-8-sig")


@pytest.mark.parametrize(
    ("content", "reference", "words"),
    [
        (b"", None, "empty file"),
        (b"x" * (32 * 1024 * 1024 + 1), None, "at most 33,554,432"),
        (prepaid(1), " ", "batch reference"),
    ],
)
def test_what_cannot_be_a_batch_is_not_submitted(
    line: Line, content: bytes, reference: str | None, words: str
) -> None:
    """Too little, too much, or nameless: refused with what was found and expected."""
    with pytest.raises(SubmissionRefusedError, match=words):
        line.submit(content, reference=reference)


def test_a_reference_names_one_content(line: Line) -> None:
    """The same name with other bytes is refused; another name makes another batch of the same bytes."""
    october = line.submit(prepaid(1), reference="october")
    with pytest.raises(SubmissionRefusedError, match="october"):
        line.submit(prepaid(2), reference="october")
    assert line.submit(prepaid(1), reference="october").is_new is False
    assert line.submit(prepaid(1), reference="november").batch_id != october.batch_id


def test_spooled_bytes_that_changed_are_noticed(line: Line) -> None:
    """The pipeline refuses to read a spooled file that was edited."""
    submission = line.submit(prepaid(3))
    line.spool.write(f"batches/{submission.batch_id}/{submission.digest}.csv", prepaid(4))
    with pytest.raises(SpoolError, match="digest"):
        take_in(line.handler, line.spool, submission.batch_id, BY_TEST)


def test_the_wait_policy_stops_before_anything_is_sent_and_can_go_on(line: Line) -> None:
    """With bad rows and policy wait the batch stops; with proceed it goes on with the good ones."""
    content = prepaid(2) + b"BAD,no-such-product,081234567890,,\n"
    batch_id = line.submit(content).batch_id
    with pytest.raises(BatchStoppedError, match="1 of 3 rows are bad"):
        line.take_in(batch_id, BadRowsPolicy.WAIT)
    line.take_in(batch_id, BadRowsPolicy.PROCEED)
    assert line.store.load_batch(batch_id).state is BatchState.VALIDATED  # type: ignore[union-attr]


def test_the_refuse_policy_ends_the_whole_batch(line: Line) -> None:
    """One unknown product, and no order of the batch is ever sent."""
    batch_id = line.submit(prepaid(2) + b"BAD,no-such-product,081234567890,,\n").batch_id
    line.take_in(batch_id, BadRowsPolicy.REFUSE)
    assert {order.state for order in line.orders(batch_id).values()} == {OrderState.REJECTED}
    assert line.store.load_batch(batch_id).state is BatchState.REFUSED  # type: ignore[union-attr]
    assert plan_chunks(line.store, batch_id, 10) == []


def test_too_small_a_deposit_is_seen_early(line: Line) -> None:
    """What it holds and what is needed, before anything is asked or sent."""
    batch_id = line.submit(prepaid(3)).batch_id
    line.take_in(batch_id)
    report = check_balance(line.handler, batch_id, 155_999, BY_TEST)
    assert report.is_short
    assert "holds Rp 155,999; 3 orders cost at least Rp 156,000" in report.in_words
    report = check_balance(line.handler, batch_id, 156_000, BY_TEST)
    assert (report.estimate_rupiah, report.priced, report.is_short) == (156_000, 3, False)


def test_sat_down_leaves_every_order_quoted_and_the_breaker_stops_the_chunk(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """Connections that are refused prove that nothing left: the orders stay as they were."""
    with line_of(database.writer_dsn, tmp_path) as line:
        batch_id = ready(line, 120)
        line.execution = ExecutionLimits(in_flight=8, failures_to_stop=16)
        catalogue = catalogue_of(line.products())
    # The server is gone now, its port refuses connections; the database is still there.

    with pytest.raises(ChunkIncompleteError, match="120 orders of rows"):
        line.send(batch_id, catalogue=catalogue)
    orders = line.orders(batch_id).values()
    assert {order.state for order in orders} == {OrderState.QUOTED}
    assert sum(1 for order in orders if order.attempt) < 40, "the breaker stops the chunk early"

    with SandboxServer(keys=line.server.keys, port=urlsplit(line.server.url).port or 0) as again:
        line.execute(batch_id)
        line.wait(batch_id)
        assert {o.state for o in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}
        assert all(entry["charged"] == 1 for entry in again.ledger()["requests"].values())
    line.store.database.close()


def test_inquiries_without_any_answer_conclude_nothing(line: Line) -> None:
    """When SAT is down no bill is rejected for it: the step fails and is tried again."""
    content = HEADER + "".join(f"B-{n},pln-postpaid,53000000000{n},,\n" for n in range(5))
    batch_id = line.submit(content.encode()).batch_id
    line.take_in(batch_id)
    line.server.set_faults(
        {
            "faults": [
                {
                    "fault": "error",
                    "operations": ["inquiry"],
                    "rate": 1.0,
                    "when": "before",
                    "status": 503,
                    "body": "html",
                }
            ]
        }
    )
    with pytest.raises(SATUnavailableError):
        line.quote(batch_id)
    assert {o.state for o in line.orders(batch_id).values()} == {OrderState.RECEIVED}
    line.server.set_faults({"faults": []})
    line.quote(batch_id)
    assert {o.state for o in line.orders(batch_id).values()} == {OrderState.QUOTED}


def test_a_second_run_never_sends_what_the_first_may_have_sent(line: Line) -> None:
    """Replies lost after charging: a retry of the chunk sends nothing again, the statuses end the orders."""
    batch_id = ready(line, 30)
    line.server.set_faults({"faults": [{"fault": "response_lost", "operations": ["checkout"], "rate": 1.0}]})
    line.execution = ExecutionLimits(failures_to_stop=1000)
    line.execute(batch_id)
    assert {o.state for o in line.orders(batch_id).values()} == {OrderState.UNKNOWN}
    line.server.set_faults({"faults": []})
    line.execute(batch_id)
    line.wait(batch_id)
    assert {o.state for o in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}
    assert all(entry["posted"] == 1 for entry in line.server.ledger()["requests"].values())


def test_two_tasks_of_one_chunk_send_each_order_once(line: Line) -> None:
    """A zombie and its replacement run at the same time; the version fence gives each order one sender."""
    batch_id = ready(line, 200)

    async def both() -> None:
        async with AsyncSATClient(line.settings, SystemClock()) as sat:
            catalogue = catalogue_of(await sat.list_products())
            executors = (
                ChunkExecutor(
                    line.handler,
                    sat,
                    catalogue,
                    BY_TEST,
                    ExecutionLimits(in_flight=16),
                    QuotingLimits(),
                    Gate(),
                )
                for _ in range(2)
            )
            await asyncio.gather(*(executor.run(OrderSlice(batch_id)) for executor in executors))

    asyncio.run(both())
    line.wait(batch_id)
    ledger = line.server.ledger()["requests"]
    assert len(ledger) == 200
    assert all(entry["posted"] == 1 for entry in ledger.values())
    assert {o.state for o in line.orders(batch_id).values()} == {OrderState.SUCCEEDED}


def test_the_intent_is_committed_before_the_request_leaves(line: Line) -> None:
    """Law 1: whatever SAT has seen is in the log with the exact body, and earlier."""
    batch_id = ready(line, 5)
    line.execute(batch_id)
    for request_id in line.server.ledger()["requests"]:
        events = line.store.read_stream(StreamId(StreamKind.ORDER, request_id))
        (requested,) = [e for e in events if isinstance(e.event, CheckoutRequested)]
        assert request_id in requested.event.body  # type: ignore[attr-defined]
        assert requested.event.send_before > requested.occurred_at  # type: ignore[attr-defined]


def test_a_prepaid_price_that_rose_since_the_quote_is_held(line: Line) -> None:
    """Prepaid sends no amount, so the fresh catalogue is the check: dearer is held, never paid."""
    batch_id = ready(line, 3)
    line.server.world.catalogue.reprice("50k-simpati", 53_000)
    line.execute(batch_id)
    orders = line.orders(batch_id).values()
    assert {order.state for order in orders} == {OrderState.HELD}
    assert line.server.ledger()["requests"] == {}


def test_a_cheaper_price_is_quoted_anew_and_paid(line: Line) -> None:
    """A price that fell needs no approval."""
    batch_id = ready(line, 3)
    line.server.world.catalogue.reprice("50k-simpati", 51_000)
    line.execute(batch_id)
    line.wait(batch_id)
    assert [o.charged_rupiah for o in line.orders(batch_id).values()] == [51_000] * 3


def test_giving_up_escalates_and_a_late_end_still_lands(line: Line) -> None:
    """An order that SAT never ends goes to people; when its end comes after all, it counts."""
    batch_id = ready(line, 2)
    line.server.set_faults({"faults": [{"fault": "stuck_pending", "rate": 1.0}]})
    line.execution = ExecutionLimits(send_window_seconds=3.0, reply_timeout_seconds=0.0, grace_seconds=0.0)
    line.execute(batch_id)
    assert escalate_in_flight(line.handler, batch_id, "too long", BY_TEST) == 0, "still under way"
    time.sleep(3.1)
    assert escalate_in_flight(line.handler, batch_id, "too long", BY_TEST) == 2
    assert orders_in_flight(line.handler, batch_id) == 0
    summary, _ = line.finish(batch_id)
    assert summary.batch.state is BatchState.COMPLETED
    assert summary.orders_in(OrderState.ESCALATED) == 2


def test_goods_leave_only_by_a_recorded_delivery(line: Line) -> None:
    """Vouchers stand in no event and no result file; a delivery hands them out and is in the log."""
    content = HEADER + "V-1,kode-voucher-google-100k,081234567890,,\n"
    batch_id = line.run(content.encode())
    _, file = line.finish(batch_id)
    position = line.store.close_position()
    goods = deliver(
        line.store, batch_id, reason="sent to customer", provenance=BY_TEST, clock=SystemClock()
    ).decode("utf-8-sig")
    voucher = goods.splitlines()[1].split(",")[4]
    assert len(voucher) >= 16
    assert voucher.encode() not in file.content
    log = line.store.read_log(0, position, 1000)
    assert all(voucher not in recorded.data for recorded in log)
    asked = {"reason": "opened in Excel", "provenance": BY_TEST, "clock": SystemClock()}
    workbook = deliver(line.store, batch_id, file_format=TableFormat.XLSX, **asked)
    sheet = openpyxl.load_workbook(io.BytesIO(workbook)).active
    assert sheet is not None
    assert sheet["E2"].value == voucher
    other = line.run(content.replace("V-1", "V-2").replace("7890", "7891").replace(",", ";").encode())
    assert deliver(line.store, other, spool=line.spool, **asked).startswith(b"\xef\xbb\xbforder_id;row;")
    delivered = line.store.read_log(position, position + 1, 10)[0]
    assert delivered.type_name == "GoodsDelivered"
    with pytest.raises(OverrideRefusedError, match="reason"):
        deliver(line.store, batch_id, reason=" ", provenance=BY_TEST, clock=SystemClock())


def test_quotes_have_a_lifetime(line: Line) -> None:
    """A stale quote is renewed before sending; the order is paid at the renewed price."""
    batch_id = ready(line, 1)
    order = next(iter(line.orders(batch_id).values()))
    assert order.quote_valid_until is not None

    class Tomorrow(SystemClock):
        def now(self):  # type: ignore[no-untyped-def]
            return super().now() + timedelta(days=1)

    handler = line.handler
    handler.clock = Tomorrow()

    line.send(batch_id, handler=handler)
    line.wait(batch_id)
    events = line.store.read_stream(StreamId(StreamKind.ORDER, order.request_id))
    assert [e.type_name for e in events].count("OrderQuoted") == 2


def test_summaries_count_what_succeeded_only(line: Line) -> None:
    """A failed order was charged and refunded: it costs nothing."""
    content = HEADER + "S,pln-postpaid,530000000000,,\nF,pln-postpaid,2121212,,\n"
    batch_id = line.run(content.encode())
    summary = summarise(line.store, batch_id)
    orders = line.orders(batch_id)
    assert (orders["S"].state, orders["F"].state) == (OrderState.SUCCEEDED, OrderState.FAILED)
    assert summary.charged_rupiah == orders["S"].charged_rupiah


def test_validation_judges_each_order_once(line: Line) -> None:
    """Run twice, it appends nothing the second time."""
    batch_id = line.submit(prepaid(3)).batch_id
    line.take_in(batch_id)
    position = line.store.close_position()
    products = catalogue_of(line.products())
    validate_orders(line.handler, batch_id, products, BY_TEST)
    assert line.store.close_position() == position
