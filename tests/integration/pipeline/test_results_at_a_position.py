"""Results are a function of the log up to a position: the same bytes again, whatever happened since."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.domain.batch_events import BatchResultsWritten
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import RecordStatus, Reject
from sat_hook.domain.order_events import RejectionReason
from sat_hook.pipeline.batch_summary import summarise
from sat_hook.pipeline.results import render_results, write_results
from sat_hook.store.as_of import as_of_now, as_of_position
from stack.databases import ApplicationDatabase
from tests.orders import BY_TEST
from tests.pipeline import Line, line_of

CONTENT = (
    b"order_id,product_code,client_number\n"
    b"PAID,50k-simpati,081211000001\n"
    b"FAILED,pln-postpaid,2121212\n"
    b"NO-PRODUCT,nothing,081211000003\n"
    b"NO-NUMBER,50k-simpati,\n"
    b"PAID,50k-simpati,081211000001\n"
)


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Line]:
    """A SAT that ends orders at once."""
    at_once = {"fulfilment": {"min_seconds": 0.01, "max_seconds": 0.05}}
    with line_of(database.writer_dsn, tmp_path, faults=at_once) as made:
        yield made


def written_by(line: Line, batch_id: str) -> list[BatchResultsWritten]:
    """What the log says of result files."""
    events = (e.event for e in line.store.read_stream(StreamId(StreamKind.BATCH, batch_id)))
    return [event for event in events if isinstance(event, BatchResultsWritten)]


def end_late(line: Line, order: Order, status: str) -> None:
    """A signed status that comes after the end."""
    late = RecordStatus(status, SystemClock().now(), "f" * 64, error_code="S00", error_detail="taken back")
    resolution = line.handler.apply([OrderCommandRequest(order.request_id, late)], BY_TEST)[order.request_id]
    assert resolution.is_accepted, resolution.refusal


def test_the_written_file_is_made_again_after_late_ends(line: Line) -> None:
    """A reversal and a late success change today's results, and not a byte of those that were written."""
    batch_id = line.run(CONTENT)
    summary, file = line.finish(batch_id)
    [written] = written_by(line, batch_id)
    orders = line.orders(batch_id)
    end_late(line, orders["PAID"], "Failed")
    end_late(line, orders["FAILED"], "Success")

    past = as_of_position(line.store, written.position)
    again = render_results(past, line.spool, batch_id)
    assert file.uri is not None
    with line.spool.open(file.uri) as kept:
        assert again.content == kept.read() == file.content
    assert again.digest == written.digest
    then = summarise(as_of_position(line.store, written.position), batch_id)
    assert then.counts == summary.counts == again.summary.counts
    assert (then.orders_by_state, then.charged_rupiah) == (written.counts, written.charged_rupiah)

    now = render_results(as_of_now(line.store), line.spool, batch_id).content.decode()
    assert "reversed: was paid, then failed" in now
    assert "reversed: was paid, then failed" not in file.content.decode()


def test_results_that_changed_are_written_anew_at_their_own_position(line: Line) -> None:
    """Each written file has its position, and both can be made again."""
    batch_id = line.run(CONTENT)
    _, first = line.finish(batch_id)
    end_late(line, line.orders(batch_id)["PAID"], "Failed")
    second = write_results(line.handler, line.spool, line.spool, batch_id, BY_TEST)

    written = written_by(line, batch_id)
    assert [event.digest for event in written] == [first.digest, second.digest]
    for event in written:
        again = render_results(as_of_position(line.store, event.position), line.spool, batch_id)
        assert again.digest == event.digest
    batch = line.store.load_batch(batch_id)
    assert batch is not None
    assert batch.results_position == written[-1].position == second.position


def test_results_of_every_moment_of_a_batch_exist(line: Line) -> None:
    """At each position since the submission there are results, and they are what they were then."""
    batch_id = line.submit(CONTENT).batch_id
    then = []
    steps = (line.take_in, line.quote, line.execute, line.wait, line.finish)
    for step in steps:
        then.append(render_results(as_of_now(line.store), line.spool, batch_id))
        step(batch_id)
    for file in then:
        assert render_results(as_of_position(line.store, file.position), line.spool, batch_id) == file
    verdicts = [file.content.decode().count("not read yet") for file in then]
    assert verdicts == [5, 0, 0, 0, 0]


def test_a_file_that_is_written_while_orders_end_is_of_one_moment(line: Line) -> None:
    """Rows end in groups while the file is made: what is written is what its position says, each time."""
    rows = "".join(f"R{n},50k-simpati,0812{n:08d}\n" for n in range(1, 301))
    batch_id = line.submit(f"order_id,product_code,client_number\n{rows}".encode()).batch_id
    line.take_in(batch_id)
    orders = list(line.orders(batch_id).values())
    groups = [orders[start : start + 10] for start in range(0, 300, 10)]

    def end_all() -> None:
        reject = Reject(RejectionReason.BATCH_REFUSED, "")
        for group in groups:
            line.handler.apply(
                [OrderCommandRequest(order.request_id, reject) for order in reversed(group)], BY_TEST
            )

    ending = threading.Thread(target=end_all)
    ending.start()
    while ending.is_alive():
        write_results(line.handler, line.spool, line.spool, batch_id, BY_TEST)
    ending.join()
    write_results(line.handler, line.spool, line.spool, batch_id, BY_TEST)

    written = written_by(line, batch_id)
    assert len(written) > 1
    for event in written:
        again = render_results(as_of_position(line.store, event.position), line.spool, batch_id)
        assert (again.digest, again.summary.orders_by_state) == (event.digest, event.counts)
    assert written[-1].counts == {"rejected": 300}


def test_a_batch_that_came_later_has_no_results(line: Line) -> None:
    """Before its submission there was no such batch."""
    batch_id = line.submit(CONTENT).batch_id
    with pytest.raises(BatchNotFoundError):
        render_results(as_of_position(line.store, 0), line.spool, batch_id)


def test_projections_have_no_say_in_results(line: Line) -> None:
    """A damaged projection changes neither the file nor its summary."""
    batch_id = line.run(CONTENT)
    _, file = line.finish(batch_id)
    with line.store.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE sat.orders SET state = 'failed'")
    again = render_results(as_of_now(line.store), line.spool, batch_id)
    assert again == replace(file, uri=None, position=again.position, summary=again.summary)
    assert again.summary.counts == file.summary.counts
    assert again.summary.orders_in(OrderState.SUCCEEDED) == 1
