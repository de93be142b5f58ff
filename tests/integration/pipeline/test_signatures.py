"""Several persons sign the same terms, and an approver may leave orders out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.approval_events import ApprovalTerms
from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.grouping import row_ranges
from sat_hook.domain.guards import NO_RULES
from sat_hook.domain.order import OrderState
from sat_hook.pipeline import approval
from sat_hook.pipeline.approval import approve, persons_needed, reject
from sat_hook.pipeline.approval_request import ApprovalPolicy
from sat_hook.pipeline.errors import (
    ApprovalRejectedError,
    ApprovalTermsChangedError,
    ApproverRefusedError,
    LeftOutRefusedError,
)
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_batch
from sat_hook.pipeline.rule_changes import confirm_rules, propose_rules
from tests.integration.pipeline.test_approval import ALWAYS, CHECKER, MAKER, TWINS, TWO, Desk
from tests.quoted_batches import Row

THREE = (*TWO, Row("081211000003", 40_000))
TWO_PERSONS = ApprovalPolicy(over_rupiah=0, second_over_rupiah=0)
DINA, EVA = Provenance("user:dina", "answer"), Provenance("user:eva", "answer")
WHY = "not our customer"


def sign(
    desk: Desk,
    terms: ApprovalTerms,
    who: Provenance,
    policy: ApprovalPolicy = ALWAYS,
    rows: tuple[int, ...] = (),
    **more: Any,
) -> Batch:
    """Sign, and leave out the orders of these places in the batch."""
    left_out = [desk.orders[place].request_id for place in rows]
    reason = WHY if rows else None
    return approve(desk.handler, desk.batch_id, policy, terms, who, left_out=left_out, reason=reason, **more)


def rules_of_two_people(desk: Desk, **changes: object) -> None:
    """Put rules in force."""
    account = load_batch(desk.store, desk.batch_id).account
    waiting = propose_rules(desk.handler, account, NO_RULES, changes, "why", MAKER).rules.proposal
    assert waiting is not None
    confirm_rules(desk.handler, account, waiting.number, "why", CHECKER)


@pytest.mark.parametrize(("total", "persons"), [(10, 0), (11, 1), (100, 1), (101, 2), (1_000, 2), (1_001, 3)])
def test_the_highest_tier_below_the_total_counts(total: int, persons: int) -> None:
    """Exactly an amount is not over it; tiers of the policy and of the account's rules add up."""
    desk = Desk(Row(price_rupiah=total))
    rules_of_two_people(desk, second_approval_over_rupiah=100, third_approval_over_rupiah=2_000)
    policy = ApprovalPolicy(10, third_over_rupiah=1_000)
    assert persons_needed(desk.store, load_batch(desk.store, desk.batch_id), policy) == persons


def test_two_different_persons_sign_the_same_terms() -> None:
    """After the first signature nothing is approved and the same is asked again; the second approves."""
    desk = Desk(*TWO)
    terms = desk.asked(TWO_PERSONS)
    batch = sign(desk, terms, CHECKER, TWO_PERSONS)
    assert (batch.approved, batch.signers, batch.persons) == (None, ("carl",), 2)
    assert not any(order.approved_rupiah for order in desk.orders)
    assert desk.asked(TWO_PERSONS) == terms
    batch = sign(desk, terms, DINA, TWO_PERSONS)
    assert (batch.approved, batch.approver, batch.signers) == (terms, "dina", ())
    assert [order.approved_rupiah for order in desk.orders] == [10_000, 20_000]
    assert [actor for actor, _ in desk.events("ApprovalSigned")] == ["user:carl"]
    assert desk.ask(TWO_PERSONS) is None


@pytest.mark.parametrize("name", ["carl", "Carl", "ｃａｒｌ", "ca\u200brl"])
def test_the_second_signature_of_one_person_does_not_count(name: str) -> None:
    """However the name is written. The maker's does not count either. Both are recorded."""
    desk = Desk(*TWO)
    terms = desk.asked(TWO_PERSONS)
    sign(desk, terms, CHECKER, TWO_PERSONS)
    for who, why in ((f"user:{name}", "has signed already"), (MAKER.actor, "expected another user")):
        with pytest.raises(ApproverRefusedError, match=why):
            sign(desk, terms, Provenance(who, "answer"), TWO_PERSONS)
    assert [actor for actor, _ in desk.events("ApprovalRefused")] == [f"user:{name}", MAKER.actor]
    assert not desk.events("BatchApproved")


def test_a_signature_is_of_its_terms() -> None:
    """When something else is asked for, all persons sign again."""
    desk = Desk(*TWINS)
    sign(desk, desk.asked(TWO_PERSONS), CHECKER, TWO_PERSONS)
    decide_held_batch(desk.handler, desk.batch_id, HeldDecision.RELEASE, "checked", MAKER)
    desk.guard()
    terms = desk.asked(TWO_PERSONS)
    assert load_batch(desk.store, desk.batch_id).signers == ()
    assert sign(desk, terms, DINA, TWO_PERSONS).approved is None
    assert sign(desk, terms, CHECKER, TWO_PERSONS).approved == terms


