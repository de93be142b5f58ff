"""The approval of a batch by a second person, as a task that waits for its answer (human in the loop)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, HITLDetailRequestResult

from sat_hook.application.batch_run import BatchRun
from sat_hook.application.run_facts import RunFacts
from sat_hook.application.runs import REJECT
from sat_hook.domain.approval_events import ApprovalTerms
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.rupiah import rupiah
from sat_hook.hooks.ports import task_ports
from sat_hook.hooks.telemetry import name_in_log
from sat_hook.operators.batch import SATBatchOperator
from sat_hook.operators.links import approval_url
from sat_hook.operators.parameters import TIERS, tiers_of
from sat_hook.operators.run_context import facts_of, failing_for_good
from sat_hook.pipeline.approval_request import ApprovalRequest, answers_of
from sat_hook.pipeline.errors import ApprovalTermsChangedError, ApproverRefusedError
from sat_hook.triggers.approval import ANSWERED, SATApprovalTrigger

SHOWN_PRODUCTS = 20


class SATApproveOperator(SATBatchOperator, HITLOperator):
    """Ask people to approve the batch, if the rules require it, and wait for their answers, deferred.

    They may answer in Airflow or in the console.

    Airflow decides who may answer (users who may answer required actions of this DAG). This operator refuses
    the batch's maker. The text of the approving option carries a digest over every order and its price, so
    the API refuses an answer to an older request, and the batch is checked again before the answer counts.

    :param approval_over_rupiah: a batch that costs more in total needs an approval; 0 always, none never
        (templated). ``second_…`` and ``third_…`` ask for two and three people. The account's rules and its
        connection may set them too; the strictest counts.
    :param approve_held: the request includes held orders, and the approval releases them (templated).
    """

    template_fields: Sequence[str] = (
        *SATBatchOperator.template_fields,
        *TIERS,
        "approve_held",
    )

    def __init__(
        self,
        *,
        approval_over_rupiah: int | str | None = None,
        second_approval_over_rupiah: int | str | None = None,
        third_approval_over_rupiah: int | str | None = None,
        approve_held: bool | str = False,
        **kwargs: Any,
    ) -> None:
        # The real text is made when the batch is known.
        super().__init__(subject="Approve a batch of orders", options=[REJECT], **kwargs)
        self.approval_over_rupiah = approval_over_rupiah
        self.second_approval_over_rupiah = second_approval_over_rupiah
        self.third_approval_over_rupiah = third_approval_over_rupiah
        self.approve_held = approve_held

    def execute(self, context: Context) -> Any:
        """Ask for the approval, if the batch needs one."""
        with failing_for_good(self.sat_conn_id):
            return self._ask(self.run_of(facts_of(context)), context)

    def answered(self, context: Context, event: dict[str, Any], terms: dict[str, Any]) -> Any:
        """Check whether the answer counts, and record it under its user's name.

        An answer that was given outside of Airflow is in the log already.
        """
        if "error" in event:
            self.process_trigger_event_error(event)
        facts = facts_of(context)
        with failing_for_good(self.sat_conn_id):
            run = self.run_of(facts)
            if event != ANSWERED:
                self._record(run, event, ApprovalTerms.model_validate(terms), facts)
            return self._ask(run, context)

    def _record(
        self, run: BatchRun, event: Mapping[str, Any], asked_for: ApprovalTerms, facts: RunFacts
    ) -> None:
        """Record an answer that was given in Airflow; one that does not count is only logged.

        :raises ApprovalTermsChangedError: when the batch has changed since it was shown.
        """
        chosen = list(event["chosen_options"])
        if chosen not in ([REJECT], [approving_option(asked_for)]):
            self.log.warning(
                "The answer does not count: it is to something else than what is asked for now, which "
                "Airflow cannot show in this run. Answer in the console."
            )
            return
        answerer = _answered_by(event, facts.provenance)
        try:
            run.answer_approval(asked_for, answerer, approves=chosen != [REJECT])
        except ApproverRefusedError as error:
            self.log.warning("The approval does not count: %s. It is asked for again.", error)
        except ApprovalTermsChangedError as error:
            if run.own_batch().asked_for == asked_for:
                raise
            self.log.warning("Another person's answer came before this one: %s", error)

    def run_of(self, facts: RunFacts) -> BatchRun:
        ports = task_ports(self.sat_conn_id, self.application)
        name_in_log(batch_id=self.batch)
        held_too = str(self.approve_held).strip().lower() == "true"
        return BatchRun(ports, self.batch, facts, tiers_of(self), approve_held=held_too)

    def _ask(self, run: BatchRun, context: Context) -> dict[str, Any]:
        """Ask until as many persons as needed have signed."""
        request = run.ask_approval()
        if request is None:
            batch = run.own_batch()
            if batch.approved is None or batch.approved != batch.asked_for:
                self.log.info("Nothing of batch %s needs an approval.", self.batch)
                return {"approval": "not needed"}
            self.log.info("Batch %s is approved; the last to sign was %s.", self.batch, batch.approver)
            approved = batch.approved
            return {"approval": "given", "orders": approved.orders, "total_rupiah": approved.total_rupiah}
        self._show(request, context)
        ti_id = str(context["ti"].id)
        self.defer(
            trigger=SATApprovalTrigger(
                batch_id=self.batch,
                db_conn_id=self.db_conn_id,
                answers=answers_of(request.batch),
                ti_id=ti_id,
            ),
            method_name="answered",
            kwargs={"terms": request.terms.model_dump()},
            timeout=self.response_timeout,
        )
        raise AssertionError("a deferral is an exception")

    def _show(self, request: ApprovalRequest, context: Context) -> None:
        """Show the request in Airflow, which keeps the first one that it showed for the life of a task."""
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

        self.subject = subject_of(request)
        self.body = body_of(request)
        self.options = [approving_option(request.terms), REJECT]
        shown = SUPERVISOR_COMMS.send(
            CreateHITLDetailPayload(
                ti_id=context["ti"].id,
                options=self.options,
                subject=self.subject,
                body=self.body,
                defaults=None,
                params={},
                multiple=False,
                assigned_users=[],
            )
        )
        if isinstance(shown, HITLDetailRequestResult) and list(shown.options) != self.options:
            self.log.warning(
                "Batch %s has changed since approval was first asked for in this run, and Airflow goes on "
                "showing the older request. Answer in the console, or run the batch again (sat batch run).",
                self.batch,
            )
        for notifier in self.notifiers:
            notifier(context)
        self.log.info("Waiting for an approval: %s", self.subject)


def approving_option(terms: ApprovalTerms) -> str:
    """The text that approves exactly these terms."""
    return f"Approve {terms.orders} orders for Rp {terms.total_rupiah} ({terms.quotes_digest[:16]})"


def subject_of(request: ApprovalRequest) -> str:
    """One line about the request."""
    batch, terms = request.batch, request.terms
    return (
        f"Pay {terms.orders:,} orders for {rupiah(terms.total_rupiah)} from account {batch.account} "
        f"(batch {batch.batch_id})"
    )


def body_of(request: ApprovalRequest) -> str:
    """The request for the approver, as Markdown: sums and digests, no customer's name or number."""
    batch, terms = request.batch, request.terms
    maker = f"user {_plain(request.maker)}" if request.maker else "a service: any approver will do"
    lines = [
        *_way_to_the_console(batch.batch_id),
        "| | |",
        "|---|---|",
        f"| batch | {batch.batch_id} |",
        f"| reference | {_plain(batch.reference)} |",
        f"| file | {_plain(batch.file_name)} |",
        f"| account | {_plain(batch.account)} |",
        f"| submitted by | {maker} |",
        f"| orders to be sent | {terms.orders:,} |",
        f"| total | {rupiah(terms.total_rupiah)} |",
        f"| people who must sign | {batch.persons} |",
        f"| signed by | {', '.join(map(_plain, batch.signers)) or 'no one yet'} |",
        f"| digest of the file | `{terms.digest}` |",
        f"| digest of the quotes | `{terms.quotes_digest}` |",
        "",
        "| product | orders | rupiah |",
        "|---|---:|---:|",
    ]
    dearest = sorted(request.products.items(), key=lambda item: (-item[1][1], item[0]))
    for product, (orders, sum_rupiah) in dearest[:SHOWN_PRODUCTS]:
        lines.append(f"| {_plain(product)} | {orders:,} | {sum_rupiah:,} |")
    if len(dearest) > SHOWN_PRODUCTS:
        rest = dearest[SHOWN_PRODUCTS:]
        orders = sum(count for _, (count, _) in rest)
        lines.append(f"| {len(rest)} others | {orders:,} | {sum(r for _, (_, r) in rest):,} |")
    if request.held:
        lines += ["", "Held orders among them, which your approval releases:", ""]
        lines += [f"- {count:,} held for {_plain(reason)}" for reason, count in sorted(request.held.items())]
    lines += ["", "Only these orders are paid, each up to the price it has now. You must not be the maker."]
    return "\n".join(lines)


def _way_to_the_console(batch_id: str) -> list[str]:
    url = approval_url(batch_id)
    if not url:
        return []
    return [
        f"[Look at it in the console]({url}), which compares it with earlier batches, or answer here.",
        "",
    ]


def _plain(text: str) -> str:
    """Foreign text as inline code, so that it cannot look like ours."""
    return "`" + "".join(c if c.isprintable() and c not in "`|" else "?" for c in text) + "`"


def _answered_by(event: Mapping[str, Any], task: Provenance) -> Provenance:
    """The answering user, as authenticated by Airflow; a service when Airflow names no user."""
    user = event.get("responded_by_user") or {}
    name = str(user.get("name") or user.get("id") or "")
    at = event.get("responded_at")
    when = at.isoformat() if isinstance(at, datetime) else "an unknown time"
    return Provenance(f"user:{name}" if name else task.actor, f"answer at {when} to {task.cause}")
