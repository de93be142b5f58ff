"""Price snapshots on a real Airflow: a price that moves at SAT becomes history, alert and asset event."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest

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
from tests.dags.office import DAGS, Office
from tests.orders import BY_TEST

# Nothing else in the tests buys it.
PRODUCT = "t25k"
SCHEDULED_MINUTE = 7


def is_quiet(office: Office) -> bool:
    """No run by the schedule reads the list meanwhile.

    Airflow also starts one late: for a DAG that it first read within six minutes of the moment.
    """
    minutes = datetime.now(UTC).minute + datetime.now(UTC).second / 60
    runs = office.ask("GET", f"{DAGS}/product_price_snapshot/dagRuns").json()["dag_runs"]
    has_ended = all(run["state"] in ("success", "failed") for run in runs)
    return has_ended and not SCHEDULED_MINUTE - 1.5 < minutes < SCHEDULED_MINUTE + 1


def read_the_list_beforehand(office: Office) -> int:
    """A snapshot without Airflow, announced; right after it the price moves. Returns the price before.

    It moves when the list is read once more, and once: however often a busy machine has to ask.
    """
    price_change = {"fault": "price_change", "moment": "quote", "operations": ["products"]}
    account = AccountSettings(
        account=SAT_ACCOUNT,
        environment=Environment.CUSTOM,
        base_url=f"{office.settings.sandbox_url}/api",
        token_url=f"{office.settings.sandbox_url}/token",
        client_id="demo",
        client_secret="demo",
    )
    clock = SystemClock()
    with (
        closing(Database(office.settings.application.writer_dsn)) as database,
        BlockingSATClient(account, clock) as client,
    ):
        history = PriceHistory(database)
        report = take_snapshot(client, history, clock, SAT_ACCOUNT, BY_TEST)
        waiting = [snapshot.snapshot_id for snapshot in history.unannounced(SAT_ACCOUNT, "test")]
        history.mark_announced(waiting, "test", clock.now())
        now = history.at(SAT_ACCOUNT, PRODUCT, report.snapshot.asked_at)
        rule = {**price_change, "products": [PRODUCT], "change_percent": 50}
        office.sandbox("PUT", "faults", json={"faults": [rule]})
        client.list_products()
    assert now is not None
    assert now.product.price_rupiah is not None
    return now.product.price_rupiah


def asset_events(office: Office, dag_id: str) -> list[dict[str, Any]]:
    """The asset events of a DAG's runs."""
    reply = office.ask("GET", f"/api/v2/assets/events?source_dag_id={dag_id}")
    return list(reply.json()["asset_events"])


@pytest.mark.timeout(1200)
def test_a_price_that_moves_is_kept_told_and_announced(office: Office) -> None:
    """Asked for by command, after a list from before the move: history, an alert, an event of the asset."""
    office.until(lambda: is_quiet(office) or None)
    week = Week.of(business_day(datetime.now(UTC)))
    before = read_the_list_beforehand(office)
    said = office.sat("prices", "snapshot", "--wait")
    office.sandbox("PUT", "faults", json={"faults": []})
    assert "complete" in said
    assert PRODUCT in said
    # 369 rupiah and a half more are 553, whole rupiah.
    assert "+49.9 %" in said

    [(snapshot_id, actor, after)] = office.rows(
        "SELECT s.snapshot_id, s.actor, c.price_rupiah FROM sat.price_changes AS c "
        "JOIN sat.price_snapshots AS s USING (snapshot_id) JOIN sat.products AS p USING (product_id) "
        "WHERE p.product_code = %s AND c.kind = 'changed'",
        PRODUCT,
    )
    assert (actor, after) == ("user:ops", before + before // 2)
    assert office.rows("SELECT kind, subject FROM sat.alerts WHERE kind = 'price_jump'") == [
        ("price_jump", PRODUCT)
    ]
    # A run by the schedule, before, has its own.
    events = asset_events(office, "product_price_snapshot")
    [extra] = [event["extra"] for event in events if snapshot_id in event["extra"]["snapshots"]]
    assert (extra["kind"], extra["account"], extra["snapshots"]) == ("price_jump", "demo", [snapshot_id])
    [told] = extra["changes"]
    assert (told["product_code"], told["change"], told["is_jump"]) == (PRODUCT, "changed", True)
    assert told["attributes"] == {"price_rupiah": {"before": before, "after": after}}

    # The weekly page of the same history.
    summary = office.start("product_price_week", day=week.monday.isoformat())
    assert office.end_of(summary) == "success"
    for ending in ("", "-id"):
        page = office.stack.layout.spool / "prices" / SAT_ACCOUNT / f"{week.name}{ending}.html"
        assert PRODUCT in page.read_text(encoding="utf-8")
    # Where the stack was started on a Monday, its schedule has written one, too.
    told = asset_events(office, "product_price_week")
    assert unquote(summary.rpartition("/")[2]) in {event["source_run_id"] for event in told}
