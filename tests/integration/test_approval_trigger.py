"""The waiting task of an approval goes on when a person answers outside of Airflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time import task_runner

from sat_hook.commands.handler import load_batch
from sat_hook.domain.batch import Batch
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import GuardRules
from sat_hook.operators.approval import REJECT, SATApproveOperator, approving_option
from sat_hook.pipeline.approval import approve, persons_needed
from sat_hook.pipeline.approval_request import ApprovalPolicy, answers_of
from sat_hook.pipeline.guards import guard_batch
from sat_hook.store.guards import PostgresGuardLedger
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.triggers import approval as triggers
from sat_hook.triggers.approval import ANSWERED, SATApprovalTrigger
from stack.databases import ApplicationDatabase
from tests.airflow_connections import CONNECTIONS, fired, give_connections
from tests.orders import BY_TEST
from tests.pipeline import Line, line_of
from tests.quoted_batches import Row, quoted_batch

MAKER, CARL = Provenance("user:mia", "plugin:submit"), Provenance("user:carl", "plugin:approve")
CONTEXT: Any = {
    "ti": SimpleNamespace(id=uuid4(), dag_id="d", task_id="approve", map_index=-1, run_id="r", try_number=1),
    "dag_run": SimpleNamespace(dag_id="d", run_id="r", conf={}, triggering_user_name="mia"),
    "params": {},
}


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database, and connections that Airflow finds in the environment."""
    with line_of(database.writer_dsn, tmp_path) as made:
        give_connections(monkeypatch, made, database, tmp_path, second_approval_over_rupiah=30_000)
        shown = SimpleNamespace(send=lambda _message: None)
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", shown, raising=False)
        no_answer = SimpleNamespace(response_received=False, chosen_options=None)
        monkeypatch.setattr(triggers, "get_hitl_detail_content_detail", lambda ti_id: no_answer)
        monkeypatch.setattr(triggers, "PAUSE_SECONDS", 0.05)
        yield made


def waiting(line: Line) -> tuple[SATApproveOperator, str]:
    """The task of a batch that needs two people."""
    rows = [Row("081211000001", 20_000), Row("081211000002", 20_000)]
    batch_id = quoted_batch(line.handler, "a", rows, maker=MAKER)
    ledger = PostgresGuardLedger(line.store.database)
    guard_batch(line.handler, ledger, batch_id, GuardRules(duplicate_days=0), BY_TEST)
    task = SATApproveOperator(task_id="approve", batch_id=batch_id, approval_over_rupiah=0, **CONNECTIONS)
    return task, batch_id


def deferred(work: Any) -> TaskDeferred:
    """How the task waits."""
    with pytest.raises(TaskDeferred) as caught:
        work()
    return caught.value


def test_a_task_asks_until_everyone_has_signed_on_either_side(line: Line) -> None:
    """One signs in the console, the task asks again; the other in Airflow, and it ends. A maker is told."""
    task, batch_id = waiting(line)
    first = deferred(lambda: task.execute(CONTEXT))
    terms = first.kwargs["terms"] if first.kwargs else {}
    assert persons_needed(line.store, load_batch(line.store, batch_id), task.run_of(_facts()).policy) == 2

    async def signed_meanwhile() -> dict[str, Any]:
        looking = asyncio.create_task(fired(first.trigger))
        await asyncio.sleep(0.3)
        assert not looking.done(), "no answer yet"
        asked = load_batch(line.store, batch_id).asked_for
        assert asked is not None
        await asyncio.to_thread(
            approve, line.handler, batch_id, ApprovalPolicy(), asked, CARL, reason="as agreed"
        )
        return await looking

    assert asyncio.run(signed_meanwhile()) == ANSWERED
    again = deferred(lambda: task.answered(CONTEXT, dict(ANSWERED), terms))
    assert again.trigger.serialize()[1]["answers"] != first.trigger.serialize()[1]["answers"]
    asked = load_batch(line.store, batch_id).asked_for
    assert asked is not None
    for name in ("carl", "mia"):
        deferred(lambda name=name: task.answered(CONTEXT, answer(approving_option(asked), name), terms))
    assert load_batch(line.store, batch_id).approved is None
    done = task.answered(CONTEXT, answer(approving_option(asked), "dina"), terms)
    assert done == {"approval": "given", "orders": 2, "total_rupiah": 40_000}
    assert task.answered(CONTEXT, dict(ANSWERED), terms) == done, "resumed twice, it has nothing left to ask"


