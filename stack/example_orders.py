"""Prepares the committed example orders for another run.

An account can use an order id only once, because the request id at SAT is derived from it. So every run of
the demonstration after the first uses new order ids and client numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ORDER_ID = "order_id"
CLIENT_NUMBER = "client_number"
EXPECTATIONS = ("expected_state", "expected_reason")
PAID_STATES = ("succeeded", "already_known")


@dataclass(frozen=True, slots=True)
class Expectation:
    """The expected end of a row: the state in the result file, and its reason (empty when it succeeds)."""

    order_id: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExampleOrders:
    """One run's rows and their expected ends, in row order.

    :param file: the CSV to submit.
    :param table: rows for the table ``order_intake``, by column.
    """

    file: bytes
    file_expectations: tuple[Expectation, ...]
    table: tuple[dict[str, str], ...]
    table_expectations: tuple[Expectation, ...]

    @classmethod
    def of_run(cls, examples: Path, run: int) -> ExampleOrders:
        """The rows in ``examples``; from the second run on, order ids end in ``-R2``, ``-R3``, …

        The account's rules hold a payment that repeats an earlier one within some days. So later runs use
        other client numbers for the rows that should succeed.
        """
        expected = _read((examples / "expected.csv").read_text("utf-8"))
        orders = _read((examples / "orders.csv").read_text("utf-8"))
        intake = _read((examples / "order_intake.csv").read_text("utf-8"))
        for row, ends in (*zip(orders, expected, strict=True), *((row, row) for row in intake)):
            _renew(row, ends["expected_state"], run)
        for row in expected:
            row[ORDER_ID] = _renewed_id(row[ORDER_ID], run)
        file = (examples / "orders.csv").read_bytes() if run == 1 else _written(orders)
        return cls(
            file=file,
            file_expectations=_expectations(expected),
            table=tuple({name: row[name] for name in row if name not in EXPECTATIONS} for row in intake),
            table_expectations=_expectations(intake),
        )

    def order_ids(self) -> list[str]:
        """Every order id that appears in the run."""
        return [expected.order_id for expected in (*self.file_expectations, *self.table_expectations)]


def _expectations(rows: Iterable[dict[str, str]]) -> tuple[Expectation, ...]:
    return tuple(Expectation(row[ORDER_ID], row["expected_state"], row["expected_reason"]) for row in rows)


def _renew(row: dict[str, str], state: str, run: int) -> None:
    row[ORDER_ID] = _renewed_id(row[ORDER_ID], run)
    if state in PAID_STATES and run > 1:
        number = row[CLIENT_NUMBER]
        row[CLIENT_NUMBER] = f"{number[:-5]}{(int(number[-5:]) + run - 1) % 100_000:05d}"


def _renewed_id(order_id: str, run: int) -> str:
    return f"{order_id}-R{run}" if order_id and run > 1 else order_id


def _read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _written(rows: list[dict[str, str]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode("utf-8")
