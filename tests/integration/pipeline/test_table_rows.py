"""Rows of the table order_intake: one bad row costs itself, and none is lost with the run that claimed it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.batch import BatchState
from sat_hook.pipeline.alerting import Tell, no_alerts
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.intake import take_in
from sat_hook.pipeline.limits import FILE_LIMITS, BadRowsPolicy, ClaimLimits
from sat_hook.pipeline.results import render_results
from sat_hook.pipeline.submission import Submission
from sat_hook.pipeline.table_intake import free_lost_rows, settle_rows, submit_claimed_rows
from sat_hook.store.alerts import AlertBook
from sat_hook.store.as_of import as_of_now
from sat_hook.store.errors import SpoolError
from sat_hook.store.order_intake import OrderIntake
from sat_hook.store.spool import Spool
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line
from tests.sql import execute

HEADER = "order_id,product_code,client_number"


def fill_in(
    database: ApplicationDatabase, order_id: str, fields: dict[str, str], reference: str | None
) -> None:
    """A row of the table, as a person fills it in."""
    execute(
        database.writer_dsn,
        "INSERT INTO sat.order_intake"
        " (account, batch_reference, order_id, product_code, client_number, fields)"
        " VALUES (%s, %s, %s, '50k-simpati', '081211000001', %s)",
        (ACCOUNT, reference, order_id, json.dumps(fields)),
    )


def claimed(line: Line, claim: str, spool: Spool | None = None, tell: Tell = no_alerts) -> Submission | None:
    """The rows that wait, submitted."""
    return submit_claimed_rows(
        line.store,
        OrderIntake(line.store.database),
        spool or line.spool,
        SystemClock(),
        account=ACCOUNT,
        claim=claim,
        provenance=BY_TEST,
        tell=tell,
    )


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"": "x"}, "bad_field_name", id="no name"),
        pytest.param({"a": "1", " a": "2"}, "bad_field_name", id="the same but for a space"),
        pytest.param({f"f{n}": "1" for n in range(70)}, "bad_field_name", id="too many"),
        pytest.param({"x" * 70_000: "1"}, "bad_field_name", id="too long"),
        pytest.param({"a\nb": "1"}, "bad_field_name", id="two lines"),
        pytest.param({"a": "1" * 200_000}, "too_long", id="giant value"),
        pytest.param({"a;b;c;d;e;f;g;h;i": "1"}, None, id="semicolons are a name"),
        pytest.param({"a|b|c|d|e|f|g|h|i": "1"}, None, id="and so are bars"),
    ],
)
def test_one_bad_row_of_the_table_costs_that_row(
    line: Line, database: ApplicationDatabase, fields: dict[str, str], code: str | None
) -> None:
    """The claim's other rows become orders; the bad one has its reason in the results."""
    fill_in(database, "GOOD-1", {"name": "Budi"}, None)
    fill_in(database, "BAD-1", fields, None)
    submission = claimed(line, "run1")
    assert submission is not None
    batch = take_in(line.handler, line.spool, submission.batch_id, BY_TEST).batch
    assert batch.orders == (2 if code is None else 1)
    text = render_results(as_of_now(line.store), line.spool, submission.batch_id).content.decode("utf-8-sig")
    header, _, bad = csv.reader(io.StringIO(text))
    assert bad[header.index("sat_reason")] == (code or "")


def test_rows_that_cannot_be_submitted_are_released(line: Line, database: ApplicationDatabase) -> None:
    """A reference that names another batch leaves the rows until a person corrects it."""
    line.submit(f"{HEADER}\nINV-1,50k-simpati,081211000001\n".encode(), reference="november")
    fill_in(database, "T-1", {}, "november")
    with pytest.raises(SubmissionRefusedError):
        claimed(line, "run1")
    assert rows_that_wait(line) == ["T-1"]


def test_rows_that_cannot_be_submitted_hold_up_no_others(line: Line, database: ApplicationDatabase) -> None:
    """The run takes the next reference, people are told of the refused ones, and those wait as they are."""
    line.submit(f"{HEADER}\nINV-1,50k-simpati,081211000001\n".encode(), reference="november")
    for order_id, reference in (("T-1", "november"), ("T-2", " \t "), ("T-3", None), ("T-4", "december")):
        fill_in(database, order_id, {}, reference)
    told: list[Alert] = []
    for claim, order_id in (("run1", "T-3"), ("run2", "T-4")):
        told.clear()
        submission = claimed(line, claim, tell=told.extend)
        assert submission is not None
        assert take_in(line.handler, line.spool, submission.batch_id, BY_TEST).batch.orders == 1
        settle_rows(OrderIntake(line.store.database), claim, line.batch(submission.batch_id))
        assert order_id in line.orders(submission.batch_id)
        assert [alert.kind for alert in told] == [AlertKind.INTAKE_ROWS_REFUSED] * 2
    assert "'november'" in told[0].text
    book = AlertBook(line.store.database)
    assert (book.add(told), book.add(told)) == (2, 0)
    with pytest.raises(SubmissionRefusedError, match="november"):
        claimed(line, "run3")
    assert rows_that_wait(line) == ["T-1"]


class _Away:
    """A spool that cannot be reached, or whose writer is stopped."""

    def __init__(self, trouble: BaseException) -> None:
        self._trouble = trouble

    def write(self, name: str, content: bytes) -> str:
        raise self._trouble

    def open(self, uri: str) -> Any:
        raise self._trouble


