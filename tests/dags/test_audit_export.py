"""An evidence pack on a real Airflow: asked for, written, taken and verified as people do it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import datetime
from pathlib import Path

from sat_hook.domain.business_day import WIB
from tests.dags.office import DAGS, Office


def test_a_pack_is_asked_for_written_taken_and_verified(office: Office, tmp_path: Path) -> None:
    """Every act stands in the log with its user; the pack proves itself; so does the log."""
    today = datetime.now(WIB).date().isoformat()
    office.sat("pause", "sat_default", "--reason", "the audit's own test")
    office.sat("resume", "sat_default", "--reason", "the test is over")
    # WIB's midnight may have passed since.
    days = ("--from", today, "--to", datetime.now(WIB).date().isoformat())
    said = office.sat("audit", "export", *days, "--output", str(tmp_path / "pack.zip"))
    assert "pack.zip:" in said
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        (tmp_path / "verify.py").write_bytes(pack.read("verify.py"))
        assert "the audit's own test" in pack.read("overrides.csv").decode()
    layout = office.stack.layout
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

    whole = office.sat("log", "verify", "--every-copy")
    assert "The log is whole" in whole
    assert "signatures good; published up to checkpoint" in whole
    acts = office.sat("audit", "actions", "--since", today, "--user", "ops")
    for act in ("AccountPaused", "AccountResumed", "ExportRequested", "ExportHandedOut"):
        assert act in acts
    private = layout.audit_private_key.read_text().splitlines()[1]
    logs = [
        path for path in layout.airflow_home.rglob("*.log") if private in path.read_text(errors="replace")
    ]
    assert logs == []


def test_the_checkpoint_dag_runs_each_minute(office: Office) -> None:
    """It is scheduled, and its last run that ended was a success."""

    def look() -> bool | None:
        path = f"{DAGS}/audit_checkpoint/dagRuns?order_by=-run_after&limit=5"
        states = [run["state"] for run in office.ask("GET", path).json()["dag_runs"]]
        return next((state for state in states if state in ("success", "failed")), None) == "success" or None

    # Other tests kill tasks and PostgreSQL: a run of then may have failed, the next one has not.
    office.until(look)


def test_the_log_is_verified_by_its_dag(office: Office) -> None:
    """With the worker's role, key and place of publication."""
    # One by the schedule, whose try was killed, is tried again after five minutes, and one runs at a time.
    assert office.end_of(office.start("audit_verification", everything=True)) == "success"