def test_a_laxer_run_needs_as_many_persons() -> None:
    """A batch that needed two persons once needs two, whatever a later run asks for."""
    desk = Desk(*TWO)
    terms = desk.asked(TWO_PERSONS)
    assert desk.asked(ALWAYS) == terms
    assert sign(desk, terms, CHECKER, ALWAYS).approved is None


def test_stricter_rules_count_for_what_is_asked_already() -> None:
    """Rules that ask for a second person while the first is asked: the same terms, one signature more."""
    desk = Desk(*TWO)
    terms = desk.asked()
    rules_of_two_people(desk, approval_over_rupiah=0, second_approval_over_rupiah=0)
    assert sign(desk, terms, CHECKER).approved is None
    assert desk.asked() == terms
    assert sign(desk, terms, DINA).approved == terms


def test_a_tier_s_right_is_needed_for_its_signature() -> None:
    """Without the second tier's right the second signature is refused and recorded; with it, it counts."""
    desk = Desk(*TWO)
    rules_of_two_people(
        desk,
        approval_over_rupiah=0,
        second_approval_over_rupiah=0,
        second_approval_right="finance+sign_off",
    )
    terms = desk.asked()
    sign(desk, terms, CHECKER)
    with pytest.raises(ApproverRefusedError, match="needs the right sign_off"):
        sign(desk, terms, DINA, has_right=lambda right: right == "finance")
    assert '"right_missing"' in desk.events("ApprovalRefused")[0][1]
    assert sign(desk, terms, EVA, has_right=lambda right: True).approved == terms


def test_what_is_left_out_is_held_and_the_rest_approved() -> None:
    """The terms pin what was shown and what was left out; a released order needs an approval again."""
    desk = Desk(*THREE)
    shown = desk.asked()
    batch = sign(desk, shown, CHECKER, rows=(1,))
    assert batch.approved is not None
    assert (batch.approved.orders, batch.approved.total_rupiah) == (2, 50_000)
    assert batch.approved.quotes_digest.startswith("3:")
    held = desk.orders[1]
    assert (held.state, held.reason_code) == (OrderState.HELD, "left_out")
    assert held.reason_detail == f"left out by carl: {WHY}"
    assert [order.approved_rupiah for order in desk.orders] == [10_000, None, 40_000]
    [(actor, _)] = desk.events("OrdersLeftOut")
    assert actor == CHECKER.actor
    assert desk.ask() is None
    decide_held_batch(desk.handler, desk.batch_id, HeldDecision.RELEASE, "it is ours", MAKER)
    desk.clock.advance(60)
    desk.guard()
    assert desk.asked().orders == 3
    assert desk.orders[1].state is OrderState.QUOTED, "it is left out once"
    with pytest.raises(ApproverRefusedError):
        desk.approve(desk.asked(), MAKER)
    sign(desk, desk.asked(), CHECKER, rows=(1,))
    assert desk.orders[1].reason_code == "left_out", "and once more"
    decide_held_batch(desk.handler, desk.batch_id, HeldDecision.RELEASE, "it is ours", MAKER)
    desk.clock.advance(60)
    desk.guard()
    desk.approve(desk.asked())
    assert [order.approved_rupiah for order in desk.orders] == [10_000, 20_000, 40_000]


def test_both_persons_sign_what_is_left() -> None:
    """The second one sees the rest, and may leave out more: then the first one has to sign that, too."""
    desk = Desk(*THREE)
    batch = sign(desk, desk.asked(TWO_PERSONS), CHECKER, TWO_PERSONS, rows=(0,))
    rest = batch.asked_for
    assert rest is not None
    assert (batch.approved, batch.signers) == (None, ("carl",))
    assert desk.asked(TWO_PERSONS) == rest
    batch = sign(desk, rest, DINA, TWO_PERSONS, rows=(2,))
    assert batch.approved is None
    assert batch.signers == ("dina",)
    last = batch.asked_for
    assert last is not None
    assert (last.orders, desk.asked(TWO_PERSONS)) == (1, last)
    assert sign(desk, last, CHECKER, TWO_PERSONS).approved == last
    assert [order.reason_code for order in desk.orders] == ["left_out", None, "left_out"]
    assert [order.approved_rupiah for order in desk.orders] == [None, 20_000, None]


def test_held_orders_can_be_left_out() -> None:
    """They stay held for their reason, and are not asked for again until a person has released them."""
    desk = Desk(*TWINS)
    policy = replace(ALWAYS, held_too=True)
    sign(desk, desk.asked(policy), CHECKER, policy, rows=(0, 1))
    assert [order.reason_code for order in desk.orders] == ["left_out", "business_duplicate", None]
    assert desk.ask(policy) is None
    decide_held_batch(desk.handler, desk.batch_id, HeldDecision.RELEASE, "both", MAKER)
    desk.clock.advance(60)
    desk.guard()
    desk.approve(desk.asked(policy), policy=policy)
    assert all(order.approved_rupiah for order in desk.orders)


