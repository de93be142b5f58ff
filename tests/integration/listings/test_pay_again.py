"""The rows that pay failed orders again, and what a new run of a batch would send."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import httpx
import pytest

from sat_hook.application.errors import NothingToPayAgainError, RightMissingError
from sat_hook.application.pay_again import EARLIER_ORDER, NotAgain, PayAgain
from sat_hook.application.rights import Person, Right
from sat_hook.domain import order_events
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.limits import FILE_LIMITS
from sat_hook.pipeline.order_file import OrderFile, RowProblem
from sat_hook.store.event_store import Change
from tests.integration.listings.conftest import HELD, READER, SENT, Office
from tests.orders import ACCOUNT, received
from tests.web_host import FakeHost, FakeUser, client_of

MARIA = Person("maria", frozenset({Right.VIEW, Right.VIEW_NUMBERS, Right.SUBMIT}))
FAILED = order_events.FailedByOperator(reason="SAT said so by phone")


def again(office: Office) -> PayAgain:
    """The use case over the office's log."""
    return PayAgain(office.lists.installation)


def fail(office: Office, reference: str, *rows: int) -> None:
    """These orders end as failed."""
    for row in rows:
        office.happen(office.order_of(reference, row), SENT, FAILED)


def test_failed_orders_become_rows_with_new_ids(office: Office, tmp_path: Path) -> None:
    """Each row is the earlier order's, with a new id, and names the earlier order; the intake takes it."""
    batch_id = office.batch("today")
    fail(office, "today", 2, 4)
    rejected = order_events.OrderRejected(reason=order_events.RejectionReason.INSUFFICIENT_FUNDS, detail="")
    office.happen(office.order_of("today", 5), rejected)
    found = again(office).rows(batch_id, MARIA)
    assert (found.earlier_batch_id, found.account, found.file_name) == (batch_id, ACCOUNT, "today-again.csv")
    assert found.order_ids == {f"today-{n}": f"today-{n}-R1" for n in (2, 4, 5)}
    assert (found.total_rupiah, found.ended_by_people, found.left_out) == (179_500, 2, {})
    rows = list(csv.DictReader(io.StringIO(found.content.decode())))
    assert rows[0] == {
        "order_id": "today-2-R1",
        "product_code": "product-1",
        "client_number": "08121000001",
        EARLIER_ORDER: "today-2",
    }
    file = OrderFile(found.content, found.file_name, FILE_LIMITS)
    outcomes = [row.outcome for row in file.rows()]
    assert len(outcomes) == 3
    assert not any(isinstance(outcome, RowProblem) for outcome in outcomes)


def test_what_is_paid_again_is_not_paid_a_third_time(office: Office) -> None:
    """While the order that pays it again may cost money, it is left out; once that failed, it is a row."""
    batch_id = office.batch("today")
    fail(office, "today", 2)
    later = received(90).model_copy(update={"order_id": "today-2-R1", "batch_id": batch_id, "row_number": 90})
    key = request_id_of(ACCOUNT, "today-2-R1")
    first = Change.of_order(key, None, (later,), office.clock.now())
    assert office.store.append([first], MARIA.by("test"), office.clock.now()) == frozenset()
    office.happen(key, order_events.OrderValidated(is_inquiry=False, list_price_rupiah=1), SENT)
    fail(office, "today", 4)
    found = again(office).rows(batch_id, MARIA)
    assert (found.order_ids, found.left_out) == ({"today-4": "today-4-R1"}, {"today-2": NotAgain.DONE})
    office.happen(key, order_events.OrderEscalated(reason="silence"), FAILED)
    found = again(office).rows(batch_id, MARIA)
    assert found.order_ids == {"today-4": "today-4-R1", "today-2-R1": "today-2-R2"}
    assert found.left_out == {"today-2": NotAgain.DONE}


def test_nothing_failed_or_no_right(office: Office) -> None:
    """A batch without failed orders has nothing to pay again. Client numbers need their right."""
    batch_id = office.batch("today")
    with pytest.raises(NothingToPayAgainError):
        again(office).rows(batch_id, MARIA)
    fail(office, "today", 2)
    with pytest.raises(NothingToPayAgainError):
        again(office).rows(batch_id, MARIA, (OrderState.SUCCEEDED, OrderState.REJECTED))
    for person in (READER, Person("tom", frozenset({Right.SUBMIT}))):
        with pytest.raises(RightMissingError):
            again(office).rows(batch_id, person)


def test_what_a_new_run_would_send(office: Office) -> None:
    """Quoted orders, with their sum. Held ones wait for a person, sent ones are not sent again."""
    batch_id = office.batch("today")
    office.happen(office.order_of("today", 2), HELD)
    fail(office, "today", 3)
    left = again(office).left(batch_id, MARIA)
    assert (left.unchecked, left.quoted, left.quoted_rupiah, left.held) == (0, 2, 127_500, 1)
    assert not left.is_approval_required
    office.ask_for_approval(batch_id)
    assert again(office).left(batch_id, MARIA).is_approval_required


async def test_a_program_begins_a_draft_of_the_failed_orders(office: Office) -> None:
    """By POST /v1/drafts/again: a draft with new ids, once for a key, and not without the rights."""
    batch_id = office.batch("today")
    fail(office, "today", 2, 4)
    host = FakeHost(
        FakeUser("maria", MARIA.rights), FakeUser("tom", frozenset({Right.SUBMIT})), store=office.store
    )
    async with client_of(host) as client:

        async def ask(user: str, batch: str, **headers: str) -> httpx.Response:
            sent = {"authorization": f"Bearer {user}", **headers}
            return await client.post("/drafts/again", json={"batch_id": batch}, headers=sent)

        first = await ask("maria", batch_id, **{"idempotency-key": "again-1"})
        assert first.status_code == 200, first.text
        draft = first.json()
        assert (draft["file_name"], draft["account"]) == ("today-again.csv", ACCOUNT)
        assert draft["pays_again"]["batch_id"] == batch_id
        maria = {"authorization": "Bearer maria"}
        rows = (await client.get(f"/drafts/{draft['draft_id']}/rows", headers=maria)).json()["rows"]
        assert [row["cells"][0] for row in rows] == ["today-2-R1", "today-4-R1"]
        again_ = await ask("maria", batch_id, **{"idempotency-key": "again-1"})
        assert again_.json()["draft_id"] == draft["draft_id"]
        assert len((await client.get("/drafts", headers=maria)).json()) == 1

        refused = await ask("tom", batch_id)
        assert (refused.status_code, refused.json()["type"]) == (403, "right_missing")
        nothing = await ask("maria", office.batch("tomorrow"))
        assert (nothing.status_code, "today" in nothing.text) == (409, False), nothing.text
        unknown = await ask("maria", "B" + "A" * 25)
        assert (unknown.status_code, unknown.json()["type"]) == (404, "batch_not_found")
        assert (await ask("maria", "B1")).status_code == 422
