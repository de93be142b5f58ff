"""Opens an account's books for a command, and shows their contents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.accounts import account_among
from sat_hook.cli.context import console, settings_of, store_of
from sat_hook.cli.formatting import Columns, moment, rupiah

if TYPE_CHECKING:
    from datetime import date

    from rich.console import Console

    from sat_hook.domain.books import AccountBooks, PostedClose
    from sat_hook.domain.books_events import BookedBreak
    from sat_hook.domain.event_record import RecordedEvent
    from sat_hook.reconciliation.versions import Version

Named = Annotated[
    str | None,
    typer.Option(
        "--account",
        help="The account: its Airflow connection, or its name in the log; needed when there are several",
    ),
]

DAYS = Columns("day (WIB)", ">position", ">orders", ">open breaks", ">unexplained", "signed", "later")
SALDO = Columns("saldo", ">rupiah")
VERSIONS = Columns(">version", "when (WIB)", "who", "what", "kept at, below SAT_RESULTS_URI")
FILES = Columns("file", "digest", ">rows", "state")
BREAKS = Columns("break", "category", "first seen", ">rupiah", "state", "order", "what", "ours", "theirs")


@dataclass(frozen=True, slots=True)
class BooksContext:
    """What the commands read."""

    books: AccountBooks
    out: Console
    recorded: list[RecordedEvent]

    def versions_of(self, day: date) -> list[Version]:
        """The versions of a day's report."""
        from sat_hook.reconciliation.versions import versions_of

        return versions_of(self.recorded, day)


@contextmanager
def books_context(context: typer.Context, account: str | None) -> Iterator[BooksContext]:
    """Open the books of one account as they are now.

    :raises CommandError: it is not clear which account is meant.
    """
    from sat_hook.clients.clock import SystemClock
    from sat_hook.domain.books import fold_books
    from sat_hook.reconciliation.bookkeeper import BookKeeper

    settings = settings_of(context)
    with store_of(settings) as store:
        account = account_among(settings, account, store.accounts_with_events())
        recorded = BookKeeper(store, SystemClock()).recorded(account)
        yield BooksContext(fold_books(account, recorded), console(), recorded)


def show_days(opened: BooksContext) -> None:
    """Show the closed days, newest first."""
    books = opened.books
    if not books.closes:
        opened.out.print(f"account {books.account}: no day is closed yet", markup=False)
        return
    opened.out.print(f"account {books.account}", markup=False)
    table = DAYS.table()
    for day in sorted(books.closes, reverse=True):
        event = books.closes[day].event
        adjusted = ", ".join(f"adjusted in {later}" for later in books.adjusted_by(day))
        table.add(
            day.isoformat(),
            str(event.position),
            f"{event.orders:,}",
            str(len(open_breaks(books, books.closes[day]))),
            rupiah(event.saldo.unexplained_rupiah) if event.saldo else "no saldo",
            signatures(books, books.closes[day]),
            adjusted,
        )
    opened.out.print(table)


def show_saldo(opened: BooksContext, close: PostedClose) -> None:
    """Show the saldo equation of a day."""
    saldo = close.event.saldo
    if saldo is None:
        opened.out.print(
            "[yellow]no saldo equation[/]: a look at the deposit near a cut-off is missing; a control break "
            "says which"
        )
        return
    opened.out.print(f"account {opened.books.account}, {close.event.day}", markup=False)
    table = SALDO.table()
    table.add(f"opening saldo ({moment(saldo.opening_observed_at)[:19]} WIB)", rupiah(saldo.opening_rupiah))
    table.add("+ top-ups", rupiah(saldo.top_ups_rupiah))
    table.add("+ in transit at the opening", rupiah(saldo.in_transit_opening_rupiah))
    table.add("- debits", rupiah(saldo.debits_rupiah))
    table.add("+ refunds", rupiah(saldo.refunds_rupiah))
    table.add("- in transit at the close", rupiah(saldo.in_transit_closing_rupiah))
    table.add("unexplained", rupiah(saldo.unexplained_rupiah), style="bold")
    table.add(f"closing saldo ({moment(saldo.closing_observed_at)[:19]} WIB)", rupiah(saldo.closing_rupiah))
    opened.out.print(table)


def show_breaks(opened: BooksContext, close: PostedClose, *, every: bool) -> None:
    """Show the breaks of a close: the open and explained ones, or all of them."""
    books = opened.books
    table = BREAKS.table()
    shown = 0
    for item in close.breaks:
        state = books.standing_of(item, close)
        if state.is_final and not every:
            continue
        shown += 1
        table.add(
            item.break_id,
            item.category.value,
            item.first_seen.isoformat(),
            f"{item.amount_rupiah:,}",
            state.value,
            item.order_id or item.request_id or "",
            item.what,
            item.ours,
            item.theirs,
        )
    if shown:
        opened.out.print(table)
    opened.out.print(f"{shown:,} breaks, as of {close.event.day}")


def show_files(opened: BooksContext, day: date) -> None:
    """Show the settlement files of a day, including those that do not count."""
    table = FILES.table()
    books = opened.books
    shown = 0
    for posted in books.registered_of(day):
        state = "does not count: lost where it is kept" if books.is_lost(posted.event) else "counts"
        table.add(posted.event.name, posted.event.digest[:16], f"{posted.event.rows:,}", state)
        shown += 1
    for aside in books.set_aside.values():
        if aside.event.day == day and not any(
            posted.event.digest == aside.event.digest for posted in books.registered_of(day)
        ):
            table.add(aside.event.name, aside.event.digest[:16], "", f"does not count: {aside.event.reason}")
            shown += 1
    if shown:
        opened.out.print(table)
    opened.out.print(f"{shown:,} settlement files of {day}, account {books.account}", markup=False)


def open_breaks(books: AccountBooks, close: PostedClose) -> list[BookedBreak]:
    """Return the breaks of a close without a decision."""
    return [item for item in close.breaks if books.standing_of(item, close).value == "open"]


def signatures(books: AccountBooks, close: PostedClose) -> str:
    """Return who has signed a close."""
    certified, prepared = books.certified.get(close.event.day), books.prepared.get(close.event.day)
    if certified is not None:
        return f"certified by {certified.posted.actor}"
    if prepared is not None and prepared.event.position == close.event.position:
        return f"prepared by {prepared.posted.actor}"
    return "prepared, closed again since" if prepared is not None else ""


def each_account(context: typer.Context, account: str | None) -> Iterator[BooksContext]:
    """Yield the books of one account, or of every account that has a closed day."""
    if account is None:
        with store_of(settings_of(context)) as store:
            known = store.accounts_with_events()
    else:
        known = [account]
    for name in (*known,) or (None,):
        with books_context(context, name) as opened:
            if account is not None or len(known) < 2 or opened.books.closes:
                yield opened


def show_versions(opened: BooksContext, day: date) -> None:
    """Show the versions of a day's report."""
    table = VERSIONS.table()
    for item in opened.versions_of(day):
        table.add(str(item.number), moment(item.at)[:19], item.actor, item.what, item.place)
    opened.out.print(table)
    opened.out.print(
        f"the files: sat reconcile report {day} --account {opened.books.account} --output FOLDER",
        markup=False,
    )
