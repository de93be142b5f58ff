"""When DAGs run, by Airflow's own timetables, under the settings that installations have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DAGS = Path(__file__).parents[2] / "dags"

# Each DAG is read as the scheduler reads it: written out and read again. Of two runs in a row the scheduler
# says when the second one starts, and what its data interval is.
LOOK = """
import json, os, sys
from datetime import datetime, UTC
import pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction
def look():
    seen = {}
    for dag in DagBag(sys.argv[1]).dags.values():
        read = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
        if not read.can_be_scheduled:
            continue
        last = DataInterval.exact(pendulum.datetime(2026, 11, 21, 12, tz="UTC"))
        found = TimeRestriction(earliest=None, latest=None, catchup=True)
        first = read.next_dagrun_info(last_automated_data_interval=last, restriction=found)
        run = read.next_dagrun_info(last_automated_data_interval=first.data_interval, restriction=found)
        seen[dag.dag_id] = {"run_after": run.run_after.astimezone(UTC).isoformat(),
            "logical_date": run.logical_date.astimezone(UTC).isoformat(),
            "data_interval_end": run.data_interval.end.astimezone(UTC).isoformat()}
    return seen
all_seen = []
for has_data_intervals in "False", "True":
    os.environ["AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS"] = has_data_intervals
    all_seen.append(look())
print(json.dumps(all_seen))
"""

# Airflow reads the default zone when it is imported, so each zone needs a process; the form of cron does not.
ZONES = ("UTC", "America/New_York")
#: UTC; Jakarta is seven hours ahead.
DAILY = {
    "nightly_reconciliation": "2026-11-22T17:30:00+00:00",  # 00:30 WIB
    "audit_verification": "2026-11-22T19:40:00+00:00",  # 02:40 WIB
    "alerts_digest": "2026-11-23T01:00:00+00:00",  # 08:00 WIB
    "product_price_week": "2026-11-30T01:30:00+00:00",  # Monday, 08:30 WIB
    "deposit_snapshot": "2026-11-21T14:00:00+00:00",  # at full hours, where cut-offs are
}


@pytest.mark.parametrize("zone", ZONES)
def test_runs_start_when_the_clock_in_jakarta_says_so(zone: str, tmp_path: Path) -> None:
    """Neither the default zone of an installation nor its form of cron moves a run or its dates."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(DAGS)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TIMEZONE": zone,
            "PATH": "/usr/bin:/bin",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    triggers, intervals = json.loads(done.stdout.strip().splitlines()[-1])
    for seen in (triggers, intervals):
        for dag_id, run_after in DAILY.items():
            assert seen[dag_id] == dict.fromkeys(
                ("run_after", "logical_date", "data_interval_end"), run_after
            )
