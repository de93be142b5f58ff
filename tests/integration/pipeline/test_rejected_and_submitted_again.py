"""An order that was rejected before anything was sent keeps its id, and a later file may say what it is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from sat_hook.audit.rebuild import compare_projections
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.batch_events import RowsTakenIn
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.batch_summary import summarise
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.pipeline.results import render_results
from sat_hook.store.as_of import as_of_now, as_of_position
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line

HEADER = "order_id,product_code,client_number\n"
GOOD = "A-1,50k-simpati,081211311111\n"
TYPO = "A-2,50k-simpti,081211311112\n"
MENDED = "A-2,50k-simpati,081211311112\n"


def order(line: Line, order_id: str) -> Order:
    """The order as it stands."""
    request_id = request_id_of(ACCOUNT, order_id)
    return line.store.load_orders([request_id])[request_id]


def results(line: Line, batch_id: str, at: int | None = None) -> list[dict[str, str]]:
    """The rows of a batch's result file, now or at a position."""
    past = as_of_now(line.store) if at is None else as_of_position(line.store, at)
    content = render_results(past, line.spool, batch_id).content
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


def test_a_mistyped_product_does_not_burn_the_order_id(line: Line) -> None:
    """The corrected row is the same order with the same request id, and is paid once."""
    first = line.run((HEADER + GOOD + TYPO).encode())
    line.wait(first)
    line.finish(first)
    rejected, then = order(line, "A-2"), line.store.close_position()
    assert (rejected.state, rejected.reason_code) == (OrderState.REJECTED, "unknown_product")
    before = results(line, first)

    second = line.run((HEADER + GOOD + MENDED).encode(), name="mended.csv")
    line.wait(second)
    line.finish(second)

    paid = order(line, "A-2")
    assert (paid.state, paid.batch_id, paid.request_id) == (OrderState.SUCCEEDED, second, rejected.request_id)
    assert [entry.batch_id for entry in paid.rejected_before] == [first]
    for one in ("A-1", "A-2"):
        assert line.server.request(request_id_of(ACCOUNT, one))["charged"] == 1
    assert len(line.server.ledger()["requests"]) == 2
    assert [row["sat_verdict"] for row in results(line, second)] == ["already submitted: paid", "paid"]
    # The earlier batch still says what became of its row, and what it said then it says for ever.
    old = results(line, first)[1]
    assert (old["sat_verdict"], old["sat_state"], old["sat_reason"]) == (
        "not sent",
        "rejected",
        "unknown_product",
    )
    assert f"submitted again as row 3 of batch {second}" in old["sat_message"]
    assert results(line, first, then) == before
    summary = summarise(line.store, first)
    assert (summary.moved_on, summary.rows_in_need) == (1, 0)
    assert compare_projections(line.store.database, lambda finding: pytest.fail(str(finding))).is_clean


def test_good_rows_of_a_batch_that_was_refused_for_bad_ones_can_be_submitted_again(line: Line) -> None:
    """Nothing of it was sent: with the bad row mended every row can be paid under its id."""
    refused = line.submit((HEADER + GOOD + TYPO).encode()).batch_id
    line.take_in(refused, BadRowsPolicy.REFUSE)
    assert order(line, "A-1").state is OrderState.REJECTED
    second = line.submit((HEADER + GOOD + MENDED).encode()).batch_id
    line.take_in(second, BadRowsPolicy.REFUSE)
    assert [order(line, one).state for one in ("A-1", "A-2")] == [OrderState.RECEIVED] * 2
    assert [row["sat_verdict"] for row in results(line, refused)] == ["not sent", "not sent"]


def test_an_order_that_may_have_been_sent_stays_what_it_was(line: Line) -> None:
    """Another payload under its id is refused, as ever; so is one under a held or cancelled order's."""
    first = line.run((HEADER + GOOD).encode())
    other = HEADER + "A-1,100k-simpati,081211311111\n"
    second = line.submit(other.encode()).batch_id
    line.take_in(second)
    assert order(line, "A-1").batch_id == first
    assert results(line, second)[0]["sat_reason"] == "order_id_reused"


class _Killed(Exception):
    """The process is gone."""


@contextmanager
def dying_before_its_rows_are_recorded() -> Iterator[None]:
    """Orders are received, and the batch does not know of it."""
    real = CommandHandler.apply_to_batch

    def die(self: CommandHandler, batch_id: str, command: object, *rest: object) -> object:
        if isinstance(getattr(command, "event", None), RowsTakenIn):
            raise _Killed
        return real(self, batch_id, command, *rest)  # type: ignore[arg-type]

    with patch.object(CommandHandler, "apply_to_batch", die), pytest.raises(_Killed):
        yield


def test_an_intake_that_is_killed_in_between_goes_on(line: Line) -> None:
    """The order that it had received again is its own: neither refused nor received twice."""
    first = line.submit((HEADER + TYPO).encode()).batch_id
    line.take_in(first)
    second = line.submit((HEADER + MENDED).encode()).batch_id
    with dying_before_its_rows_are_recorded():
        take_in(line.handler, line.spool, second, BY_TEST)
    assert (order(line, "A-2").batch_id, order(line, "A-2").version) == (second, 3)
    line.take_in(second)
    assert (order(line, "A-2").state, order(line, "A-2").version) == (OrderState.RECEIVED, 4)
    batch = line.store.load_batch(second)
    assert batch is not None
    assert (batch.orders, batch.set_aside) == (1, 0)


def test_of_two_batches_that_want_it_one_gets_it(line: Line) -> None:
    """The other has its row set aside, as for any id that stands for another order."""
    line.take_in(line.submit((HEADER + TYPO).encode()).batch_id)
    rows = (MENDED, "A-2,100k-simpati,081211311112\n")
    two = [line.submit((HEADER + row).encode()).batch_id for row in rows]
    for batch_id in two:
        line.take_in(batch_id)
    assert order(line, "A-2").batch_id == two[0]
    loser = line.store.load_batch(two[1])
    assert loser is not None
    assert (loser.orders, loser.set_aside) == (0, 1)


def test_a_batch_never_gets_an_order_back_that_it_rejected(line: Line) -> None:
    """An intake of it that wakes up late would otherwise take the order from the batch that corrects it."""
    first = line.submit((HEADER + TYPO).encode()).batch_id
    line.take_in(first)
    second = line.submit((HEADER + TYPO.replace("simpti", "simpt")).encode()).batch_id
    line.take_in(second)
    twice = order(line, "A-2")
    assert (twice.state, twice.batch_id) == (OrderState.REJECTED, second)
    assert not twice.may_be_received_again(first)
    assert not twice.may_be_received_again(second)
    other = "B" + "Z" * 25
    assert twice.may_be_received_again(other)
    # An intent to send was recorded once: even one that provably never left makes the payload final.
    assert not twice.model_copy(update={"attempt": 1}).may_be_received_again(other)
