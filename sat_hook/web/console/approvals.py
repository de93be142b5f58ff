"""Approvals: what waits, for whom; one batch with all that an approver should know; several at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import Response

from sat_hook.application.approval_questions import (
    Answered,
    ApprovalQuestion,
    Cost,
    LeftOut,
    NotAnswered,
    WaitingApproval,
)
from sat_hook.application.approvals import ANSWERS_AT_ONCE, Approvals
from sat_hook.application.batch_starts import BatchStarts
from sat_hook.application.listings import Listings, OrderPage
from sat_hook.application.runs import Runs
from sat_hook.commands.errors import ReasonRefusedError
from sat_hook.domain.approval_events import ApprovalRefusal
from sat_hook.domain.errors import StepError
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline.errors import ApprovalTermsChangedError, ApproverRefusedError, LeftOutRefusedError
from sat_hook.store.order_lists import OrderFilter, OrderSort
from sat_hook.web.console import words
from sat_hook.web.console.batches import segments_of
from sat_hook.web.console.error_words import explained
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import (
    ApprovalsDep,
    BatchId,
    BatchStartsDep,
    HoldersDep,
    ListingsDep,
    RightHolders,
    RunsDep,
)

MAXIMUM_IDS_TEXT = 40_000

router = APIRouter(prefix="/approvals")

_KINDS: Mapping[type[StepError], str] = {
    ReasonRefusedError: "reason",
    ApprovalTermsChangedError: "changed",
    ApproverRefusedError: "approver",
    LeftOutRefusedError: "left_out",
}
"""Refusals that the pages put into words."""
_REFUSALS = tuple(_KINDS)

_Ids = Annotated[list[str] | None, Query(max_length=ANSWERS_AT_ONCE)]


@dataclass(frozen=True, slots=True)
class Choice:
    """The form of an answer, as the person left it.

    :param digest: names what was shown, with ``orders`` and ``total_rupiah``.
    :param rows: request ids of single orders that are left out, on any page of the table.
    :param cursor: of the table's page that is shown.
    """

    digest: str = ""
    orders: int = 0
    total_rupiah: int = 0
    products: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    cursor: str = ""
    reason: str = ""

    @property
    def left_out(self) -> LeftOut:
        """What the person leaves out."""
        return LeftOut(self.rows, self.products)


def choice_of(
    digest: Annotated[str, Form(max_length=100)] = "",
    orders: Annotated[int, Form(ge=0, le=10**9)] = 0,
    total_rupiah: Annotated[int, Form(ge=0, le=10**15)] = 0,
    product: Annotated[list[str] | None, Form()] = None,
    row: Annotated[list[str] | None, Form()] = None,
    rows_elsewhere: Annotated[str, Form(max_length=MAXIMUM_IDS_TEXT)] = "",
    cursor: Annotated[str, Form(max_length=1000)] = "",
    go: Annotated[str, Form(max_length=1000)] = "",
    reason: Annotated[str, Form(max_length=10_000)] = "",
) -> Choice:
    """Read the form. ``go`` names another page of the table; ``first`` is its first one."""
    rows = tuple(dict.fromkeys((*rows_elsewhere.split(), *(row or ()))))
    shown = "" if go == "first" else go or cursor
    return Choice(digest, orders, total_rupiah, tuple(product or ()), rows, shown, reason)


ChoiceDep = Annotated[Choice, Depends(choice_of)]


@dataclass(frozen=True, slots=True)
class Desk:
    """What the page of one approval is made from."""

    site: Site
    approvals: Approvals
    listings: Listings
    starts: BatchStarts
    runs: Runs
    holders: RightHolders

    def page(self, batch_id: str, choice: Choice | None = None, refused: StepError | None = None) -> Response:
        """The question as it stands now, with the choice kept; or what became of it.

        :param refused: why the answer that was just given does not count.
        """
        question = self.approvals.one(batch_id, self.site.person)
        if question is None:
            return self._answered(batch_id, choice)
        waiting = question.waiting
        is_other = choice is not None and choice.digest != waiting.terms_digest
        kept = choice or Choice()
        orders = self._orders(waiting, "" if is_other else kept.cursor)
        status = 200 if refused is None else 422 if isinstance(refused, ReasonRefusedError) else 409
        return self.site.page(
            "approval_choice" if self.site.is_part and refused is None and not is_other else "approval",
            409 if is_other else status,
            question=question,
            waiting=waiting,
            choice=kept,
            before=choice if is_other else None,
            refused=refused,
            refused_kind=_kind(refused),
            left=self._left_out(batch_id, kept),
            orders=orders,
            elsewhere=_elsewhere(kept, orders),
            place=f"/approvals/{batch_id}",
            deposit=self.listings.deposit(waiting.account, self.site.person),
            usual=_usual(question),
            who_can=self._who_can(waiting),
            refusals=ApprovalRefusal,
            words=words,
        )

    def _orders(self, waiting: WaitingApproval, cursor: str) -> OrderPage:
        states = (OrderState.QUOTED, OrderState.HELD) if waiting.held else (OrderState.QUOTED,)
        which = OrderFilter(batch_id=waiting.batch_id, states=states)
        page = self.listings.orders(which, self.site.person, sort=OrderSort.ROW, cursor=cursor or None)
        asked = tuple(one for one in page.items if one.reason_code != HoldReason.LEFT_OUT)
        return OrderPage(asked, page.next)

    def _left_out(self, batch_id: str, choice: Choice) -> Cost:
        try:
            return self.approvals.cost_of(batch_id, choice.left_out, self.site.person)
        except LeftOutRefusedError:
            return Cost(len(choice.rows), 0)  # the answer is refused, and says why

    def _who_can(self, waiting: WaitingApproval) -> list[tuple[str, str]]:
        """Of the next missing signature, each right with the names of those who have it."""
        missing = next((one for one in waiting.signatures if one.signer is None), None)
        return [(right, self.holders(right)) for right in (missing.rights if missing else ())]

    def _answered(self, batch_id: str, choice: Choice | None) -> Response:
        details = self.listings.batch(batch_id, self.site.person)
        return self.site.page(
            "approval_answered",
            200 if choice is None else 409,
            details=details,
            batch=details.row,
            segments=segments_of(details),
            held=details.row.orders.get(OrderState.HELD, 0),
            came_second=choice is not None,
            place=f"/approvals/{batch_id}",
            words=words,
        )


def desk_of(
    site: SiteDep,
    approvals: ApprovalsDep,
    listings: ListingsDep,
    starts: BatchStartsDep,
    runs: RunsDep,
    holders: HoldersDep,
) -> Desk:
    return Desk(site, approvals, listings, starts, runs, holders)


DeskDep = Annotated[Desk, Depends(desk_of)]


@router.get("")
def list_approvals(site: SiteDep, approvals: ApprovalsDep) -> Response:
    """What waits for the person, what the person has signed, and what waits for others."""
    waiting = approvals.waiting(site.person)
    return site.page(
        "approvals",
        mine=[row for row in waiting if row.refusal is None],
        signed=[row for row in waiting if row.refusal is ApprovalRefusal.SIGNED_BEFORE],
        others=[row for row in waiting if row.refusal not in (None, ApprovalRefusal.SIGNED_BEFORE)],
        refusals=ApprovalRefusal,
    )


@router.get("/several")
def several(site: SiteDep, approvals: ApprovalsDep, batch_id: _Ids = None) -> Response:
    """The chosen batches, each with its total, before they are approved."""
    chosen = frozenset(batch_id or ())
    rows = [row for row in approvals.waiting(site.person) if row.batch_id in chosen and row.refusal is None]
    if not rows:
        return site.go("/approvals")
    return site.page("approvals_several", rows=rows, total=_sum(rows), answers=None)


@router.post("/several")
def approve_several(
    site: SiteDep, approvals: ApprovalsDep, shown: Annotated[list[str], Form(max_length=ANSWERS_AT_ONCE)]
) -> Response:
    """Approve each batch as it was shown; the page lists what could not be approved, and why.

    ``shown`` holds ``batch_id digest`` for each.
    """
    before = {row.batch_id: row for row in approvals.waiting(site.person)}
    pairs = [(batch_id, digest) for batch_id, _, digest in (one.partition(" ") for one in shown)]
    answers = [
        (answer, before.get(answer.batch_id), _outcome(answer), _said(site, answer))
        for answer in approvals.approve_several(pairs, site.person)
    ]
    return site.page("approvals_several", rows=[], total=0, answers=answers)


@router.get("/{batch_id}")
def approval(batch_id: BatchId, desk: DeskDep) -> Response:
    """What is asked about one batch."""
    return desk.page(batch_id)


@router.post("/{batch_id}/choice")
def choose(batch_id: BatchId, desk: DeskDep, choice: ChoiceDep) -> Response:
    """The running sum and a page of the orders. Nothing is recorded."""
    answer = desk.page(batch_id, choice)
    if desk.site.is_part and answer.status_code != 200:
        # The batch has changed: the whole page says so.
        answer.headers.update({"HX-Retarget": "body", "HX-Reswap": "innerHTML"})
    return answer


@router.post("/{batch_id}/approve")
def approve(batch_id: BatchId, desk: DeskDep, choice: ChoiceDep) -> Response:
    """Sign what was shown, or all of it but what is left out."""
    try:
        desk.approvals.approve(
            batch_id,
            choice.digest,
            desk.site.person,
            left_out=choice.left_out,
            reason=choice.reason.strip() or None,
        )
    except (
        ReasonRefusedError,
        ApproverRefusedError,
        ApprovalTermsChangedError,
        LeftOutRefusedError,
    ) as error:
        return desk.page(batch_id, choice, error)
    return desk.site.go(f"/approvals/{batch_id}")


@router.post("/{batch_id}/reject")
def reject(batch_id: BatchId, desk: DeskDep, choice: ChoiceDep) -> Response:
    """Reject the batch: every order that was not sent ends unpaid."""
    try:
        desk.approvals.reject(batch_id, choice.digest, choice.reason, desk.site.person)
    except _REFUSALS as error:
        return desk.page(batch_id, choice, error)
    return desk.site.go(f"/approvals/{batch_id}")


def _outcome(answer: Answered | NotAnswered) -> str:
    """``approved``, ``signed``, or the kind of its refusal."""
    if isinstance(answer, NotAnswered):
        return _kind(answer.error)
    return "approved" if answer.is_approved else "signed"


def _said(site: Site, answer: Answered | NotAnswered) -> str:
    """Why a batch is not approved, in the person's language."""
    why = explained(answer.error, site.wording) if isinstance(answer, NotAnswered) else None
    return "" if why is None else why.said


def _kind(error: StepError | None) -> str:
    """The kind of a refusal, which templates put into words."""
    return next((kind for kinds, kind in _KINDS.items() if isinstance(error, kinds)), "other")


def _elsewhere(choice: Choice, orders: OrderPage) -> list[str]:
    """The chosen rows that this page of the table does not show."""
    here = {order.request_id for order in orders.items}
    return [request_id for request_id in choice.rows if request_id not in here]


def _sum(rows: list[WaitingApproval]) -> int:
    return sum(row.total_rupiah for row in rows)


def _usual(question: ApprovalQuestion) -> tuple[str, int]:
    """How unusual the batch is for its maker, and how many times a typical one it is."""
    month, total = question.month, question.waiting.total_rupiah
    if month is None:
        return "unknown", 0
    if month.typical_rupiah is None or month.largest_rupiah is None:
        return "first", 0
    times = round(total / max(month.typical_rupiah, 1))
    if total > month.largest_rupiah:
        return "largest", times
    return ("times", times) if times >= 2 else ("usual", times)
