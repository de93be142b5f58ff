"""The example orders, as they are and prepared for another run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from stack.example_orders import ExampleOrders

EXAMPLES = Path(__file__).parents[3] / "examples"


def rows(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV."""
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline="")))


def test_the_first_run_submits_the_committed_bytes() -> None:
    """What a newcomer reads in the folder is what is submitted."""
    first = ExampleOrders.of_run(EXAMPLES, 1)
    assert first.file == (EXAMPLES / "orders.csv").read_bytes()
    assert len(first.file_expectations) == 200
    assert len(first.table) == len(first.table_expectations) == 20


def test_expected_ends_are_not_put_into_the_table() -> None:
    """They are the examples' own columns."""
    assert not {name for row in ExampleOrders.of_run(EXAMPLES, 1).table for name in row if "expected" in name}


def test_a_later_run_has_order_ids_and_payers_of_its_own() -> None:
    """Nothing else differs, in file, table and expectations alike; a missing id stays missing."""
    first, third = ExampleOrders.of_run(EXAMPLES, 1), ExampleOrders.of_run(EXAMPLES, 3)
    for before, after in zip(rows(first.file), rows(third.file), strict=True):
        assert after.pop("order_id") == (f"{before['order_id']}-R3" if before["order_id"] else "")
        before.pop("order_id")
        assert len(after.pop("client_number")) == len(before.pop("client_number"))
        assert after == before
    assert not {i for i in first.order_ids() if i} & set(third.order_ids())
    assert [row["order_id"] for row in rows(third.file)] == [e.order_id for e in third.file_expectations]
    assert [row["order_id"] for row in third.table] == [e.order_id for e in third.table_expectations]


def test_no_run_pays_what_another_one_has_paid() -> None:
    """Thirty runs within a week are no duplicates of each other: nothing has to be released."""
    paid: set[tuple[str, str]] = set()
    for run in range(1, 31):
        orders = ExampleOrders.of_run(EXAMPLES, run)
        pairs = (
            *zip(rows(orders.file), orders.file_expectations, strict=True),
            *zip(orders.table, orders.table_expectations, strict=True),
        )
        news = {(row["product_code"], row["client_number"]) for row, end in pairs if end.state == "succeeded"}
        assert not news & paid, run
        paid |= news
