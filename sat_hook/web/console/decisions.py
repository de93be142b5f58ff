"""One decision about many orders: its effects, a reason, its progress, and what could not be done."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response

from sat_hook.application.bulk_decisions import Chosen
from sat_hook.application.decision_acts import RIGHTS, BulkAct, Undone
from sat_hook.application.rights import Person
from sat_hook.domain.order import OrderState
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter
from sat_hook.web.console import order_acts, words
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.order_filters import OrderChoice, OrderChoiceDep
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import BulkDecisionsDep, DecisionId, ShownFormDigest

router = APIRouter(prefix="/decisions")

MAXIMUM_SELECTED = 200
WAIT_SECONDS = 1.0
UNDONE_COLUMNS = ("order_id", "row", "batch_id", "request_id", "code", "why")

_Batch = Annotated[str, Query(pattern="^(B[A-Z2-7]{25})?$")]
_Selected = Annotated[list[str], Form(alias="request_id", max_length=MAXIMUM_SELECTED)]
_Everything = Annotated[bool, Form()]


class BulkWords(NamedTuple):
    """An act in people's words: its name, what will happen, and the tone of its button."""

    title: str
    happens: str
    tone: str


ACTS: Mapping[BulkAct, BulkWords] = {
    BulkAct.RELEASE: BulkWords(
        order_acts.RELEASE.title,
        _("Each order goes on: it is priced once more, and the next run of its batch pays it."),
        "primary",
    ),
    BulkAct.CANCEL: BulkWords(
        order_acts.CANCEL.title, _("Each order ends unpaid. None was sent, and none will be."), "danger"
    ),
    BulkAct.WITHDRAW: BulkWords(
        order_acts.WITHDRAW.title, _("Each order ends unpaid. None was sent, and none will be."), "danger"
    ),
    BulkAct.RECHECK: BulkWords(
        order_acts.RECHECK.title,
        _("SAT is asked for the status of each order within minutes. Nothing is sent to be paid."),
        "primary",
    ),
    BulkAct.SUCCEEDED: BulkWords(
        order_acts.PAID.title,
        _("Each order ends as paid, by your decision. If SAT signs something else later, you are alerted."),
        "primary",
    ),
    BulkAct.FAILED: BulkWords(
        order_acts.NOT_PAID.title,
        _(
            "Each order ends as not paid, by your decision. "
            "Be sure of it: what SAT has paid is paid twice when you order it again."
        ),
        "danger",
    ),
    BulkAct.RESEND: BulkWords(
        order_acts.RESEND.title,
        _(
            "SAT is asked about each order once more. What it still does not know is sent again "
            "under the same id, for which SAT refuses a second payment."
        ),
        "primary",
    ),
}

REFUSALS: Mapping[str, str] = {
    "wrong_state": _("its state does not allow it"),
    "already_so": _("it is so already"),
    "already_ended": _("it has ended"),
    "may_have_been_sent": _("it may have been sent"),
    "never_sent": _("it was never sent"),
    "in_flight": _("it is being paid at this moment"),
    "too_early": _("its last attempt may still be under way"),
    "beyond_dedup_horizon": _("it was sent too long ago: SAT may pay it a second time"),
    "not_known_to_be_absent": _("SAT was not asked about it since"),
    "not_found": _("there is no such order"),
    "own_batch": _("you submitted it: another person must decide"),
    "failed": _("it could not be recorded"),
}
"""Why an order is not decided, by the code; another code is shown as it is."""


def acts_for(person: Person) -> list[tuple[BulkAct, BulkWords]]:
    """What a person may do with many orders."""
    return [(act, said) for act, said in ACTS.items() if person.rights.intersection(RIGHTS[act])]


@router.get("")
def preview_filter(
    site: SiteDep,
    bulk: BulkDecisionsDep,
    choice: OrderChoiceDep,
    act: BulkAct | None = None,
    batch: _Batch = "",
) -> Response:
    """What an act would do to the orders of a filter. Without an act, the list of orders."""
    if act is None:
        return site.go(f"/batches/{batch}" if batch else "/orders", **choice.query)
    return _preview(site, bulk, choice, act, batch, ())


