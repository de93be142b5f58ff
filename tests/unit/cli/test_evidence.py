"""Asking for an evidence pack, against a scripted Airflow: what can go wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sat_hook.cli import evidence
from tests.unit.cli.running import Ran, Run, runner
from tests.unit.cli.scripted_airflow import PASSWORD, ScriptedAirflow, scripted_airflow

EXPORT = "X" + "A" * 25
RUN = f"/sat/v1/runs/audit_export/{EXPORT}"
DAYS = ("--from", "2026-11-01", "--to", "2026-11-30")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the command far from any checkout, without waiting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evidence, "LOOK_EVERY_SECONDS", 0.01)
    return runner(monkeypatch, capsys)


@pytest.fixture
def airflow() -> Iterator[ScriptedAirflow]:
    """A scripted Airflow in which all goes well, as far as it is asked."""
    with scripted_airflow() as script:
        script.overrides = {
            "POST /sat/v1/evidence-packs": (200, {"export_id": EXPORT}),
            f"GET {RUN}": (200, {"state": "success", "tasks": [], "is_paused": False}),
            f"POST /sat/v1/exports/{EXPORT}/pack": (200, b"half a pack"),
        }
        yield script


def export(run: Run, airflow: ScriptedAirflow, *options: str) -> Ran:
    """Ask for a month."""
    env = {"SAT_AIRFLOW_URL": airflow.url, "SAT_AIRFLOW_USER": "ops", "SAT_AIRFLOW_PASSWORD": PASSWORD}
    return run("audit", "export", *DAYS, *options, env=env)


def test_a_pack_that_is_not_the_written_one_is_not_kept(run: Run, airflow: ScriptedAirflow) -> None:
    """Its digest comes with it; nothing is left in the folder."""
    done = export(run, airflow)
    assert (done.code, "a pack that was cut off" in done.err) == (2, True), done.err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("request_", "answer", "says"),
    [
        ("POST /sat/v1/evidence-packs", (403, {"detail": "lacks the right audit"}), "lacks the right audit"),
        ("POST /sat/v1/evidence-packs", (422, {"detail": "reason: found 0 characters"}), "reason: found 0"),
        (
            "POST /sat/v1/evidence-packs",
            (502, {"detail": "found no DAG audit_export"}),
            "no DAG audit_export",
        ),
        (f"GET {RUN}", (200, {"state": "failed", "tasks": [], "is_paused": False}), "found a failed run"),
        (f"POST /sat/v1/exports/{EXPORT}/pack", (409, {"detail": "no pack yet"}), "no pack yet"),
    ],
)
def test_what_went_wrong_is_one_line(
    run: Run, airflow: ScriptedAirflow, request_: str, answer: tuple[int, Any], says: str
) -> None:
    """Exit code 2, and nothing in the folder."""
    airflow.overrides[request_] = answer
    done = export(run, airflow)
    assert (done.code, says in done.err) == (2, True), done.err
    assert done.err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_waiting_has_an_end(run: Run, airflow: ScriptedAirflow) -> None:
    """The run goes on; a paused DAG is named."""
    airflow.overrides[f"GET {RUN}"] = (200, {"state": "queued", "tasks": [], "is_paused": True})
    done = export(run, airflow, "--timeout", "1")
    assert (done.code, "found a run that is queued" in done.err) == (2, True), done.err
    assert "The DAG audit_export is paused" in done.out


@pytest.mark.parametrize("days", [("--from", "November", "--to", "2026-11-30"), ("--from", "2026-11-01")])
def test_a_period_has_two_ends(run: Run, airflow: ScriptedAirflow, days: tuple[str, ...]) -> None:
    """Nothing is asked for otherwise."""
    env = {"SAT_AIRFLOW_URL": airflow.url, "SAT_AIRFLOW_USER": "ops", "SAT_AIRFLOW_PASSWORD": PASSWORD}
    assert run("audit", "export", *days, env=env).code == 2
    assert airflow.targets == []
