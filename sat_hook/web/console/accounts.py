"""The accounts: state, deposit, rules and their origins, keys, callbacks; pause, resume, confirm rules."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import Response

from sat_hook.application.connection_test import Tested
from sat_hook.application.listings import Listings
from sat_hook.web.console import words
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import AccountPath, ConnectionTestDep, DecisionsDep, ListingsDep, RuleBookDep

router = APIRouter(prefix="/accounts")

_Proposal = Annotated[int, Path(ge=1, le=2**31 - 1)]
_Reason = Annotated[str, Form()]
_Back = Annotated[str, Form(pattern="^(/batches/B[A-Z2-7]{25})?$")]


@router.get("")
def list_accounts(site: SiteDep, listings: ListingsDep) -> Response:
    """All accounts, with their deposits."""
    deposits = {deposit.account: deposit for deposit in listings.deposits(site.person)}
    return site.page(
        "accounts",
        accounts=listings.accounts(site.person),
        deposits=deposits,
        misaddressed=sum(one.refused for one in listings.misaddressed_callbacks(site.person)),
    )


@router.get("/{account}")
def account(account: AccountPath, site: SiteDep, listings: ListingsDep) -> Response:
    return _page(site, listings, account)


@router.post("/{account}/test")
def test_connection(
    account: AccountPath, site: SiteDep, listings: ListingsDep, connection: ConnectionTestDep
) -> Response:
    """Ask SAT for the deposit, and show what it answered. Nothing is recorded."""
    return _page(site, listings, account, tested=connection.run(account, site.person))


@router.post("/{account}/{change}")
def pause_or_resume(
    account: AccountPath,
    change: Annotated[str, Path(pattern="^(pause|resume)$")],
    site: SiteDep,
    decisions: DecisionsDep,
    reason: _Reason,
    back: _Back = "",
) -> Response:
    """Stop all sending from the account, or let it send again."""
    act = decisions.pause if change == "pause" else decisions.resume
    act(account, reason, site.person)
    return site.go(back or f"/accounts/{account}")


@router.post("/{account}/rules/{proposal}/{answer}")
def answer_proposal(
    account: AccountPath,
    proposal: _Proposal,
    answer: Annotated[str, Path(pattern="^(confirm|decline)$")],
    site: SiteDep,
    rules: RuleBookDep,
    reason: _Reason,
) -> Response:
    """Put proposed rules in force, as another person than their proposer, or decline them."""
    act = rules.confirm if answer == "confirm" else rules.decline
    act(account, proposal, reason, site.person)
    return site.go(f"/accounts/{account}")


def _page(site: Site, listings: Listings, account: str, tested: Tested | None = None) -> Response:
    details = listings.account(account, site.person)
    return site.page(
        "account",
        details=details,
        account=details.row,
        deposit=listings.deposit(details.row.account, site.person),
        tested=tested,
        words=words,
    )