def test_many_waits_read_their_batches_together(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty waits that look all the time: a statement a second. An answer still ends each of them."""
    task, batch_id = waiting(line)
    first = deferred(lambda: task.execute(CONTEXT))
    reads = 0
    load = PostgresEventStore.load_batches

    def counted(self: PostgresEventStore, batch_ids: Sequence[str]) -> list[Batch]:
        nonlocal reads
        reads += 1
        return load(self, batch_ids)

    monkeypatch.setattr(PostgresEventStore, "load_batches", counted)

    async def signed_meanwhile() -> list[dict[str, Any]]:
        looking = [asyncio.create_task(fired(first.trigger)) for _ in range(20)]
        await asyncio.sleep(0.5)
        asked = load_batch(line.store, batch_id).asked_for
        assert asked is not None
        await asyncio.to_thread(
            approve, line.handler, batch_id, ApprovalPolicy(), asked, CARL, reason="as agreed"
        )
        return await asyncio.gather(*looking)

    began = time.monotonic()
    assert asyncio.run(signed_meanwhile()) == [ANSWERED] * 20
    assert reads <= 2 + (time.monotonic() - began) / triggers.SHARED_SECONDS


def test_an_answer_to_an_older_question_is_not_recorded(line: Line) -> None:
    """Airflow keeps showing the first question. The task asks again and nothing is approved."""
    task, batch_id = waiting(line)
    first = deferred(lambda: task.execute(CONTEXT))
    assert first.kwargs is not None
    deferred(
        lambda: task.answered(CONTEXT, answer("Approve 9 orders", "dina"), first.kwargs["terms"])  # type: ignore[index]
    )
    batch = load_batch(line.store, batch_id)
    assert (batch.approved, batch.signers) == (None, ())


def test_an_answer_from_before_the_wait_is_found(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answered in Airflow before the task was deferred: the trigger hands the answer over."""
    task, _ = waiting(line)
    first = deferred(lambda: task.execute(CONTEXT))
    user = SimpleNamespace(id="4", name="dina")
    found = SimpleNamespace(
        response_received=True, chosen_options=[REJECT], responded_at=None, responded_by_user=user
    )
    monkeypatch.setattr(triggers, "get_hitl_detail_content_detail", lambda ti_id: found)
    payload = asyncio.run(fired(first.trigger))
    assert payload["chosen_options"] == [REJECT]
    assert payload["responded_by_user"] == {"id": "4", "name": "dina"}


def test_a_trigger_is_rebuilt_from_what_it_serializes(line: Line) -> None:
    """The triggerer creates it from these arguments. Only answers change what it compares."""
    task, batch_id = waiting(line)
    waits = deferred(lambda: task.execute(CONTEXT)).trigger
    path, arguments = waits.serialize()
    assert path == "sat_hook.triggers.approval.SATApprovalTrigger"
    assert SATApprovalTrigger(**arguments).serialize() == waits.serialize()
    batch = load_batch(line.store, batch_id)
    assert answers_of(batch) == answers_of(batch.model_copy(update={"version": 99, "state": "completed"}))
    for change in ({"signers": ("carl",)}, {"rejecter": "carl"}, {"withdrawn": "why"}, {"approver": "carl"}):
        assert answers_of(batch.model_copy(update=change)) != answers_of(batch)


def answer(option: str, name: str) -> dict[str, Any]:
    """An answer as Airflow hands it to the task."""
    return {"chosen_options": [option], "responded_by_user": {"id": "1", "name": name}, "responded_at": None}


def _facts() -> Any:
    from sat_hook.application.batch_run import RunFacts

    return RunFacts(BY_TEST)
