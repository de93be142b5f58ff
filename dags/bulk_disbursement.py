"""A batch of orders, from submitted rows to a result file.

Submit a file with ``sat batch submit FILE``, or fill in the table ``order_intake`` and run this DAG with no
batch. Every task can be retried, cleared or run again: what was sent is never sent twice.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from sat_hook.domain.alerts import AlertKind
from sat_hook.operators.approval import SATApproveOperator
from sat_hook.operators.batch import (
    SATCloseQuotesOperator,
    SATExecuteOperator,
    SATIntakeOperator,
    SATPlanChunksOperator,
    SATQuoteOperator,
    SATResultsOperator,
    SATValidateOperator,
)
from sat_hook.operators.deadlines import alert_when_later_than
from sat_hook.operators.funds import SATCheckBalanceOperator, SATReserveFundsOperator
from sat_hook.operators.guards import SATGuardOperator
from sat_hook.operators.parameters import GUARD_FIELDS, TIERS
from sat_hook.sensors.batch import SATBatchSensor

APPROVALS = {name: f"{{{{ params.{name} }}}}" for name in TIERS}
# A batch that waits for an approval, a top-up or SAT holds no slot of a worker, so it may keep its run.
MOST_BATCHES = 10_000
BATCH_RESULTS = Asset("sat://batch_results", group="sat")

with DAG(
    "bulk_disbursement",
    description="Pay a batch of orders through SAT and report how each one ended",
    schedule=None,
    catchup=False,
    max_active_runs=MOST_BATCHES,
    # Airflow's materialize button would start a run without the right to submit.
    allowed_run_types=["manual", "scheduled", "operator_triggered", "asset_triggered"],
    tags=["sat", "orders", "money"],
    doc_md=__doc__,
    # The longest waits that are the default, for funds or for SAT, and two hours.
    deadline=alert_when_later_than(timedelta(hours=26), AlertKind.BATCH_LATE),
    default_args={
        "owner": "disbursement",
        "retries": 3,
        "retry_delay": timedelta(seconds=15),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "batch_id": "{{ ti.xcom_pull('intake') }}",
        "sat_conn_id": "{{ params.account }}",
    },
    params={
        "batch_id": Param(
            None,
            type=["null", "string"],
            pattern="^B[A-Z2-7]{25}$",
            title="Batch",
            description="The batch that `sat batch submit` printed; empty for the rows of `order_intake`",
        ),
        "account": Param(
            "sat_default",
            type="string",
            title="Account",
            description="The Airflow connection of type `sat` that pays",
        ),
        "on_bad_rows": Param(
            "proceed",
            type="string",
            enum=["proceed", "wait", "refuse"],
            title="When rows are bad",
            description="Pay the good rows, wait for a person, or refuse the whole batch",
        ),
        "on_short_funds": Param(
            "wait",
            type="string",
            enum=["wait", "partial", "refuse"],
            title="When the deposit is too small",
            description="Wait for a top-up, pay as far as it reaches in row order, or refuse the whole batch",
        ),
        "wait_for_funds_hours": Param(
            24, type="number", exclusiveMinimum=0, maximum=720, title="Hours to wait for a top-up"
        ),
        "saldo_lag_seconds": Param(
            30,
            type="number",
            minimum=0,
            maximum=3600,
            title="Seconds by which SAT's saldo may lag",
            description="Too long only delays; too short commits money that is gone already",
        ),
        "duplicate_days": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            maximum=365,
            section="Guards",
            title="Days in which duplicates are held",
            description="Same product, client number and amount, in any batch; empty: the account's rule",
        ),
        "order_limit_rupiah": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Guards",
            title="Limit per order (rupiah)",
            description="Dearer orders are held; empty: the account's rule",
        ),
        "batch_limit_rupiah": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Guards",
            title="Limit per batch (rupiah)",
            description="What does not fit is held; empty: the account's rule",
        ),
        "batch_limit_orders": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Guards",
            title="Limit per batch (orders)",
            description="What does not fit is held; empty: the account's rule",
        ),
        "day_limit_rupiah": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Guards",
            title="Limit per day (rupiah)",
            description="Jakarta's day, all batches; empty: the account's rule",
        ),
        "day_limit_orders": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Guards",
            title="Limit per day (orders)",
            description="Jakarta's day, all batches; empty: the account's rule",
        ),
        "approval_over_rupiah": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Approval",
            title="Approval over (rupiah)",
            description="A dearer batch waits for a second person's approval; empty: the account's rule",
        ),
        "second_approval_over_rupiah": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Approval",
            title="Two approvals over (rupiah)",
            description="A dearer batch needs two people besides its maker; empty: the account's rule",
        ),
        "third_approval_over_rupiah": Param(
            None,
            type=["null", "integer"],
            minimum=0,
            section="Approval",
            title="Three approvals over (rupiah)",
            description="A dearer batch needs three people besides its maker; empty: the account's rule",
        ),
        "approve_held": Param(
            False,
            type="boolean",
            section="Approval",
            title="Ask for held orders, too",
            description="Held orders become part of what is asked for; without this they stay held",
        ),
        "chunk_rows": Param(500, type="integer", minimum=1, maximum=10_000, title="Orders in a chunk"),
        "give_up_after_hours": Param(
            24, type="number", exclusiveMinimum=0, maximum=720, title="Hours to wait for final statuses"
        ),
    },
) as dag:
    intake = SATIntakeOperator(
        task_id="intake",
        batch_id="{{ params.batch_id or '' }}",
        on_bad_rows="{{ params.on_bad_rows }}",
        doc_md="Read the spooled bytes, or claimed rows of `order_intake`, into orders.",
    )
    validate = SATValidateOperator(
        task_id="validate",
        on_bad_rows="{{ params.on_bad_rows }}",
        doc_md="Judge every order by SAT's catalogue; bad ones end here and are never sent.",
    )
    check_balance = SATCheckBalanceOperator(
        task_id="check_balance",
        on_short_funds="{{ params.on_short_funds }}",
        saldo_lag_seconds="{{ params.saldo_lag_seconds }}",
        doc_md="Say early when the deposit cannot pay even the prices that are known.",
    )
    plan = SATPlanChunksOperator(
        task_id="plan",
        chunk_rows="{{ params.chunk_rows }}",
        doc_md="Cut the batch into contiguous chunks.",
    )
    quote = SATQuoteOperator.partial(
        task_id="quote",
        map_index_template="rows {{ task.chunk.first_row }} to {{ task.chunk.last_row }}",
        doc_md="Price each order: inquiry for bills, catalogue for prepaid goods.",
    ).expand(chunk=plan.output)
    close_quotes = SATCloseQuotesOperator(
        task_id="close_quotes",
        doc_md="Add up what the batch will cost.",
    )
    guard = SATGuardOperator(
        task_id="guard",
        rules={name: f"{{{{ params.{name} }}}}" for name in GUARD_FIELDS},
        doc_md="Hold business duplicates and what is over a limit; only what is let through is sent.",
    )
    approve = SATApproveOperator(
        task_id="approve",
        **APPROVALS,
        approve_held="{{ params.approve_held }}",
        doc_md="Wait until a user other than the maker approves, where the rules require it.",
    )
    reserve = SATReserveFundsOperator(
        task_id="reserve",
        on_short_funds="{{ params.on_short_funds }}",
        wait_for_funds_hours="{{ params.wait_for_funds_hours }}",
        saldo_lag_seconds="{{ params.saldo_lag_seconds }}",
        doc_md="Set the deposit's funds aside for the batch: wait, deferred, for a top-up, or pay in part.",
    )
    execute = SATExecuteOperator.partial(
        task_id="execute",
        map_index_template="rows {{ task.chunk.first_row }} to {{ task.chunk.last_row }}",
        rules={name: f"{{{{ params.{name} }}}}" for name in GUARD_FIELDS},
        **APPROVALS,
        doc_md="Send each quoted order once: intent committed, checkout, outcome committed.",
    ).expand(chunk=plan.output)
    wait = SATBatchSensor(
        task_id="wait",
        give_up_after_hours="{{ params.give_up_after_hours }}",
        trigger_rule="all_done",
        doc_md="Wait, deferred, until every order has ended; woken by callbacks, backed up by polling.",
    )
    results = SATResultsOperator(
        task_id="results",
        trigger_rule="all_done",
        outlets=[BATCH_RESULTS],
        doc_md="Write the result file, row by row what was submitted plus the verdict.",
    )

    intake >> validate >> [check_balance, plan] >> quote >> close_quotes
    close_quotes >> guard >> approve >> reserve >> execute >> wait >> results
