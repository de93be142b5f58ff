"""The steps of a batch as operators: intake, validation, chunks, quotes, guards, execution, results.

Each finds out by itself what is left to do, so it can be cleared, retried, or run twice at once. XCom
carries only ids and counts. :class:`sat_hook.application.batch_run.BatchRun` implements the steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.batch_run import BatchRun, submit_waiting_rows
from sat_hook.application.run_facts import RunFacts
from sat_hook.application.runs import OUTCOME_KEY
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.telemetry import name_in_log
from sat_hook.operators.base import SATOperator
from sat_hook.operators.links import BatchProgressLink
from sat_hook.operators.parameters import RUN_RULES, TIERS, limits_of, refuse_unknown_parameters, tiers_of
from sat_hook.operators.run_context import NO_BATCH, facts_of, failing_for_good, required_batch
from sat_hook.pipeline.batch_summary import BatchSummary
from sat_hook.pipeline.chunks import Chunk
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.limits import BadRowsPolicy

T = TypeVar("T")


class SATBatchOperator(SATOperator):
    """Base of the steps of one batch.

    :param batch_id: the batch (templated); what :class:`SATIntakeOperator` returned.
    """

    template_fields: Sequence[str] = ("batch_id", "sat_conn_id")

    def __init__(self, *, batch_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def execute(self, context: Context) -> Any:
        """Run the step. An error that a retry cannot fix fails the task at once, with its reason."""
        with failing_for_good(self.sat_conn_id):
            return self.step(self.run_of(facts_of(context)))

    def step(self, run: BatchRun) -> Any:
        """The step itself."""
        raise NotImplementedError

    def run_of(self, facts: RunFacts) -> BatchRun:
        """The batch's run that this task belongs to.

        :raises AirflowSkipException: when intake found that nothing waits to be paid.
        :raises AirflowFailException: when intake itself did not succeed.
        """
        ports = task_ports(self.sat_conn_id, self.application)
        name_in_log(batch_id=self.batch)
        return BatchRun(ports, self.batch, facts, self.run_rules)

    @property
    def batch(self) -> str:
        """The batch id; see :func:`~sat_hook.operators.run_context.required_batch`."""
        return required_batch(self.batch_id)

    @property
    def run_rules(self) -> dict[str, int | None]:
        """The run's own rules that were given to this step."""
        return {}

    def with_sat(self, work: Coroutine[Any, Any, T]) -> T:
        """Run asynchronous work to its end."""
        with gc_for_bulk_work():
            return asyncio.run(work)

    def fail_if_refused(self, batch: Batch) -> None:
        """Fail the task when the batch is refused, with the batch's reason."""
        if batch.state is BatchState.REFUSED:
            raise AirflowFailException(f"batch {batch.batch_id} is refused: {batch.refusal_message}")


