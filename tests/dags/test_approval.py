"""Approval on a real Airflow: the maker asks, another user answers, and only then is anything sent."""

from __future__ import annotations

import re
import time

import pytest

from sat_hook.domain.identity import batch_id_of
from tests.dags.office import BULK, CHECKER, HEADER, MAKER, VIEWER, Office
from tests.sql import execute


@pytest.fixture(scope="module")
def table_run(office: Office) -> tuple[str, str]:
    """The reference of a table's row, and the run that claims it.

    It comes to its question while the tests deal with other batches.
    """
    mark = int(time.time()) % 10_000_000
    reference = f"table {mark}"
    execute(
        office.settings.application.writer_dsn,
        "INSERT INTO sat.order_intake (account, batch_reference, order_id, product_code, client_number) "
        "VALUES (%s, %s, %s, %s, %s)",
        ("demo", reference, f"T{mark}", "25k-xl", f"0818{mark:08d}"),
    )
    return reference, office.start(BULK, approval_over_rupiah=0)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("table_run")
def test_a_batch_is_sent_once_another_user_has_approved_it(office: Office) -> None:
    """Viewers and makers may not answer, other options are refused; the checker's answer sends.

    Then a held twin is released, not by its maker: the next run asks again, and a rejection in the console
    ends it and its waiting task.
    """
    mark = int(time.time()) % 10_000_000
    twin = f"25k-xl,0817{mark:08d}"
    rows = f"H{mark}-1,{twin}\nH{mark}-2,50k-simpati,0812{mark:08d}\nH{mark}-3,{twin}\n"
    batch_id, run = office.submit(HEADER + rows, approval_over_rupiah=0)
    shown = office.request_of(run)
    [approve, reject] = shown["options"]
    assert approve.startswith("Approve 2 orders for Rp ")
    assert reject == "Reject"
    assert batch_id in shown["subject"]
    assert "`ops`" in shown["body"]
    assert f"{mark:08d}" not in shown["body"], "no client number is shown"
    assert f"/sat/console/approvals/{batch_id})" in shown["body"]
    assert office.states(batch_id) == ["quoted", "quoted", "held"]

    assert office.answer(run, approve, VIEWER).status_code == 403
    assert office.answer(run, "Approve", CHECKER).status_code == 400, "only what is shown can be approved"

    assert office.answer(run, approve, MAKER).status_code == 403
    assert office.states(batch_id) == ["quoted", "quoted", "held"], "nothing was sent"

    office.decide(run, approve, CHECKER, lambda: office.events(batch_id, "BatchApproved"))
    assert office.end_of(run) == "success"
    assert office.states(batch_id) == ["succeeded", "succeeded", "held"]
    paid = office.ask("GET", run).json()["note"]
    assert re.fullmatch(r"orders\.csv: 2 paid \(Rp [0-9,]+\), 1 waiting for a person", paid), paid
    [(actor, approved)] = office.events(batch_id, "BatchApproved")
    assert (actor, approved["approver"], approved["orders"]) == (f"user:{CHECKER}", CHECKER, 2)

    release, meant = f"/sat/v1/batches/{batch_id}/release", {"reason": "two top-ups were meant"}
    own = office.ask("POST", release, MAKER, json=meant)
    assert (own.status_code, own.json()["type"]) == (403, "own_batch")
    reply = office.ask("POST", release, CHECKER, json=meant)
    assert (reply.status_code, reply.json()["decided"]) == (200, 1), reply.text
    again = office.start(BULK, batch_id=batch_id)
    shown = office.request_of(again)
    assert shown["options"][0].startswith("Approve 1 orders")
    reject_in_the_console(office, batch_id)
    assert office.end_of(again) == "success", "the batch is complete, as people wanted it"
    assert office.states(batch_id) == ["succeeded", "succeeded", "rejected"]
    assert [actor for actor, _ in office.events(batch_id, "ApprovalRejected")] == [f"user:{CHECKER}"]


def reject_in_the_console(office: Office, batch_id: str) -> None:
    """The maker is told no; the checker's answer counts, and the console says so."""
    place, in_english = f"/sat/console/approvals/{batch_id}", {"headers": {"accept-language": "en"}}
    page = office.ask("GET", place, MAKER, **in_english).text
    assert "You submitted this batch" in page
    [digest] = set(re.findall(r"digest of what is asked <code>([^<]+)</code>", page))
    answer = {"reason": "not this one", "digest": digest}
    assert office.ask("POST", f"{place}/reject", MAKER, data=answer).status_code == 403
    old = office.ask("POST", f"{place}/reject", CHECKER, data={**answer, "digest": "2:old"})
    assert old.status_code == 409, "what is rejected is what was shown"
    shown = office.ask("POST", f"{place}/reject", CHECKER, data=answer)
    assert shown.status_code == 200, shown.text
    assert office.ask("POST", f"{place}/reject", CHECKER, data=answer).status_code == 409, "once"


@pytest.mark.timeout(900)
def test_who_has_a_table_s_rows_paid_is_their_maker(office: Office, table_run: tuple[str, str]) -> None:
    """Rows have no user; the run that claims them has one. Rejected as a whole, the batch is refused."""
    reference, run = table_run
    shown = office.request_of(run)
    assert "`ops`" in shown["body"]
    assert f"`{reference}`" in shown["body"]
    batch_id = batch_id_of("demo", reference)
    [(actor, _)] = office.events(batch_id, "BatchSubmitted")
    assert actor == f"user:{MAKER}"
    office.decide(run, "Reject", CHECKER, lambda: office.events(batch_id, "BatchRefused"))
    assert office.end_of(run) == "failed"
    assert office.states(batch_id) == ["rejected"]
