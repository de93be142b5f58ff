"""Verifies everything that was ever recorded, a part at a time, at a set share of a processor core.

The nightly verification looks at what is new. This one finds what was changed in older events: every ten
minutes it verifies some checkpoints with the events under them, and the next run goes on from there, also
after a restart. A round begins a day after the last one ended. Each round that ends is recorded in the log.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from sat_hook.operators.audit import SATVerifyPartsOperator
from sat_hook.operators.schedules import in_wib

with DAG(
    "audit_full_verification",
    description="Verify the whole log in the background, a part at a time",
    schedule=in_wib("*/10 * * * *"),
    catchup=False,
    max_active_runs=1,
    tags=["sat", "audit"],
    doc_md=__doc__,
    default_args={
        "owner": "audit",
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=20),
    },
    params={
        "core_share": Param(
            0.1,
            type="number",
            exclusiveMinimum=0,
            maximum=1,
            title="Share of a core",
            description="How much of one processor core this may use: 0.1 is a minute in ten",
        ),
    },
) as dag:
    SATVerifyPartsOperator(
        task_id="verify_parts",
        core_share="{{ params.core_share }}",
        interval_seconds=600,
        doc_md="Verify the next parts; each problem is a line of this log, and the first ones are alerts.",
    )
