"""A database that was restored to an older state sends nothing before a person has looked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.rollback import pause_if_rolled_back
from sat_hook.audit.keys import AuditSigner, new_audit_key
from sat_hook.commands.handler import standing_of
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.ports import task_ports
from sat_hook.operators.order import SATCheckoutOperator
from sat_hook.operators.recovery import SATRecoverOrdersOperator
from sat_hook.pipeline.overrides import resume_account
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, give_connections
from tests.integration.audit.keeping import Notary
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line, line_of

EVERYTHING = (
    "events, checkpoints, stream_heads, orders, batches, accounts, status_evidence, poll_schedule,"
    " balance_observations"
)


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """A quick SAT server, connections, and a place of publication."""
    monkeypatch.setenv("SAT_SPOOL_URI", (tmp_path / "spool").as_uri())
    monkeypatch.setenv("SAT_CHECKPOINTS_URI", (tmp_path / "published").as_uri())
    quick = {"fulfilment": {"min_seconds": 0.05, "max_seconds": 0.1}}
    with line_of(database.writer_dsn, tmp_path, quick) as made:
        give_connections(monkeypatch, made, database, tmp_path)
        yield made


def context() -> Any:
    """What Airflow gives a try."""
    ti = SimpleNamespace(
        dag_id="shop", task_id="buy", map_index=-1, run_id="r1", try_number=1, xcom_push=lambda *_, **__: None
    )
    return {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ops")}


def buy(order_id: str) -> dict[str, Any]:
    """The task of a shop; each order is for another customer."""
    number = f"08121131111{order_id[-1]}"
    wanted = {"product_code": "50k-simpati", "client_number": number, "max_rupiah": 60_000}
    operator = SATCheckoutOperator(task_id="buy", order_id=order_id, **CONNECTIONS, **wanted)
    bought: dict[str, Any] = operator.execute(context())
    return bought


def posted(line: Line) -> dict[str, int]:
    """How often SAT heard of each order."""
    return {name: entry["posted"] for name, entry in line.server.ledger()["requests"].items()}


def restore_the_empty_backup(database: ApplicationDatabase) -> None:
    """The state before anything was ever sent."""
    with closing(psycopg2.connect(database.superuser_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        for table in EVERYTHING.split(","):
            cursor.execute(f"TRUNCATE sat.{table.strip()} RESTART IDENTITY CASCADE")
        connection.commit()


def test_a_restored_database_sends_nothing_until_a_person_has_looked(
    line: Line, database: ApplicationDatabase, tmp_path: Path
) -> None:
    """An order whose sending the backup does not know is not sent a second time."""
    notary = Notary(database, tmp_path / "published", signer=AuditSigner(new_audit_key()[0]))
    assert buy("INV-1")["state"] == "pending"
    notary.make()
    sent = posted(line)
    restore_the_empty_backup(database)

    for order_id in ("INV-1", "INV-2"):
        with pytest.raises(AirflowFailException, match="paused: the database is not the one whose"):
            buy(order_id)
    assert posted(line) == sent
    standing = standing_of(line.store, ACCOUNT)
    assert standing.is_paused

    resume_account(line.handler, ACCOUNT, "compared with the console of SAT", BY_TEST)
    assert buy("INV-2")["state"] in ("pending", "succeeded")


def test_recovery_of_a_restored_database_sends_nothing_again(
    line: Line, database: ApplicationDatabase, tmp_path: Path
) -> None:
    """It pauses the account before it looks at what is in flight."""
    notary = Notary(database, tmp_path / "published")
    buy("INV-1")
    notary.make()
    restore_the_empty_backup(database)
    SATRecoverOrdersOperator(task_id="recover", **CONNECTIONS).execute(context())
    assert standing_of(line.store, ACCOUNT).is_paused


def test_a_place_that_cannot_be_read_keeps_nobody_from_paying(
    line: Line, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The task says so; the DAG that publishes is red meanwhile."""
    monkeypatch.setenv("SAT_CHECKPOINTS_URI", "nonsense://bucket")
    application = ApplicationHook(CONNECTIONS["db_conn_id"])
    pause_if_rolled_back(task_ports(CONNECTIONS["sat_conn_id"], application), BY_TEST)
    assert "What was published could not be looked at" in caplog.text
    monkeypatch.delenv("SAT_CHECKPOINTS_URI")
    assert buy("INV-3")["state"] in ("pending", "succeeded")
