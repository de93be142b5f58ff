"""Routes of accounts: their names, pausing and resuming, and their rules."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path

from sat_hook.application.attention import AccountRow, CallbackHealth, KeyRow
from sat_hook.application.connection_test import Tested
from sat_hook.application.rights import Right
from sat_hook.domain.account import AccountStanding
from sat_hook.store import account_lists
from sat_hook.web.api.models import Document, Page, route, rows_of
from sat_hook.web.dependencies import (
    AccountPath,
    AccountsDep,
    ConnectionTestDep,
    CurrentPerson,
    DecisionsDep,
    ListingsDep,
    Reason,
    RuleBookDep,
)

router = APIRouter(tags=["accounts"])

_Proposal = Annotated[int, Path(ge=1, le=2**31 - 1)]


class Account(Document, of=AccountRow):
    """An account: whether it may send, and when SAT was heard of last."""


class Key(Document, of=KeyRow):
    """A key of an account."""


class RefusedCallbacks(Document, of=account_lists.RefusedCallbacks):
    """Callbacks that were refused within a day, for one reason. They changed nothing."""


class Callbacks(Document, of=CallbackHealth):
    """How an account's callbacks come in."""

    refused: tuple[RefusedCallbacks, ...]


class AccountDetails(Document):
    """An account with its rules in force, where each comes from, and its keys."""

    account: Account
    rules: dict[str, Any]
    keys: tuple[Key, ...]
    callbacks: Callbacks


class TestedConnection(Document, of=Tested):
    """Whether SAT can be used with a connection, and what it answered, in words without secrets."""


@router.get("/accounts", **route(Right.VIEW))
def list_accounts(person: CurrentPerson, accounts: AccountsDep) -> dict[str, str]:
    """Return the accounts' names in the log, by connection."""
    person.require(Right.VIEW)
    return dict(accounts.by_connection())


@router.get("/account-standings", **route(Right.VIEW))
def list_standings(person: CurrentPerson, listings: ListingsDep) -> Page[Account]:
    """List the accounts: whether each may send, and when SAT was heard of last."""
    return Page[Account].of(listings.accounts(person))


@router.get("/accounts/{account}", **route(Right.VIEW))
def show_account(account: AccountPath, person: CurrentPerson, listings: ListingsDep) -> AccountDetails:
    """Return one account with its rules in force, where each comes from, and its keys."""
    return AccountDetails.model_validate(rows_of(listings.account(account, person), row="account"))


@router.post("/accounts/{account}/test", **route(Right.SUBMIT, Right.PAUSE))
def test_connection(
    account: AccountPath, person: CurrentPerson, connection: ConnectionTestDep
) -> TestedConnection:
    """Ask SAT for a token, its environment and the account, and compare the keys. Records nothing."""
    return TestedConnection.model_validate(connection.run(account, person))


@router.post("/accounts/{account}/{change}", **route(Right.PAUSE))
def pause_or_resume(
    account: AccountPath,
    change: Annotated[str, Path(pattern="^(pause|resume)$")],
    person: CurrentPerson,
    decisions: DecisionsDep,
    reason: Reason,
) -> dict[str, Any]:
    """Stop all sending from an account, or resume it. The response counts what is not sent yet."""
    act = decisions.pause if change == "pause" else decisions.resume
    return asdict(act(account, reason, person))


@router.get("/accounts/{account}/rules", **route(Right.VIEW))
def show_rules(account: AccountPath, person: CurrentPerson, rules: RuleBookDep) -> dict[str, Any]:
    """Return the rules in force, where each comes from, and what is proposed."""
    return rules.show(account, person)


@router.post("/accounts/{account}/rules/proposals", **route(Right.PROPOSE_RULES))
def propose_rules(
    account: AccountPath,
    person: CurrentPerson,
    rules: RuleBookDep,
    changes: Annotated[dict[str, Any], Body()],
    reason: Reason,
) -> dict[str, Any]:
    """Propose changes to the account's rules. They take effect once another person confirms them."""
    standing = rules.propose(account, changes, reason, person)
    proposal = standing.rules.proposal
    assert proposal is not None
    return {"account": standing.account, "proposal": proposal.number, "rules": proposal.values.model_dump()}


@router.post("/accounts/{account}/rules/{proposal}/confirm", **route(Right.CONFIRM_RULES))
def confirm_rules(
    account: AccountPath, proposal: _Proposal, person: CurrentPerson, rules: RuleBookDep, reason: Reason
) -> dict[str, Any]:
    """Put a proposal in force, as another person than its proposer."""
    return _in_force(rules.confirm(account, proposal, reason, person))


@router.post(
    "/accounts/{account}/rules/{proposal}/decline", **route(Right.PROPOSE_RULES, Right.CONFIRM_RULES)
)
def decline_rules(
    account: AccountPath, proposal: _Proposal, person: CurrentPerson, rules: RuleBookDep, reason: Reason
) -> dict[str, Any]:
    """Decline a proposal."""
    return _in_force(rules.decline(account, proposal, reason, person))


def _in_force(standing: AccountStanding) -> dict[str, Any]:
    values = standing.rules.values
    return {
        "account": standing.account,
        "are_confirmed": standing.rules.are_confirmed,
        "rules": None if values is None else values.model_dump(),
    }