def test_two_who_decide_at_once_have_one_outcome() -> None:
    """One approves in part, the other the whole that was shown to both: the second is told of the change."""
    for first, second in (((1,), ()), ((), (1,))):
        desk = Desk(*THREE)
        shown = desk.asked()
        sign(desk, shown, CHECKER, rows=first)
        with pytest.raises(ApprovalTermsChangedError):
            sign(desk, shown, DINA, rows=second)
        assert len(desk.events("BatchApproved")) == 1
        held = [order.state is OrderState.HELD for order in desk.orders]
        assert held == ([False, True, False] if first else [False] * 3)


def test_leaving_out_cut_short_is_finished() -> None:
    """Recorded, then the process dies: what was left out is held before anything else is approved."""
    desk = Desk(*THREE)
    shown, left_out = desk.asked(), [desk.orders[1].request_id]

    class CutShortError(Exception):
        """The process dies here."""

    class Dying(CommandHandler):
        def apply(self, *_: object, **__: object) -> dict[str, object]:  # type: ignore[override]
            raise CutShortError

    with pytest.raises(CutShortError):
        approve(
            Dying(desk.store, desk.clock),
            desk.batch_id,
            ALWAYS,
            shown,
            CHECKER,
            left_out=left_out,
            reason=WHY,
        )
    rest = desk.asked()
    assert rest.orders == 2
    assert desk.orders[1].reason_code == "left_out"
    assert not any(order.approved_rupiah for order in desk.orders)
    assert desk.approve(rest, DINA).approved == rest


@pytest.mark.parametrize(
    ("left_out", "reason", "found"),
    [
        (["SX"], WHY, "order SX, which was not asked for"),
        (None, WHY, "every order left out"),
        ([0], " ", "no reason"),
    ],
)
def test_what_cannot_be_left_out_changes_nothing(left_out: Any, reason: str, found: str) -> None:
    """Strange orders, all of them, or no reason: an error that says so, and the request stands."""
    desk = Desk(*TWO)
    terms = desk.asked()
    ids = [order.request_id for order in desk.orders]
    chosen = ids if left_out is None else [ids[one] if one == 0 else one for one in left_out]
    with pytest.raises(LeftOutRefusedError, match=found):
        approve(desk.handler, desk.batch_id, ALWAYS, terms, CHECKER, left_out=chosen, reason=reason)
    assert not desk.events("OrdersLeftOut")
    assert desk.approve(terms).approved == terms


def test_a_rejection_has_its_reason_and_ends_what_one_has_signed() -> None:
    """Signed by one of two, rejected by another: nothing is sent, and the reason is in the log."""
    desk = Desk(*TWO)
    terms = desk.asked(TWO_PERSONS)
    sign(desk, terms, CHECKER, TWO_PERSONS)
    with pytest.raises(ApprovalRejectedError):
        reject(desk.handler, desk.batch_id, terms, DINA, "last month's list")
    assert '"reason":"last month\'s list"' in desk.events("ApprovalRejected")[0][1]
    with pytest.raises(ApprovalTermsChangedError):
        sign(desk, terms, EVA, TWO_PERSONS)
    assert {order.state for order in desk.orders} == {OrderState.REJECTED}


def test_a_signature_s_reason_is_kept() -> None:
    """Also that of the last signature, which has the approval's event beside it."""
    desk = Desk(*TWO)
    approve(desk.handler, desk.batch_id, ALWAYS, desk.asked(), CHECKER, reason="as agreed")
    assert '"reason":"as agreed"' in desk.events("ApprovalSigned")[0][1]
    assert len(desk.events("BatchApproved")) == 1


def test_rows_are_kept_as_ranges() -> None:
    """However many there are, neighbours take one range."""
    assert row_ranges([5, 2, 3, 9]) == ((2, 3), (5, 5), (9, 9))
    assert row_ranges([]) == ()


def test_orders_left_out_while_it_is_asked_are_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task has read the orders; an approver leaves one out and approves the rest; nothing more is asked."""
    desk = Desk(*THREE)
    terms = desk.asked(ALWAYS)
    lacking = approval._lacking

    def overtaken(*asked: Any) -> bool:
        found = lacking(*asked)
        monkeypatch.undo()
        sign(desk, terms, CHECKER, rows=(0,))
        return found

    monkeypatch.setattr(approval, "_lacking", overtaken)
    assert desk.ask(ALWAYS) is None
    batch = load_batch(desk.store, desk.batch_id)
    assert batch.approved is not None
    assert (batch.approved, batch.approved.orders) == (batch.asked_for, 2)
    assert len(desk.events("ApprovalRequested")) == 1
