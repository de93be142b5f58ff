"""The list of batches and the page of one: who submitted it, how it stands, and what it needs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sat_hook.application.batch_details import BatchStep
from sat_hook.application.batch_standing import BatchQuery, BatchStanding
from sat_hook.application.errors import CursorError, ListingRefusedError, RightMissingError
from sat_hook.application.prices import Prices
from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.domain import order_events
from sat_hook.domain.batch_commands import RejectApproval, Submit
from sat_hook.domain.batch_events import BatchSource, BatchSubmitted, RowSetAside, RowsTakenIn, RowVerdict
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import batch_id_of
from sat_hook.domain.order import OrderState
from sat_hook.store.order_lists import OrderFilter
from tests.integration.listings.conftest import HELD, NOBODY, PRICES, SEER, SENT, Office
from tests.orders import ACCOUNT, BY_TEST, T0

SUCCEEDED = order_events.OrderSucceeded(
    evidence_digest="0" * 64,
    observed_at=T0,
    sales_price_rupiah=51_000,
    admin_fee_rupiah=0,
    partner_fee_rupiah=0,
    fulfilled_at=None,
)


def test_a_row_says_who_what_and_how_much(office: Office) -> None:
    """Counts by state, quoted and paid rupiah, and the rows that need a person."""
    batch_id = office.batch("november")
    office.happen(office.order_of("november", 2), SENT, SUCCEEDED)
    office.happen(office.order_of("november", 3), HELD)
    (row,) = office.lists.batches(BatchQuery(), SEER).items
    assert (row.batch_id, row.file_name, row.reference, row.maker, row.account) == (
        batch_id, "november.csv", "november", "maria", ACCOUNT,
    )  # fmt: skip
    assert row.submitted_at == T0 + timedelta(seconds=60)
    assert row.orders == {OrderState.QUOTED: 2, OrderState.HELD: 1, OrderState.SUCCEEDED: 1}
    assert (row.rows, row.quoted_rupiah, row.paid_rupiah, row.needs_rows) == (4, sum(PRICES), 51_000, 1)


def test_what_a_service_submits_has_no_maker(office: Office) -> None:
    """A service is no person."""
    office.batch("by-service", maker=BY_TEST)
    (row,) = office.lists.batches(BatchQuery(), SEER).items
    assert row.maker is None


def test_each_standing_is_found_by_its_filter(office: Office) -> None:
    """The word in the row and the filter are the same rule."""
    standings = {
        BatchStanding.PAYING: office.batch("paying"),
        BatchStanding.AWAITING_APPROVAL: office.batch("awaiting"),
        BatchStanding.COMPLETE: office.batch("complete"),
        BatchStanding.WITHDRAWN: office.batch("withdrawn"),
        BatchStanding.REJECTED: office.batch("rejected"),
        BatchStanding.SHORT_OF_FUNDS: office.batch("short", (900_000_000,)),
    }
    office.ask_for_approval(standings[BatchStanding.AWAITING_APPROVAL])
    office.complete(standings[BatchStanding.COMPLETE])
    office.withdraw(standings[BatchStanding.WITHDRAWN])
    terms = office.ask_for_approval(standings[BatchStanding.REJECTED])
    office.handler.apply_to_batch(standings[BatchStanding.REJECTED], RejectApproval(terms, "carl"), BY_TEST)
    office.observe(1_000_000)
    found = {row.batch_id: row.standing for row in office.lists.batches(BatchQuery(), SEER).items}
    assert found == {batch_id: standing for standing, batch_id in standings.items()}
    for standing in BatchStanding:
        rows = office.lists.batches(BatchQuery(standing=standing), SEER, limit=1).items
        assert [row.batch_id for row in rows] == [standings[standing]] if standing in standings else not rows


def test_batches_are_found_by_name_maker_day_and_account(office: Office) -> None:
    """Each filter alone; letters are found in either case, and signs of patterns are letters."""
    first = office.batch("Payroll_1")
    office.clock.advance(86_400)
    second = office.batch("bills", maker=Provenance("user:budi", "plugin:submit"))
    day = T0 + timedelta(hours=12)

    def found(**query: object) -> list[str]:
        rows = office.lists.batches(BatchQuery(**query), SEER).items  # type: ignore[arg-type]
        return [row.batch_id for row in rows]

    assert found() == [second, first]
    assert found(text="payroll_") == [first]
    assert found(text="payrollx") == found(text="%") == []
    assert found(maker="budi") == [second]
    assert found(before=day) == [first]
    assert found(since=day) == [second]
    assert found(account="sat_default") == found(account=ACCOUNT) == [second, first]


def test_pages_follow_each_other(office: Office) -> None:
    """Every batch comes once, also when the page's last one is of the filter and the next ones are not."""
    made = [office.batch(f"batch-{number}") for number in range(7)]
    for batch_id in made[1::2]:
        office.complete(batch_id)
    for standing, expected in ((None, made), (BatchStanding.PAYING, made[::2])):
        query, found, cursor = BatchQuery(standing=standing), [], None
        while True:
            page = office.lists.batches(query, SEER, cursor=cursor, limit=2)
            found += [row.batch_id for row in page.items]
            assert len(page.items) <= 2
            if page.next is None:
                break
            cursor = page.next
        assert found == expected[::-1]


