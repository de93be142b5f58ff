"""Releasing, cancelling and running again, against a scripted Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from sat_hook.cli.errors import CommandError
from sat_hook.cli.held_orders import parameters_from
from tests.unit.cli.running import Run
from tests.unit.cli.scripted_airflow import BATCH_ID, PASSWORD, ScriptedAirflow


def env(airflow: ScriptedAirflow) -> dict[str, str]:
    """Settings that lead to the scripted Airflow."""
    return {
        "SAT_AIRFLOW_URL": airflow.url,
        "SAT_AIRFLOW_USER": "ops",
        "SAT_AIRFLOW_PASSWORD": PASSWORD,
    }


@pytest.mark.parametrize(("decision", "said"), [("release", "are released"), ("cancel", "cancelled")])
def test_a_batch_s_held_orders_are_decided_together(
    run: Run, airflow: ScriptedAirflow, decision: str, said: str
) -> None:
    """It says how many, how many stay held, and how released ones are sent."""
    answer = {"batch_id": BATCH_ID, "decided": 2, "still_held": 1}
    airflow.overrides[f"POST /sat/v1/batches/{BATCH_ID}/{decision}"] = (200, answer)
    arguments = ("batch", decision, BATCH_ID, "--reason", "checked", "--held-for", "limit")
    done = run(*arguments, env=env(airflow))
    assert done.code == 0, done.err
    assert said in done.out
    assert "1 stay held" in done.out
    assert (f"sat batch run {BATCH_ID}" in done.out) is (decision == "release")


@pytest.mark.parametrize(("sent", "more"), [(0, ""), (2, "2 may have been sent")])
def test_what_is_unsent_of_a_batch_is_withdrawn(
    run: Run, airflow: ScriptedAirflow, sent: int, more: str
) -> None:
    """It says how many orders, and how many go on because they may have been sent."""
    answer = {"batch_id": BATCH_ID, "withdrawn": 3, "may_have_been_sent": sent}
    airflow.overrides[f"POST /sat/v1/batches/{BATCH_ID}/withdraw"] = (200, answer)
    done = run("batch", "withdraw", BATCH_ID, "--reason", "paid elsewhere", env=env(airflow))
    assert done.code == 0, done.err
    assert "3 orders are withdrawn" in done.out
    assert ("may have been sent" in done.out) is bool(sent)
    assert more in done.out


def test_what_the_server_refuses_is_said_in_its_words(run: Run, airflow: ScriptedAirflow) -> None:
    """Nothing held: exit code 2 and the reason."""
    path = f"POST /sat/v1/batches/{BATCH_ID}/release"
    airflow.overrides[path] = (409, {"detail": "found no order held; expected at least one"})
    done = run("batch", "release", BATCH_ID, "--reason", "checked", env=env(airflow))
    assert (done.code, "found no order held" in done.err) == (2, True)


def test_a_batch_runs_once_more(run: Run, airflow: ScriptedAirflow) -> None:
    """With the parameters that are given now; the others are those of the first run, which the API knows."""
    done = run("batch", "run", BATCH_ID, "--param", "approve_held=true", env=env(airflow))
    assert done.code == 0, done.err
    assert airflow.triggered == [{"account": None, "parameters": {"approve_held": True}}]
    assert run("batch", "run", BATCH_ID, "--account", "sat_shop", env=env(airflow)).code == 0
    assert airflow.triggered[1] == {"account": "sat_shop", "parameters": {}}


def test_parameters_are_json_or_text() -> None:
    """Numbers, truths and nothing as such; anything else as it is written."""
    texts = ["duplicate_days=0", "approve_held=true", "day_limit_orders=null", "on_bad_rows=wait", "x=a=b"]
    assert parameters_from(texts) == {
        "duplicate_days": 0,
        "approve_held": True,
        "day_limit_orders": None,
        "on_bad_rows": "wait",
        "x": "a=b",
    }
    for wrong in ("duplicate_days", "=0"):
        with pytest.raises(CommandError, match="NAME=VALUE"):
            parameters_from([wrong])


def test_amounts_may_have_separators() -> None:
    """As JSON, 50.000 would be fifty rupiah."""
    texts = ["order_limit_rupiah=50.000", "approval_over_rupiah=0", "day_limit_rupiah=null"]
    assert parameters_from(texts) == {
        "order_limit_rupiah": 50_000,
        "approval_over_rupiah": 0,
        "day_limit_rupiah": None,
    }
    with pytest.raises(CommandError, match="order_limit_rupiah: found '5e4'"):
        parameters_from(["order_limit_rupiah=5e4"])


@pytest.mark.parametrize("command", ["submit", "run"])
def test_a_misspelled_parameter_is_refused_before_anything_is_done(
    run: Run, airflow: ScriptedAirflow, tmp_path: Path, command: str
) -> None:
    """Airflow would pass over it; the run would fail later, and its file would be a batch already."""
    file = tmp_path / "orders.csv"
    file.write_text("order_id,product_code,client_number\nA-1,p,081234567890\n", "utf-8")
    what = str(file) if command == "submit" else BATCH_ID
    refused = run("batch", command, what, "--param", "order_limit=5", env=env(airflow))
    assert refused.code == 2
    assert "'order_limit' (did you mean order_limit_rupiah?)" in refused.err
    assert not airflow.uploads
    assert not airflow.triggered
