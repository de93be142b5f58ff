"""Closes the Jakarta business day (WIB): our books against signed statuses, settlement file, saldo and log.

Runs at 00:30 WIB for the day that has just ended. A late run closes the day it was scheduled for, and `day`
names any other one. For each account: read the deposit; ask for the status of open, disputed or unsigned
orders; import the settlement files that have come; close; and write the report (workbook, page, CSV).
Running it again changes nothing unless more is known; then the affected days are closed again, in order. A
certified day does not change. A day of more than a million orders is matched in partitions, each a task of
its own. See docs/read-a-reconciliation.md for how to read the report.

The day closes even if earlier steps fail: a SAT that does not answer, or a settlement file that cannot be
used, is a break in the report. A run with a failed step still fails.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, Param, task_group

from sat_hook.domain.alerts import AlertKind
from sat_hook.operators.accounts import accounts, accounts_param
from sat_hook.operators.deadlines import alert_when_later_than
from sat_hook.operators.reconciliation import (
    SATAskAgainOperator,
    SATCloseDayOperator,
    SATClosePartitionOperator,
    SATImportSettlementsOperator,
    SATNameDayOperator,
    SATObserveDepositOperator,
    SATPlanPartitionsOperator,
)
from sat_hook.operators.schedules import in_wib

RECONCILIATIONS = Asset("sat://reconciliations", group="sat")

with DAG(
    "nightly_reconciliation",
    description="Close the WIB business day of each account and say what does not agree",
    schedule=in_wib("30 0 * * *"),
    catchup=False,
    max_active_runs=1,
    # Airflow's materialize button and backfills would close a day without the right to finance.
    allowed_run_types=["manual", "scheduled", "operator_triggered"],
    tags=["sat", "finance", "reconciliation"],
    doc_md=__doc__,
    # Before the office opens.
    deadline=alert_when_later_than(timedelta(hours=6), AlertKind.DAY_LATE),
    default_args={
        "owner": "finance",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(minutes=60),
    },
    params={
        "accounts": accounts_param("whose day is closed"),
        "day": Param(
            None,
            type=["null", "string"],
            pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            title="Day",
            description="The WIB day to close, as YYYY-MM-DD; by default the last one that has ended",
        ),
        "cut_off_minutes": Param(
            0,
            type="integer",
            minimum=-720,
            maximum=720,
            title="Cut-off (minutes after midnight WIB)",
            description="When a day begins and the one before it ends; -60 is 23:00",
        ),
        "ask_orders": Param(
            20_000, type="integer", minimum=0, maximum=1_000_000, title="Orders asked about again at most"
        ),
    },
) as dag:
    day = SATNameDayOperator(
        task_id="day",
        day="{{ params.day or '' }}",
        cut_off_minutes="{{ params.cut_off_minutes }}",
        doc_md="Name the WIB day that this run closes.",
    )

    the_day = {
        "day": "{{ ti.xcom_pull(task_ids='day') }}",
        "cut_off_minutes": "{{ params.cut_off_minutes }}",
    }
    chosen = accounts()
    partitions = SATPlanPartitionsOperator(
        task_id="partitions",
        trigger_rule="all_done",
        sat_conn_ids=chosen,
        doc_md="Divide days of more than a million orders; nothing for smaller ones.",
        **the_day,
    )
    match = SATClosePartitionOperator.partial(
        task_id="match",
        map_index_template="{{ task.sat_conn_id }} {{ task.planned.number }}/{{ task.planned.partitions }}",
        doc_md="Match one partition of a large day; the close adds the partitions up.",
        **the_day,
    ).expand_kwargs(partitions.output)

    @task_group
    def books(sat_conn_id: str) -> None:
        """One account's day."""
        shared = {
            "sat_conn_id": sat_conn_id,
            **the_day,
            "map_index_template": "{{ task.sat_conn_id }} {{ task.day }}",
        }
        observe = SATObserveDepositOperator(
            task_id="observe", doc_md="Look at the deposit: an end of the saldo equation.", **shared
        )
        ask_again = SATAskAgainOperator(
            task_id="ask_again",
            trigger_rule="all_done",
            orders="{{ params.ask_orders }}",
            doc_md="Ask about orders that are open, disputed or without a signed end.",
            **shared,
        )
        settlements = SATImportSettlementsOperator(
            task_id="settlements",
            trigger_rule="all_done",
            doc_md="Take in the provider's files that have come.",
            **shared,
        )
        close = SATCloseDayOperator(
            task_id="close",
            trigger_rule="all_done",
            outlets=[RECONCILIATIONS],
            partitions=partitions.output,
            doc_md="Match, write the report, record the breaks.",
            **shared,
        )
        # The last task decides the run's state, and closing succeeds even if an earlier step failed.
        done = EmptyOperator(
            task_id="done",
            trigger_rule="none_failed",
            doc_md="Green when every step before it was; it does nothing.",
        )
        observe >> ask_again >> settlements >> [partitions, close]
        match >> close
        [day, observe, ask_again, settlements, partitions, match, close] >> done

    day >> books.expand(sat_conn_id=chosen)
