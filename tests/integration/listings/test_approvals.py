"""What an approver is shown, and what the answers of several people come to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from sat_hook.application.approval_questions import Answered, LeftOut, NotAnswered
from sat_hook.application.approvals import ANSWERS_AT_ONCE, Approvals
from sat_hook.application.errors import RightMissingError
from sat_hook.application.rights import Person, Right
from sat_hook.commands.errors import BatchNotFoundError, OverrideRefusedError, ReasonRefusedError
from sat_hook.commands.handler import load_batch
from sat_hook.domain import order_events
from sat_hook.domain.approval_events import ApprovalRefusal
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import GuardRules
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.approval import ask_for_approval
from sat_hook.pipeline.approval_request import ApprovalPolicy
from sat_hook.pipeline.errors import ApprovalTermsChangedError, ApproverRefusedError
from sat_hook.pipeline.guards import guard_batch
from sat_hook.pipeline.held_orders import HeldDecision, decide_held_batch
from sat_hook.store.guards import PostgresGuardLedger
from tests.integration.listings.conftest import NOBODY, SEER, SENT, Office
from tests.orders import BY_TEST
from tests.quoted_batches import orders_of
from tests.web_host import FakeHost, FakeUser, client_of

APPROVER = Right.VIEW, Right.VIEW_NUMBERS, Right.APPROVE
CARL, DINA = Person("carl", frozenset(APPROVER)), Person("dina", frozenset(APPROVER))
MARIA = Person("maria", frozenset(Right))
TWO = ApprovalPolicy(over_rupiah=0, second_over_rupiah=100_000)


def asked(office: Office, reference: str, policy: ApprovalPolicy = TWO, **more: Provenance) -> str:
    """A batch that waits for its approval. Its duplicates of earlier batches are released."""
    batch_id = office.batch(reference, **more)
    ledger = PostgresGuardLedger(office.store.database)
    for _ in range(2):
        guard_batch(office.handler, ledger, batch_id, GuardRules(), BY_TEST)
        with suppress(OverrideRefusedError):
            decide_held_batch(office.handler, batch_id, HeldDecision.RELEASE, "meant so", BY_TEST)
    assert ask_for_approval(office.handler, batch_id, policy, BY_TEST) is not None
    return batch_id


def approvals(office: Office) -> Approvals:
    """The use case over the office's log."""
    return Approvals(office.lists.installation)


def digest_of(office: Office, batch_id: str) -> str:
    """What is asked for now."""
    terms = load_batch(office.store, batch_id).asked_for
    assert terms is not None
    return terms.quotes_digest


def test_an_approver_sees_what_is_asked_and_who_must_sign(office: Office) -> None:
    """Products, dearest orders, recipients never paid before, and the maker's other batches."""
    paid = office.batch("earlier", (52_000,))
    known = office.order_of("earlier", 2)
    office.happen(known, SENT, order_events.SucceededByOperator(reason="called SAT"))
    batch_id = asked(office, "today")
    one = approvals(office).one(batch_id, CARL)
    assert one is not None
    row = one.waiting
    assert (row.file_name, row.maker, row.orders, row.total_rupiah) == ("today.csv", "maria", 4, 190_000)
    assert (row.persons, row.signers, row.refusal) == (2, (), None)
    assert [(p.product_code, p.orders, p.total_rupiah) for p in one.products] == [
        ("product-1", 2, 154_500),
        ("product-0", 2, 35_500),
    ]
    assert [order.quote_rupiah for order in one.largest] == [102_500, 52_000, 25_000, 10_500]
    assert (one.recipients_looked_at, one.new_recipients) == (4, 3), "the first number was paid before"
    assert [order.client_number for order in one.new_orders] == [
        "08121000003",
        "08121000004",
        "08121000002",
    ]
    assert one.month is not None
    assert (one.month.batches, one.month.orders, one.month.total_rupiah) == (1, 1, 52_000)
    assert (one.month.typical_rupiah, one.month.largest_rupiah) == (52_000, 52_000)
    masked = approvals(office).one(batch_id, SEER)
    assert masked is not None
    assert "*" in masked.new_orders[0].client_number
    assert approvals(office).one(paid, CARL) is None, "nothing is asked about it"
    with pytest.raises(BatchNotFoundError):
        approvals(office).one("B", CARL)


def test_each_person_is_told_whether_they_may_sign(office: Office) -> None:
    """The maker, a person who has signed, and one without the right read why not; the list is by age."""
    first, second = asked(office, "one"), asked(office, "two")
    approvals(office).approve(first, digest_of(office, first), CARL)
    rows = approvals(office).waiting(CARL)
    assert [row.batch_id for row in rows] == [first, second]
    assert [row.refusal for row in rows] == [ApprovalRefusal.SIGNED_BEFORE, None]
    assert rows[0].signers == ("carl",)
    assert {row.refusal for row in approvals(office).waiting(MARIA)} == {ApprovalRefusal.OWN_BATCH}
    assert {row.refusal for row in approvals(office).waiting(SEER)} == {ApprovalRefusal.RIGHT_MISSING}
    with pytest.raises(RightMissingError):
        approvals(office).waiting(NOBODY)


