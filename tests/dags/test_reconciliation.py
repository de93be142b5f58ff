"""The nightly reconciliation on a real Airflow: closed by its DAG, decided and signed by two people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from sat_hook.audit.checkpoints import make_checkpoints
from sat_hook.audit.keys import AuditSigner
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.business_day import BusinessDay
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.lifecycle import Stack
from tests.integration.reconciliation.planting import PRICE, SECOND, Planted
from tests.orders import ManualClock

ACCOUNT, CONNECTION = "books", "sat_books"
TODAY = BusinessDay.of(datetime.now(UTC))
YESTERDAY = BusinessDay(TODAY.day - timedelta(days=1))
DAY = YESTERDAY.day.isoformat()


@dataclass
class Finance:
    """A running stack, an account of its own with a day of yesterday, and the people who close it."""

    stack: Stack
    planted: Planted

    def sat(self, *arguments: str, user: str = "ops", code: int = 0) -> str:
        """Run a command as a person; returns what it says."""
        environment = {
            **os.environ,
            "SAT_AIRFLOW_USER": user,
            "SAT_AIRFLOW_PASSWORD": self.stack.credentials.user_passwords[user],
        }
        command = [
            str(Path(sys.executable).with_name("sat")),
            "--config",
            str(self.stack.layout.command_line_settings),
            *arguments,
        ]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=600, env=environment, check=False
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    def seal(self) -> None:
        """What the DAG audit_checkpoint does each minute; the test does not wait for it."""
        signer = AuditSigner(self.stack.layout.audit_private_key.read_bytes())
        make_checkpoints(self.planted.store.database, signer, SystemClock())


@pytest.fixture(scope="module")
def finance(running_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finance]:
    """An account whose yesterday has three good orders and a top-up; 5,000 rupiah are missing at its end."""
    settings = running_stack.settings()
    attributes = settings.connections()["sat_default"]
    extra = {**json.loads(str(attributes["extra"])), "account": ACCOUNT}
    with requests.Session() as session:
        url = settings.airflow_url
        login = {"username": "admin", "password": running_stack.credentials.user_passwords["admin"]}
        token = session.post(f"{url}/auth/token", json=login, timeout=90).json()["access_token"]
        body = {**attributes, "connection_id": CONNECTION, "extra": json.dumps(extra)}
        headers = {"Authorization": f"Bearer {token}"}
        reply = session.post(f"{url}/api/v2/connections", json=body, headers=headers, timeout=90)
        assert reply.status_code in (200, 201, 409), reply.text
    opens, closes = YESTERDAY.opens_at.astimezone(UTC), YESTERDAY.closes_at.astimezone(UTC)
    store = PostgresEventStore(Database(settings.application.writer_dsn, "tests"))
    with closing(store.database):
        planted = Planted(store, tmp_path_factory.mktemp("books"), ACCOUNT, ManualClock(datetime.now(UTC)))
        planted.observe(opens + SECOND)
        for number in range(1, 4):
            planted.succeed(f"good-{number}", opens + timedelta(hours=number))
        planted.net_rupiah += 750_000 - 5_000
        planted.observe(closes + SECOND)
        yield Finance(running_stack, planted)


@pytest.mark.timeout(900)
def test_a_day_is_closed_decided_signed_and_frozen(finance: Finance, tmp_path: Path) -> None:
    """A top-up, the DAG's run, an explanation, and two signatures, with the commands that people use."""
    of_account = ("--account", CONNECTION, "--reason", "the shop paid a bill by hand")
    at = (YESTERDAY.opens_at + timedelta(hours=2)).isoformat()
    top_up = ("topup", "record", "750000", "--reference", "BCA-1", "--at", at, *of_account)
    assert ": recorded\n" in finance.sat(*top_up)
    assert ": recorded before\n" in finance.sat(*top_up)

    said = finance.sat("reconcile", "close", DAY, "--account", CONNECTION, "--wait")
    assert "success" in said
    close = finance.planted.keeper.books(ACCOUNT).closes[YESTERDAY.day]
    assert (close.event.orders, close.event.open_breaks) == (3, 1)
    assert close.event.saldo is not None
    assert (close.event.saldo.debits_rupiah, close.event.saldo.unexplained_rupiah) == (3 * PRICE, -5_000)
    assert close.posted.actor == "user:ops"
    folder = finance.stack.layout.spool / "reconciliation" / ACCOUNT / DAY / str(close.event.position)
    assert {path.suffix for path in folder.iterdir()} == {".xlsx", ".html", ".csv"}

    (item,) = close.breaks
    assert item.break_id in finance.sat("reconcile", "show", DAY, "--account", ACCOUNT)
    said = finance.sat("reconcile", "explain", item.break_id, *of_account, user="viewer", code=2)
    assert "one who may trigger the DAG nightly_reconciliation" in said
    assert "explained" in finance.sat("reconcile", "explain", item.break_id, *of_account)
    assert "explained" in finance.sat("reconcile", "breaks", "--account", ACCOUNT)

    for_day = (DAY, "--account", CONNECTION, "--reason", "looked at all of it")
    assert "prepared by user:ops" in finance.sat("reconcile", "prepare", *for_day)
    assert "expected another person to approve" in finance.sat("reconcile", "certify", *for_day, code=2)
    finance.seal()
    assert "certified by user:approver" in finance.sat("reconcile", "certify", *for_day, user="approver")
    assert "certified by user:approver" in finance.sat("reconcile", "list", "--account", ACCOUNT)
    signed = finance.planted.keeper.books(ACCOUNT).certified[YESTERDAY.day]
    assert signed.event.result_digest == close.event.result_digest
    assert signed.event.checkpoint is not None

    fetched = tmp_path / "reports"
    finance.sat("reconcile", "report", DAY, "--account", CONNECTION, "--output", str(fetched))
    assert {path.suffix for path in fetched.iterdir()} == {".xlsx", ".html", ".csv"}
    (page,) = fetched.glob("*.html")
    assert all(one in page.read_text("utf-8") for one in (item.break_id, "user:approver", "version 4</b>"))
    assert (folder / "version-4" / page.name).read_bytes() == page.read_bytes()
    today = TODAY.day.isoformat()
    assert "is not over yet" in finance.sat("reconcile", "close", today, "--account", CONNECTION, code=2)
    nothing = ("choose", DAY, "settlement.csv", "--account", CONNECTION, "--reason", "the first one")
    assert "no settlement files to choose between" in finance.sat("reconcile", *nothing, code=2)
