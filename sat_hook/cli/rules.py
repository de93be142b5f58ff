"""``sat account``: shows an account's rules and their sources, and lets two people change them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_hook.cli.account import Account
from sat_hook.cli.context import console, settings_of
from sat_hook.cli.formatting import Columns
from sat_hook.cli.held_orders import parameters_from
from sat_hook.cli.options import Reason

if TYPE_CHECKING:
    from sat_hook.cli.rules_api import RulesApi

app = typer.Typer(help="Look at the rules of an account, and change them with a second person.")

Proposal = Annotated[int, typer.Argument(min=1, help="The proposal's number, as sat account show prints it")]
Changes = Annotated[
    list[str],
    typer.Argument(metavar="RULE=VALUE", help="Such as approval_over_rupiah=1000000; null is no rule"),
]

RULES = Columns("rule", ">in force", "from")
PROPOSED = Columns("rule", ">now", ">proposed")


@app.command("show")
def show(context: typer.Context, account: Account) -> None:
    """Show the rules in force, where each comes from, and what is proposed."""
    with closing(_api(context)) as api:
        _show(api.rules(account))


@app.command("propose")
def propose(context: typer.Context, account: Account, changes: Changes, reason: Reason) -> None:
    """Propose a change of rules. It takes effect once another person confirms it."""
    with closing(_api(context)) as api:
        done = api.propose(account, parameters_from(changes), reason)
        _show(api.rules(account))
    console().print(
        f"proposal {done['proposal']} waits for another person: "
        f"sat account confirm {account} {done['proposal']} --reason WHY",
        markup=False,
    )


@app.command("confirm")
def confirm(context: typer.Context, account: Account, proposal: Proposal, reason: Reason) -> None:
    """Put a proposal in force, as another person than its proposer."""
    with closing(_api(context)) as api:
        api.answer(account, proposal, "confirm", reason)
        _show(api.rules(account))


@app.command("decline")
def decline(context: typer.Context, account: Account, proposal: Proposal, reason: Reason) -> None:
    """Decline a proposal. Its proposer may do this, too."""
    with closing(_api(context)) as api:
        done = api.answer(account, proposal, "decline", reason)
    console().print(
        f"proposal {proposal} is declined; the rules of account {done['account']} are as they were"
    )


def _api(context: typer.Context) -> RulesApi:
    from sat_hook.cli.rules_api import RulesApi

    return RulesApi(settings_of(context))


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
    return rupiah(value) if name.endswith("_rupiah") and isinstance(value, int) else f"{value:,}"
