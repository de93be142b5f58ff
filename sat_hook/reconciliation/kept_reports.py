"""The stored reports of closed days. A version is written once and never again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO

from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.close_computation import compute_close
from sat_hook.reconciliation.close_digest import digest_of_close
from sat_hook.reconciliation.day_figures import DayFigures, from_bytes
from sat_hook.reconciliation.deposit_match import terms_of
from sat_hook.reconciliation.errors import BooksRefusedError, NotReproducedError
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.report import ReportNames, write_report
from sat_hook.reconciliation.versions import Version, as_decided, version_numbered, versions_of
from sat_hook.store.errors import SpoolError
from sat_hook.store.spool import NamedSpool


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A version of a report, and the URIs of its files by name."""

    version: Version
    files: dict[str, str]

    @property
    def names(self) -> ReportNames:
        """The names that its files have, or would have."""
        return _names_of(self.version)


def keep_report(spool: NamedSpool, versions: Sequence[Version], close: DayClose) -> KeptReport:
    """Write the newest of ``versions``. A file that exists is never written again.

    :param close: the day's result as it was recorded.
    """
    version = versions[-1]
    files = _found(spool, version)
    if _lacks(files, version):
        with tempfile.TemporaryDirectory(prefix="sat-report-") as folder:
            written = write_report(as_decided(close, versions, version), Path(folder), versions)
            # The workbook is written last: if it exists, the others do.
            for file in reversed(written):
                if file.name not in files:
                    files[file.name] = spool.write_file(f"{version.place}/{file.name}", file.path)
    return KeptReport(version, files)


def report_of(
    keeper: BookKeeper,
    spool: NamedSpool,
    account: str,
    day: date,
    number: int | None = None,
    most_orders: int | None = None,
) -> KeptReport:
    """Return a version of a day's report, written first if it is missing.

    :param number: the version; by default the newest.
    :param most_orders: a day with more orders is not made here.
    :raises BooksRefusedError: there is no such version, or the day is too large to be made here.
    :raises NotReproducedError: the log no longer gives the recorded result.
    """
    versions = versions_of(keeper.store.database, account, day)
    version = version_numbered(versions, day, number)
    files = _found(spool, version)
    is_too_large = most_orders is not None and version.close.orders > most_orders
    if not _lacks(files, version) or (is_too_large and _names_of(version).workbook in files):
        return KeptReport(version, files)
    if is_too_large:
        raise BooksRefusedError(
            f"{day}: found {version.close.orders:,} orders and no file of version {version.number} yet; "
            f"expected at most {most_orders:,}, or a run that writes it (sat reconcile close {day} --wait)"
        )
    recorded = keeper.recorded(account)
    close = compute_close(
        keeper.store.database, spool, recorded, account, version.business_day, version.close.position
    )
    if digest_of_close(close) != version.close.result_digest:
        raise NotReproducedError(f"{day}: the log gives another result than was recorded")
    return keep_report(spool, [one for one in versions if one.number <= version.number], close)


def figures_of_close(spool: NamedSpool, version: Version) -> DayFigures | None:
    """Return the stored figures of a version's close; None when there are none.

    :raises NotReproducedError: they are not those of the close.
    """
    try:
        with spool.open(spool.uri_of(f"{version.place_of_close}/{_names_of(version).figures}")) as file:
            figures = from_bytes(file.read())
    except SpoolError:
        return None
    except ValueError as error:
        raise NotReproducedError(f"{version.close.day}: the stored figures cannot be read") from error
    close = version.close
    found = (figures.position, figures.order_count, len(figures.open_breaks))
    saldo = None if figures.saldo is None else terms_of(figures.saldo)
    if (*found, saldo) != (close.position, close.orders, close.open_breaks, close.saldo):
        raise NotReproducedError(f"{close.day}: the stored figures are not those of the recorded close")
    return figures


def orders_of_close(spool: NamedSpool, version: Version) -> BinaryIO:
    """Open the CSV of the orders of a version's close; its figures say where each group is.

    :raises SpoolError: it cannot be read.
    """
    return spool.open(spool.uri_of(f"{version.place_of_close}/{_names_of(version).orders}"))


def _names_of(version: Version) -> ReportNames:
    return ReportNames.of(version.close.account, version.close.day)


def _lacks(files: Mapping[str, str], version: Version) -> bool:
    return not set(_names_of(version)) <= set(files)


def _found(spool: NamedSpool, version: Version) -> dict[str, str]:
    """Return the URIs of a version's files that exist; earlier releases also wrote a page."""
    names = _names_of(version)
    found: dict[str, str] = {}
    for name in (*names, names.workbook.replace(".xlsx", ".html")):
        uri = spool.uri_of(f"{version.place}/{name}")
        # The folder may not exist yet. If the store is unavailable, writing to it raises the error.
        with suppress(SpoolError):
            spool.open(uri).close()
            found[name] = uri
    return found