def rows_that_wait(line: Line) -> list[str]:
    """The order ids that another run would claim; it gives them back."""
    intake = OrderIntake(line.store.database)
    rows = intake.claim(ACCOUNT, "a look", 10)
    intake.release(ACCOUNT, "a look")
    return [row.order_id for row in rows]


def let_the_lease_pass(database: ApplicationDatabase) -> None:
    """Every claim was made long ago."""
    execute(
        database.owner_dsn,
        "UPDATE sat.order_intake SET claimed_at = claimed_at - make_interval(secs => %s)"
        " WHERE claimed_by IS NOT NULL",
        (ClaimLimits().lease_seconds + 1,),
    )


def freed(line: Line) -> list[AlertKind]:
    """What people are told after a round of the janitor."""
    return [alert.kind for alert in free(line, no_alerts)]


def free(line: Line, tell: Tell) -> list[Alert]:
    """A round of the janitor."""
    intake = OrderIntake(line.store.database)
    return free_lost_rows(line.store, intake, ACCOUNT, tell, ClaimLimits(), FILE_LIMITS)


@pytest.mark.parametrize("trouble", [SpoolError("the bucket is away"), SystemExit(143), MemoryError()])
def test_a_run_that_fails_frees_its_rows(
    line: Line, database: ApplicationDatabase, trouble: BaseException
) -> None:
    """Whatever stops it: the next run pays the rows."""
    fill_in(database, "T-1", {}, None)
    with pytest.raises(type(trouble)):
        claimed(line, "run1", _Away(trouble))
    submission = claimed(line, "run2")
    assert submission is not None
    assert take_in(line.handler, line.spool, submission.batch_id, BY_TEST).batch.orders == 1


def test_rows_of_a_killed_run_are_freed_and_told(line: Line, database: ApplicationDatabase) -> None:
    """A claim without a batch is left to its run for a while, then freed, with one alert."""
    fill_in(database, "T-1", {}, None)
    OrderIntake(line.store.database).claim(ACCOUNT, "run1", 10)
    assert freed(line) == []
    assert rows_that_wait(line) == []
    let_the_lease_pass(database)
    assert freed(line) == [AlertKind.INTAKE_ROWS_FREED]
    assert freed(line) == []
    assert rows_that_wait(line) == ["T-1"]


def test_rows_are_freed_only_once_people_are_told(line: Line, database: ApplicationDatabase) -> None:
    """A janitor that dies in between frees and tells in its next round."""
    fill_in(database, "T-1", {}, None)
    intake = OrderIntake(line.store.database)
    intake.claim(ACCOUNT, "run1", 10)
    let_the_lease_pass(database)

    def die(alerts: Sequence[Alert]) -> None:
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        free(line, die)
    assert freed(line) == [AlertKind.INTAKE_ROWS_FREED]
    assert rows_that_wait(line) == ["T-1"]


def test_rows_whose_spooled_file_was_lost_are_freed(line: Line, database: ApplicationDatabase) -> None:
    """A batch that was never read is none; should its run come back, nothing is paid twice."""
    fill_in(database, "T-1", {}, None)
    first = claimed(line, "run1")
    assert first is not None
    let_the_lease_pass(database)
    assert freed(line) == [AlertKind.INTAKE_ROWS_FREED]
    second = claimed(line, "run2")
    assert second is not None
    assert take_in(line.handler, line.spool, second.batch_id, BY_TEST).batch.orders == 1
    settle_rows(OrderIntake(line.store.database), "run2", line.batch(second.batch_id))
    again = claimed(line, "run1")
    assert again is not None
    assert again.batch_id == first.batch_id
    late = take_in(line.handler, line.spool, first.batch_id, BY_TEST).batch
    assert (late.orders, late.set_aside) == (0, 1)


def test_the_next_try_of_a_run_spools_its_rows_again(line: Line, database: ApplicationDatabase) -> None:
    """A spooled file that was lost between two tries is made again from the rows."""
    fill_in(database, "T-1", {}, None)
    first = claimed(line, "run1")
    assert first is not None
    Path(urlsplit(first.spool_uri).path).unlink()
    assert claimed(line, "run1") == Submission(first.batch_id, first.digest, first.spool_uri, is_new=False)
    assert take_in(line.handler, line.spool, first.batch_id, BY_TEST).batch.orders == 1


def test_rows_that_a_batch_took_in_stay_with_it(line: Line, database: ApplicationDatabase) -> None:
    """Also when the run died before it could put that down."""
    intake = OrderIntake(line.store.database)
    for claim, is_settled in (("run1", True), ("run2", False)):
        fill_in(database, f"T-{claim}", {}, None)
        submission = claimed(line, claim)
        assert submission is not None
        batch = take_in(line.handler, line.spool, submission.batch_id, BY_TEST).batch
        if is_settled:
            settle_rows(intake, claim, batch)
    let_the_lease_pass(database)
    assert freed(line) == []
    assert rows_that_wait(line) == []
    intake.release(ACCOUNT, "run1")
    assert rows_that_wait(line) == []


def test_a_refused_batch_frees_its_rows(line: Line, database: ApplicationDatabase) -> None:
    """As a whole it made no order of them: the next run may, once the bad one is mended."""
    fill_in(database, "T-1", {}, None)
    fill_in(database, "=bad", {}, None)
    submission = claimed(line, "run1")
    assert submission is not None
    batch = take_in(line.handler, line.spool, submission.batch_id, BY_TEST, BadRowsPolicy.REFUSE).batch
    assert batch.state is BatchState.REFUSED
    settle_rows(OrderIntake(line.store.database), "run1", batch)
    assert rows_that_wait(line) == ["T-1", "=bad"]
