"""The steps of a batch as operators: intake, validation, chunks, quotes, execution, results.

Each finds out by itself what is left to do, so it can be cleared, retried, or run twice at once. XCom
carries ids and counts only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, TypeVar

from airflow.sdk import BaseOperator, BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.clients.asynchronous import AsyncSATClient
from sat_hook.domain.alerts import unreadable_products
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.guards import AccountRules
from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import results_spool, submissions_spool
from sat_hook.operators.links import BatchProgressLink
from sat_hook.operators.rollback_check import pause_if_rolled_back
from sat_hook.operators.rules import (
    RUN_RULES,
    approval_policy,
    asked_run,
    gate_of,
    guard_rules_of,
    start_run,
)
from sat_hook.operators.run_context import (
    NO_BATCH,
    account_that_can_pay,
    asked_by,
    failing_for_good,
    provenance_of,
    refuse_unknown_parameters,
    require_account,
    required_batch,
    triggering_user,
)
from sat_hook.pipeline.account_rules import AskedRun, refuse_looser_run
from sat_hook.pipeline.alerting import raise_alerts
from sat_hook.pipeline.chunks import Chunk, plan_chunks
from sat_hook.pipeline.command_handler import load_batch
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.escalations import escalated_orders
from sat_hook.pipeline.execution import ChunkExecutor, ExecutionReport, Gate
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import BadRowsPolicy, ExecutionLimits
from sat_hook.pipeline.quoting import Quoter, QuotingReport, close_quoting
from sat_hook.pipeline.results import BatchSummary, complete, write_results
from sat_hook.pipeline.table_intake import settle_rows, submit_claimed_rows
from sat_hook.pipeline.validation import catalogue_of, validate_orders
from sat_hook.protocol.messages import Product

T = TypeVar("T")


class SATBatchOperator(BaseOperator):
    """Base of the steps of one batch.

    :param batch_id: the batch (templated); what :class:`SATIntakeOperator` returned.
    :param sat_conn_id: the connection of type ``sat``: the account that pays (templated).
    :param db_conn_id: the connection of the application database.
    """

    template_fields: Sequence[str] = ("batch_id", "sat_conn_id")
    ui_color = "#e8f1ec"
    component: ClassVar[str] = "sat task"

    def __init__(
        self,
        *,
        batch_id: str | None = None,
        sat_conn_id: str = SATHook.default_conn_name,
        db_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.sat_conn_id = sat_conn_id
        self.db_conn_id = db_conn_id

    def execute(self, context: Context) -> Any:
        """Run the step. Trouble that a retry cannot cure fails the task at once, with its reason."""
        with failing_for_good(self.sat_conn_id):
            return self.step(ApplicationHook(self.db_conn_id, self.component), provenance_of(context))

    def step(self, application: ApplicationHook, provenance: Provenance) -> Any:
        """The step itself."""
        raise NotImplementedError

    @property
    def batch(self) -> str:
        """The batch id.

        :raises AirflowSkipException: when intake found that nothing waits to be paid.
        :raises AirflowFailException: when intake itself did not succeed.
        """
        return required_batch(self.batch_id)

    def with_sat(self, work: Coroutine[Any, Any, T]) -> T:
        """Run asynchronous work to its end."""
        with gc_for_bulk_work():
            return asyncio.run(work)


class SATIntakeOperator(SATBatchOperator):
    """Read the submitted rows into orders; returns the batch id.

    :param batch_id: a batch that was submitted before (its bytes are spooled); empty to claim the rows that
        wait in ``order_intake``.
    :param on_bad_rows: ``proceed``, ``wait`` or ``refuse`` (templated).

    Who started the run with which rules is recorded. A run whose parameters are looser than the account's
    rules is refused.
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "on_bad_rows")

    def __init__(self, *, on_bad_rows: str = BadRowsPolicy.PROCEED.value, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_bad_rows = on_bad_rows
        self._claim = ""
        self._triggered_by: str | None = None
        self._asked: AskedRun | None = None
        self._asked_by: Provenance | None = None

    def execute(self, context: Context) -> Any:
        # The run's own id: every try of this run claims the same rows.
        self._claim = context["run_id"]
        refuse_unknown_parameters(context["dag_run"].conf, context["params"])
        self._triggered_by = triggering_user(context)
        of_run = {name: context["params"].get(name) for name in RUN_RULES}
        self._asked, self._asked_by = asked_run(self.sat_conn_id, of_run, context), asked_by(context)
        return super().execute(context)

    def step(self, application: ApplicationHook, provenance: Provenance) -> str:
        account = account_that_can_pay(self.sat_conn_id)
        assert self._asked is not None
        assert self._asked_by is not None
        if not self.batch_id:
            # Rows are not claimed for a run that does nothing with them.
            refuse_looser_run(application.handler, account, self._asked, self._asked_by)
        batch_id = self.batch_id or self._submit_table(application, account, provenance)
        if batch_id == NO_BATCH:
            return NO_BATCH
        owner = load_batch(application.store, batch_id).account
        require_account(self.sat_conn_id, owner, f"batch {batch_id}")
        start_run(application, batch_id, self._asked, self._asked_by)
        report = take_in(
            application.handler, submissions_spool(), batch_id, provenance, BadRowsPolicy(self.on_bad_rows)
        )
        if not self.batch_id:
            settle_rows(application.intake, self._claim, report.batch)
        self._tell(report.batch, report.was_done_before)
        if report.batch.state is BatchState.REFUSED:
            raise AirflowFailException(f"batch {batch_id} is refused: {report.batch.refusal_message}")
        return batch_id

    def _submit_table(self, application: ApplicationHook, account: str, provenance: Provenance) -> str:
        if self._triggered_by:
            # Who had the table's rows paid is the maker of their batch, as Airflow authenticated them.
            provenance = Provenance(f"user:{self._triggered_by}", provenance.cause)
        try:
            submission = submit_claimed_rows(
                application.store,
                application.intake,
                submissions_spool(),
                application.handler.clock,
                account=account,
                claim=self._claim,
                provenance=provenance,
                tell=partial(raise_alerts, application.alerts),
            )
        except SubmissionRefusedError as error:
            raise AirflowFailException(str(error)) from error
        if submission is None:
            self.log.info("No row of order_intake waits for account %s.", account)
            return NO_BATCH
        return submission.batch_id

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
    """Give every order a verdict from SAT's catalogue.

    :param on_bad_rows: ``proceed``, ``wait`` or ``refuse`` (templated).
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "on_bad_rows")

    def __init__(self, *, on_bad_rows: str = BadRowsPolicy.PROCEED.value, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_bad_rows = on_bad_rows

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        products: list[Product] = SATHook(self.sat_conn_id, application.database).list_product()
        report = validate_orders(
            application.handler,
            self.batch,
            catalogue_of(products),
            provenance,
            BadRowsPolicy(self.on_bad_rows),
        )
        unread = [product.code for product in products if product.unreadable]
        now = application.handler.clock.now()
        raise_alerts(application.alerts, unreadable_products(report.batch.account, unread, now))
        self.log.info("Valid: %s orders; rejected: %s.", report.valid, report.rejected)
        if report.batch.state is BatchState.REFUSED:
            raise AirflowFailException(f"batch {self.batch} is refused: {report.batch.refusal_message}")
        return {"valid": report.valid, "rejected": report.rejected}


class SATPlanChunksOperator(SATBatchOperator):
    """Cut the batch into contiguous runs of rows, one for each mapped task.

    :param chunk_rows: orders in a chunk (templated).
    """

    template_fields: Sequence[str] = (*SATBatchOperator.template_fields, "chunk_rows")

    def __init__(self, *, chunk_rows: int | str = 500, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk_rows = chunk_rows

    def step(self, application: ApplicationHook, provenance: Provenance) -> list[dict[str, int]]:
        del provenance  # planning changes nothing
        chunks = plan_chunks(application.store, self.batch, int(self.chunk_rows))
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

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        report = self.with_sat(
            self._quote(
                application, SATHook(self.sat_conn_id, application.database).async_client(), provenance
            )
        )
        self.log.info(
            "Quoted %s orders for Rp %s; rejected %s.",
            report.quoted,
            f"{report.total_rupiah:,}",
            report.rejected,
        )
        return {"quoted": report.quoted, "rejected": report.rejected}

    async def _quote(
        self, application: ApplicationHook, client: AsyncSATClient, provenance: Provenance
    ) -> QuotingReport:
        async with client as sat:
            catalogue = catalogue_of(await sat.list_products())
            quoter = Quoter(application.handler, sat, catalogue)
            return await quoter.quote_slice(self.rows.of(self.batch), provenance)


class SATCloseQuotesOperator(SATBatchOperator):
    """Add up what the batch will cost, once every order that can be sent has a price."""

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int | None]:
        batch = close_quoting(application.handler, self.batch, provenance)
        self.log.info("%s orders for Rp %s.", batch.quoted, f"{batch.total_rupiah or 0:,}")
        return {"quoted": batch.quoted, "total_rupiah": batch.total_rupiah}


class SATExecuteOperator(SATChunkOperator):
    """Send the quoted orders of a chunk, each once. What may have been sent is never sent again here.

    Only orders that the guards admitted are sent and, where the rules want an approval, only those that a
    person approved: whatever became of the tasks before this one.

    :param approval_over_rupiah: a batch that costs more in all needs an approval; 0 always, none never
        (templated). The account's connection may say so, too; the stricter of both counts.
    :param rules: the run's own rules by name, as the guards have them (templated). With a limit of the day an
        order is only sent on the business day (WIB) on which the guards let it through.
    """

    template_fields: Sequence[str] = (*SATChunkOperator.template_fields, "approval_over_rupiah", "rules")
    component = "sat execute"

    def __init__(
        self,
        *,
        approval_over_rupiah: int | str | None = None,
        rules: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.approval_over_rupiah = approval_over_rupiah
        self.rules = dict(rules or {})

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, int]:
        gate = self._gate(application)
        owner = load_batch(application.store, self.batch).account
        pause_if_rolled_back(application, owner, provenance)
        report = self.with_sat(
            self._execute(
                application,
                SATHook(self.sat_conn_id, application.database).async_client(),
                provenance,
                gate,
            )
        )
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

    def _gate(self, application: ApplicationHook) -> Gate:
        policy = approval_policy(self.sat_conn_id, self.approval_over_rupiah)
        batch = load_batch(application.store, self.batch)
        require_account(self.sat_conn_id, batch.account, f"batch {self.batch}")
        rules = SATHook(self.sat_conn_id).rules().stricter(AccountRules(guard_rules_of(self.rules)))
        return gate_of(application, batch, policy, rules)

    async def _execute(
        self, application: ApplicationHook, client: AsyncSATClient, provenance: Provenance, gate: Gate
    ) -> ExecutionReport:
        limits = ExecutionLimits(
            in_flight=client.settings.max_in_flight,
            reply_timeout_seconds=client.settings.total_timeout_seconds,
        )
        async with client as sat:
            catalogue = catalogue_of(await sat.list_products())
            executor = ChunkExecutor(application.handler, sat, catalogue, provenance, limits, gate)
            return await executor.run(self.rows.of(self.batch))


class SATResultsOperator(SATBatchOperator):
    """Write the result file and close the batch.

    Runs whatever became of the chunks. It fails only for the pipeline's own trouble: when orders were left
    unsent, or the wait for them broke off. The ends of orders never fail it: a batch with orders that nobody
    knows the end of is complete, with these as its exceptions. Returns counts, and the order ids of the first
    exceptions.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (BatchProgressLink(),)

    def step(self, application: ApplicationHook, provenance: Provenance) -> dict[str, Any]:
        summary = complete(application.handler, self.batch, provenance)
        file = write_results(
            application.handler, submissions_spool(), results_spool(), self.batch, provenance
        )
        self.log.info("Batch %s: %s. Results: %s", self.batch, describe(summary), file.uri)
        if file.notice:
            self.log.warning("%s", file.notice)
        if summary.needs:
            self.log.warning("%s.", summary.needs_in_words)
        exceptions = escalated_orders(application.store, self.batch)
        if exceptions.orders:
            self.log.warning("Complete but for %s orders, which are with people:", exceptions.orders)
        for line in exceptions.lines():
            self.log.warning("%s", line)
        if summary.batch.state is BatchState.REFUSED:
            raise AirflowFailException(f"batch {self.batch} is refused: {summary.batch.refusal_message}")
        if summary.unsent:
            raise AirflowFailException(
                f"{summary.unsent} orders of batch {self.batch} were not sent; see the failed task above, "
                "mend its cause and clear it (or top up and clear reserve, if the deposit did not reach; or "
                "run the batch again, if they were released meanwhile): nothing is sent twice"
            )
        if summary.in_flight:
            raise AirflowFailException(
                f"{summary.in_flight} orders of batch {self.batch} are still under way, and nobody waits for "
                "them here: see the failed task wait, and clear it with what follows it. The DAG "
                "order_recovery follows them meanwhile"
            )
        return {
            "batch_id": self.batch,
            "results_uri": file.uri,
            "orders": {count.state.value: count.orders for count in summary.counts},
            "rows": summary.batch.rows,
            "rows_that_need_people": summary.rows_in_need,
            "needs": summary.needs_in_words,
            "charged_rupiah": summary.charged_rupiah,
            "exceptions": exceptions.orders,
            "exception_order_ids": exceptions.order_ids,
        }


def describe(summary: BatchSummary) -> str:
    """The states of a batch's orders and the rows that became none, for a log line."""
    states = [f"{count.orders} {count.state.value}" for count in summary.counts] or ["no orders"]
    states += [f"{summary.batch.set_aside} rows set aside"] if summary.batch.set_aside else []
    return ", ".join(states)