@router.post("")
def preview(
    site: SiteDep,
    bulk: BulkDecisionsDep,
    choice: OrderChoiceDep,
    act: Annotated[BulkAct, Form()],
    request_ids: _Selected = [],  # noqa: B006 - FastAPI copies it
    everything: _Everything = False,
    batch: _Batch = "",
) -> Response:
    """What an act would do to the selected orders, or to all that match the filter."""
    return _preview(site, bulk, choice, act, batch, () if everything else request_ids)


@router.post("/apply")
def apply(
    site: SiteDep,
    bulk: BulkDecisionsDep,
    choice: OrderChoiceDep,
    act: Annotated[BulkAct, Form()],
    digest: ShownFormDigest,
    reason: Annotated[str, Form(max_length=500)],
    request_ids: _Selected = [],  # noqa: B006 - FastAPI copies it
    everything: _Everything = False,
    batch: _Batch = "",
) -> Response:
    """Decide. The decision has a page of its own, and goes on when that is closed."""
    chosen = _chosen(choice, batch, () if everything else request_ids)
    decision_id = bulk.begin(act, chosen, digest, reason, site.person)
    # Most decisions are short: their page then shows the result at once.
    bulk.find(decision_id, site.person, WAIT_SECONDS)
    return site.go(f"/decisions/{decision_id}", **choice.query, batch=batch)


@router.get("/made")
def list_decisions(site: SiteDep, bulk: BulkDecisionsDep) -> Response:
    """The decisions of all people that were made last."""
    return site.page("order_decisions", found=bulk.newest(site.person), acts=ACTS)


@router.get("/{decision_id}")
def show(
    decision_id: DecisionId, site: SiteDep, bulk: BulkDecisionsDep, choice: OrderChoiceDep, batch: _Batch = ""
) -> Response:
    """A decision: its progress, which renews itself, and at the end what could not be done."""
    found = bulk.find(decision_id, site.person)
    return site.page(
        "decided_orders",
        found=found,
        decision=found.standing,
        said=ACTS[BulkAct(found.act)],
        renewal=site.url(f"/decisions/{decision_id}", **choice.query, batch=batch),
        back=_back(site, choice, batch),
        **_words(),
    )


def _preview(
    site: Site,
    bulk: BulkDecisionsDep,
    choice: OrderChoice,
    act: BulkAct,
    batch: str,
    request_ids: Sequence[str],
) -> Response:
    found = bulk.preview(act, _chosen(choice, batch, request_ids), site.person)
    return site.page(
        "decision",
        found=found,
        act=act,
        said=ACTS[act],
        request_ids=request_ids,
        action=site.url("/decisions/apply", **choice.query, batch=batch),
        back=_back(site, choice, batch),
        **_words(),
    )


def _chosen(choice: OrderChoice, batch: str, request_ids: Sequence[str]) -> Chosen:
    if request_ids:
        return Chosen(request_ids=tuple(request_ids))
    return Chosen(which=choice.filter(batch or None))


def _back(site: Site, choice: OrderChoice, batch: str) -> str:
    return site.url(f"/batches/{batch}" if batch else "/orders", **choice.query)


def _words() -> dict[str, Any]:
    return {"words": words, "refusals": REFUSALS, "state_of": OrderState, "csv_of": _csv_of}


def _csv_of(undone: Sequence[Undone]) -> str:
    """The address of a CSV that the page itself holds: nothing is kept on the server for it."""
    out = io.StringIO(newline="")
    writer = SpreadsheetWriter(out)
    writer.row(UNDONE_COLUMNS)
    for one in undone:
        writer.row((one.order_id, one.row_number, one.batch_id, one.request_id, one.code, one.text))
    content = base64.b64encode(out.getvalue().encode("utf-8-sig")).decode("ascii")
    return f"data:text/csv;charset=utf-8;base64,{content}"
