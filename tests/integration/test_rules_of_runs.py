"""Runs and the rules of their account, through the operators that Airflow runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.commands.handler import standing_of
from sat_hook.domain.batch import evolve_batch
from sat_hook.domain.batch_events import BatchStartPlanned
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.operators.approval import SATApproveOperator
from sat_hook.operators.batch import SATExecuteOperator, SATIntakeOperator
from sat_hook.operators.order import SATCheckoutOperator
from sat_hook.operators.parameters import TIERS, tiers_of
from sat_hook.operators.recovery import SATRecoverOrdersOperator
from sat_hook.operators.run_context import facts_of
from sat_hook.pipeline.account_rules import EARLY_START_SECONDS, rules_of_account
from sat_hook.store.event_store import Change
from stack.databases import ApplicationDatabase
from tests.account_rules import confirmed_rules
from tests.airflow_connections import CONNECTIONS, give_connections
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line, line_of

PARAMETERS = {"duplicate_days": None, "batch_id": None, **dict.fromkeys(TIERS)}
CSV = b"order_id,product_code,client_number\nR-1,25k-xl,081712345678\n"


def context(user: str | None = "alice", dag_id: str = "bulk_disbursement", **conf: Any) -> Any:
    """What Airflow gives a task: the run's parameters, and who started it."""
    ti = SimpleNamespace(dag_id=dag_id, task_id="t", run_id="r1", try_number=1, map_index=-1)
    run = SimpleNamespace(triggering_user_name=user, conf=conf)
    return cast(Any, {"ti": ti, "dag_run": run, "run_id": "r1", "params": {**PARAMETERS, **conf}})


