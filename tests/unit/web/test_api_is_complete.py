"""The API is complete: a program can read and do everything that a page of the console reads or does."""

from __future__ import annotations

import ast
from pathlib import Path

import sat_hook.web

WEB = Path(sat_hook.web.__file__).parent
NO_SERVICES = (
    "SiteDep",
    "ChoiceDep",
    "OrderChoiceDep",
    "LogChoiceDep",
    "PriceChoiceDep",
    "DeskDep",
    "PlaceDep",
)
OTHERWISE = {
    "BatchStartsDep.last_run": "GET /v1/batches/{batch_id} has its runs",
    "ListingsDep.batches_of": "GET /v1/batches/{batch_id}",
    "TopUpsDep.accounts": "GET /v1/account-standings lists them",
    "ListingsDep.prices": "GET /v1/products/{code}/prices",
    "ListingsDep.deposit": "GET /v1/deposits has those of all accounts",
    "BreaksDep.accounts": "GET /v1/account-standings lists them",
    "BreaksDep.assignees": "GET /v1/breaks has the assignee of each break",
    "BreaksDep.decide_one": "POST /v1/books/{account}/breaks/{break_id}/{decision}",
    **dict.fromkeys(
        ("PricesDep.compare", "PricesDep.freshness", "PricesDep.names", "PricesDep.product"),
        "GET /v1/price-records and /v1/products have the same records",
    ),
    "PricesDep.margins_by_day": "GET /v1/price-records/margins/file",
    **dict.fromkeys(
        ("AuditLogDep.accounts", "SettlementsDep.accounts"),
        "GET /v1/account-standings lists them",
    ),
    "EvidencePacksDep.run": "GET /v1/runs/audit_export/{run_id}",
    "ListingsDep.misaddressed_callbacks": "the figures of the receiver count refusals by reason",
    "NotificationsDep.alerts": "GET /v1/alerts",
    "SettlementsDep.uploads": "GET /v1/books/{account}/days/{day}/settlements",
    "RightsInForceDep.changes": "GET /v1/log?type=RightsSeen&type=UserRightsSeen",
    "SignInsDep.notice": "pages record a sign-in by themselves",
    "VerificationsDep.alerts": "GET /v1/alerts",
    "VerificationsDep.full": "GET /v1/verifications lists them; is_everything says which",
    "VerificationsDep.cover": "GET /v1/log/{position} has the checkpoint over an event",
    "AuditLogDep.people": "GET /v1/log/acts has the user of each act",
    "DraftsDep.installation": "no use case",
}
"""Where a program finds what a page reads by a method of its own."""


def _parameters(tree: ast.AST) -> dict[str, str]:
    """The name of each parameter that is a service, with the service."""
    return {
        parameter.arg: parameter.annotation.id
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for parameter in (*function.args.args, *function.args.kwonlyargs)
        if isinstance(parameter.annotation, ast.Name) and parameter.annotation.id.endswith("Dep")
    }


def _used(folder: str) -> set[str]:
    """The methods of services that the modules of a folder use, directly or of an object that holds them."""
    used: set[str] = set()
    for path in sorted((WEB / folder).glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        services = _parameters(tree)
        for method in ast.walk(tree):
            if isinstance(method, ast.Attribute):
                held = method.value
                name = held.id if isinstance(held, ast.Name) else getattr(held, "attr", "")
                if services.get(name, NO_SERVICES[0]) not in NO_SERVICES:
                    used.add(f"{services[name]}.{method.attr}")
    return used


def test_what_a_page_does_a_program_can_do() -> None:
    """Each use case that a page calls is behind a route, too."""
    pages = _used("console")
    assert len(pages) > 30, "the calls are found"
    assert pages - _used("api") - OTHERWISE.keys() == set()
