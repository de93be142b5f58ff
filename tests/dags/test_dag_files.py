"""The DAG files: they import with nothing at hand, tell what a run does step by step, and run in time."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sat_hook.application import batch_run
from sat_hook.plugin.airflow_door import LOCKS

CHECKOUT = Path(__file__).parents[2]
FOLDERS = (CHECKOUT / "dags", CHECKOUT / "examples" / "dags")

# In this order, whatever else stands between them.
STEPS: dict[str, list[str]] = {
    "bulk_disbursement": list(batch_run.STEPS),
    "audit_checkpoint": ["checkpoint"],
    "audit_export": ["write_pack"],
    "audit_verification": ["verify"],
    "audit_full_verification": ["verify_parts"],
    "retention": ["make_partitions", "retain"],
    "deposit_snapshot": ["accounts", "observe"],
    "nightly_reconciliation": [
        "day",
        "accounts",
        "books.observe",
        "books.ask_again",
        "books.settlements",
        "books.close",
        "books.done",
        "partitions",  # between the group's settlements and close: Airflow lists a group in one piece
        "match",
    ],
    "order_recovery": ["accounts", "recover"],
    "product_price_snapshot": ["accounts", "prices.snapshot", "prices.announce"],
    "product_price_week": ["accounts", "summarise"],
    "post_final_watch": ["accounts", "look_again"],
    "alerts": ["collect", "announced", "notify", "users"],
    "alerts_digest": ["digest"],
    "webhooks": ["tell"],
    "example_sell_credit": ["buy", "wait", "tell"],
    "example_pay_a_bill": ["ask", "is_as_expected", "pay", "wait"],
    "example_look_at_an_order": ["look"],
    "example_ship_when_paid": ["paid", "ship"],
}

#: The second of two scheduled runs in a row, in UTC; Jakarta is seven hours ahead.
SCHEDULED = {
    "nightly_reconciliation": "2026-11-22T17:30:00+00:00",  # 00:30 WIB
    "audit_verification": "2026-11-22T19:40:00+00:00",  # 02:40 WIB
    "alerts_digest": "2026-11-23T01:00:00+00:00",  # 08:00 WIB
    "retention": "2026-11-22T17:05:00+00:00",  # 00:05 WIB
    "product_price_week": "2026-11-30T01:30:00+00:00",  # Monday, 08:30 WIB
    "deposit_snapshot": "2026-11-21T14:00:00+00:00",  # at full hours, where cut-offs are
}

# In a process of its own: a DAG file must import without a database, a connection or a variable at hand. A
# schedule is read as the scheduler reads it, written out and read again, under both forms of Airflow's cron.
LOOK = """
import json, os, sys
from datetime import UTC
import pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction

FORM = "AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS"
LAST = DataInterval.exact(pendulum.datetime(2026, 11, 21, 12, tz="UTC"))
ANY = TimeRestriction(earliest=None, latest=None, catchup=True)

def scheduled(dag):
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    if not timetable.can_be_scheduled:
        return None
    first = timetable.next_dagrun_info(last_automated_data_interval=LAST, restriction=ANY)
    run = timetable.next_dagrun_info(last_automated_data_interval=first.data_interval, restriction=ANY)
    moments = (run.run_after, run.logical_date, run.data_interval.end)
    return [moment.astimezone(UTC).isoformat() for moment in moments]

os.environ[FORM] = "False"
bags = [DagBag(folder) for folder in sys.argv[1:]]
errors = {name: text for bag in bags for name, text in bag.import_errors.items()}
heavy = sorted({"pandas"} & set(sys.modules))
dags = {dag.dag_id: {"doc": dag.doc_md, "tags": sorted(dag.tags), "catchup": dag.catchup,
    "most_runs": dag.max_active_runs,
    "types": sorted(str(kind.value) for kind in dag.allowed_run_types or ()), "tasks": [
    {"id": t.task_id, "owner": t.owner, "doc": t.doc_md, "retries": t.retries, "outlets": len(t.outlets),
     "upstream": sorted(t.upstream_task_ids), "rule": t.trigger_rule.value}
    for t in dag.topological_sort()]} for bag in bags for dag in bag.dags.values()}
