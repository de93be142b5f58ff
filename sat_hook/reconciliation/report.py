"""The report of a closed day as files in a folder: workbooks, PDFs, CSV of breaks and orders, figures."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sat_hook.presentation.language import Language
from sat_hook.reconciliation.breaks_file import render_breaks, write_orders
from sat_hook.reconciliation.day_figures import (
    GroupKey,
    OrderGroup,
    figures_of,
    grouped_orders,
    joined_groups,
    placed,
    to_bytes,
)
from sat_hook.reconciliation.day_orders import DayOrders
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.versions import Version
from sat_hook.reconciliation.workbook import render_workbook

_LONGEST_ACCOUNT = 80
_BYTES_AT_A_TIME = 1 << 20
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ReportFile:
    """A file of a report. ``digest`` is the SHA-256 of its bytes (hex)."""

    path: Path
    size_bytes: int
    digest: str

    @property
    def name(self) -> str:
        return self.path.name


class ReportNames(NamedTuple):
    """The names of a report's files."""

    workbook: str
    indonesian_workbook: str
    indonesian_pdf: str
    english_pdf: str
    breaks: str
    orders: str
    figures: str

    @classmethod
    def of(cls, account: str, day: date) -> ReportNames:
        """Those of an account's day."""
        safe = _NOT_IN_A_NAME.sub("_", account)[:_LONGEST_ACCOUNT]
        stem = f"reconciliation-{safe}-{day.isoformat()}"
        endings = (".xlsx", "-id.xlsx", "-id.pdf", "-en.pdf", "-breaks.csv", "-orders.csv", "-figures.json")
        return cls(*(f"{stem}{ending}" for ending in endings))

    def workbook_in(self, language: Language) -> str:
        return self.indonesian_workbook if language is Language.INDONESIAN else self.workbook

    def pdf(self, language: Language) -> str:
        return self.indonesian_pdf if language is Language.INDONESIAN else self.english_pdf


def write_report(close: DayClose, folder: Path, versions: Sequence[Version] = ()) -> tuple[ReportFile, ...]:
    """Write the report into ``folder`` (which exists), replacing an earlier one of the same day.

    The same day gives the same bytes.

    :param versions: those up to the one that is written: who closed, decided and signed.
    :returns: the files in the order of :class:`ReportNames`.
    :raises OSError: the folder cannot be written to.
    """
    # Its library takes a while to load; readers of reports need none.
    from sat_hook.reconciliation.report_pdf import render_pdf

    names = ReportNames.of(close.account, close.day)
    groups = write_groups(close.orders, folder / names.orders)
    figures = figures_of(close, groups)
    contents = {
        names.breaks: render_breaks(close),
        names.figures: to_bytes(figures),
    }
    for language in Language:
        workbook = render_workbook(close, names.orders, versions, groups, language)
        contents[names.workbook_in(language)] = workbook
        contents[names.pdf(language)] = render_pdf(figures, versions, language)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    written = [folder / name for name in names]
    return tuple(ReportFile(path, path.stat().st_size, _digest(path)) for path in written)


def write_groups(orders: DayOrders, target: Path) -> list[OrderGroup]:
    """Write the orders group by group, and return the groups with their places.

    Each partition is written by itself; then its rows of a group follow those of the partition before.
    """
    parts: list[tuple[Path, dict[GroupKey, OrderGroup]]] = []
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for number, frame in enumerate(orders.frames()):
            path = Path(folder) / str(number)
            places, groups = grouped_orders(frame)
            with path.open("wb") as out:
                first, *sizes = write_orders(frame, out, places, [group.orders for group in groups.values()])
            parts.append((path, dict(zip(groups, placed(list(groups.values()), sizes, first), strict=True))))
        found = joined_groups([groups for _, groups in parts])
        sizes = []
        with ExitStack() as files, target.open("wb") as out:
            opened = [(files.enter_context(path.open("rb")), groups) for path, groups in parts]
            out.write(opened[0][0].read(first))
            for key in found:
                sizes.append(0)
                for file, groups in opened:
                    if key in groups:
                        file.seek(groups[key].offset)
                        sizes[-1] += _copy(file, out, groups[key].size)
    return placed(list(found.values()), sizes, first)


def _copy(source: BinaryIO, target: BinaryIO, size: int) -> int:
    """Copy so many bytes."""
    for start in range(0, size, _BYTES_AT_A_TIME):
        target.write(source.read(min(_BYTES_AT_A_TIME, size - start)))
    return size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
