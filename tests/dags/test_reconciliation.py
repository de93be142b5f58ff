"""The nightly reconciliation on a real Airflow: closed by its DAG, decided and signed by two people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sat_hook.audit.checkpoints import make_checkpoints
from sat_hook.audit.keys import AuditSigner
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.business_day import BusinessDay
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from tests.dags.office import Office
from tests.integration.reconciliation.planting import PRICE, SECOND, Planted
from tests.orders import ManualClock
from tests.pdf_text import pdf_text

ACCOUNT, CONNECTION = "books", "sat_books"
# Midnight in Jakarta may pass at any moment of the test. The schedule closes the last day that has ended, so
# the test takes the one before; the day after today is not over whatever happens.
TODAY = BusinessDay.of(datetime.now(UTC)).day
CLOSED = BusinessDay(TODAY - timedelta(days=2))
DAY, NOT_OVER = CLOSED.day.isoformat(), (TODAY + timedelta(days=1)).isoformat()


@dataclass
class Finance:
    """The office, and an account of its own with one past day."""

    office: Office
    planted: Planted

    def seal(self) -> None:
        """What the DAG audit_checkpoint does each minute; the test does not wait for it."""
        signer = AuditSigner(self.office.stack.layout.audit_private_key.read_bytes())
        make_checkpoints(self.planted.store.database, signer, SystemClock())


@pytest.fixture(scope="module")
def finance(office: Office, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finance]:
    """An account with a day of three good orders and a top-up; 5,000 rupiah are missing at its end."""
    attributes = office.settings.connections()["sat_default"]
    extra = {**json.loads(str(attributes["extra"])), "account": ACCOUNT}
    body = {**attributes, "connection_id": CONNECTION, "extra": json.dumps(extra)}
    reply = office.ask("POST", "/api/v2/connections", "admin", json=body)
    assert reply.status_code in (200, 201, 409), reply.text
    opens, closes = CLOSED.opens_at.astimezone(UTC), CLOSED.closes_at.astimezone(UTC)
    store = PostgresEventStore(Database(office.settings.application.writer_dsn, "tests"))
    with closing(store.database):
        planted = Planted(store, tmp_path_factory.mktemp("books"), ACCOUNT, ManualClock(datetime.now(UTC)))
        planted.observe(opens + SECOND)
        for number in range(1, 4):
            planted.succeed(f"good-{number}", opens + timedelta(hours=number))
        planted.net_rupiah += 750_000 - 5_000
        planted.observe(closes + SECOND)
        yield Finance(office, planted)


@pytest.mark.timeout(900)
def test_a_day_is_closed_decided_signed_and_frozen(finance: Finance, tmp_path: Path) -> None:
    """A top-up, the DAG's run, an explanation, and two signatures, with the commands that people use."""
    sat = finance.office.sat
    of_account = ("--account", CONNECTION, "--reason", "the shop paid a bill by hand")
    at = (CLOSED.opens_at + timedelta(hours=2)).isoformat()
    top_up = ("topup", "record", "750000", "--reference", "BCA-1", "--at", at, *of_account)
    assert ": recorded\n" in sat(*top_up)
    assert ": recorded before\n" in sat(*top_up)

    said = sat("reconcile", "close", DAY, "--account", CONNECTION, "--wait")
    assert "success" in said
    close = finance.planted.keeper.books(ACCOUNT).closes[CLOSED.day]
    assert (close.event.orders, close.event.open_breaks) == (3, 1)
    assert close.event.saldo is not None
    assert (close.event.saldo.debits_rupiah, close.event.saldo.unexplained_rupiah) == (3 * PRICE, -5_000)
    assert close.posted.actor == "user:ops"
    folder = finance.office.stack.layout.spool / "reconciliation" / ACCOUNT / DAY / str(close.event.position)
    assert {path.suffix for path in folder.iterdir()} == {".xlsx", ".pdf", ".csv", ".json"}

    (item,) = close.breaks
    assert item.break_id in sat("reconcile", "show", DAY, "--account", ACCOUNT)
    said = sat("reconcile", "explain", item.break_id, *of_account, user="viewer", code=2)
    assert "lacks the right finance" in said
    assert "explained" in sat("reconcile", "explain", item.break_id, *of_account)
    assert "explained" in sat("reconcile", "breaks", "--account", ACCOUNT)

    for_day = (DAY, "--account", CONNECTION, "--reason", "looked at all of it")
    assert "prepared by user:ops" in sat("reconcile", "prepare", *for_day)
    assert "expected another person to approve" in sat("reconcile", "certify", *for_day, code=2)
    finance.seal()
    assert "certified by user:approver" in sat("reconcile", "certify", *for_day, user="approver")
    assert "certified by user:approver" in sat("reconcile", "list", "--account", ACCOUNT)
    signed = finance.planted.keeper.books(ACCOUNT).certified[CLOSED.day]
    assert signed.event.result_digest == close.event.result_digest
    assert signed.event.checkpoint is not None

    fetched = tmp_path / "reports"
    sat("reconcile", "report", DAY, "--account", CONNECTION, "--output", str(fetched))
    assert {path.suffix for path in fetched.iterdir()} == {".xlsx", ".pdf", ".csv", ".json"}
    (page,) = fetched.glob("*-en.pdf")
    text = pdf_text(page.read_bytes())
    assert all(one in text for one in (item.break_id, "Approved by: approver", "version 4, after version 3"))
    assert (folder / "version-4" / page.name).read_bytes() == page.read_bytes()
    assert "is not over yet" in sat("reconcile", "close", NOT_OVER, "--account", CONNECTION, code=2)
    nothing = ("choose", DAY, "settlement.csv", "--account", CONNECTION, "--reason", "the first one")
    assert "no settlement files to choose between" in sat("reconcile", *nothing, code=2)
