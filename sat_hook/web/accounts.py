"""Routes of accounts: their names, pausing and resuming, and their rules.

Proposing and confirming rules have rights of their own (:mod:`sat_hook.web.rights`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from sat_hook.domain.account import AccountStanding
from sat_hook.web.dependencies import (
    AccountPath,
    AccountsDep,
    CurrentUser,
    DecisionsDep,
    Reason,
    RuleBookDep,
    by,
    requires,
    requires_right,
)
from sat_hook.web.host import Permission
from sat_hook.web.rights import Right

router = APIRouter(dependencies=[requires(Permission.RUN_BATCHES)])
views = APIRouter(dependencies=[requires(Permission.SEE_BATCHES)])

_Proposal = Annotated[int, Path(ge=1, le=2**31 - 1)]


@views.get("/accounts")
def list_accounts(accounts: AccountsDep) -> dict[str, str]:
    """Return the accounts' names in the log, by connection."""
    return dict(accounts.by_connection())


@router.post("/accounts/{account}/{change}")
def pause_or_resume(
    account: AccountPath,
    change: Annotated[str, Path(pattern="^(pause|resume)$")],
    user: CurrentUser,
    decisions: DecisionsDep,
    reason: Reason,
) -> dict[str, Any]:
    """Stop all sending from an account, or resume it. The response counts what is not sent yet."""
    act = decisions.pause if change == "pause" else decisions.resume
    return asdict(act(account, reason, by(user, change)))


@views.get("/accounts/{account}/rules")
def show_rules(account: AccountPath, rules: RuleBookDep) -> dict[str, Any]:
    """Return the rules in force, where each comes from, and what is proposed."""
    return rules.show(account)


@views.post("/accounts/{account}/rules/proposals", dependencies=[requires_right(Right.PROPOSE_RULES)])
def propose_rules(
    account: AccountPath,
    user: CurrentUser,
    rules: RuleBookDep,
    changes: Annotated[dict[str, Any], Body()],
    reason: Reason,
) -> dict[str, Any]:
    """Propose changes to the account's rules. They take effect once another person confirms them."""
    standing = rules.propose(account, changes, reason, by(user, "propose-rules"))
    proposal = standing.rules.proposal
    assert proposal is not None
    return {"account": standing.account, "proposal": proposal.number, "rules": proposal.values.model_dump()}


@views.post(
    "/accounts/{account}/rules/{proposal}/confirm", dependencies=[requires_right(Right.CONFIRM_RULES)]
)
def confirm_rules(
    account: AccountPath, proposal: _Proposal, user: CurrentUser, rules: RuleBookDep, reason: Reason
) -> dict[str, Any]:
    """Put a proposal in force, as another person than its proposer."""
    return _in_force(rules.confirm(account, proposal, reason, by(user, "confirm-rules")))


@views.post(
    "/accounts/{account}/rules/{proposal}/decline",
    dependencies=[requires_right(Right.PROPOSE_RULES, Right.CONFIRM_RULES)],
)
def decline_rules(
    account: AccountPath, proposal: _Proposal, user: CurrentUser, rules: RuleBookDep, reason: Reason
) -> dict[str, Any]:
    """Decline a proposal."""
    return _in_force(rules.decline(account, proposal, reason, by(user, "decline-rules")))


def _in_force(standing: AccountStanding) -> dict[str, Any]:
    values = standing.rules.values
    return {
        "account": standing.account,
        "are_confirmed": standing.rules.are_confirmed,
        "rules": None if values is None else values.model_dump(),
    }
