"""Imports a settlement file that a person brought, after they have looked at it."""

from __future__ import annotations

from datetime import date

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.books_commands import BooksCommand, ReplaceSettlements
from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import digest_of
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.settlement import Keep, keep_settlement, read_settlement
from sat_hook.reconciliation.settlement_intake import rival_files, rows_of_orders
from sat_hook.reconciliation.settlement_names import is_correction


def import_file(
    keeper: BookKeeper,
    keep: Keep,
    *,
    account: str,
    day: date,
    name: str,
    content: bytes,
    mapping: SettlementMapping,
    provenance: Provenance,
) -> SettlementImported:
    """Let a file count for a day. Files of the day with the same orders are replaced.

    :raises SettlementRefusedError: the file cannot be read by the mapping.
    :raises BooksRefusedError: it counts already.
    """
    event = keep_settlement(
        keep,
        account=account,
        day=day,
        name=name,
        content=content,
        mapping=mapping,
        replaces_earlier=is_correction(name),
    )
    books = keeper.books_without_breaks(account)
    rivals = rival_files(books, keep, event, lambda: rows_of_orders(read_settlement(content, name, mapping)))
    command: BooksCommand = Record(event)
    if rivals:
        command = ReplaceSettlements(event, tuple(item.event.digest for item in rivals))
    if not keeper.post(account, command, provenance):
        raise BooksRefusedError(f"{name}: found this file among those that count for {day}; expected another")
    return event


def rivals_of_upload(
    books: AccountBooks,
    keep: Keep,
    *,
    day: date,
    name: str,
    content: bytes,
    mapping: SettlementMapping,
) -> tuple[str, ...]:
    """Names of the files that count for a day and have the orders of this one, unless it says that it is a
    correction."""
    if is_correction(name):
        return ()
    event = SettlementImported(
        account=books.account,
        day=day,
        name=name,
        uri="",
        digest=digest_of(content),
        size_bytes=len(content),
        rows=0,
        mapping=mapping,
        replaces_earlier=False,
    )
    found = rival_files(books, keep, event, lambda: rows_of_orders(read_settlement(content, name, mapping)))
    return tuple(item.event.name for item in found)