def test_two_people_approve_in_the_console(office: Office) -> None:
    """The first leaves a product out; the second signs the rest, and only then it is approved."""
    batch_id = asked(office, "today")
    first = approvals(office).approve(
        batch_id,
        digest_of(office, batch_id),
        CARL,
        left_out=LeftOut((office.order_of("today", 2),), ("product-0",)),
        reason="not this week",
    )
    assert (first.is_approved, first.persons_left) == (False, 1)
    shown = approvals(office).one(batch_id, DINA)
    assert shown is not None
    assert (shown.left_out_orders, shown.left_out_by, shown.left_out_reason) == (3, "carl", "not this week")
    assert [(p.product_code, p.orders) for p in shown.products] == [("product-1", 1)]
    last = approvals(office).approve(batch_id, shown.waiting.terms_digest, DINA)
    assert (last.is_approved, last.persons_left) == (True, 0)
    orders = orders_of(office.handler, batch_id)
    assert [order.approved_rupiah for order in orders] == [None, None, 102_500, None]
    assert {order.reason_code for order in orders} == {"left_out", None}
    assert approvals(office).waiting(CARL) == ()


def test_an_answer_is_to_what_was_shown(office: Office) -> None:
    """Another digest, or nothing asked: refused, and nothing is approved. Right and reason are needed."""
    batch_id = asked(office, "today")
    desk, digest = approvals(office), digest_of(office, batch_id)
    with pytest.raises(ApprovalTermsChangedError):
        desk.approve(batch_id, "2:" + "0" * 64, CARL)
    with pytest.raises(ApproverRefusedError, match="submitted the batch"):
        desk.approve(batch_id, digest, MARIA)
    with pytest.raises(RightMissingError):
        desk.approve(batch_id, digest, SEER)
    with pytest.raises(ReasonRefusedError):
        desk.approve(batch_id, digest, CARL, left_out=LeftOut(product_codes=("product-0",)))
    quiet = office.batch("quiet")
    with pytest.raises(ApprovalTermsChangedError, match="found no request"):
        desk.approve(quiet, digest, CARL)
    with pytest.raises(ApprovalTermsChangedError, match="found no request"):
        desk.reject(quiet, digest, "not now", CARL)


def test_several_are_signed_at_once(office: Office) -> None:
    """One that cannot be signed, the person's own, does not keep the others; too many are refused."""
    policy = replace(TWO, second_over_rupiah=None)
    mine = asked(office, "mine", policy, maker=Provenance("user:carl", "plugin:submit"))
    others = [asked(office, name, policy) for name in ("one", "two")]
    shown = [(batch_id, digest_of(office, batch_id)) for batch_id in (others[0], mine, others[1])]
    answers = approvals(office).approve_several(shown, CARL)
    assert [type(answer) for answer in answers] == [Answered, NotAnswered, Answered]
    assert [batch_id for batch_id, _ in shown] == [answer.batch_id for answer in answers]
    assert load_batch(office.store, others[1]).approver == "carl"
    with pytest.raises(OverrideRefusedError, match="expected at most 100"):
        approvals(office).approve_several(shown * ANSWERS_AT_ONCE, CARL)


def test_a_rejection_needs_a_reason_and_ends_the_batch(office: Office) -> None:
    """It is recorded under the person; no order is sent."""
    batch_id = asked(office, "today")
    with pytest.raises(ReasonRefusedError):
        approvals(office).reject(batch_id, digest_of(office, batch_id), " ", CARL)
    approvals(office).reject(batch_id, digest_of(office, batch_id), "the list is last month's", CARL)
    assert load_batch(office.store, batch_id).rejecter == "carl"
    assert {order.state for order in orders_of(office.handler, batch_id)} == {OrderState.REJECTED}
    assert approvals(office).waiting(CARL) == ()


def test_a_rejection_is_of_what_was_shown(office: Office) -> None:
    """After another person left orders out, or something else was asked: refused, and nothing ends."""
    batch_id = asked(office, "today")
    shown = digest_of(office, batch_id)
    approvals(office).approve(
        batch_id, shown, CARL, left_out=LeftOut(product_codes=("product-0",)), reason="not this week"
    )
    for digest in (shown, "2:" + "0" * 64):
        with pytest.raises(ApprovalTermsChangedError, match="Nothing was rejected"):
            approvals(office).reject(batch_id, digest, "the list is wrong", DINA)
    assert load_batch(office.store, batch_id).rejecter is None
    assert OrderState.REJECTED not in {order.state for order in orders_of(office.handler, batch_id)}
    approvals(office).reject(batch_id, digest_of(office, batch_id), "the rest is wrong, too", DINA)
    assert load_batch(office.store, batch_id).rejecter == "dina"


