"""The whole stack (PostgreSQL, Airflow's four parts, the SAT server), running once for a test session.

It uses the checkout's ``dags/``, ``examples/dags/`` and ``plugins/`` and keeps everything else in a temporary
folder, so a stack that runs in the checkout is not touched.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from stack.airflow_api import AirflowApi
from stack.layout import Layout
from stack.lifecycle import Stack
from stack.ports import Ports
from stack.postgres import free_port
from tests.keeper import hand_over, kept

#: What Airflow needs to notice a death within seconds instead of minutes. The DAGs do not change meanwhile.
NOTICE_QUICKLY = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
}

#: The examples, beside the DAGs of the project.
WITH_EXAMPLES = {
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(
        [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(Layout.here().checkout / folder)},
            }
            for name, folder in (("dags-folder", "dags"), ("examples", "examples/dags"))
        ]
    )
}

FOR_TESTS = {
    **NOTICE_QUICKLY,
    **WITH_EXAMPLES,
    # The tests beside it need the processor, too, that an idle scheduler takes for looking.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "600",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "30",
}


def stack_in(state: Path, overrides: Mapping[str, str]) -> Stack:
    """The stack of this checkout with its state elsewhere; what it says goes to standard error."""
    layout = Layout(Layout.here().checkout, state)
    return Stack(layout, lambda line: print(line, file=sys.stderr), overrides)


@contextmanager
def stack_for_tests() -> Iterator[Stack]:
    """A stack that runs; what a test starts again of it is told the same as before."""
    with kept("tests.running_stack") as state:
        yield stack_in(Path(state), FOR_TESTS)


def _wait_for_dags(stack: Stack) -> None:
    """Until Airflow has read every DAG: it answers long before."""
    folders = [stack.layout.checkout / "dags", stack.layout.checkout / "examples" / "dags"]
    texts = [path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.glob("*.py"))]
    unread = {dag_id for text in texts for dag_id in re.findall(r'\bDAG\(\s*"(\w+)"', text)}
    assert len(unread) >= len(texts), "a file without a DAG that is found by its id"
    airflow = AirflowApi(stack.settings().airflow_url, "ops", stack.credentials.user_passwords["ops"])
    give_up = time.monotonic() + 240
    # One at a time: what is asked keeps Airflow from reading.
    for dag_id in sorted(unread):
        while not airflow.has_dag(dag_id):
            assert time.monotonic() < give_up, f"not read by Airflow: {dag_id}; {airflow.import_errors()}"
            time.sleep(0.5)


def _keep_stack_until_caller_ends() -> None:
    with tempfile.TemporaryDirectory(prefix="sat-stack-") as folder:
        stack = stack_in(Path(folder) / "state", FOR_TESTS)
        # Not the usual ones: another stack may be about to take those.
        stack.layout.make_folders()
        ports = Ports(postgres=free_port(), api=free_port(), sandbox=free_port())
        stack.layout.ports.write_text(json.dumps(asdict(ports)), "utf-8")
        try:
            stack.up()
            _wait_for_dags(stack)
            hand_over(str(stack.layout.state))
        finally:
            stack.down()


if __name__ == "__main__":
    _keep_stack_until_caller_ends()
