"""One decision about many breaks: its effects, a reason, its progress, and its outcome in each account."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import Response

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_rows import ChosenBreaks
from sat_hook.web.console import break_words
from sat_hook.web.console.breaks import BreakChoice, ChoiceDep, Selected, Why
from sat_hook.web.console.decisions import WAIT_SECONDS
from sat_hook.web.console.site import SiteDep
from sat_hook.web.dependencies import BulkBreakDecisionsDep, DecisionId, ShownFormDigest

router = APIRouter(prefix="/breaks/decisions")

_Everything = Annotated[bool, Form()]


@router.get("")
def show_list(site: SiteDep, choice: ChoiceDep) -> Response:
    """A preview is the answer to a form, so that its address leads to the list."""
    return site.go("/breaks", **choice.query)


@router.post("")
def preview(
    site: SiteDep,
    bulk: BulkBreakDecisionsDep,
    choice: ChoiceDep,
    act: Annotated[BreakAct, Form()],
    break_ids: Selected = [],  # noqa: B006 - FastAPI copies it
    everything: _Everything = False,
    reason: Why = "",
) -> Response:
    """What a decision would do to the selected breaks, or to all that match the filter."""
    return site.page(
        "break_decision",
        found=bulk.preview(act, _chosen(choice, break_ids, everything=everything), site.person),
        said=break_words.ACTS[act],
        break_ids=() if everything else break_ids,
        reason=reason,
        action=site.url("/breaks/decisions/apply", **choice.query),
        **_words(site, choice),
    )


@router.post("/apply")
def decide(
    site: SiteDep,
    bulk: BulkBreakDecisionsDep,
    choice: ChoiceDep,
    act: Annotated[BreakAct, Form()],
    digest: ShownFormDigest,
    reason: Why,
    break_ids: Selected = [],  # noqa: B006 - FastAPI copies it
    everything: _Everything = False,
) -> Response:
    """Decide. The decision has a page of its own, and goes on when that is closed."""
    chosen = _chosen(choice, break_ids, everything=everything)
    decision_id = bulk.begin(act, chosen, digest, reason, site.person)
    # Most decisions are short: their page then shows the result at once.
    made = bulk.find(decision_id, site.person, WAIT_SECONDS).standing
    if made.chosen == made.done == 1 and not everything:
        return site.go(f"/breaks/{break_ids[0]}")
    return site.go(f"/breaks/decisions/{decision_id}", **choice.query)


@router.get("/made")
def list_decisions(site: SiteDep, bulk: BulkBreakDecisionsDep) -> Response:
    """The decisions of all people that were made last."""
    return site.page("break_decisions", found=bulk.newest(site.person), acts=break_words.ACTS)


@router.get("/{decision_id}")
def show(decision_id: DecisionId, site: SiteDep, bulk: BulkBreakDecisionsDep, choice: ChoiceDep) -> Response:
    """A decision: its progress, which renews itself, and what was recorded in each account."""
    found = bulk.find(decision_id, site.person)
    return site.page(
        "decided_breaks",
        found=found,
        decision=found.standing,
        said=break_words.ACTS[BreakAct(found.act)],
        renewal=site.url(f"/breaks/decisions/{decision_id}", **choice.query),
        **_words(site, choice),
    )


def _chosen(choice: BreakChoice, break_ids: list[str], *, everything: bool) -> ChosenBreaks:
    return ChosenBreaks(which=choice.filter()) if everything else ChosenBreaks(tuple(break_ids))


def _words(site: SiteDep, choice: BreakChoice) -> dict[str, Any]:
    return {
        "back": site.url("/breaks", **choice.query),
        "words": break_words,
        "refusals": break_words.REFUSALS,
    }