def test_a_cursor_is_of_its_list_alone(office: Office) -> None:
    """Another filter's, and an invented one, are refused in words; so is a page of no size."""
    for number in range(3):
        office.batch(f"batch-{number}")
    cursor = office.lists.batches(BatchQuery(), SEER, limit=1).next
    assert cursor is not None
    for query, given in ((BatchQuery(text="x"), cursor), (BatchQuery(), "e30"), (BatchQuery(), "é" * 9)):
        with pytest.raises(CursorError, match="cursor: found"):
            office.lists.batches(query, SEER, cursor=given)
    with pytest.raises(ListingRefusedError, match="limit: found 0; expected 1 to 200"):
        office.lists.batches(BatchQuery(), SEER, limit=0)


def test_a_batch_has_its_steps_approval_runs_and_withdrawal(office: Office) -> None:
    """With when and by whom; its history names no customer."""
    batch_id = office.batch("november")
    office.start_run(batch_id)
    office.ask_for_approval(batch_id)
    office.withdraw(batch_id)
    found = office.lists.batch(batch_id, SEER)
    assert list(found.steps) == [BatchStep.SUBMITTED, BatchStep.READ, BatchStep.CHECKED, BatchStep.QUOTED]
    assert found.approval is not None
    assert (found.approval.orders, found.approval.held, found.approval.approver) == (4, 1, None)
    (run,) = found.runs
    assert (run.dag_id, run.run_id, run.actor) == ("bulk_disbursement", "manual__1", "maria")
    assert found.withdrawal is not None
    assert (found.withdrawal.actor, found.withdrawal.reason) == ("maria", "a mistake")
    assert found.row.standing is BatchStanding.WITHDRAWN
    assert found.history[0].kind == "BatchSubmitted"
    assert found.history[0].actor == "user:maria"
    with pytest.raises(BatchNotFoundError):
        office.lists.batch("B" + "A" * 25, SEER)


def test_refused_rows_need_a_person(office: Office) -> None:
    """Rows that became no order are counted in the list and named on the batch's page."""
    batch_id = batch_id_of(ACCOUNT, "bad")
    submitted = BatchSubmitted(
        account=ACCOUNT, reference="bad", source=BatchSource.FILE, file_name="bad.csv",
        spool_uri="file:///bad", digest="0" * 64, size_bytes=1,
    )  # fmt: skip
    rows = tuple(
        RowSetAside(row_number=number, verdict=verdict, code="missing_value", message='"verdict":"refused"')
        for number, verdict in (
            (1, RowVerdict.REFUSED),
            (2, RowVerdict.REFUSED),
            (3, RowVerdict.ALREADY_KNOWN),
        )
    )
    office.handler.apply_to_batch(batch_id, Submit(submitted), BY_TEST)
    taken = RowsTakenIn(first_row=1, last_row=3, orders=0, set_aside=rows)
    office.handler.apply_to_batch(batch_id, Record(taken), BY_TEST)
    (row,) = office.lists.batches(BatchQuery(), SEER).items
    assert (row.standing, row.rows, row.needs_rows) == (BatchStanding.CHECKING, 3, 2)
    found = office.lists.batch(batch_id, SEER)
    assert [(need.standing, need.code, need.rows) for need in found.needs] == [
        ("refused", "missing_value", 2)
    ]
    assert all(entry.kind != "RowsTakenIn" for entry in found.history)


def test_nothing_is_listed_without_the_right_to_view(office: Office) -> None:
    """Every list asks for it, whatever else the person may do."""
    batch_id = office.batch("november")
    lists = office.lists
    for look in (
        lambda: lists.batches(BatchQuery(), NOBODY),
        lambda: lists.batch(batch_id, NOBODY),
        lambda: lists.orders(OrderFilter(), NOBODY),
        lambda: lists.order(office.order_of("november", 2), NOBODY),
        lambda: lists.needs_you(NOBODY),
        lambda: lists.deposits(NOBODY),
        lambda: lists.products(NOBODY),
        lambda: Prices(lists.installation).listings(ACCOUNT, "a", NOBODY),
        lambda: lists.alerts(NOBODY),
        lambda: lists.rechecks(NOBODY),
        lambda: lists.accounts(NOBODY),
        lambda: lists.account(ACCOUNT, NOBODY),
    ):
        with pytest.raises(RightMissingError, match="view"):
            look()
