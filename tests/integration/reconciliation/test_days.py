"""The days of an account as finance sees them: how each stands, what it waits for, and its closing."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from sat_hook.application.days import DayRow, Days, DayState, Wait, WaitKind
from sat_hook.application.errors import RightMissingError
from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import CLOSING_DAG, RunState
from sat_hook.domain.breaks import BreakState
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.errors import BooksRefusedError
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_life_of_a_break import BY_FINANCE, NEXT
from tests.web_host import FakeAccounts, FakeHost, FakeRuns, FakeUser, client_of

FINA = Person("fina", frozenset({Right.FINANCE, Right.SIGN_OFF}))
VERA = Person("vera", frozenset({Right.VIEW}))


@pytest.fixture
def host(day: Planted) -> FakeHost:
    """An installation with the account of the ordinary day."""
    host = FakeHost(FakeUser("fina", FINA.rights), store=day.store, folder=day.folder)
    host.accounts = FakeAccounts({"sat_default": day.account})
    return host


@pytest.fixture
def days(host: FakeHost) -> Days:
    """Its days."""
    return Days(host)


def stands(days: Days, day: date = DAY.day) -> DayRow:
    """How a day stands."""
    return days.day("sat_default", day, FINA)


def test_a_day_goes_from_open_to_signed(day: Planted, days: Days) -> None:
    """Each step of people and runs is seen, and what the day still waits for."""
    open_day = stands(days)
    assert (open_day.state, open_day.position) == (DayState.OPEN, None)
    assert open_day.waits == (
        Wait(WaitKind.SETTLEMENT),
        Wait(WaitKind.SALDO),
        Wait(WaitKind.IN_FLIGHT, 1),
    )
    day.settle(*day.usual_rows("good-1"), day.settlement_row("good-1", PRICE + 500))
    day.observe(CLOSES + SECOND)
    assert stands(days).waits == (Wait(WaitKind.IN_FLIGHT, 1),)
    (item,) = day.close().close.breaks
    closed = stands(days)
    assert (closed.state, closed.open_breaks, closed.orders) == (DayState.WITH_BREAKS, 1, 6)
    day.decide(item.break_id, BreakState.EXPLAINED, "the provider corrects it")
    explained = stands(days)
    assert (explained.state, explained.open_breaks) == (DayState.CLOSED, 0)
    book_commands.prepare(day.keeper, day.account, DAY.day, "all looked at", BY_FINANCE)
    assert (stands(days).state, stands(days).prepared_by) == (DayState.PREPARED, "finance")
    day.top_up(1)
    day.close()
    again = stands(days)
    assert (again.state, again.prepared_by, again.is_closed_again) == (DayState.WITH_BREAKS, None, True)
    day.sign()
    signed = stands(days)
    assert (signed.state, signed.signed_by, signed.waits) == (DayState.SIGNED, "chief", ())


def test_a_month_has_all_its_days(day: Planted, days: Days) -> None:
    """Before the first entry there is nothing; the days after it are open, and say what is missing."""
    day.observe(CLOSES + SECOND)
    day.close()
    rows = days.month("sat_default", DAY.day, FINA)
    assert [row.day.day for row in rows] == list(range(1, 31))
    assert rows[0].state is DayState.NOT_BEGUN
    assert rows[1].state is DayState.CLOSED
    assert rows[2].state is DayState.OPEN
    assert [wait.kind for wait in rows[2].waits] == [WaitKind.SETTLEMENT, WaitKind.SALDO]
    assert {row.state for row in days.month("sat_default", date(2099, 1, 1), FINA)} == {DayState.NOT_BEGUN}


def test_a_decision_counts_on_each_day_that_carries_the_break(day: Planted, days: Days) -> None:
    """The break of the first day is decided after the second was closed: neither has it open any more."""
    day.settle(*day.usual_rows("good-1"), day.settlement_row("good-1", PRICE + 500))
    day.observe(CLOSES + SECOND)
    (item,) = day.close().close.breaks
    day.end("on its way", CLOSES + timedelta(hours=1))
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    day.close(NEXT)
    before = [stands(days, one).open_breaks or 0 for one in (DAY.day, NEXT.day)]
    day.decide(item.break_id, BreakState.EXPLAINED, "asked for it")
    day.decide(item.break_id, BreakState.RESOLVED, "paid back")
    after = [stands(days, one).open_breaks or 0 for one in (DAY.day, NEXT.day)]
    assert [was - now for was, now in zip(before, after, strict=True)] == [1, 1]


def test_later_evidence_is_seen_at_both_days(day: Planted, days: Days) -> None:
    """The signed day names the later one that adjusts it, and the later one names the signed day."""
    day.observe(CLOSES + SECOND)
    day.close()
    day.sign()
    day.top_up(700)
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    day.close(NEXT)
    assert stands(days).adjusted_in == (NEXT.day,)
    assert stands(days, NEXT.day).adjusts == {DAY.day: 1}


def test_a_day_is_closed_by_one_run_at_a_time(day: Planted, days: Days) -> None:
    """A second person finds the run that works; after its end the day can be closed again."""
    runs = FakeRuns()
    assert days.closing("sat_default", DAY.day, FINA, runs) is None
    run = days.close("sat_default", DAY.day, FINA, runs)
    assert (run.dag_id, run.conf) == (CLOSING_DAG, {"accounts": ["sat_default"], "day": "2026-11-02"})
    assert days.close(day.account, DAY.day, FINA, runs) == run
    runs.tasks_of[run.run_id] = {"day": "success", "books.observe": None}
    closing = days.closing("sat_default", DAY.day, FINA, runs)
    assert closing is not None
    assert [(task.task_id, task.state) for task in closing.tasks] == [
        ("day", "success"),
        ("books.observe", None),
    ]
    runs.started[run.run_id] = run._replace(state=RunState.SUCCESS)
    again = days.close("sat_default", DAY.day, FINA, runs)
    assert again.run_id == "close_sat_default_2026-11-02_2"
    runs.started[again.run_id] = again._replace(state=RunState.FAILED)
    runs.start(CLOSING_DAG, "from the terminal", {"day": "2026-11-02"})
    assert days.close("sat_default", DAY.day, FINA, runs).run_id == "from the terminal"
    closing = days.closing("sat_default", DAY.day, FINA, runs)
    assert closing is not None
    assert closing.run.run_id == "from the terminal"


def test_a_day_is_closed_again_with_its_own_cut_off(day: Planted, days: Days) -> None:
    """A run without it would be refused, or move the day."""
    from sat_hook.domain.business_day import BusinessDay

    day.observe(CLOSES - timedelta(hours=1))
    day.close(BusinessDay(DAY.day, -60))
    assert days.close("sat_default", DAY.day, FINA, FakeRuns()).conf["cut_off_minutes"] == -60


def test_a_day_that_cannot_be_closed_is_refused(day: Planted, days: Days) -> None:
    """One that is not over, one that is signed, and every day for people without the right."""
    runs = FakeRuns()
    with pytest.raises(BooksRefusedError, match="not over"):
        days.close("sat_default", date(2099, 1, 1), FINA, runs)
    day.observe(CLOSES + SECOND)
    day.close()
    day.sign()
    with pytest.raises(BooksRefusedError, match="chief has signed"):
        days.close("sat_default", DAY.day, FINA, runs)
    with pytest.raises(RightMissingError):
        days.close("sat_default", DAY.day, VERA, runs)
    with pytest.raises(RightMissingError):
        days.month("sat_default", DAY.day, VERA)
    assert runs.started == {}


async def test_the_api_shows_and_closes_days(day: Planted, host: FakeHost) -> None:
    """A month, a day, its closing; a second request with the same key starts nothing."""
    async with client_of(host, authorization="Bearer fina") as client:
        month = (await client.get("/days/sat_default?month=2026-11")).json()["items"]
        assert month[1]["waits"][-1] == {"kind": "in_flight", "orders": 1}
        assert (await client.get("/days/sat_default?month=2026-13")).status_code == 422
        shown = (await client.get("/days/sat_default/2026-11-02")).json()
        assert (shown["state"], shown["account"]) == ("open", day.account)
        assert (await client.get("/days/sat_default/2026-11-02/closing")).json() == {"closing": None}
        key = {"Idempotency-Key": "close-it"}
        replies = [await client.post("/days/sat_default/2026-11-02/close", headers=key) for _ in range(2)]
        assert [reply.status_code for reply in replies] == [200, 200]
        assert replies[0].json() == replies[1].json()
        closing = (await client.get("/days/sat_default/2026-11-02/closing")).json()["closing"]
        assert (closing["run_id"], closing["state"]) == (replies[0].json()["run_id"], "queued")
    assert len(host.airflow.started) == 1
