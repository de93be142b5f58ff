"""``sat order``: one order with its history, and the orders that wait for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import MAXIMUM_LISTED, STYLES, Columns, facts, moment, rupiah
from sat_hook.cli.options import Reason
from sat_hook.domain.masking import masked_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from sat_hook.cli.airflow_api import AirflowApi


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
    product: Annotated[str | None, typer.Option(help="Of this product code only")] = None,
    reason_code: Annotated[str | None, typer.Option(help="With this reason, for example limit")] = None,
    limit: Annotated[int, typer.Option(help="How many", min=1, max=MAXIMUM_LISTED)] = 50,
    output: Output = Form.TABLE,
) -> None:
    """List the orders of all batches that wait for a person, longest wait first."""
    from sat_hook.domain.order_state import OrderState

    names = [known.value for known in OrderState]
    for name in state or ():
        if name not in names:
            raise CommandError.at("--state", repr(name), "one of " + ", ".join(names))
    states, out = state or FOR_PEOPLE, console()
    which = {"account": account, "product_code": product, "reason_code": reason_code}
    with airflow_of(settings_of(context)) as api:
        found = api.listed("orders", limit=limit, state=states, **which)
        if is_written(found[:limit], output):
            return
        if len(found) > limit:
            numbers = [_counted(api, name, which) for name in states]
        else:
            standing = Counter(order["state"] for order in found)
            numbers = [f"{standing[name]:,} {name}" for name in states if standing[name]]
    if not found:
        whose = f" of account {account}" if account else ""
        out.print(f"No order{whose} is {' or '.join(states)}", markup=False)
        return
    _print_orders(out, found[:limit])
    shown = f"the first {limit:,} of " if len(found) > limit else ""
    out.print(f"{shown}{', '.join(filter(None, numbers))}. One of them: sat order show ID")


@app.command("show")
def show(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
    output: Output = Form.TABLE,
) -> None:
    """Show an order's history: its events and the callbacks between them. Numbers are masked."""
    out = console()
    with airflow_of(settings_of(context)) as api:
        found = _orders_named(api, reference)
        if not found:
            raise CommandError.at("ID", f"no order {reference!r}", "a request id or an order id in the log")
        every = [api.read("orders", order["request_id"]) for order in found]
        if is_written(every, output):
            return
        for details in every:
            _print_facts(out, details["order"])
            _print_timeline(out, details)


@app.command("resolve")
def resolve(
    context: typer.Context,
    reference: Annotated[str, typer.Argument(metavar="ID", help="A request id, or the submitter's order id")],
    resolution: Annotated[str, typer.Option("--as", help="succeeded, failed or resend")],
    reason: Reason,
) -> None:
    """Decide an escalated order. Later signed evidence that contradicts you is recorded."""
    if resolution not in RESOLUTIONS:
        raise CommandError.at("--as", repr(resolution), " or ".join(RESOLUTIONS))
    with airflow_of(settings_of(context)) as api:
        found = _the_order(api, reference)
        standing = api.act("orders", found["request_id"], "resolve", reason=reason, **{"as": resolution})
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
    with airflow_of(settings_of(context)) as api:
        found = _the_order(api, reference)
        api.act("orders", found["request_id"], "withdraw", reason=reason)
    console().print(f"order {found['order_id']} is withdrawn and will not be sent")


def _decide_held(context: typer.Context, reference: str, decision: str, reason: str) -> dict[str, Any]:
    with airflow_of(settings_of(context)) as api:
        return api.act("orders", _the_order(api, reference)["request_id"], decision, reason=reason)


