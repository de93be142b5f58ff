"""Shows the contents of an account's books: closed days, their saldo and breaks, files, report versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.formatting import Columns, moment, rupiah

if TYPE_CHECKING:
    from rich.console import Console

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

Document = Mapping[str, Any]


def show_days(out: Console, account: str, days: list[dict[str, Any]]) -> None:
    """Show the closed days, newest first."""
    if not days:
        out.print(f"account {account}: no day is closed yet", markup=False)
        return
    out.print(f"account {days[0]['account']}", markup=False)
    table = DAYS.table()
    for closed in days:
        unexplained = closed["unexplained_rupiah"]
        table.add(
            closed["day"],
            str(closed["position"]),
            f"{closed['orders']:,}",
            str(closed["open_breaks"]),
            "no saldo" if unexplained is None else rupiah(unexplained),
            _signatures(closed),
            ", ".join(f"adjusted in {later}" for later in closed["adjusted_in"]),
        )
    out.print(table)


def show_saldo(out: Console, closed: Document, saldo: Document | None) -> None:
    """Show the saldo equation of a day."""
    if saldo is None:
        out.print(
            "[yellow]no saldo equation[/]: a look at the deposit near a cut-off is missing; a control break "
            "says which"
        )
        return
    out.print(f"account {closed['account']}, {closed['day']}", markup=False)
    table = SALDO.table()
    opened, ended = (_second(saldo[f"{end}_observed_at"]) for end in ("opening", "closing"))
    for title, name in (
        (f"opening saldo ({opened} WIB)", "opening"),
        ("+ top-ups", "top_ups"),
        ("+ in transit at the opening", "in_transit_opening"),
        ("- debits", "debits"),
        ("+ refunds", "refunds"),
        ("- in transit at the close", "in_transit_closing"),
        ("unexplained", "unexplained"),
        (f"closing saldo ({ended} WIB)", "closing"),
    ):
        table.add(title, rupiah(saldo[f"{name}_rupiah"]), style="bold" if name == "unexplained" else "")
    out.print(table)


def show_breaks(out: Console, day: str, breaks: Iterable[Document]) -> None:
    """Show breaks as of a closed day."""
    table = BREAKS.table()
    for item in breaks:
        table.add(
            item["break_id"],
            item["category"],
            item["first_seen"],
            f"{item['amount_rupiah']:,}",
            item["state"],
            item["subject"],
            item["what"],
            item["ours"],
            item["theirs"],
        )
    if len(table):
        out.print(table)
    out.print(f"{len(table):,} breaks, as of {day}")


def show_files(out: Console, account: str, day: str, files: list[dict[str, Any]]) -> None:
    """Show the settlement files of a day, including those that do not count."""
    table = FILES.table()
    for file in files:
        rows = "" if file["rows"] is None else f"{file['rows']:,}"
        state = f"does not count: {file['reason']}" if file["reason"] else "counts"
        table.add(file["name"], file["digest"][:16], rows, state)
    if files:
        out.print(table)
    out.print(f"{len(files):,} settlement files of {day}, account {account}", markup=False)


def show_versions(out: Console, closed: Document, versions: Iterable[Document]) -> None:
    """Show the versions of a day's report."""
    table = VERSIONS.table()
    for item in versions:
        table.add(str(item["number"]), _second(item["at"]), item["actor"], item["what"], item["place"])
    out.print(table)
    out.print(
        f"the files: sat reconcile report {closed['day']} --account {closed['account']} --output FOLDER",
        markup=False,
    )


def _signatures(closed: Document) -> str:
    """Return who has signed a close."""
    if closed["certified_by"]:
        return f"certified by {closed['certified_by']}"
    if closed["prepared_by"]:
        return f"prepared by {closed['prepared_by']}"
    return "prepared, closed again since" if closed["is_closed_again"] else ""


def _second(at: str) -> str:
    return moment(datetime.fromisoformat(at))[:19]
