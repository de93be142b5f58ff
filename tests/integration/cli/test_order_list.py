"""``sat order list`` on a real database: what waits for a person, whatever the batch."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from sat_hook.domain.identity import batch_id_of, request_id_of
from sat_hook.domain.order_events import HoldReason, OrderEscalated, OrderHeld
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, change_of, received, submitted
from tests.unit.cli.running import Run, runner

OTHER_BATCH = batch_id_of(ACCOUNT, "another batch")
NORTHERN_BATCH = batch_id_of("north", "a batch")
LONG_REASON = "72 hours without an end, " * 12


@pytest.fixture
def waiting(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    database: ApplicationDatabase,
    api: dict[str, str],
) -> Run:
    """The command, on a log with held orders of two accounts, an escalated one, and one more."""
    monkeypatch.chdir(tmp_path)
    duplicate = OrderHeld(reason=HoldReason.BUSINESS_DUPLICATE, detail="for 08121000002 as order-9 of 3 May")
    dear = OrderHeld(reason=HoldReason.PRICE_ABOVE_QUOTE, detail="found 70,000", price_rupiah=70_000)
    with closing(Database(database.writer_dsn)) as opened:
        store = PostgresEventStore(opened)
        batches = [submitted(), submitted(OTHER_BATCH), submitted(NORTHERN_BATCH, "north")]
        assert not store.append(batches, BY_TEST, T0)
        for hours, change in enumerate(
            (
                change_of(None, 1, received(1), OrderEscalated(reason=LONG_REASON)),
                change_of(None, 2, received(2, batch_id=OTHER_BATCH), duplicate),
                change_of(None, 3, received(3), dear),
                change_of(None, 4, received(4)),
                _of_account("north", 5, dear),
            )
        ):
            assert not store.append([change], BY_TEST, T0 + timedelta(hours=hours))
    bare = runner(monkeypatch, capsys)
    return lambda *words: bare("order", "list", *words, env={**api, "COLUMNS": "300"})


def test_a_file_is_submitted_and_run_through_the_api_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, api: dict[str, str]
) -> None:
    """Once, with a parameter that the DAG has; the second time it says so, and what is left runs again. There
    is no Airflow beside the API here.
    """
    monkeypatch.chdir(tmp_path)
    sat = runner(monkeypatch, capsys)
    Path("orders.csv").write_text("order_id,product_code,client_number\nA1,50k-simpati,081211311111\n")
    submit = ("batch", "submit", "orders.csv")
    misspelled = sat(*submit, "--param", "order_limit=5", env=api)
    assert (misspelled.code, "did you mean order_limit_rupiah?" in misspelled.err) == (2, True)
    begun = sat(*submit, "--account", ACCOUNT, "--param", "order_limit_rupiah=60.000", env=api)
    assert (begun.code, begun.err) == (0, "")
    batch_id = begun.out.split()[1]
    assert f"/dags/bulk_disbursement/runs/batch_{batch_id}" in begun.out
    assert f"Already run: this file is batch {batch_id}" in sat(*submit, env=api).out
    again = sat("batch", "run", batch_id, env=api)
    assert (again.code, "runs once more" in again.out) == (0, True), again.err


def _of_account(account: str, number: int, *events: OrderHeld) -> Change:
    life = (received(number, account=account, batch_id=NORTHERN_BATCH), *events)
    return Change.of_order(request_id_of(account, f"order-{number}"), None, life, T0)


def test_orders_that_wait_for_a_person_are_listed_the_longest_first(waiting: Run) -> None:
    """Of every batch and account, with what was said of them; customers' numbers are masked."""
    ran = waiting()
    assert ran.code == 0, ran.err
    rows = [line.split() for line in ran.out.splitlines()]
    assert [row[:7] for row in rows[1:5]] == [
        ["order-1", "escalated", "2026-11-02", "10:00", ACCOUNT, BATCH, "1"],
        ["order-2", "held", "2026-11-02", "11:00", ACCOUNT, OTHER_BATCH, "2"],
        ["order-3", "held", "2026-11-02", "12:00", ACCOUNT, BATCH, "3"],
        ["order-5", "held", "2026-11-02", "14:00", "north", NORTHERN_BATCH, "5"],
    ]
    assert ran.out.splitlines()[1].rstrip().endswith(LONG_REASON.rstrip())
    assert "business_duplicate for 0812*****02 as order-9" in ran.out
    assert "08121000002" not in ran.out
    assert ran.out.splitlines()[5:] == ["3 held, 1 escalated. One of them: sat order show ID"]


def test_the_list_can_be_narrowed(waiting: Run) -> None:
    """By state, by account, by number; what is left out is counted."""
    assert "order-1" in (only := waiting("--state", "escalated").out)
    assert "held" not in only
    assert [line.split()[0] for line in waiting("--account", "north").out.splitlines()[1:2]] == ["order-5"]
    assert "order-4" in waiting("--state", "received").out
    held = waiting("--reason-code", "price_above_quote").out.splitlines()
    assert [line.split()[0] for line in held[1:-1]] == ["order-3", "order-5"]
    assert waiting("--product", "pln-postpaid").out == "No order is held or escalated\n"
    cut = waiting("--reason-code", "price_above_quote", "--limit", "1").out
    assert "the first 1 of 2 held. " in cut
    some = waiting("--limit", "2").out.splitlines()
    assert len(some) == 4
    assert some[-1].startswith("the first 2 of 3 held, 1 escalated")


def test_a_program_reads_the_list(waiting: Run) -> None:
    """All that the API answered, amounts as numbers; as many as asked for."""
    found = json.loads(waiting("--output", "json", "--limit", "2").out)
    assert [(order["order_id"], order["state"]) for order in found] == [
        ("order-1", "escalated"),
        ("order-2", "held"),
    ]
    rows = list(csv.DictReader(io.StringIO(waiting("--output", "csv", "--limit", "2").out)))
    assert [row["request_id"] for row in rows] == [order["request_id"] for order in found]
    assert json.loads(waiting("--output", "json", "--account", "south").out) == []
    assert waiting("--output", "yaml").code == 2


def test_an_account_may_be_named_by_its_connection(waiting: Run) -> None:
    """Airflow knows whose it is, and refuses a name that is none."""
    assert [row.split()[0] for row in waiting("--account", "sat_north").out.splitlines()[1:2]] == ["order-5"]
    ran = waiting("--account", "sat_nowhere")
    assert (ran.code, ran.err) == (2, "sat: account: found 'sat_nowhere'\n")


def test_states_that_many_orders_are_in_are_not_counted(waiting: Run) -> None:
    """A cut list says so all the same."""
    ran = waiting("--state", "received", "--state", "held", "--limit", "1")
    assert ran.out.splitlines()[-1].startswith("the first 1 of many received, 3 held. "), ran.err


def test_nothing_to_do_is_said(waiting: Run) -> None:
    """For an account without orders, and for a state that no order is in."""
    assert waiting("--account", "south").out == "No order of account south is held or escalated\n"
    assert waiting("--state", "unknown").out == "No order is unknown\n"


def test_a_state_that_is_none_is_refused(waiting: Run) -> None:
    """With what was found, and what there is."""
    ran = waiting("--state", "stuck")
    assert ran.code == 2
    assert "--state: found 'stuck'; expected one of received, " in ran.err


def test_the_list_reads_an_index_of_what_waits(database: ApplicationDatabase) -> None:
    """Few orders of millions wait: the others are not looked at."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute("EXPLAIN SELECT 1 FROM sat.orders WHERE state = ANY (ARRAY['held', 'escalated'])")
        assert "orders_for_people" in str(cursor.fetchall())
