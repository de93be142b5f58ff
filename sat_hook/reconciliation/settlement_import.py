"""The import of a settlement file that a person brings, and the files whose orders it would count again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from sat_hook.domain.books import AccountBooks, PostedSettlement
from sat_hook.domain.books_commands import BooksCommand, ReplaceSettlements
from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import digest_of
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.settlement import Keep, keep_settlement, load_settlement, read_settlement
from sat_hook.reconciliation.settlement_names import family_of, is_correction
from sat_hook.reconciliation.settlement_rows import SettlementRows
from sat_hook.store.settlement_uploads import StoredUpload

SAME_ROWS = 0.5
"""Two files of a day that share at least this part of the smaller one are two downloads of the same orders.
"""


def import_file(
    keeper: BookKeeper, keep: Keep, upload: StoredUpload, day: date, provenance: Provenance
) -> SettlementImported:
    """Let an upload count for a day. Files of the day with the same orders are replaced.

    :raises SettlementRefusedError: the file cannot be read by its mapping.
    :raises BooksRefusedError: it counts already.
    """
    event = keep_settlement(
        keep,
        account=upload.account,
        day=day,
        name=upload.name,
        content=upload.content,
        mapping=upload.mapping,
        replaces_earlier=is_correction(upload.name),
    )
    rivals = _rivals(keeper.books_without_breaks(upload.account), keep, upload, day)
    command: BooksCommand = ReplaceSettlements(event, tuple(item.event.digest for item in rivals))
    if not keeper.post(upload.account, command if rivals else Record(event), provenance):
        raise BooksRefusedError(
            f"{upload.name}: found this file among those that count for {day}; expected another"
        )
    return event


def rivals_of_upload(books: AccountBooks, keep: Keep, upload: StoredUpload, day: date) -> tuple[str, ...]:
    """Names of the files that count for a day and have the orders of this one, unless it says that it is a
    correction."""
    if is_correction(upload.name):
        return ()
    return tuple(item.event.name for item in _rivals(books, keep, upload, day))


def _rivals(books: AccountBooks, keep: Keep, upload: StoredUpload, day: date) -> list[PostedSettlement]:
    def rows() -> SettlementRows:
        return read_settlement(upload.content, upload.name, upload.mapping)

    return rival_files(books, keep, day, upload.name, digest_of(upload.content), rows)


def rival_files(
    books: AccountBooks, keep: Keep, day: date, name: str, digest: str, read: Callable[[], SettlementRows]
) -> list[PostedSettlement]:
    """Return the day's files whose orders a file would count again.

    :param digest: that of the file.
    :param read: its rows; called only if its name does not decide.
    """
    counting = [item for item in books.settlements_of(day) if item.event.digest != digest]
    alike = [item for item in counting if family_of(item.event.name) == family_of(name)]
    if alike or is_correction(name) or not counting:
        return alike
    rows = _orders_in(read())
    return [item for item in counting if _shares_rows(rows, _orders_in(load_settlement(keep, item.event)))]


def _orders_in(read: SettlementRows) -> set[tuple[str, str]]:
    """Return sales and refunds of orders without their amounts: a second download may have other amounts."""
    frame = read.kept
    return set(zip(frame["request_id"].tolist(), frame["kind"].tolist(), strict=True))


def _shares_rows(one: set[tuple[str, str]], other: set[tuple[str, str]]) -> bool:
    return len(one & other) > SAME_ROWS * min(len(one), len(other))
