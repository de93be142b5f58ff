"""The office that pages are tested in: its past, and its runs, which really pay."""

from __future__ import annotations

from sat_hook.application.batch_starts import BatchStarts
from sat_hook.application.rights import Person
from sat_hook.application.runs import BATCH_DAG, RunState
from sat_hook.application.submissions import OrderUpload, Submissions
from sat_hook.domain.batch import BatchState
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.limits import BadRowsPolicy
from tests.browser.office import CONNECTION, Office, RunsOfUser

FILE = b"order_id,product_code,client_number\nX-1,25k-xl,081711000001\nX-2,25k-xl,081711000002\n"


def upload(content: bytes = FILE) -> OrderUpload:
    """A small file for the office's account."""
    return OrderUpload(CONNECTION, "Pulsa kantor.csv", "Pulsa kantor", BadRowsPolicy.PROCEED, content)


def rosa(office: Office) -> Person:
    """The maker."""
    return Person("rosa", office.host.users["rosa"].rights)


def test_past_has_batches_in_every_state(office: Office) -> None:
    """Each batch of the past is what its name says."""
    states = {name: office.line.batch(batch_id).state for name, batch_id in office.batches.items()}
    assert states == {
        "complete": BatchState.COMPLETED,
        "vouchers": BatchState.COMPLETED,
        "held": BatchState.COMPLETED,
        "escalated": BatchState.COMPLETED,
        "withdrawn": BatchState.REFUSED,
        "refused": BatchState.REFUSED,
        "short_of_funds": BatchState.QUOTED,
        "being_paid": BatchState.QUOTED,
        "stopped": BatchState.QUOTED,
        "planned": BatchState.SUBMITTED,
        "waiting_for_approval": BatchState.QUOTED,
    }
    kinds = {
        name: {o.state for o in office.line.orders(key).values()} for name, key in office.batches.items()
    }
    assert kinds["complete"] == {OrderState.SUCCEEDED, OrderState.FAILED, OrderState.REJECTED}
    assert kinds["held"] == {OrderState.SUCCEEDED, OrderState.HELD}
    assert kinds["escalated"] == {OrderState.SUCCEEDED, OrderState.ESCALATED}
    assert kinds["being_paid"] == {OrderState.SUCCEEDED, OrderState.PENDING, OrderState.QUOTED}


def test_checked_and_submitted_file_is_paid_by_its_run(office: Office) -> None:
    """What a page starts ends in paid orders."""
    submissions = Submissions(office.host)
    _, check = submissions.check(upload(), rosa(office))
    assert check is not None
    _, done = submissions.submit(upload(), rosa(office))
    batch_id, run_id = done.submission.batch_id, f"batch_{done.submission.batch_id}"
    runs = RunsOfUser(office.runs, "rosa")
    assert runs.start(BATCH_DAG, run_id, {"batch_id": batch_id, "account": CONNECTION})
    assert not runs.start(BATCH_DAG, run_id, {})
    assert office.wait_for_run(run_id).state is RunState.SUCCESS, office.runs.errors
    assert {o.state for o in office.line.orders(batch_id).values()} == {OrderState.SUCCEEDED}


def test_run_that_waits_goes_on_with_its_approval(office: Office) -> None:
    """The maker's own answer does not count; the checker's does."""
    batch_id = office.batches["waiting_for_approval"]
    run_id = f"batch_{batch_id}"
    RunsOfUser(office.runs, "carl").answer(BATCH_DAG, run_id, "approve", "Approve")
    assert office.wait_for_run(run_id).state is RunState.SUCCESS, office.runs.errors
    assert {o.state for o in office.line.orders(batch_id).values()} == {OrderState.SUCCEEDED}
    assert office.line.batch(batch_id).approver == "carl"


def test_planned_run_can_be_cancelled(office: Office) -> None:
    """A run in the future waits, and is over once it is cancelled; then the batch can be run at once."""
    batch_id = office.batches["planned"]
    run_id = f"batch_{batch_id}"
    assert office.runs.started[run_id].state is RunState.QUEUED
    office.runs.cancel(BATCH_DAG, run_id)
    assert office.runs.started[run_id].state is RunState.FAILED
    again = BatchStarts(office.host).run_rest(batch_id, rosa(office), RunsOfUser(office.runs, "rosa"))
    assert office.wait_for_run(again.run_id).state is RunState.SUCCESS, office.runs.errors
