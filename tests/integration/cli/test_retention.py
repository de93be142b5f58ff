"""``sat retention``: what goes and what stays, first said and then done."""

from __future__ import annotations

from pathlib import Path

from stack.databases import ApplicationDatabase
from tests.sql import execute
from tests.unit.cli.running import Run

ALERTS = """
INSERT INTO sat.alerts (key, kind, account, text, occurred_at, raised_at, notified_at, announced_at)
SELECT n, 'log_damaged', 'a', 'text', now(), now() - age, told, told
FROM (VALUES
    ('old', interval '40 days', now()), ('untold', interval '40 days', NULL), ('new', interval '0', now())
) AS v (n, age, told)
"""
INTAKE = """
INSERT INTO sat.order_intake (account, created_at, claimed_by, claimed_at, batch_id)
SELECT 'a', now() - interval '40 days', by, now() - age, by
FROM (VALUES ('B1', interval '40 days'), ('B2', interval '1 day'), (NULL, NULL)) AS v (by, age)
"""
POLICY = """
[alerts]
keep_days = 31
[intake]
keep_days = 31
"""


def test_a_plan_says_what_a_run_then_does(database: ApplicationDatabase, run: Run, tmp_path: Path) -> None:
    """Settled alerts and taken rows go; what still waits stays and is counted with its reason."""
    execute(database.superuser_dsn, ALERTS)
    execute(database.superuser_dsn, INTAKE)
    policy = tmp_path / "retention.toml"
    policy.write_text(POLICY)
    env = {
        "SAT_DB_DSN": database.reader_dsn,
        "SAT_OWNER_DSN": database.owner_dsn,
        "SAT_SPOOL_URI": tmp_path.as_uri(),
        "SAT_RESULTS_URI": tmp_path.as_uri(),
        "SAT_RETENTION_FILE": str(policy),
    }
    planned = run("retention", "plan", env=env)
    assert planned.code == 0, planned.err
    assert "evidence: kept for ever" in planned.out
    assert "alerts: 1 go after 31 days" in planned.out
    assert "alerts: 1 stay: not delivered yet" in planned.out
    assert "intake: 1 go after 31 days" in planned.out
    assert "intake: 1 stay: no batch has taken the row" in planned.out
    assert run("retention", "run", env=env).out == planned.out
    assert execute(database.superuser_dsn, "SELECT key FROM sat.alerts ORDER BY key") == [
        ("new",),
        ("untold",),
    ]
    assert execute(database.superuser_dsn, "SELECT batch_id FROM sat.order_intake ORDER BY 1") == [
        ("B2",),
        (None,),
    ]
    policy.write_text("[alerts]\nkeep_days = 1\n")
    refused = run("retention", "run", env=env)
    assert (refused.code, "alerts.keep_days: found 1" in refused.err) == (2, True)
    policy.write_text("")
    remote = run("retention", "run", env=env | {"SAT_SPOOL_URI": "s3://bucket/spool"})
    assert (remote.code, "run the DAG retention" in remote.err) == (2, True)
