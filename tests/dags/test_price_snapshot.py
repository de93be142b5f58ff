"""Price snapshots on a real Airflow: a price that moves at SAT becomes history, alert and asset event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psycopg2
import pytest
import requests

from sat_hook.catalogue.snapshot import take_snapshot
from sat_hook.catalogue.weekly import Week
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.business_day import business_day
from sat_hook.protocol.endpoints import Environment
from sat_hook.store.database import Database
from sat_hook.store.prices import PriceHistory
from stack.airflow_settings import SAT_ACCOUNT
from stack.lifecycle import Stack
from tests.orders import BY_TEST
from tests.unit.cli.running import Run, runner

DAG = "/api/v2/dags/product_price_snapshot"
# Nothing else in the tests buys it.
PRODUCT = "t25k"
SCHEDULED_MINUTE = 7


class Desk:
    """A running stack, and the user ``ops`` at it."""

    def __init__(self, stack: Stack) -> None:
        self.settings = stack.settings()
        self.spool = stack.layout.spool
        reply = requests.post(
            f"{self.settings.airflow_url}/auth/token",
            json={"username": "ops", "password": stack.credentials.user_passwords["ops"]},
            timeout=90,
        )
        self._headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}

    def ask(self, path: str) -> Any:
        """A GET of Airflow's API; None for 404."""
        reply = requests.get(f"{self.settings.airflow_url}{path}", headers=self._headers, timeout=90)
        return reply.json() if reply.ok else None

    def start(self, dag_id: str, **conf: object) -> str:
        """A run of a DAG, as somebody starts it in Airflow; returns its path."""
        reply = requests.post(
            f"{self.settings.airflow_url}/api/v2/dags/{dag_id}/dagRuns",
            json={"logical_date": None, "conf": conf},
            headers=self._headers,
            timeout=90,
        )
        assert reply.ok, reply.text
        return f"/api/v2/dags/{dag_id}/dagRuns/{quote(reply.json()['dag_run_id'], safe='')}"

    def is_quiet(self) -> bool:
        """No run by the schedule reads the list meanwhile.

        Airflow also starts one late: for a DAG that it first read within six minutes of the moment.
        """
        minutes = datetime.now(UTC).minute + datetime.now(UTC).second / 60
        runs = self.ask(f"{DAG}/dagRuns")["dag_runs"]
        has_ended = all(run["state"] in ("success", "failed") for run in runs)
        return has_ended and not SCHEDULED_MINUTE - 1.5 < minutes < SCHEDULED_MINUTE + 1

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the reader's role sees."""
        dsn = self.settings.application.reader_dsn
        with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    def faults(self, *faults: dict[str, object]) -> None:
        """From now on SAT has these."""
        reply = requests.put(
            f"{self.settings.sandbox_url}/_sandbox/faults", json={"faults": list(faults)}, timeout=90
        )
        assert reply.ok, reply.text

    def read_the_list_beforehand(self) -> int:
        """A snapshot without Airflow, announced; right after it the price moves. Returns the price before.

        It moves when the list is read once more, and once: however often a busy machine has to ask.
        """
        price_change = {"fault": "price_change", "moment": "quote", "operations": ["products"]}
        account = AccountSettings(
            account=SAT_ACCOUNT,
            environment=Environment.CUSTOM,
            base_url=f"{self.settings.sandbox_url}/api",
            token_url=f"{self.settings.sandbox_url}/token",
            client_id="demo",
            client_secret="demo",
        )
        clock = SystemClock()
        with (
            closing(Database(self.settings.application.writer_dsn)) as database,
            BlockingSATClient(account, clock) as client,
        ):
            history = PriceHistory(database)
            report = take_snapshot(client, history, clock, SAT_ACCOUNT, BY_TEST)
            waiting = [snapshot.snapshot_id for snapshot in history.unannounced(SAT_ACCOUNT, "test")]
            history.mark_announced(waiting, "test", clock.now())
            now = history.at(SAT_ACCOUNT, PRODUCT, report.snapshot.asked_at)
            self.faults({**price_change, "products": [PRODUCT], "change_percent": 50})
            client.list_products()
        assert now is not None
        assert now.product.price_rupiah is not None
        return now.product.price_rupiah

    def until(self, look: Callable[[], Any]) -> Any:
        """What ``look`` finds; a busy machine takes its time."""
        give_up = time.monotonic() + 400
        while not (found := look()):
            assert time.monotonic() < give_up, "nothing came within 400 seconds"
            time.sleep(0.3)
        return found


@pytest.fixture
def desk(running_stack: Stack) -> Iterator[Desk]:
    """The shared stack; its SAT has no faults afterwards."""
    made = Desk(running_stack)
    made.until(lambda: made.ask(DAG))
    yield made
    made.faults()


@pytest.fixture
def run(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """The command ``sat``, as somebody at the stack would run it."""
    monkeypatch.chdir(tmp_path)
    bare = runner(monkeypatch, capsys)
    return lambda *words: bare(*words, env=desk.settings.command_line_environment())


@pytest.mark.timeout(1200)
def test_a_price_that_moves_is_kept_told_and_announced(desk: Desk, run: Run) -> None:
    """Asked for by command, after a list from before the move: history, an alert, an event of the asset."""
    desk.until(desk.is_quiet)
    week = Week.of(business_day(datetime.now(UTC)))
    before = desk.read_the_list_beforehand()
    ran = run("prices", "snapshot", "--wait")
    assert ran.code == 0, ran.err
    assert "complete" in ran.out
    assert PRODUCT in ran.out
    # 369 rupiah and a half more are 553, whole rupiah.
    assert "+49.9 %" in ran.out

    [(snapshot_id, actor, after)] = desk.rows(
        "SELECT s.snapshot_id, s.actor, c.price_rupiah FROM sat.price_changes AS c "
        "JOIN sat.price_snapshots AS s USING (snapshot_id) JOIN sat.products AS p USING (product_id) "
        "WHERE p.product_code = %s AND c.kind = 'changed'",
        PRODUCT,
    )
    assert (actor, after) == ("user:ops", before + before // 2)
    assert desk.rows("SELECT kind, subject FROM sat.alerts WHERE kind = 'price_jump'") == [
        ("price_jump", PRODUCT)
    ]
    # A run by the schedule, before, has its own.
    events = desk.ask("/api/v2/assets/events?source_dag_id=product_price_snapshot")["asset_events"]
    [extra] = [event["extra"] for event in events if snapshot_id in event["extra"]["snapshots"]]
    assert (extra["kind"], extra["account"], extra["snapshots"]) == ("price_jump", "demo", [snapshot_id])
    [told] = extra["changes"]
    assert (told["product_code"], told["change"], told["is_jump"]) == (PRODUCT, "changed", True)
    assert told["attributes"] == {"price_rupiah": {"before": before, "after": after}}

    # The weekly page of the same history.
    summary = desk.start("product_price_week", day=week.monday.isoformat())
    desk.until(lambda: desk.ask(summary)["state"] in ("success", "failed"))
    assert desk.ask(summary)["state"] == "success"
    page = desk.spool / "prices" / SAT_ACCOUNT / f"{week.name}.html"
    assert PRODUCT in page.read_text(encoding="utf-8")
    # Where the stack was started on a Monday, its schedule has written one, too.
    told = desk.ask("/api/v2/assets/events?source_dag_id=product_price_week")["asset_events"]
    assert unquote(summary.rpartition("/")[2]) in {event["source_run_id"] for event in told}
