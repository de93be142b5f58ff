"""Runs of a batch, started by people: once, at a time, again, and not without the right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sat_hook.application.batch_starts import BatchStarts, RunPolicies
from sat_hook.application.errors import RightMissingError, StartRefusedError
from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import BATCH_DAG, RunState
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch_events import BatchStartPlanned, ShortFundsPolicy
from sat_hook.domain.decision import Record
from sat_hook.domain.guards import NO_RULES
from sat_hook.pipeline.account_rules import AskedRun, start_batch_run
from sat_hook.pipeline.errors import RunRefusedError
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, submitted
from tests.web_host import FakeAccounts, FakeHost, FakeRuns, FakeUser, client_of

ROSA = Person("rosa", frozenset({Right.VIEW, Right.SUBMIT}))
VERA = Person("vera", frozenset({Right.VIEW}))


@pytest.fixture
def starts(database: ApplicationDatabase) -> Iterator[BatchStarts]:
    """A log with one batch."""
    with closing(Database(database.writer_dsn, "tests")) as connected:
        store = PostgresEventStore(connected)
        assert store.append([submitted()], BY_TEST, T0) == frozenset()
        yield BatchStarts(FakeHost(store=store))


def test_a_batch_is_started_once(starts: BatchStarts) -> None:
    """With the account's connection and the policies; a second start finds the first."""
    runs = FakeRuns()
    policies = RunPolicies(on_short_funds=ShortFundsPolicy.PARTIAL)
    run, is_new = starts.start(BATCH, ROSA, runs, policies.asked(), note="1 of 5 rows needs you")
    assert (is_new, runs.notes[run.run_id]) == (True, "orders.csv: 1 of 5 rows needs you")
    assert run.conf == {
        "batch_id": BATCH,
        "account": "sat_default",
        "on_bad_rows": "proceed",
        "on_short_funds": "partial",
    }
    assert starts.start(BATCH, ROSA, runs) == (run, False)
    assert list(runs.started) == [f"batch_{BATCH}"]
    again = starts.run_again(BATCH, ROSA, runs)
    assert (again.conf, again.run_id != run.run_id) == (run.conf, True)


