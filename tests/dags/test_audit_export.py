"""An evidence pack on a real Airflow: asked for, written, taken and verified as people do it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import requests

from sat_hook.domain.business_day import WIB
from stack.lifecycle import Stack


def sat(stack: Stack, folder: Path, *words: str) -> str:
    """What the command prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", "from sat_hook.cli import main; main()", *words],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("SAT_")},
            "SAT_CONFIG": str(stack.layout.command_line_settings),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_pack_is_asked_for_written_taken_and_verified(running_stack: Stack, tmp_path: Path) -> None:
    """Every act stands in the log with its user; the pack proves itself; so does the log."""
    today = datetime.now(WIB).date().isoformat()
    sat(running_stack, tmp_path, "pause", "sat_default", "--reason", "the audit's own test")
    sat(running_stack, tmp_path, "resume", "sat_default", "--reason", "the test is over")
    # WIB's midnight may have passed since.
    days = ("--from", today, "--to", datetime.now(WIB).date().isoformat())
    said = sat(running_stack, tmp_path, "audit", "export", *days, "--output", "pack.zip")
    assert "pack.zip:" in said
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        (tmp_path / "verify.py").write_bytes(pack.read("verify.py"))
        assert "the audit's own test" in pack.read("overrides.csv").decode()
    layout = running_stack.layout
    keys = ("--key", str(layout.audit_public_key), "--published", str(layout.checkpoints))
    verified = subprocess.run(
        [sys.executable, "-I", "verify.py", *keys, "pack.zip"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr

    whole = sat(running_stack, tmp_path, "log", "verify", "--every-copy")
    assert "The log is whole" in whole
    assert "signatures good; published up to checkpoint" in whole
    acts = sat(running_stack, tmp_path, "audit", "actions", "--since", today, "--user", "ops")
    for act in ("AccountPaused", "AccountResumed", "ExportRequested", "ExportHandedOut"):
        assert act in acts
    private = layout.audit_private_key.read_text().splitlines()[1]
    logs = [
        path for path in layout.airflow_home.rglob("*.log") if private in path.read_text(errors="replace")
    ]
    assert logs == []


def session_of(stack: Stack) -> tuple[str, dict[str, str]]:
    """Airflow's address of DAGs, and headers as ops."""
    url = stack.settings().airflow_url
    token = requests.post(
        f"{url}/auth/token",
        json={"username": "ops", "password": stack.credentials.user_passwords["ops"]},
        timeout=90,
    ).json()["access_token"]
    return f"{url}/api/v2/dags", {"Authorization": f"Bearer {token}"}


def test_the_checkpoint_dag_runs_each_minute(running_stack: Stack) -> None:
    """It is scheduled, and its last run that ended was a success."""
    url, headers = session_of(running_stack)
    # Other tests kill tasks and PostgreSQL: a run of then may have failed, the next one has not.
    give_up = time.monotonic() + 250
    ended: list[str] = []
    while ended[:1] != ["success"]:
        assert time.monotonic() < give_up, f"the last runs ended as {ended}"
        runs = requests.get(
            f"{url}/audit_checkpoint/dagRuns",
            headers=headers,
            params={"order_by": "-run_after", "limit": 5},
            timeout=90,
        ).json()["dag_runs"]
        ended = [run["state"] for run in runs if run["state"] in ("success", "failed")]
        time.sleep(0.2)


def test_the_log_is_verified_by_its_dag(running_stack: Stack) -> None:
    """With the worker's role, key and place of publication."""
    url, headers = session_of(running_stack)
    body = {"logical_date": None, "conf": {"everything": True}}
    asked = requests.post(f"{url}/audit_verification/dagRuns", headers=headers, json=body, timeout=90)
    assert asked.status_code == 200, asked.text
    run_url = f"{url}/audit_verification/dagRuns/{quote(asked.json()['dag_run_id'], safe='')}"
    # One by the schedule, whose try was killed, is tried again after five minutes, and one runs at a time.
    deadline = time.monotonic() + 600
    state = "queued"
    while state not in ("success", "failed") and time.monotonic() < deadline:
        time.sleep(0.5)
        state = requests.get(run_url, headers=headers, timeout=90).json()["state"]
    assert state == "success"