async def test_programs_ask_and_answer_as_people_do(office: Office) -> None:
    """The question by HTTP, an approval in part that repeats its digest, and a rejection; each once."""
    batch_id, other = asked(office, "today"), asked(office, "tomorrow")
    host = FakeHost(FakeUser("carl", CARL.rights), FakeUser("dina", DINA.rights), store=office.store)
    async with client_of(host) as client:
        carl, dina = ({"authorization": f"Bearer {name}"} for name in ("carl", "dina"))
        listed = (await client.get("/approvals", headers=carl)).json()["items"]
        assert [row["batch_id"] for row in listed] == [batch_id, other]
        question = (await client.get(f"/approvals/{batch_id}", headers=carl)).json()
        answer = {
            "terms_digest": question["waiting"]["terms_digest"],
            "leave_out_products": [question["products"][1]["product_code"]],
            "reason": "not checked",
        }
        old = await client.post(
            f"/approvals/{batch_id}/approve", json={**answer, "terms_digest": "2:old"}, headers=carl
        )
        assert (old.status_code, old.json()["type"]) == (409, "not_possible")
        signed = await client.post(f"/approvals/{batch_id}/approve", json=answer, headers=carl)
        assert (signed.status_code, signed.json()["persons_left"]) == (200, 1), signed.text
        rest = (await client.get(f"/approvals/{batch_id}", headers=dina)).json()["waiting"]
        assert (rest["orders"], rest["signers"]) == (2, ["carl"])
        last = await client.post(
            f"/approvals/{batch_id}/approve", json={"terms_digest": rest["terms_digest"]}, headers=dina
        )
        assert (last.status_code, last.json()["is_approved"]) == (200, True), last.text
        assert (await client.get(f"/approvals/{batch_id}", headers=dina)).status_code == 404
        question = (await client.get(f"/approvals/{other}", headers=dina)).json()["waiting"]
        for digest, status in (("2:old", 409), (question["terms_digest"], 200), ("2:old", 409)):
            no = {"reason": "twice", "terms_digest": digest}
            rejected = await client.post(f"/approvals/{other}/reject", json=no, headers=dina)
            assert rejected.status_code == status, rejected.text


async def test_programs_sign_several_and_see_what_is_left_out(office: Office) -> None:
    """Each as it was shown; one that has changed since says so and does not keep the others."""
    batch_ids = [asked(office, name, replace(TWO, second_over_rupiah=None)) for name in ("one", "two")]
    host = FakeHost(FakeUser("carl", CARL.rights), store=office.store)
    async with client_of(host, authorization="Bearer carl") as client:
        cost = await client.post(
            f"/approvals/{batch_ids[0]}/cost", json={"leave_out_products": ["product-0"]}
        )
        assert cost.json() == {"orders": 2, "total_rupiah": 35_500}
        shown = [
            {"batch_id": batch_ids[0], "terms_digest": "2:old"},
            {"batch_id": batch_ids[1], "terms_digest": digest_of(office, batch_ids[1])},
        ]
        answers = (await client.post("/approvals/approve", json={"shown": shown})).json()["answers"]
        assert [answer["batch_id"] for answer in answers] == batch_ids
        assert [answer["is_approved"] for answer in answers] == [False, True]
        assert "has changed" in answers[0]["refusal"]
        assert answers[1]["refusal"] is None
        assert (await client.get("/me")).json()["name"] == "carl"


def test_what_is_left_out_counts_once(office: Office) -> None:
    """An order that is named and whose product is left out, too; and an approval tells what was approved."""
    batch_id = asked(office, "today", ApprovalPolicy(over_rupiah=0))
    one, two = office.order_of("today", 2), office.order_of("today", 3)
    cost = approvals(office).cost_of(batch_id, LeftOut((one, two), ("product-1",)), CARL)
    assert cost == (3, 52_000 + 102_500 + 10_500)
    approvals(office).approve(
        batch_id, digest_of(office, batch_id), CARL, left_out=LeftOut((one,)), reason="not checked"
    )
    approval = office.lists.batch(batch_id, CARL).approval
    assert approval is not None
    assert (approval.orders, approval.approver) == (3, "carl")
    with pytest.raises(ApprovalTermsChangedError, match="approved by carl"):
        approvals(office).approve(batch_id, digest_of(office, batch_id), DINA)
    with pytest.raises(ApprovalTermsChangedError, match="approved by carl"):
        approvals(office).reject(batch_id, digest_of(office, batch_id), "too late", DINA)
