"""The first page: what needs a person, deposits, batches of today; the choice of language; a run's page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from sat_hook.application.attention import NeedKind, NeedRow
from sat_hook.application.batch_standing import BatchQuery
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.business_day import day_bounds
from sat_hook.web.console import words
from sat_hook.web.console.language import COOKIE, Language
from sat_hook.web.console.site import YEAR_SECONDS, Site, SiteDep, go_to
from sat_hook.web.dependencies import BatchStartsDep, ListingsDep, RunsDep

SHOWN_BATCHES = 10
SHOWN_STOPPED = 5

router = APIRouter()

_DagId = Annotated[str, Path(max_length=250)]
_RunId = Annotated[str, Path(max_length=250)]

_PLACES: Mapping[NeedKind, tuple[str, Mapping[str, str]]] = {
    NeedKind.APPROVALS: ("/approvals", {}),
    NeedKind.HELD: ("/orders", {"state": "held"}),
    NeedKind.ESCALATED: ("/orders", {"state": "escalated"}),
    NeedKind.SHORT_OF_FUNDS: ("/batches", {"standing": "short_of_funds"}),
    NeedKind.ALERTS: ("/notifications", {}),
}
"""Where needs are acted on; the others are on the account's page."""


@router.get("")
def without_slash(site: SiteDep) -> Response:
    """The first page, also for people who type its address."""
    return site.go("/")


@router.get("/")
def home(site: SiteDep, listings: ListingsDep) -> Response:
    """What waits for people, each account's deposit, and the batches of today."""
    start, end = day_bounds(datetime.now(UTC))
    needs = listings.needs_you(site.person)
    stopped = [key for need in needs if need.kind is NeedKind.STOPPED for key in need.batch_ids]
    return site.page(
        "home",
        needs=[
            (need, _words(need), _place(site, need)) for need in needs if need.kind is not NeedKind.STOPPED
        ],
        stopped=listings.batches_of(stopped[:SHOWN_STOPPED], site.person),
        stopped_count=len(stopped),
        deposits=listings.deposits(site.person),
        batches=listings.batches(BatchQuery(since=start, before=end), site.person, limit=SHOWN_BATCHES),
        words=words,
    )


@router.get("/runs/{dag_id}/{run_id:path}")
def batch_of_run(
    dag_id: _DagId, run_id: _RunId, site: SiteDep, starts: BatchStartsDep, runs: RunsDep
) -> Response:
    """The page of the run's batch. A run of another kind, or one that has no batch yet, gets a page that says
    so."""
    batch_id = starts.batch_of_run(dag_id, run_id, site.person, runs)
    if batch_id is None:
        return site.page("run_without_batch")
    return RedirectResponse(site.url(f"/batches/{batch_id}"), 303)


def _words(need: NeedRow) -> words.Words:
    said = words.NEEDS[need.kind]
    known = need.code in list(AlertKind)
    return said._replace(text=words.ALERTS[AlertKind(need.code or "")]) if known else said


def _place(site: Site, need: NeedRow) -> str:
    if need.kind not in _PLACES:
        return site.url(f"/accounts/{need.account}")
    path, query = _PLACES[need.kind]
    return site.url(path, **query, account=need.account, kind=need.code)


@router.post("/language")
def choose_language(request: Request, site: SiteDep, language: Annotated[Language, Form()]) -> Response:
    """Keep the person's language, and show the page that they come from in it."""
    came_from = urlsplit(request.headers.get("referer", ""))
    own = site.url("/")
    back = came_from._replace(scheme="", netloc="").geturl() if came_from.path.startswith(own) else own
    answer = go_to(request, back)
    answer.set_cookie(COOKIE, language.value, max_age=YEAR_SECONDS, samesite="lax", httponly=True, path=own)
    return answer
