"""``sat pause``, ``sat resume`` and ``sat account``: an account's kill switch, and its rules."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.for_programs import Form, Output, is_written
from sat_hook.cli.formatting import Columns, counted, plain
from sat_hook.cli.held_orders import parameters_from
from sat_hook.cli.options import Reason

Account = Annotated[
    str,
    typer.Argument(help="An account: its Airflow connection (sat_default) or its name in the log"),
]


def pause(context: typer.Context, account: Account, reason: Reason) -> None:
    """Stop all sending from an account within a second. Orders already sent are followed to their end."""
    _change(context, account, "pause", reason)


def resume(context: typer.Context, account: Account, reason: Reason) -> None:
    """Let an account send again, and list the stopped batches. They continue with their next run."""
    unsent = _change(context, account, "resume", reason)
    out = console()
    for batch_id, file_name, orders in unsent:
        waiting = f"{counted(orders, 'order')} of batch {batch_id} ({plain(file_name)})"
        out.print(f"not sent yet: {waiting}; send them: sat batch run {batch_id}", markup=False)
    if not unsent:
        out.print("no batch has orders that are not sent yet")


def _change(context: typer.Context, account: str, change: str, reason: str) -> list[tuple[str, str, int]]:
    with airflow_of(settings_of(context)) as airflow:
        standing = airflow.act("accounts", account, change, reason=reason)
    state = "paused: nothing is sent" if standing["is_paused"] else "not paused: orders are sent"
    console().print(f"account {standing['account']} is {state}")
    return [(batch_id, file_name, orders) for batch_id, file_name, orders in standing.get("unsent", ())]


app = typer.Typer(help="Look at the rules of an account, and change them with a second person.")

Proposal = Annotated[int, typer.Argument(min=1, help="The proposal's number, as sat account show prints it")]
Changes = Annotated[
    list[str],
    typer.Argument(metavar="RULE=VALUE", help="For example approval_over_rupiah=1000000; null is no rule"),
]

RULES = Columns("rule", ">in force", "from")
PROPOSED = Columns("rule", ">now", ">proposed")


@app.command("show")
def show(context: typer.Context, account: Account, output: Output = Form.TABLE) -> None:
    """Show the rules in force, where each comes from, and what is proposed."""
    with airflow_of(settings_of(context)) as api:
        found = api.read("accounts", account, "rules")
    if not is_written(found, output):
        _show(found)


@app.command("propose")
def propose(context: typer.Context, account: Account, changes: Changes, reason: Reason) -> None:
    """Propose a change of rules. It takes effect once another person confirms it."""
    values = parameters_from(changes)
    with airflow_of(settings_of(context)) as api:
        done = api.act("accounts", account, "rules", "proposals", changes=values, reason=reason)
        _show(api.read("accounts", account, "rules"))
    console().print(
        f"proposal {done['proposal']} waits for another person: "
        f"sat account confirm {account} {done['proposal']} --reason WHY",
        markup=False,
    )


@app.command("confirm")
def confirm(context: typer.Context, account: Account, proposal: Proposal, reason: Reason) -> None:
    """Put a proposal in force, as another person than its proposer."""
    with airflow_of(settings_of(context)) as api:
        api.act("accounts", account, "rules", str(proposal), "confirm", reason=reason)
        _show(api.read("accounts", account, "rules"))


@app.command("decline")
def decline(context: typer.Context, account: Account, proposal: Proposal, reason: Reason) -> None:
    """Decline a proposal. Its proposer may do this, too."""
    with airflow_of(settings_of(context)) as api:
        done = api.act("accounts", account, "rules", str(proposal), "decline", reason=reason)
    console().print(
        f"proposal {proposal} is declined; the rules of account {done['account']} are as they were"
    )


def _show(shown: dict[str, Any]) -> None:
    out, rules = console(), {line["rule"]: line for line in shown["rules"]}
    state = "confirmed by two people" if shown["are_confirmed"] else "confirmed by no people yet"
    out.print(f"rules of account {shown['account']} ({shown['connection']}), {state}", markup=False)
    table = RULES.table()
    for name, line in rules.items():
        table.add(name, _value(name, line["in_force"], shown), line["source"])
    out.print(table)
    proposal = shown["proposal"]
    if proposal is None:
        return
    out.print(
        f"\nproposal {proposal['number']} of {proposal['proposed_by'].removeprefix('user:')}: "
        f"{proposal['reason']}",
        markup=False,
    )
    changed = PROPOSED.table()
    for name, value in proposal["values"].items():
        if value != rules[name]["of_account"]:
            changed.add(name, _value(name, rules[name]["of_account"], shown), _value(name, value, shown))
    out.print(changed)


def _value(name: str, value: object, shown: dict[str, Any]) -> str:
    from sat_hook.cli.formatting import rupiah

    if name == "dedup_horizon_hours" and value is None:
        return f"{shown['dedup_horizon_hours']:g} (default)"
    if value is None:
        return "no rule"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return rupiah(value) if name.endswith("_rupiah") and isinstance(value, int) else f"{value:,}"
