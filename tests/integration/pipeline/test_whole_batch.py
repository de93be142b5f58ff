"""A whole batch against a real SAT server on a real database: every row ends as it must, once."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from tests.pipeline import Line

EXAMPLES = Path(__file__).parents[3] / "examples"


def read_results(content: bytes) -> list[dict[str, str]]:
    """The result file's rows."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_examples_end_as_expected(line: Line) -> None:
    """All 200 rows of the committed example get the verdict that stands in ``expected.csv``."""
    batch_id = line.run((EXAMPLES / "orders.csv").read_bytes())
    summary, file = line.finish(batch_id)

    results = read_results(file.content)
    expected = list(csv.DictReader(io.StringIO((EXAMPLES / "expected.csv").read_text())))
    assert len(results) == len(expected) == 200
    for wanted, got in zip(expected, results, strict=True):
        assert got["order_id"] == wanted["order_id"]
        if wanted["expected_state"] == "already_known":
            assert got["sat_verdict"].startswith("already submitted"), got
            assert got["sat_reason"] == wanted["expected_reason"] == "already_submitted"
            continue
        assert (got["sat_state"], got["sat_reason"]) == (
            wanted["expected_state"],
            wanted["expected_reason"],
        ), got
    assert summary.batch.state is BatchState.COMPLETED


def test_every_rupiah_of_the_ledger_is_a_recorded_order(line: Line) -> None:
    """The judge's book and the log agree order by order, and nothing was charged twice."""
    before = line.server.saldo_rupiah()
    batch_id = line.run((EXAMPLES / "orders.csv").read_bytes())

    ledger = line.server.ledger()["requests"]
    orders = {order.request_id: order for order in line.orders(batch_id).values()}
    assert set(ledger) == {key for key, order in orders.items() if order.attempt}
    for request_id, entry in ledger.items():
        order = orders[request_id]
        assert entry["charged"] <= 1, entry
        kept = entry["charged_rupiah"] - entry["refunded_rupiah"]
        assert kept == (order.charged_rupiah if order.state is OrderState.SUCCEEDED else 0), entry
    spent = sum(o.charged_rupiah or 0 for o in orders.values() if o.state is OrderState.SUCCEEDED)
    assert before - line.server.saldo_rupiah() == spent > 0


def test_running_every_step_again_changes_nothing(line: Line) -> None:
    """A second run of the same file sends nothing, writes the same bytes, and the guards look again."""
    content = (EXAMPLES / "orders.csv").read_bytes()
    batch_id = line.run(content)
    _, first = line.finish(batch_id)
    position = line.store.close_position()
    posted = line.server.ledger()["requests"]

    again = line.submit(content)
    assert (again.batch_id, again.is_new) == (batch_id, False)
    line.take_in(batch_id)
    line.quote(batch_id)
    line.execute(batch_id)
    line.wait(batch_id)
    _, second = line.finish(batch_id)

    assert second.digest == first.digest
    log = line.store.read_log(position, line.store.close_position(), 10)
    assert [recorded.type_name for recorded in log] == ["BatchGuarded"]
    assert line.server.ledger()["requests"] == posted