def test_a_start_at_a_time_can_be_cancelled_until_then(starts: BatchStarts) -> None:
    """Afterwards, and without a run, there is nothing to cancel."""
    runs, later = FakeRuns(), datetime.now(UTC) + timedelta(hours=2)
    with pytest.raises(StartRefusedError, match="found no run"):
        starts.cancel(BATCH, ROSA, runs)
    assert starts.start(BATCH, ROSA, runs, at=later).run.run_after == later
    assert starts.cancel(BATCH, ROSA, runs).state is RunState.FAILED
    with pytest.raises(StartRefusedError, match="a run that is failed"):
        starts.cancel(BATCH, ROSA, runs)
    begun = FakeRuns()
    starts.start(BATCH, ROSA, begun, at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(StartRefusedError, match="a run that is queued"):
        starts.cancel(BATCH, ROSA, begun)


def test_a_batch_whose_planned_start_is_cancelled_can_run_now(starts: BatchStarts) -> None:
    """The person who runs it moves the plan, on record; until then no run may begin."""
    runs, later = FakeRuns(), datetime.now(UTC) + timedelta(hours=2)
    handler = CommandHandler(starts.installation.store(), SystemClock())
    handler.apply_to_batch(BATCH, Record(BatchStartPlanned(starts_at=later)), BY_TEST)
    starts.start(BATCH, ROSA, runs, at=later)
    starts.cancel(BATCH, ROSA, runs)
    asked = AskedRun(f"{BATCH_DAG}/early", "sat_default", "c" * 64, NO_RULES, {}, {})
    with pytest.raises(RunRefusedError, match="before the planned start"):
        start_batch_run(handler, BATCH, asked, BY_TEST)
    again = starts.run_rest(BATCH, ROSA, runs)
    start_batch_run(handler, BATCH, replace(asked, run=f"{BATCH_DAG}/{again.run_id}"), BY_TEST)
    batch = load_batch(handler.store, BATCH)
    assert batch.starts_at is not None
    assert batch.starts_at <= handler.clock.now()


def test_a_batch_that_begins_later_does_not_run_before(starts: BatchStarts) -> None:
    """Its maker, who may still cancel it, relies on the time; after the start it may run again."""
    runs, later = FakeRuns(), datetime.now(UTC) + timedelta(hours=2)
    planned = starts.start(BATCH, ROSA, runs, at=later).run
    with pytest.raises(StartRefusedError, match="a run that begins at"):
        starts.run_again(BATCH, ROSA, runs)
    assert list(runs.started.values()) == [planned]
    runs.started[planned.run_id] = planned._replace(run_after=datetime.now(UTC) - timedelta(seconds=1))
    assert starts.run_again(BATCH, ROSA, runs).run_id != planned.run_id


async def test_a_page_that_is_old_withdraws_nothing(starts: BatchStarts) -> None:
    """The start that it offers to cancel has begun: the batch goes on, and the page says so."""
    host = FakeHost(FakeUser("rosa"), store=PostgresEventStore(starts.installation.store().database))
    begun = starts.start(BATCH, ROSA, host.airflow, at=datetime.now(UTC) - timedelta(seconds=1)).run
    async with client_of(host, "") as client:
        answer = await client.post(
            f"/console/batches/{BATCH}/cancel-start",
            data={"reason": "not this week"},
            headers={"authorization": "Bearer rosa"},
        )
    assert answer.status_code == 409
    batch = host.store().load_batch(BATCH)
    assert batch is not None
    assert (batch.withdrawn, host.airflow.started[begun.run_id]) == (None, begun)


async def test_a_program_starts_runs_as_a_page_does(starts: BatchStarts) -> None:
    """What is left of a batch, the planned start that is taken back, and the batch of a run."""
    host = FakeHost(
        FakeUser("rosa"),
        FakeUser("vera", VERA.rights),
        store=PostgresEventStore(starts.installation.store().database),
    )
    async with client_of(host) as client:
        rosa, vera = ({"authorization": f"Bearer {name}"} for name in ("rosa", "vera"))
        place, first = f"/batches/{BATCH}", f"batch_{BATCH}"
        assert (await client.get(f"{place}/run", headers=vera)).json() == {"run": None}
        assert (await client.post(f"{place}/run", headers=vera)).status_code == 403
        begun = (await client.post(f"{place}/run", headers=rosa)).json()
        assert (begun["run_id"], begun["state"]) == (first, "queued")
        assert (await client.get(f"{place}/run", headers=vera)).json() == {"run": begun}
        again = (await client.post(f"{place}/run", headers=rosa)).json()
        assert again["run_id"].startswith(f"{first}_2")
        found = await client.get(f"/runs/{BATCH_DAG}/{first}/batch", headers=vera)
        assert found.json() == {"batch_id": BATCH}
        late = await client.post(f"{place}/cancel-start", json={"reason": "not this week"}, headers=rosa)
        assert (late.status_code, "a run that is queued" in late.text) == (409, True)
        host.airflow.started.clear()
        starts.start(BATCH, ROSA, host.airflow, at=datetime.now(UTC) + timedelta(hours=2))
        ended = await client.post(f"{place}/cancel-start", json={"reason": "not this week"}, headers=rosa)
        assert (ended.status_code, ended.json()["state"]) == (200, "failed"), ended.text
    batch = host.store().load_batch(BATCH)
    assert batch is not None
    assert batch.withdrawn is not None


async def test_a_program_starts_a_batch_once_with_its_parameters(starts: BatchStarts) -> None:
    """Only with the right, from the batch's own account, and with parameters that the DAG has; the run is
    followed through the API, too.
    """
    store = PostgresEventStore(starts.installation.store().database)
    host = FakeHost(FakeUser("rosa", ROSA.rights), FakeUser("vera", VERA.rights), store=store)
    host.accounts = FakeAccounts({"sat_default": ACCOUNT, "sat_other": "other"})
    async with client_of(host) as client:
        rosa, vera = ({"authorization": f"Bearer {name}"} for name in ("rosa", "vera"))
        place = f"/batches/{BATCH}/start"

        async def refused(status: int, words: str, **body: object) -> None:
            answer = await client.post(place, json=body, headers=rosa)
            assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text

        assert (await client.post(place, json={}, headers=vera)).status_code == 403
        await refused(409, "did you mean order_limit_rupiah?", parameters={"order_limit": 5})
        await refused(409, "found 'batch_id'", parameters={"batch_id": "B" * 26})
        await refused(409, "found 'other'; expected", account="sat_other")
        for odd in ({"note": "a\0b"}, {"parameters": {"on_bad_rows": ["\0"]}}):
            await refused(409, "found a NUL character", **odd)
        assert host.airflow.started == {}
        body = {"account": "sat_default", "parameters": {"order_limit_rupiah": 50_000}, "note": "all good"}
        begun = (await client.post(place, json=body, headers=rosa)).json()
        assert (begun["run_id"], begun["is_new"]) == (f"batch_{BATCH}", True)
        run = host.airflow.started[begun["run_id"]]
        assert run.conf == {"batch_id": BATCH, "account": "sat_default", "order_limit_rupiah": 50_000}
        assert (await client.post(place, json={}, headers=rosa)).json() == {**begun, "is_new": False}
        host.airflow.tasks_of[run.run_id] = {"intake": "success", "approve": "deferred", "wait": "failed"}
        shown = (await client.get(f"/runs/{BATCH_DAG}/{run.run_id}", headers=vera)).json()
        assert (shown["state"], shown["is_paused"]) == ("queued", False)
        assert [task["task_id"] for task in shown["tasks"]] == ["approve", "wait"]
        assert (await client.get(f"/runs/{BATCH_DAG}/unknown", headers=vera)).status_code == 404
        more = {"parameters": {"approve_held": True}}
        again = (await client.post(f"/batches/{BATCH}/run", json=more, headers=rosa)).json()
        assert host.airflow.started[again["run_id"]].conf == {**run.conf, "approve_held": True}


async def test_a_program_starts_runs_without_a_batch(starts: BatchStarts) -> None:
    """Closing needs the right of finance; an account may have either name; a misspelled parameter starts
    nothing.
    """
    store = PostgresEventStore(starts.installation.store().database)
    finance = frozenset({Right.VIEW, Right.FINANCE})
    host = FakeHost(FakeUser("fira", finance), FakeUser("vera", VERA.rights), store=store)
    async with client_of(host, "/v1/dags") as client:
        fira, vera = ({"authorization": f"Bearer {name}"} for name in ("fira", "vera"))
        close, read = "/nightly_reconciliation/runs", "/product_price_snapshot/runs"
        body = {"parameters": {"accounts": [ACCOUNT]}}
        assert (await client.post(close, json=body, headers=vera)).status_code == 403
        wrong = {"parameters": {"acounts": []}}
        assert "did you mean accounts?" in (await client.post(close, json=wrong, headers=fira)).text
        assert (await client.post("/bulk_disbursement/runs", json=body, headers=fira)).status_code == 422
        assert host.airflow.started == {}
        for path, user in ((close, fira), (read, vera)):
            begun = await client.post(path, json=body, headers=user)
            assert host.airflow.started[begun.json()["run_id"]].conf == {"accounts": ["sat_default"]}
        known = (await client.get("/nightly_reconciliation/parameters", headers=vera)).json()
        assert known["cut_off_minutes"] == 0


def test_a_run_of_another_batch_is_not_taken_for_the_first(starts: BatchStarts) -> None:
    """A person may start any batch in Airflow under this batch's name: it is not shown, nor cancelled."""
    runs, later = FakeRuns(), datetime.now(UTC) + timedelta(hours=2)
    runs.start(BATCH_DAG, f"batch_{BATCH}", {"batch_id": "B" + "A" * 25}, at=later)
    assert starts.first_run(BATCH, VERA, runs) is None
    for act in (starts.start, starts.cancel):
        with pytest.raises(StartRefusedError, match="found no"):
            act(BATCH, ROSA, runs)
    assert [run.state for run in runs.started.values()] == [RunState.QUEUED]


def test_nothing_starts_without_the_right_or_a_batch(starts: BatchStarts) -> None:
    """No run is left behind."""
    runs = FakeRuns()
    for act in (starts.start, starts.run_again, starts.cancel):
        with pytest.raises(RightMissingError, match="submit"):
            act(BATCH, VERA, runs)
    for act in (starts.start, starts.run_again):
        with pytest.raises(BatchNotFoundError):
            act("B" + "A" * 25, ROSA, runs)
    assert runs.started == {}
    assert starts.first_run(BATCH, VERA, runs) is None


def test_batch_of_a_run_is_found(starts: BatchStarts) -> None:
    """By the run's parameters; by the log, from an index, where they name no batch; else there is none."""
    runs, store = FakeRuns(), starts.installation.store()
    run_id = starts.start(BATCH, ROSA, runs).run.run_id
    assert starts.batch_of_run(BATCH_DAG, run_id, VERA, runs) == BATCH
    by_hand = f"{BATCH_DAG}/manual__2026-11-30T05:00:00+00:00"
    asked = AskedRun(by_hand, "sat_default", "c" * 64, NO_RULES, {}, {})
    start_batch_run(CommandHandler(store, SystemClock()), BATCH, asked, BY_TEST)
    assert starts.batch_of_run(*by_hand.split("/", 1), VERA, runs) == BATCH
    runs.start("other", "run", {"batch_id": "../accounts"})
    for dag_id, other in (("other", "run"), (BATCH_DAG, "unknown")):
        assert starts.batch_of_run(dag_id, other, VERA, runs) is None
    with store.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        # The statement's condition, as it is written.
        text = queries("batches").batch_of_run.sql
        cursor.execute(f"EXPLAIN {text}", {"dag_run": by_hand})
        assert "events_0000_batch_runs" in "\n".join(row[0] for row in cursor.fetchall())
    with pytest.raises(RightMissingError, match="view"):
        starts.batch_of_run(BATCH_DAG, run_id, Person("nobody", frozenset()), runs)