runs = [{dag.dag_id: scheduled(dag) for dag in bags[0].dags.values()}]
os.environ[FORM] = "True"
runs.append({dag.dag_id: scheduled(dag) for dag in DagBag(sys.argv[1]).dags.values()})
print(json.dumps({"errors": errors, "heavy": heavy, "dags": dags, "runs": runs}))
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The folders as Airflow's own DagBag reads them in an installation far from Jakarta."""
    home = tmp_path_factory.mktemp("airflow")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, FOLDERS)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": "America/New_York",
            "PATH": "/usr/bin:/bin",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_every_file_imports(bag: dict[str, Any]) -> None:
    """No import error, nothing that takes seconds to load, and every DAG that we promise is there."""
    assert bag["errors"] == {}
    assert bag["heavy"] == []
    assert set(STEPS) <= set(bag["dags"])


@pytest.mark.parametrize("dag_id", STEPS)
def test_the_tasks_are_the_table_of_contents(bag: dict[str, Any], dag_id: str) -> None:
    """The steps stand in their order."""
    names = [task["id"] for task in bag["dags"][dag_id]["tasks"]]
    assert [name for name in names if name in STEPS[dag_id]] == STEPS[dag_id]


@pytest.mark.parametrize("dag_id", STEPS)
def test_everything_has_docs_tags_and_an_owner(bag: dict[str, Any], dag_id: str) -> None:
    """A person woken at night finds in the UI what a task does and whose it is."""
    dag = bag["dags"][dag_id]
    assert dag["doc"]
    assert "sat" in dag["tags"]
    assert dag["catchup"] is False
    for task in dag["tasks"]:
        assert task["doc"], task["id"]
        assert task["owner"] not in ("", "airflow"), task["id"]


@pytest.mark.parametrize("dag_id", LOCKS)
def test_a_dag_behind_a_right_has_no_other_way_in(bag: dict[str, Any], dag_id: str) -> None:
    """Airflow's materialize button names an asset and no DAG, so such a DAG refuses it."""
    dag = bag["dags"][dag_id]
    assert "asset_materialization" not in dag["types"]
    assert dag["types"] or not any(task["outlets"] for task in dag["tasks"])


def test_batches_that_wait_for_people_keep_no_other_from_being_paid(bag: dict[str, Any]) -> None:
    """A waiting run is active, so the DAG allows more active runs than batches can ever wait."""
    assert bag["dags"]["bulk_disbursement"]["most_runs"] >= 10_000


def test_wait_and_results_run_whatever_became_of_the_chunks(bag: dict[str, Any]) -> None:
    """The end of an order, or of a chunk, never keeps the batch from being followed and reported."""
    tasks = {task["id"]: task for task in bag["dags"]["bulk_disbursement"]["tasks"]}
    come_anyhow = [name for name, task in tasks.items() if task["rule"] == "all_done"]
    assert come_anyhow == list(batch_run.STEPS_AFTER_ALL)
    assert tasks["results"]["upstream"] == ["wait"]
    assert "execute" in tasks["wait"]["upstream"]
    assert all(task["retries"] for name, task in tasks.items() if name not in ("approve",)), tasks


def test_the_day_closes_whatever_became_of_the_steps_before(bag: dict[str, Any]) -> None:
    """SAT may be down, a file may be broken: each step runs, and the day is closed."""
    tasks = {task["id"]: task for task in bag["dags"]["nightly_reconciliation"]["tasks"]}
    steps = [f"books.{name}" for name in ("observe", "ask_again", "settlements", "close")]
    for before, step in pairwise(steps):
        assert before in tasks[step]["upstream"]
        assert tasks[step]["rule"] == "all_done"


def test_a_night_with_a_failed_step_is_red(bag: dict[str, Any]) -> None:
    """The last task alone makes the state of a run; it looks at every step, and at the day's name."""
    tasks = {task["id"]: task for task in bag["dags"]["nightly_reconciliation"]["tasks"]}
    ends = set(tasks).difference(*(task["upstream"] for task in tasks.values()))
    assert ends == {"books.done"}
    assert tasks["books.done"]["rule"] == "none_failed"
    assert set(tasks["books.done"]["upstream"]) >= set(tasks) - {"books.done", "accounts"}


def test_runs_start_when_the_clock_in_jakarta_says_so(bag: dict[str, Any]) -> None:
    """Neither the default zone of an installation nor its form of cron moves a run or its dates."""
    for runs in bag["runs"]:
        for dag_id, moment in SCHEDULED.items():
            assert runs[dag_id] == [moment] * 3
