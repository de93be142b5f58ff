"""The report of a closed day as files in a folder: workbook, page, CSV of the breaks, CSV of many orders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sat_hook.reconciliation.breaks_file import render_breaks, write_orders
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.page import LinkedFile, render_page
from sat_hook.reconciliation.versions import Version
from sat_hook.reconciliation.workbook import has_orders_inside, render_workbook

_LONGEST_ACCOUNT = 80
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file of a report. ``digest`` is the SHA-256 of its bytes (hex)."""

    path: Path
    size_bytes: int
    digest: str

    @property
    def name(self) -> str:
        """Its name in the folder."""
        return self.path.name


def names_of(account: str, day: date) -> tuple[str, str, str, str]:
    """Return the names of a report's files: workbook, page, breaks, orders."""
    safe = _NOT_IN_A_NAME.sub("_", account)[:_LONGEST_ACCOUNT]
    stem = f"reconciliation-{safe}-{day.isoformat()}"
    return f"{stem}.xlsx", f"{stem}.html", f"{stem}-breaks.csv", f"{stem}-orders.csv"


def write_report(close: DayClose, folder: Path, versions: Sequence[Version] = ()) -> tuple[ReportFile, ...]:
    """Write the report into ``folder`` (which exists), replacing an earlier one of the same day.

    The same day gives the same bytes. The orders get a file of their own when the workbook has no room for
    them; it is written in parts.

    :param versions: those up to the one that is written: who closed, decided and signed.
    :returns: the files: workbook, page, breaks, and the orders if they are a file.
    :raises OSError: the folder cannot be written to.
    """
    workbook, page, breaks, orders = (folder / name for name in names_of(close.account, close.day))
    linked = [
        LinkedFile(workbook.name, "workbook" if has_orders_inside(close) else "workbook without the orders"),
        LinkedFile(breaks.name, "the breaks as CSV"),
    ]
    written = [workbook, page, breaks]
    if not has_orders_inside(close):
        linked.append(LinkedFile(orders.name, "the orders as CSV"))
        written.append(orders)
        with orders.open("wb") as out:
            write_orders(close.orders, out)
    workbook.write_bytes(render_workbook(close, orders.name, versions))
    page.write_bytes(render_page(close, linked, versions))
    breaks.write_bytes(render_breaks(close))
    return tuple(ReportFile(path, path.stat().st_size, _digest(path)) for path in written)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
