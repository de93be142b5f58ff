"""``sat account``: what is shown of an account's rules, and how two people change them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.cli.running import Run
from tests.unit.cli.scripted_airflow import PASSWORD, ScriptedAirflow, scripted_airflow

PATH = "/sat/v1/accounts/sat_default/rules"
VALUES: dict[str, Any] = {
    "duplicate_days": 7,
    "order_limit_rupiah": None,
    "approval_over_rupiah": 1_000_000,
    "dedup_horizon_hours": None,
    "trust_callbacks": False,
}


def shown(**more: Any) -> dict[str, Any]:
    """What the route says of the rules."""
    lines = [
        {
            "rule": name,
            "in_force": value,
            "of_account": value,
            "of_connection": None,
            "source": "log position 12: proposed by user:rosa, confirmed by user:carl, 2026-11-30: contract",
        }
        for name, value in VALUES.items()
    ]
    return {
        "account": "demo",
        "connection": "sat_default",
        "are_confirmed": True,
        "rules": lines,
        "dedup_horizon_hours": 6.0,
        "proposal": None,
        **more,
    }


@pytest.fixture
def airflow() -> Iterator[ScriptedAirflow]:
    """A scripted Airflow."""
    with scripted_airflow() as script:
        script.overrides[f"GET {PATH}"] = (200, shown())
        yield script


def env(airflow: ScriptedAirflow) -> dict[str, str]:
    """Settings that lead to the scripted Airflow."""
    return {"SAT_AIRFLOW_URL": airflow.url, "SAT_AIRFLOW_USER": "ops", "SAT_AIRFLOW_PASSWORD": PASSWORD}


def test_every_rule_is_shown_with_its_origin(run: Run, airflow: ScriptedAirflow) -> None:
    """Amounts whole, no rule as words, and who decided it where in the log."""
    done = run("account", "show", "sat_default", env=env(airflow))
    assert done.code == 0, done.err
    assert "confirmed by two people" in done.out
    for name in VALUES:
        assert name in done.out
    for text in ("Rp 1,000,000", "no rule", "6 (default)", "log position 12", "user:carl"):
        assert text in done.out


def test_a_proposal_is_shown_with_what_it_changes(run: Run, airflow: ScriptedAirflow) -> None:
    """Values are JSON; the number to confirm is printed, and only what changes is listed as proposed."""
    proposal = {
        "number": 9,
        "values": {**VALUES, "approval_over_rupiah": None},
        "reason": "no more",
        "proposed_by": "user:ops",
    }
    airflow.overrides[f"POST {PATH}/proposals"] = (200, {"account": "demo", "proposal": 9, "rules": {}})
    airflow.overrides[f"GET {PATH}"] = (200, shown(proposal=proposal))
    arguments = ("account", "propose", "sat_default", "approval_over_rupiah=null", "--reason", "no more")
    done = run(*arguments, env=env(airflow))
    assert done.code == 0, done.err
    assert "proposal 9 of ops: no more" in done.out
    assert "sat account confirm sat_default 9" in done.out
    assert done.out.count("Rp 1,000,000") == 2


@pytest.mark.parametrize("answer", ["confirm", "decline"])
def test_a_proposal_is_answered_by_its_number(run: Run, airflow: ScriptedAirflow, answer: str) -> None:
    """As one person's decision, with a reason."""
    airflow.overrides[f"POST {PATH}/9/{answer}"] = (200, {"account": "demo", "rules": VALUES})
    done = run("account", answer, "sat_default", "9", "--reason", "looked at it", env=env(airflow))
    assert done.code == 0, done.err
    assert f"{PATH}/9/{answer}" in airflow.targets


def test_a_lacking_right_is_named(run: Run, airflow: ScriptedAirflow) -> None:
    """Triggering the DAG would not help, so the text does not suggest it."""
    text = "user 'ops' lacks the right account_rules.confirm, which the file named by SAT_RIGHTS_FILE gives"
    airflow.overrides[f"POST {PATH}/9/confirm"] = (403, {"detail": text})
    done = run("account", "confirm", "sat_default", "9", "--reason", "looked at it", env=env(airflow))
    assert (done.code, "lacks the right account_rules.confirm" in done.err) == (2, True)
    assert json.dumps(VALUES) not in done.out
