"""Writes an evidence pack: the signed records of a period, which another party can verify offline.

Request one with `sat audit export --from DAY --to DAY`. The command calls an authenticated route, which
records the user (and, for personal data, the reason) and starts this DAG with the export's id. The pack is
stored beside the result files. The same command downloads it, and the download is recorded, too.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from sat_hook.operators.audit import SATExportOperator

with DAG(
    "audit_export",
    description="Write the evidence pack that a user asked for",
    schedule=None,
    catchup=False,
    max_active_runs=2,
    tags=["sat", "audit"],
    doc_md=__doc__,
    default_args={
        "owner": "audit",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=2),
    },
    params={
        "export_id": Param(
            None,
            type=["null", "string"],
            pattern="^X[A-Z2-7]{25}$",
            title="Export",
            description="What `sat audit export` was given when it asked",
        ),
    },
) as dag:
    SATExportOperator(
        task_id="write_pack",
        export_id="{{ params.export_id }}",
        doc_md="Cover everything with checkpoints, then write the period's pack from one snapshot.",
    )
