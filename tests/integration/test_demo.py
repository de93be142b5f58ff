"""The main job on a real Airflow, PostgreSQL and SAT server, as `make demo` does it."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from stack.demo import Demonstration
from stack.lifecycle import Stack


@pytest.mark.timeout(900)
def test_every_example_order_ends_as_expected_and_the_ledger_agrees(running_stack: Stack) -> None:
    """200 orders from a file and 20 from the table, submitted, paid, followed and judged."""
    out = io.StringIO()
    demonstration = Demonstration(running_stack, running_stack.settings(), Console(file=out, width=120))
    assert demonstration.show(time.monotonic()) == 0, out.getvalue()
    assert "every order ended as expected" in out.getvalue()
    assert_task_logs_name_batch_and_account(running_stack)


def assert_task_logs_name_batch_and_account(stack: Stack) -> None:
    """Each line of a step is a JSON object with the try, the account and the batch, once they are known; and
    none says that Airflow does not mask a short value.
    """
    steps: dict[str, set[tuple[str, str]]] = {}
    for log in stack.layout.airflow_home.glob("logs/dag_id=bulk_disbursement/**/attempt=*.log"):
        task = next(part for part in log.parts if part.startswith("task_id=")).removeprefix("task_id=")
        for line in log.read_text("utf-8").splitlines():
            told = json.loads(line)
            assert "masking" not in told["event"], line
            if "batch_id" in told:
                assert told["try_number"]
                steps.setdefault(task, set()).add((told["account"], told["batch_id"][0]))
    assert {"intake", "validate", "quote", "reserve", "execute", "wait", "results"} <= steps.keys()
    assert set.union(*steps.values()) == {("demo", "B")}