def _orders_named(api: AirflowApi, reference: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.read("orders", "named", reference=reference.strip())["items"]
    return found


def _the_order(api: AirflowApi, reference: str) -> dict[str, Any]:
    found = _orders_named(api, reference)
    if len(found) != 1:
        raise CommandError.at(
            "ID",
            f"{len(found)} orders {reference!r}",
            "one order in the log (a request id where accounts share order ids)",
        )
    return found[0]


def _counted(api: AirflowApi, state: str, which: Mapping[str, str | None]) -> str:
    """How many orders are in a state. Airflow counts only states that few orders are in."""
    page = api.read("orders", state=state, **which, counted="true", limit="1")
    if page["count"] is None:
        return f"many {state}"
    more = "more than " if page["is_more"] else ""
    return f"{more}{page['count']:,} {state}" if page["count"] else ""


def _reason_of(order: Mapping[str, Any]) -> str:
    reason = " ".join(part for part in (order["reason_code"], order["reason"]) if part)
    return reason.replace(order["client_number"], masked_number(order["client_number"]))


def _print_orders(out: Console, found: Sequence[Mapping[str, Any]]) -> None:
    table = ORDERS.table()
    for order in found:
        table.add(
            order["order_id"],
            order["state"],
            moment(datetime.fromisoformat(order["changed_at"]))[:16],
            order["account"],
            order["batch_id"],
            str(order["row_number"]),
            rupiah(order["quote_rupiah"]),
            _reason_of(order),
            style=STYLES.get(order["state"], ""),
        )
    out.print(table)


def _print_facts(out: Console, order: Mapping[str, Any]) -> None:
    from rich.text import Text

    reason, state = _reason_of(order), order["state"]
    shown: list[tuple[str, str | Text]] = [
        ("order", order["order_id"]),
        ("request id", order["request_id"]),
        ("account", order["account"]),
        ("batch", f"{order['batch_id']} row {order['row_number']}"),
        ("product", f"{order['product_code']} for {masked_number(order['client_number'])}"),
        ("state", Text(state, STYLES.get(state, ""))),
        ("quoted", rupiah(order["quote_rupiah"])),
        ("charged", rupiah(0 if state == "failed" else order["charged_rupiah"])),
    ]
    if reason:
        shown.append(("reason", reason))
    for line in facts(shown):
        out.print(line)


def _print_timeline(out: Console, details: Mapping[str, Any]) -> None:
    from rich.text import Text

    out.print()
    for line in timeline(details["history"], details["callbacks"]):
        text = Text.assemble(
            (f"{line.when} WIB  ", "dim"),
            (f"{line.name:<22}", "cyan" if line.name.startswith("·") else "bold"),
            f"  {line.detail}",
            (f"  [{line.by}]", "dim"),
        )
        out.print(text)
    out.print()


MAXIMUM_TEXT_CHARACTERS = 160

_SHOWN = frozenset(
    {
        "admin_fee_rupiah", "amount_rupiah", "attempt", "charged_rupiah", "code", "detail", "error_code",
        "error_detail", "found", "fulfilled_at", "http_status", "is_inquiry", "is_signed",
        "list_price_rupiah", "max_rupiah", "member", "partner_fee_rupiah", "price_rupiah", "product_code",
        "reason", "reported_status", "row_number", "sales_price_rupiah", "send_before", "source",
        "valid_until",
    }
)  # fmt: skip
"""Members of events that are shown. Bodies, fields, names and digests stay in the log."""

_MOMENTS = frozenset({"fulfilled_at", "send_before", "valid_until"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline."""

    at: datetime
    name: str
    detail: str
    by: str

    @property
    def when(self) -> str:
        """The moment, as shown."""
        return moment(self.at)


def timeline(history: Iterable[Mapping[str, Any]], callbacks: Iterable[Mapping[str, Any]]) -> list[Line]:
    """Return an order's events and callbacks, as the API has them, by time."""
    lines = [
        Line(
            datetime.fromisoformat(entry["at"]),
            f"{entry['version']} {entry['kind']}",
            _detail(entry["parameters"]),
            f"{entry['actor']} · {entry['cause']}",
        )
        for entry in history
    ]
    lines += [
        Line(
            datetime.fromisoformat(seen["received_at"]),
            "· callback",
            _of_callback(seen),
            seen["remote_address"] or "unknown source",
        )
        for seen in callbacks
    ]
    return sorted(lines, key=lambda line: line.at)


def _detail(parameters: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{_label(name)} {_value(name, value)}"
        for name, value in parameters.items()
        if name in _SHOWN and value is not None and value != ""
    )


def _of_callback(seen: Mapping[str, Any]) -> str:
    parts = [f"verified with key {seen['key_fingerprint']}"]
    if seen["repeats"] and seen["last_repeat_at"] is not None:
        last = moment(datetime.fromisoformat(seen["last_repeat_at"]))
        parts.append(f"came {seen['repeats']} more times, last at {last}")
    if seen["is_waiting"]:
        parts.append("waits for a status check")
    return ", ".join(parts)


def _label(name: str) -> str:
    return name.removesuffix("_rupiah").replace("_", " ")


def _value(name: str, value: Any) -> str:
    if name.endswith("_rupiah"):
        return rupiah(value)
    if name in _MOMENTS:
        return moment(datetime.fromisoformat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = " ".join(str(value).split())
    return text if len(text) <= MAXIMUM_TEXT_CHARACTERS else f"{text[:MAXIMUM_TEXT_CHARACTERS]}…"