@pytest.fixture
def spooled(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    """The line, with its connections and its spool in the environment."""
    monkeypatch.setenv("SAT_SPOOL_URI", (tmp_path / "spool").as_uri())
    monkeypatch.setenv("SAT_RESULTS_URI", (tmp_path / "spool").as_uri())
    with line_of(database.writer_dsn, tmp_path) as line:
        give_connections(monkeypatch, line, database, tmp_path, approval_over_rupiah=50_000)
        yield line


def of_batch(line: Line, batch_id: str, name: str) -> list[tuple[str, Any]]:
    """Actor and event of the batch's events of a type."""
    events = line.store.read_stream(StreamId(StreamKind.BATCH, batch_id))
    return [(event.provenance.actor, event.event) for event in events if event.type_name == name]


def test_a_run_that_asks_for_less_is_refused_at_intake(spooled: Line) -> None:
    """Nothing is read, the attempt is recorded; a run that says nothing, or null, has the account's rules."""
    batch_id = spooled.submit(CSV).batch_id
    intake = SATIntakeOperator(task_id="intake", batch_id=batch_id, **CONNECTIONS)
    for conf, text in (
        ({"duplicate_days": 0}, "duplicate_days: found 0; expected at least 7"),
        ({"approval_over_rupiah": 50_001}, "approval_over_rupiah: found 50001; expected at most 50000"),
    ):
        with pytest.raises(AirflowFailException, match=text):
            intake.execute(context(**conf))
    assert not of_batch(spooled, batch_id, "RowsTakenIn")
    refused = of_batch(spooled, batch_id, "BatchRunRefused")
    assert [actor for actor, _ in refused] == ["user:alice", "user:alice"]
    assert refused[0][1].parameters == {"duplicate_days": "0"}

    intake.execute(context(approval_over_rupiah=None, duplicate_days=None))
    [(actor, started)] = of_batch(spooled, batch_id, "BatchRunStarted")
    assert (actor, started.run) == ("user:alice", "bulk_disbursement/r1")
    assert (started.rules.approval_over_rupiah, started.rules.duplicate_days) == (50_000, 7)


def test_a_run_may_ask_for_more_people(spooled: Line) -> None:
    """Each tier of approval is a parameter: recorded with the run, and asked for by its task."""
    batch_id = spooled.submit(CSV).batch_id
    tiers = {"second_approval_over_rupiah": 10_000, "third_approval_over_rupiah": 20_000}
    SATIntakeOperator(task_id="intake", batch_id=batch_id, **CONNECTIONS).execute(context(**tiers))
    [(_, started)] = of_batch(spooled, batch_id, "BatchRunStarted")
    assert started.rules.second_approval_over_rupiah == 10_000
    asked = {name: str(value) for name, value in tiers.items()}
    for task in (
        SATApproveOperator(task_id="approve", batch_id=batch_id, **asked, **CONNECTIONS),
        SATExecuteOperator(task_id="execute", batch_id=batch_id, chunk=None, **asked, **CONNECTIONS),
    ):
        assert tiers_of(task) == {"approval_over_rupiah": None, **tiers}
    policy = SATApproveOperator(task_id="a", batch_id=batch_id, **asked, **CONNECTIONS).run_of(
        facts_of(context())
    )
    assert policy.policy.third_over_rupiah == 20_000


def planned(line: Line, batch_id: str, starts_at: datetime) -> None:
    """Its maker has planned when it begins."""
    batch, event = line.store.load_batch(batch_id), BatchStartPlanned(starts_at=starts_at)
    assert batch is not None
    stream = StreamId(StreamKind.BATCH, batch_id)
    change = Change(stream, batch.version, (event,), evolve_batch(batch, batch_id, event))
    assert line.store.append([change], BY_TEST, datetime.now(UTC)) == frozenset()


def test_a_run_does_not_begin_before_the_planned_start(spooled: Line) -> None:
    """Airflow's own trigger can start any batch at any time: such a run reads nothing, and is recorded."""
    early, soon = (spooled.submit(CSV.replace(b"R-1", name)).batch_id for name in (b"R-7", b"R-8"))
    now = datetime.now(UTC)
    planned(spooled, early, now + timedelta(hours=2))
    planned(spooled, soon, now + timedelta(seconds=EARLY_START_SECONDS / 2))
    with pytest.raises(AirflowFailException, match="before the planned start; expected none until"):
        SATIntakeOperator(task_id="intake", batch_id=early, **CONNECTIONS).execute(context())
    assert not of_batch(spooled, early, "RowsTakenIn")
    [(actor, refused)] = of_batch(spooled, early, "BatchRunRefused")
    assert (actor, "before the planned start" in refused.reason) == ("user:alice", True)
    # Airflow's clock may be a little ahead.
    SATIntakeOperator(task_id="intake", batch_id=soon, **CONNECTIONS).execute(context())
    assert of_batch(spooled, soon, "RowsTakenIn")


def test_a_threshold_taken_out_of_the_connection_still_counts(
    spooled: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: ApplicationDatabase
) -> None:
    """The first run adopts it; only two people can change it afterwards."""
    first = spooled.submit(CSV).batch_id
    SATIntakeOperator(task_id="intake", batch_id=first, **CONNECTIONS).execute(context())
    give_connections(monkeypatch, spooled, database, tmp_path)
    second = spooled.submit(CSV.replace(b"R-1", b"R-2")).batch_id
    SATIntakeOperator(task_id="intake", batch_id=second, **CONNECTIONS).execute(context())
    [(_, started)] = of_batch(spooled, second, "BatchRunStarted")
    assert started.rules.approval_over_rupiah == 50_000
    assert standing_of(spooled.store, ACCOUNT).rules.are_confirmed is False
    confirmed_rules(spooled.handler, ACCOUNT, approval_over_rupiah=None)
    assert rules_of_account(spooled.store, ACCOUNT).approval_over_rupiah is None


def test_another_name_for_the_account_pays_nothing(
    spooled: Line, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A connection with the same client id and another account's name has no rules, no duplicates and other
    request ids: its runs are refused, from a file, from the table and from an operator.
    """
    first = spooled.submit(CSV).batch_id
    SATIntakeOperator(task_id="intake", batch_id=first, **CONNECTIONS).execute(context())
    renamed = json.loads(os.environ["AIRFLOW_CONN_SAT_TEST"])
    address = renamed["extra"]["base_url"].replace("127.0.0.1", "127.0.0.1.")
    for name in ("demo-2", "Demo", "ｄｅｍｏ"):
        renamed["extra"] |= {"account": name, "base_url": address}
        monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST", json.dumps(renamed))
        again = spooled.submit(CSV, account=name).batch_id
        assert again != first
        text = f"field account: found '{name}'; expected 'demo'"
        with pytest.raises(AirflowFailException, match=text):
            SATIntakeOperator(task_id="intake", batch_id=again, **CONNECTIONS).execute(context())
        assert not of_batch(spooled, again, "RowsTakenIn")
        [(actor, refused)] = of_batch(spooled, again, "BatchRunRefused")
        assert (actor, text in refused.reason) == ("user:alice", True)
        with pytest.raises(AirflowFailException, match=text):
            SATIntakeOperator(task_id="intake", **CONNECTIONS).execute(context())
        order = SATCheckoutOperator(
            task_id="buy", order_id="R-9", product_code="25k-xl", client_number="081712345678",
            max_rupiah=60_000, **CONNECTIONS,
        )  # fmt: skip
        with pytest.raises(AirflowFailException, match=text):
            order.execute(context())
    standing = standing_of(spooled.store, ACCOUNT)
    refusals = [e.event for e in spooled.store.read_stream(StreamId(StreamKind.ACCOUNT, standing.account_id))]
    assert [one.type_name for one in refusals].count("AccountRunRefused") == 3
    assert len(standing.clients) == 1


def test_a_single_order_asks_for_no_less(spooled: Line) -> None:
    """An operator in a user's own DAG is refused like a batch."""
    order = SATCheckoutOperator(
        task_id="buy", order_id="R-9", product_code="25k-xl", client_number="081712345678", max_rupiah=60_000,
        rules={"duplicate_days": 0}, **CONNECTIONS,
    )  # fmt: skip
    with pytest.raises(AirflowFailException, match="the run is looser than the rules of account"):
        order.execute(context())


def test_nobody_lengthens_the_time_for_a_resend_alone(spooled: Line) -> None:
    """A longer horizon is refused and recorded; a shorter one is recorded and counts."""

    def recover(hours: float | None, **conf: Any) -> None:
        janitor = SATRecoverOrdersOperator(task_id="recover", dedup_horizon_hours=hours, **CONNECTIONS)
        janitor.execute(context(dag_id="order_recovery", **conf))

    with pytest.raises(AirflowFailException, match="dedup_horizon_hours: found 48; expected at most 6"):
        recover(48, dedup_horizon_hours=48)
    recover(None)
    recover(2, dedup_horizon_hours=2)
    stream = StreamId(StreamKind.ACCOUNT, standing_of(spooled.store, ACCOUNT).account_id)
    runs = [
        (e.type_name, e.provenance.actor) for e in spooled.store.read_stream(stream) if "Run" in e.type_name
    ]
    assert runs == [("AccountRunRefused", "user:alice"), ("AccountRunStarted", "user:alice")]
