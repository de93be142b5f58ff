"""The stored reports of closed days. A version is written once and never again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sat_hook.domain.event_record import RecordedEvent
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.close_computation import compute_close
from sat_hook.reconciliation.close_digest import digest_of_close
from sat_hook.reconciliation.errors import BooksRefusedError, NotReproducedError
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.report import names_of, write_report
from sat_hook.reconciliation.versions import Version, as_decided, version_numbered, versions_of
from sat_hook.store.spool import NamedSpool, SpoolError, SpoolFileGoneError


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A version of a report, and the URIs of its files by name."""

    version: Version
    files: dict[str, str]


def keep_report(
    spool: NamedSpool, recorded: Sequence[RecordedEvent], versions: Sequence[Version], close: DayClose
) -> KeptReport:
    """Write the newest of ``versions``, unless it exists.

    :param recorded: the account's stream.
    :param close: the day's result as it was recorded.
    """
    version = versions[-1]
    found = _found(spool, version)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="sat-report-") as folder:
        written = write_report(as_decided(close, recorded, version), Path(folder), versions)
        # The workbook is written last: if it exists, the others do.
        files = {
            file.name: spool.write(f"{version.place}/{file.name}", file.path.read_bytes())
            for file in reversed(written)
        }
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
    recorded = keeper.recorded(account)
    versions = versions_of(recorded, day)
    version = version_numbered(versions, day, number)
    found = _found(spool, version)
    if found is not None:
        return found
    if most_orders is not None and version.close.orders > most_orders:
        raise BooksRefusedError(
            f"{day}: found {version.close.orders:,} orders and no file of version {version.number} yet; "
            f"expected at most {most_orders:,}, or a run that writes it (sat reconcile close {day} --wait)"
        )
    close = compute_close(
        keeper.store.database, spool, recorded, account, version.business_day, version.close.position
    )
    if digest_of_close(close) != version.close.result_digest:
        raise NotReproducedError(f"{day}: the log gives another result than was recorded")
    return keep_report(spool, recorded, versions[: version.number], close)


def _found(spool: NamedSpool, version: Version) -> KeptReport | None:
    """Return a version's files if all of them exist. The orders are not always a file."""
    workbook, page, breaks, orders = names_of(version.close.account, version.close.day)
    kept: dict[str, str] = {}
    for name in (workbook, page, breaks, orders):
        uri = spool.uri_of(f"{version.place}/{name}")
        try:
            spool.open(uri).close()
        except SpoolFileGoneError:
            if name != orders:
                return None
        except SpoolError:
            # The folder may not exist yet. If the store is unavailable, writing to it raises the error.
            return None
        else:
            kept[name] = uri
    return KeptReport(version, kept)
