"""The demonstration's judgement: each thing that may be wrong is found, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stack.example_orders import Expectation
from stack.reckoning import ResultRow, differences, read_results, unaccounted

PAID = ResultRow("A-1", "paid", "succeeded", "", "", "S1", 50_000)
FAILED = ResultRow("A-2", "failed", "failed", "S02", "Product is not available", "S2", 0)
REJECTED = ResultRow("A-3", "not sent", "rejected", "unknown_product", "", "S3", 0)
REPEATED = ResultRow("A-1", "already submitted: paid", "succeeded", "", "", "S1", 50_000)
ROWS = [PAID, FAILED, REJECTED, REPEATED]
EXPECTED = [
    Expectation("A-1", "succeeded", ""),
    Expectation("A-2", "failed", "S02"),
    Expectation("A-3", "rejected", "unknown_product"),
    Expectation("A-1", "already_known", "already_submitted"),
]


def entry(**changes: int) -> dict[str, Any]:
    """The ledger's view of a request id that was charged once and kept."""
    return {"posted": 1, "charged": 1, "net_rupiah": 50_000, **changes}


LEDGER = {"S1": entry(), "S2": entry(net_rupiah=0)}


def test_agreement_is_silent() -> None:
    """Succeeded, failed, never sent and repeated rows, all as they should be."""
    assert differences(ROWS, EXPECTED, LEDGER) == []


@pytest.mark.parametrize(
    ("row", "ledger", "said"),
    [
        (replace(PAID, state="failed", verdict="failed", charged_rupiah=0), {}, "ended failed"),
        (replace(PAID, order_id="B-9"), LEDGER, "has B-9 in its place"),
        (PAID, {}, "never heard of it"),
        (PAID, {"S1": entry(charged=2, net_rupiah=100_000)}, "charged it 2 times"),
        (PAID, {"S1": entry(net_rupiah=0)}, "SAT kept 0"),
        (replace(PAID, charged_rupiah=49_000), LEDGER, "for 49000 rupiah, but SAT kept 50000"),
        (replace(PAID, verdict="already submitted: paid"), LEDGER, "already submitted"),
    ],
)
def test_each_difference_is_named(row: ResultRow, ledger: dict[str, Any], said: str) -> None:
    """In one line that begins with the order's id."""
    found = differences([row], EXPECTED[:1], ledger)
    assert [line for line in found if said in line]
    assert all(line.startswith("A-1") or line.startswith("B-9") for line in found)


def test_a_failed_order_that_sat_kept_money_for_is_found() -> None:
    """A failure without its refund."""
    found = differences([FAILED], EXPECTED[1:2], {"S2": entry()})
    assert found == ["A-2: failed for 0 rupiah, but SAT kept 50000"]


def test_another_reason_than_expected_is_found() -> None:
    """Two ways to fail are two ways."""
    found = differences([replace(FAILED, reason="P04")], EXPECTED[1:2], {"S2": entry(net_rupiah=0)})
    assert found == ["A-2: failed because of P04, expected S02"]


def test_a_rejected_order_that_was_sent_is_found() -> None:
    """What never left must not be in the ledger."""
    found = differences([REJECTED], EXPECTED[2:3], {"S3": entry(net_rupiah=0)})
    assert found == ["A-3: rejected, but SAT received it"]


def test_a_missing_row_is_found() -> None:
    """Every submitted row has its verdict."""
    assert differences(ROWS[:3], EXPECTED, LEDGER) == ["3 rows in the result file, 4 expected"]


def book(requests: dict[str, Any], *, conserved: bool = True) -> dict[str, Any]:
    """A ledger as the SAT server tells it."""
    problem = None if conserved else "a rupiah is missing"
    return {"requests": requests, "deposit": {"conserved": conserved, "problem": problem}}


def test_only_recorded_orders_reach_sat() -> None:
    """What was in the book before is not this run's business."""
    assert unaccounted({"S1", "S2", "S3"}, book({"S0": entry()}), book({"S0": entry(), **LEDGER})) == []


def test_a_request_without_a_recorded_order_is_found() -> None:
    """Money that left with no intent committed before."""
    assert unaccounted({"S1", "S2"}, book({}), book({**LEDGER, "S9": entry()})) == [
        "SAT knows S9, which is no recorded order"
    ]


def test_a_book_that_does_not_add_up_is_found() -> None:
    """The judge itself is judged."""
    found = unaccounted({"S1", "S2"}, book({}), book(LEDGER, conserved=False))
    assert found == ["SAT's own book does not add up: a rupiah is missing"]


def test_a_result_file_is_read_as_it_is_written() -> None:
    """UTF-8 with BOM; an empty amount is no amount."""
    content = (
        "order_id,sat_verdict,sat_state,sat_reason,sat_message,sat_request_id,sat_charged_rupiah\r\n"
        "A-1,paid,succeeded,,,S1,50000\r\nA-4,in flight,pending,,,S4,\r\n"
    ).encode("utf-8-sig")
    assert read_results(content) == [PAID, ResultRow("A-4", "in flight", "pending", "", "", "S4", None)]
