"""The committed example orders, prepared for one more run.

An order id is used once in an account's life: the request id at SAT is derived from it. So every run of the
demonstration but the first submits the same rows under order ids of its own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ORDER_ID = "order_id"
EXPECTATIONS = ("expected_state", "expected_reason")


@dataclass(frozen=True, slots=True)
class Expectation:
    """How one row should end: the state in the result file, and its reason (empty when it succeeds)."""

    order_id: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExampleOrders:
    """One run's rows and their expected ends, in the order of the rows.

    :param file: the CSV to submit.
    :param table: rows for the table ``order_intake``, by column.
    """

    file: bytes
    file_expectations: tuple[Expectation, ...]
    table: tuple[dict[str, str], ...]
    table_expectations: tuple[Expectation, ...]

    @classmethod
    def of_run(cls, examples: Path, run: int) -> ExampleOrders:
        """The rows in ``examples``; from the second run on, order ids end in ``-R2``, ``-R3``, …"""
        suffix = f"-R{run}" if run > 1 else ""
        orders = (examples / "orders.csv").read_bytes()
        intake = _read((examples / "order_intake.csv").read_text("utf-8"), suffix)
        return cls(
            file=_rewrite(orders.decode("utf-8"), suffix).encode("utf-8") if suffix else orders,
            file_expectations=_expectations(_read((examples / "expected.csv").read_text("utf-8"), suffix)),
            table=tuple({name: row[name] for name in row if name not in EXPECTATIONS} for row in intake),
            table_expectations=_expectations(intake),
        )

    def order_ids(self) -> list[str]:
        """Every order id that appears in the run."""
        return [expected.order_id for expected in (*self.file_expectations, *self.table_expectations)]


def _expectations(rows: Iterable[dict[str, str]]) -> tuple[Expectation, ...]:
    return tuple(Expectation(row[ORDER_ID], row["expected_state"], row["expected_reason"]) for row in rows)


def _read(text: str, suffix: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_rewrite(text, suffix), newline="")))


def _rewrite(text: str, suffix: str) -> str:
    """The same CSV with ``suffix`` at every order id that there is; cells are otherwise left as they are."""
    reader = csv.reader(io.StringIO(text, newline=""))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    header = next(reader)
    writer.writerow(header)
    place = header.index(ORDER_ID)
    for row in reader:
        writer.writerow(
            [f"{cell}{suffix}" if index == place and cell else cell for index, cell in enumerate(row)]
        )
    return out.getvalue()
