"""``sat order``: one order, and the orders that wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.accounts import account_in_log
from sat_hook.cli.context import airflow_of, console, settings_of, store_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.formatting import MAXIMUM_LISTED, STYLES, Columns, facts, moment, rupiah
from sat_hook.cli.options import Reason
from sat_hook.domain.masking import masked_number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import Console

    from sat_hook.cli.settings import CommandSettings
    from sat_hook.domain.event_record import RecordedEvent
    from sat_hook.domain.order import Order
    from sat_hook.store.callbacks import CallbackSeen

ORDERS = Columns("order", "state", "since (WIB)", "account", "batch", ">row", ">quoted", "reason")
RESOLUTIONS = ("succeeded", "failed", "resend")

#: States that only a person can take an order out of, by name: ``--help`` must not load the domain.
FOR_PEOPLE = ("held", "escalated")

app = typer.Typer(help="One order, and those that wait for a person.", no_args_is_help=True)


@app.callback()
def order() -> None:
    """One order, and the orders that wait for a person."""


@app.command("list")
def list_orders(
    context: typer.Context,
    state: Annotated[
        list[str] | None,
        typer.Option(help=f"In this state; repeatable (default: {' and '.join(FOR_PEOPLE)})"),
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Of this account only: its connection or its name")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many", min=1, max=MAXIMUM_LISTED)] = 50,
) -> None:
    """List the orders of all batches that wait for a person, longest wait first."""
    from sat_hook.domain.order import OrderState

    names = [state.value for state in OrderState]
    for name in state or ():
        if name not in names:
            raise CommandError.at("--state", repr(name), "one of " + ", ".join(names))
    states = [OrderState(name) for name in state or FOR_PEOPLE]
    settings = settings_of(context)
    with store_of(settings) as store:
        counts = store.count_standing(states, account)
        if account is not None and not counts:
            account = account_in_log(settings, account)
            counts = store.count_standing(states, account)
        found = store.orders_standing(states, account, limit)
    out = console()
    if not counts:
        whose = f" of account {account}" if account else ""
        out.print(f"No order{whose} is {' or '.join(s.value for s in states)}", markup=False)
        return
    _print_orders(out, found)
    shown = f"the first {len(found):,} of " if len(found) < sum(counts.values()) else ""
    by_state = ", ".join(f"{count:,} {state.value}" for state, count in counts.items())
    out.print(f"{shown}{by_state}. One of them: sat order show ID")


@app.command("show")
def show(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
) -> None:
    """Show an order's history: its events and the callbacks between them. Numbers are masked."""
    from sat_hook.domain.event_record import StreamId, StreamKind
    from sat_hook.store.callbacks import PostgresCallbackInbox

    out = console()
    with store_of(settings_of(context)) as store:
        orders = store.find_orders(reference.strip())
        if not orders:
            raise CommandError.at("ID", f"no order {reference!r}", "a request id or an order id in the log")
        inbox = PostgresCallbackInbox(store.database)
        for found in orders:
            events = store.read_stream(StreamId(StreamKind.ORDER, found.request_id))
            _print_facts(out, found)
            _print_timeline(out, found, events, inbox.seen_of(found.account, found.request_id))


@app.command("resolve")
def resolve(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
    resolution: Annotated[str, typer.Option("--as", help="succeeded, failed or resend")],
    reason: Reason,
) -> None:
    """Decide an escalated order. Later signed evidence that contradicts you is recorded."""
    settings = settings_of(context)
    if resolution not in RESOLUTIONS:
        raise CommandError.at("--as", repr(resolution), " or ".join(RESOLUTIONS))
    found = _the_order(settings, reference)
    with airflow_of(settings) as airflow:
        standing = airflow.act("orders", found.request_id, "resolve", reason=reason, **{"as": resolution})
    then = (
        "; order_recovery asks SAT for it within minutes, and sends it if SAT still does not know it"
        if resolution == "resend"
        else ""
    )
    console().print(f"order {standing['order_id']} is now {standing['state']}{then}")


@app.command("release")
def release(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
    reason: Reason,
) -> None:
    """Release a held order for the next run of its batch. The same cause does not hold it again."""
    standing = _decide_held(context, reference, "release", reason)
    console().print(
        f"order {standing['order_id']} is now {standing['state']}; it is sent by: "
        f"sat batch run {standing['batch_id']}"
    )


@app.command("cancel")
def cancel(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
    reason: Reason,
) -> None:
    """End a held order. It was never sent and never will be."""
    standing = _decide_held(context, reference, "cancel", reason)
    console().print(f"order {standing['order_id']} is now {standing['state']}")


@app.command("withdraw")
def withdraw(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
    reason: Reason,
) -> None:
    """End an unsent order, held or not. An order that may have been sent is refused."""
    settings = settings_of(context)
    found = _the_order(settings, reference)
    with airflow_of(settings) as airflow:
        airflow.act("orders", found.request_id, "withdraw", reason=reason)
    console().print(f"order {found.order_id} is withdrawn and will not be sent")


def _decide_held(context: typer.Context, reference: str, decision: str, reason: str) -> dict[str, Any]:
    settings = settings_of(context)
    found = _the_order(settings, reference)
    with airflow_of(settings) as airflow:
        return airflow.act("orders", found.request_id, decision, reason=reason)


def _the_order(settings: CommandSettings, reference: str) -> Order:
    with store_of(settings) as store:
        found = store.find_orders(reference.strip())
    if len(found) != 1:
        raise CommandError.at(
            "ID",
            f"{len(found)} orders {reference!r}",
            "one order in the log (a request id where accounts share order ids)",
        )
    return found[0]


def _reason_of(order: Order) -> str:
    reason = " ".join(part for part in (order.reason_code, order.reason_detail) if part)
    return reason.replace(order.client_number, masked_number(order.client_number))


def _print_orders(out: Console, found: Sequence[tuple[Order, datetime]]) -> None:
    table = ORDERS.table()
    for order, since in found:
        table.add(
            order.order_id,
            order.state.value,
            moment(since)[:16],
            order.account,
            order.batch_id,
            str(order.row_number),
            rupiah(order.quote_rupiah),
            _reason_of(order),
            style=STYLES[order.state],
        )
    out.print(table)


def _print_facts(out: Console, order: Order) -> None:
    from rich.text import Text

    reason = _reason_of(order)
    shown: list[tuple[str, str | Text]] = [
        ("order", order.order_id),
        ("request id", order.request_id),
        ("account", order.account),
        ("batch", f"{order.batch_id} row {order.row_number}"),
        ("product", f"{order.product_code} for {masked_number(order.client_number)}"),
        ("state", Text(order.state.value, STYLES[order.state])),
        ("quoted", rupiah(order.quote_rupiah)),
        ("charged", rupiah(0 if order.state.value == "failed" else order.charged_rupiah)),
    ]
    if reason:
        shown.append(("reason", reason))
    for line in facts(shown):
        out.print(line)


def _print_timeline(
    out: Console, order: Order, events: list[RecordedEvent], seen: list[CallbackSeen]
) -> None:
    from rich.text import Text

    from sat_hook.cli.timeline import timeline

    out.print()
    for line in timeline(order, events, seen):
        text = Text.assemble(
            (f"{line.when} WIB  ", "dim"),
            (f"{line.name:<22}", "cyan" if line.name.startswith("·") else "bold"),
            f"  {line.detail}",
            (f"  [{line.by}]", "dim"),
        )
        out.print(text)
    out.print()
