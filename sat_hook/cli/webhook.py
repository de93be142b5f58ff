"""``sat webhook``: the systems that are told of events, and what became of their messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import MAXIMUM_LISTED, Columns, counted, moment
from sat_hook.cli.options import Reason

WEBHOOKS = Columns("webhook", "url", "told of", "accounts", "connection", "keys", ">waiting", ">dead")
MESSAGES = Columns("created (WIB)", "webhook", "id", "what", "account", ">position", ">tries", "trouble")
STATES = ("waiting", "delivered", "dead")
SECRET_BYTES = 32

app = typer.Typer(help="Other systems that are told of events.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name (see: sat webhook list)")]


@app.callback()
def webhook() -> None:
    """Other systems that are told of events."""


@app.command("list")
def list_webhooks(context: typer.Context, output: Output = Form.TABLE) -> None:
    """List the webhooks, with how many of their messages wait or were given up."""
    with airflow_of(settings_of(context)) as api:
        found = api.read("webhooks")["items"]
    if is_written(found, output):
        return
    table = WEBHOOKS.table()
    for one in found:
        accounts = ", ".join(one["accounts"]) or "all"
        keys = ", ".join(one["key_ids"]) or one["trouble"]
        waiting, dead = (str((one[state] or {}).get("messages", 0)) for state in ("waiting", "dead"))
        topics = ", ".join(one["topics"])
        table.add(one["name"], one["url"], topics, accounts, one["connection"], keys, waiting, dead)
    console().print(table if found else "no webhook; add one with: sat webhook set")


@app.command("set")
def set_webhook(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and hyphens")],
    url: Annotated[str, typer.Option(help="Its address: https://…")],
    connection: Annotated[str, typer.Option(help="The Airflow connection whose password is its secret")],
    topic: Annotated[list[str], typer.Option(help="What it is told of, for example order.ended; repeatable")],
    reason: Reason,
    account: Annotated[
        list[str] | None, typer.Option(help="Of this account only; repeatable (default: all)")
    ] = None,
) -> None:
    """Add a webhook, or give the one of this name other members."""
    chosen: dict[str, Any] = {"url": url, "connection": connection, "topics": topic}
    with airflow_of(settings_of(context)) as api:
        found = api.act("webhooks", name=name, accounts=account or [], reason=reason, **chosen)
    console().print(
        f"Webhook {found['name']} is told of events after position {found['added_at_position']}, signed with "
        f"{' and '.join(found['key_ids'])}.",
        markup=False,
    )


@app.command("remove")
def remove_webhook(context: typer.Context, name: Name, reason: Reason) -> None:
    """Remove a webhook. What it was not told yet is not sent."""
    with airflow_of(settings_of(context)) as api:
        api.act("webhooks", name, "remove", reason=reason)
    console().print(f"Webhook {name} is removed.", markup=False)


@app.command("messages")
def list_messages(
    context: typer.Context,
    state: Annotated[str, typer.Option(help=f"{', '.join(STATES)}: in this state")] = "dead",
    name: Annotated[str | None, typer.Option(help="Of this webhook only")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAXIMUM_LISTED, help="How many, newest first")] = 50,
    output: Output = Form.TABLE,
) -> None:
    """List messages: those that were given up, still wait, or were delivered."""
    with airflow_of(settings_of(context)) as api:
        found = api.listed("webhook-messages", limit=limit, state=state, webhook=name)[:limit]
    if is_written(found, output):
        return
    table = MESSAGES.table()
    for one in found:
        at = moment(datetime.fromisoformat(one["created_at"]))
        place, tries = str(one["position"]), str(one["tries"])
        what = one["topic"], one["account"]
        table.add(at, one["webhook"], one["message_id"], *what, place, tries, one["trouble"] or "")
    console().print(table if found else f"no message is {state}", markup=False)


@app.command("resend")
def resend(
    context: typer.Context,
    name: Name,
    messages: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids (see: sat webhook messages)")],
    reason: Reason,
) -> None:
    """Send messages once more, with the same ids, within a minute."""
    with airflow_of(settings_of(context)) as api:
        found = api.act("webhooks", name, "resend", messages=messages, reason=reason)
    console().print(f"{counted(found['resent'], 'message')} will be sent once more.")


@app.command("new-secret")
def new_secret() -> None:
    """Print a new secret, for the password of the webhook's Airflow connection and for its receiver."""
    import base64
    import secrets

    print(f"whsec_{base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}")