class SATIntakeOperator(SATBatchOperator):
    """Read the submitted rows into orders; returns the batch id.

    :param batch_id: a batch that was submitted before (its bytes are spooled); empty claims the waiting
        rows of ``order_intake``.
    :param on_bad_rows: ``proceed``, ``wait`` or ``refuse`` (templated).

    The log records who started the run and with which rules. A run that is less strict than the account's
    rules is refused.
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "on_bad_rows")

    def __init__(self, *, on_bad_rows: str = BadRowsPolicy.PROCEED.value, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_bad_rows = on_bad_rows

    def execute(self, context: Context) -> str:
        refuse_unknown_parameters(context["dag_run"].conf, context["params"])
        rules = limits_of({name: context["params"].get(name) for name in RUN_RULES}, RUN_RULES)
        with failing_for_good(self.sat_conn_id):
            return self._take_in(facts_of(context), rules)

    def _take_in(self, facts: RunFacts, rules: dict[str, int | None]) -> str:
        application = self.application
        ports = task_ports(self.sat_conn_id, application)
        table = None if self.batch_id else application.intake
        batch_id = self.batch_id or (table and submit_waiting_rows(ports, table, facts, rules))
        if not batch_id:
            self.log.info("No row of order_intake waits for account %s.", ports.account)
            return NO_BATCH
        name_in_log(batch_id=batch_id)
        report = BatchRun(ports, batch_id, facts, rules).intake(BadRowsPolicy(self.on_bad_rows), table)
        self._tell(report.batch, report.was_done_before)
        self.fail_if_refused(report.batch)
        return batch_id

    def _tell(self, batch: Batch, was_done_before: bool) -> None:
        if was_done_before:
            self.log.info(
                "Batch %s (%s) was read before and is %s: nothing is taken in again.",
                batch.batch_id,
                batch.file_name,
                batch.state.value,
            )
            return
        self.log.info(
            "Batch %s: %s orders from %s, %s rows set aside.",
            batch.batch_id,
            batch.orders,
            batch.file_name,
            batch.set_aside,
        )


class SATValidateOperator(SATBatchOperator):
    """Validate every order against SAT's catalogue.

    :param on_bad_rows: ``proceed``, ``wait`` or ``refuse`` (templated).
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "on_bad_rows")

    def __init__(self, *, on_bad_rows: str = BadRowsPolicy.PROCEED.value, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_bad_rows = on_bad_rows

    def step(self, run: BatchRun) -> dict[str, int]:
        report = self.with_sat(run.validate(BadRowsPolicy(self.on_bad_rows)))
        self.log.info("Valid: %s orders; rejected: %s.", report.valid, report.rejected)
        self.fail_if_refused(report.batch)
        return {"valid": report.valid, "rejected": report.rejected}


class SATPlanChunksOperator(SATBatchOperator):
    """Split the batch into contiguous ranges of rows, one for each mapped task.

    :param chunk_rows: orders in a chunk (templated).
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "chunk_rows")

    def __init__(self, *, chunk_rows: int | str = 500, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk_rows = chunk_rows

    def step(self, run: BatchRun) -> list[dict[str, int]]:
        chunks = run.plan_chunks(int(self.chunk_rows))
        self.log.info("%s chunks.", len(chunks))
        return [chunk.as_dict() for chunk in chunks]


class SATChunkOperator(SATBatchOperator):
    """Base of the steps that are mapped over chunks.

    :param chunk: what :class:`SATPlanChunksOperator` returned for this chunk.
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "chunk")

    def __init__(self, *, chunk: dict[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk

    @property
    def rows(self) -> Chunk:
        """The chunk's rows."""
        return Chunk.from_dict(self.chunk)


class SATQuoteOperator(SATChunkOperator):
    """Price the orders of a chunk: by inquiry where the product needs one, else from the catalogue."""

    def step(self, run: BatchRun) -> dict[str, int]:
        report = self.with_sat(run.quote(self.rows))
        self.log.info(
            "Quoted %s orders for Rp %s; rejected %s.",
            report.quoted,
            f"{report.total_rupiah:,}",
            report.rejected,
        )
        return {"quoted": report.quoted, "rejected": report.rejected}


class SATCloseQuotesOperator(SATBatchOperator):
    """Add up what the batch will cost, once every order that can be sent has a price."""

    def step(self, run: BatchRun) -> dict[str, int | None]:
        batch = run.close_quotes()
        self.log.info("%s orders for Rp %s.", batch.quoted, f"{batch.total_rupiah or 0:,}")
        return {"quoted": batch.quoted, "total_rupiah": batch.total_rupiah}


class SATExecuteOperator(SATChunkOperator):
    """Send the quoted orders of a chunk, each once. Orders that may have been sent are never sent again here.

    Only orders that the guards admitted are sent and, where the rules require an approval, only those that a
    person approved, even when earlier tasks failed.

    :param approval_over_rupiah: a batch that costs more in total needs an approval; 0 always, none never
        (templated). ``second_…`` and ``third_…`` ask for two and three people. The account's rules and its
        connection may set them too; the strictest counts.
    :param rules: the run's own rules by name, as for the guards (templated). With a daily limit an order is
        only sent on the business day (WIB) on which the guards admitted it.
    """

    template_fields: Sequence[str] = (*SATChunkOperator.template_fields, *TIERS, "rules")
    component = "sat execute"

    def __init__(
        self,
        *,
        approval_over_rupiah: int | str | None = None,
        second_approval_over_rupiah: int | str | None = None,
        third_approval_over_rupiah: int | str | None = None,
        rules: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.approval_over_rupiah = approval_over_rupiah
        self.second_approval_over_rupiah = second_approval_over_rupiah
        self.third_approval_over_rupiah = third_approval_over_rupiah
        self.rules = dict(rules or {})

    @property
    def run_rules(self) -> dict[str, int | None]:
        return {**limits_of(self.rules), **tiers_of(self)}

    def step(self, run: BatchRun) -> dict[str, int]:
        report = self.with_sat(run.execute(self.rows))
        self.log.info(
            "Accepted %s, rejected %s, unknown %s, held %s, overtaken %s, without funds %s, not admitted %s.",
            report.accepted,
            report.rejected,
            report.unknown,
            report.held,
            report.overtaken,
            report.unreserved,
            report.not_admitted,
        )
        if report.admitted_earlier:
            self.log.warning(
                "%s orders stay quoted and unsent: the guards let them through on an earlier business day, "
                "and the day has a limit. Run the batch again (sat batch run): the guards look again.",
                report.admitted_earlier,
            )
        return {"accepted": report.accepted, "rejected": report.rejected, "unknown": report.unknown}


class SATResultsOperator(SATBatchOperator):
    """Write the result file and close the batch.

    Runs even when chunks failed. It fails only for the pipeline's own errors: when orders were left unsent,
    or the wait for them was interrupted. The ends of orders never fail it: a batch with escalated orders is
    complete, with these as its exceptions. Returns counts, and the order ids of the first exceptions.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (BatchProgressLink(),)

    def execute(self, context: Context) -> Any:
        """As every step; the outcome is told first, since the task may fail because orders are left."""
        self._tell = partial(context["ti"].xcom_push, OUTCOME_KEY)
        return super().execute(context)

    def step(self, run: BatchRun) -> dict[str, Any]:
        summary, file, exceptions = run.results()
        self._tell([summary.batch.file_name, summary.outcome_in_words])
        self.log.info("Batch %s: %s. Results: %s", self.batch, describe(summary), file.uri)
        if file.notice:
            self.log.warning("%s", file.notice)
        if summary.needs:
            self.log.warning("%s.", summary.needs_in_words)
        if exceptions.orders:
            self.log.warning("Complete but for %s orders, which are with people:", exceptions.orders)
        for line in exceptions.lines():
            self.log.warning("%s", line)
        self.fail_if_refused(summary.batch)
        if summary.unsent:
            raise AirflowFailException(
                f"{summary.unsent} orders of batch {self.batch} were not sent; see the failed task above, "
                "mend its cause and clear it (or top up and clear reserve, if the deposit did not reach; or "
                "run the batch again, if they were released meanwhile): nothing is sent twice"
            )
        if summary.in_flight:
            raise AirflowFailException(
                f"{summary.in_flight} orders of batch {self.batch} are still under way, and no task waits "
                "for them: see the failed task wait, and clear it with what follows it. The DAG "
                "order_recovery follows them meanwhile"
            )
        return {
            "batch_id": self.batch,
            "results_uri": file.uri,
            "orders": summary.orders_by_state,
            "rows": summary.batch.rows,
            "rows_that_need_people": summary.rows_in_need,
            "needs": summary.needs_in_words,
            "charged_rupiah": summary.charged_rupiah,
            "exceptions": exceptions.orders,
            "exception_order_ids": exceptions.order_ids,
        }


def describe(summary: BatchSummary) -> str:
    """The states of a batch's orders and the rows that became no order, for a log line."""
    states = [f"{count.orders} {count.state.value}" for count in summary.counts] or ["no orders"]
    states += [f"{summary.batch.set_aside} rows set aside"] if summary.batch.set_aside else []
    return ", ".join(states)
