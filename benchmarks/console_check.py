"""The time that a draft of many rows takes: reading the upload, and checking it. No SAT server is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import xlsxwriter

from benchmarks.console_data import ACCOUNT
from sat_hook.application.draft_submissions import DraftSubmissions
from sat_hook.application.draft_views import DraftView
from sat_hook.application.drafts import Drafts
from sat_hook.application.installation import Installation, SATConnection
from sat_hook.application.rights import Person, Right
from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.guards import AccountRules
from sat_hook.protocol.calls import Call, Reply
from sat_hook.protocol.messages import Product

MAKER = Person("mia", frozenset({Right.SUBMIT}))
HEADER = ("order_id", "product_code", "client_number", "max_rupiah", "nama")
PRODUCTS = 300


class ScriptedConnection(SATConnection):
    """An account whose price list and deposit are at hand."""

    def settings(self) -> AccountSettings:
        return cast("AccountSettings", SimpleNamespace(account=ACCOUNT))

    def rules(self) -> AccountRules:
        return AccountRules()

    def ask(self, call: Call[Any]) -> Reply[Any]:
        del call
        return cast(
            "Reply[Any]",
            SimpleNamespace(
                value=SimpleNamespace(saldo_rupiah=10**11),
                response=SimpleNamespace(body=b"{}"),
                began_at=datetime.now(UTC),
            ),
        )

    def list_product(self, codes: Sequence[str] | None = None) -> list[Product]:
        del codes
        return [
            Product(code=f"P{number}", name=f"Pulsa {number}", price=10_000 + number, status=1)
            for number in range(PRODUCTS)
        ]

    def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, slots=True)
class Taken:
    """How long something took: by the clock, and of this process's processor time."""

    seconds: float
    processor_seconds: float


def measure_checks(installation: Installation, rows: int) -> dict[str, dict[str, float]]:
    """Read and check a file with this many rows, of which a few are wrong, as CSV and as a workbook."""
    return {
        name: _measured(installation, name, content, rows)
        for name, content in (("orders.csv", _csv(rows)), ("orders.xlsx", _workbook(rows)))
    }


def _measured(installation: Installation, name: str, content: bytes, rows: int) -> dict[str, float]:
    drafts, submissions = Drafts(installation), DraftSubmissions(installation)
    read, view = _timed(lambda: drafts.create(content, name, ACCOUNT, MAKER))
    checked, after = _timed(lambda: submissions.check(view.draft_id, MAKER))
    assert after.check is not None
    assert after.check["rows"] == rows
    drafts.discard(view.draft_id, MAKER)
    return {
        "rows": rows,
        "payable": after.check["payable"],
        "read_seconds": read.seconds,
        "read_processor_seconds": read.processor_seconds,
        "check_seconds": checked.seconds,
        "check_processor_seconds": checked.processor_seconds,
    }


def _timed(work: Callable[[], DraftView]) -> tuple[Taken, DraftView]:
    began, processor = time.perf_counter(), time.process_time()
    view = work()
    return Taken(time.perf_counter() - began, time.process_time() - processor), view


def _row(number: int) -> tuple[str, ...]:
    # One in a thousand has a number that a spreadsheet damaged, and one in five hundred an unknown product.
    client = "8.12E+11" if number % 1_000 == 7 else f"0813{number:08d}"
    product = "P-unknown" if number % 500 == 3 else f"P{number % PRODUCTS}"
    return f"CHK-{number}", product, client, "60000", f"Pelanggan {number}"


def _csv(rows: int) -> bytes:
    return "\n".join(map(",".join, (HEADER, *map(_row, range(rows)), ()))).encode("utf-8")


def _workbook(rows: int) -> bytes:
    out = BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True}) as book:
        sheet = book.add_worksheet("Orders")
        for place, row in enumerate((HEADER, *map(_row, range(rows)))):
            sheet.write_row(place, 0, row)
    return out.getvalue()
