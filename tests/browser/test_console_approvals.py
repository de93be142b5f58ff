"""Approvals in a real browser: the whole answer, an answer in part, a rejection, and who may not answer."""

from __future__ import annotations

from itertools import count

import pytest

from sat_hook.application.approvals import Approvals
from sat_hook.application.rights import Person
from sat_hook.application.runs import RunState
from sat_hook.domain.order import OrderState
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.past import ask_for_approval
from tests.browser.reading import DESK, read_everywhere

pytestmark = needs_chromium

NUMBERS = count(1)


def waiting(office: Office, name: str, orders: int = 6) -> str:
    """A batch of rosa's over the account's limit, for numbers of its own."""
    group = next(NUMBERS)
    rows = "".join(f"{name}-{n},pln-prepaid-token-100k,5300{group:03}{n:04}\n" for n in range(1, orders + 1))
    rows += f"{name}-S,50k-simpati,08123{group:03}0000\n"
    return ask_for_approval(office, f"{name}.csv", rows)


def states(office: Office, batch_id: str) -> dict[str, OrderState]:
    """How its orders stand."""
    return {order.order_id: order.state for order in office.line.orders(batch_id).values()}


def approve_as(office: Office, batch_id: str, user: str) -> None:
    """Another person's answer, given elsewhere at the same time."""
    terms = office.line.batch(batch_id).asked_for
    assert terms is not None
    person = Person(user, office.host.users[user].rights)
    Approvals(office.host).approve(batch_id, terms.quotes_digest, person)


@pytest.fixture
def english(office: Office, page: Page) -> Page:
    """The browser on a desk, in English, with carl, who approves."""
    page.resize(DESK)
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "carl")
    return page


def test_approvals_are_readable_everywhere(office: Office, page: Page) -> None:
    """The list, a batch that waits, and several together; also for those who may not sign."""
    batch_id = office.batches["waiting_for_approval"]
    office.log_in(page, "carl")
    read_everywhere(page, office.address("/approvals"))
    read_everywhere(page, office.address(f"/approvals/{batch_id}"))
    several = f"/approvals/several?batch_id={batch_id}"
    read_everywhere(page, office.address(several))
    for user in ("rosa", "vera"):
        office.log_in(page, user)
        read_everywhere(page, office.address(f"/approvals/{batch_id}"), name=f"approval-{user}")


def test_maker_and_viewer_are_told_why_they_cannot_sign(office: Office, english: Page) -> None:
    """And by whom the batch can be approved; no button is offered."""
    batch_id = office.batches["waiting_for_approval"]
    for user, said in (
        ("rosa", "You submitted this batch, so you cannot approve it"),
        ("vera", "The right approve is held by carl, adam."),
    ):
        office.log_in(english, user)
        english.open(office.address(f"/approvals/{batch_id}"))
        assert said in english.text()
        assert "rosa asks to pay 15 orders for Rp\u00a0931,500 from account demo." in english.text()
        assert not english.evaluate("[...document.querySelectorAll('main button')].length")


def test_approval_in_part_pays_the_rest_and_holds_what_is_left_out(office: Office, english: Page) -> None:
    """A row and a product are left out for a reason; the run goes on by itself with the others."""
    batch_id = waiting(office, "Token cabang")
    english.open(office.address(f"/approvals/{batch_id}"))
    english.wait_for("window.htmx", "htmx")
    english.click('input[name=product][value="50k-simpati"]')
    english.wait_for_text("You leave out 1 order ")
    english.click("input[name=row]")
    english.wait_for_text("You leave out 2 orders ")
    assert "You approve 5 orders for Rp\u00a0512,500" in english.text()
    english.write("#why", "Nomor belum dicek")
    english.click("button.primary", "Approve without the 2 left out")
    english.wait_for_text("You approved 5 orders")
    assert office.wait_for_run(f"batch_{batch_id}").state is RunState.SUCCESS, office.runs.errors
    after = states(office, batch_id)
    held = {name for name, state in after.items() if state is OrderState.HELD}
    assert held == {"Token cabang-1", "Token cabang-S"}
    assert set(after.values()) == {OrderState.HELD, OrderState.SUCCEEDED}
    english.wait_for_text("complete")


def test_rejection_by_keyboard_ends_the_batch(office: Office, english: Page) -> None:
    """The dialog asks for a reason; nothing is paid and the run ends."""
    batch_id = waiting(office, "Token gudang")
    english.open(office.address(f"/approvals/{batch_id}"))
    english.tab_to("button[data-dialog=reject]")
    english.press("Enter")
    english.wait_for("document.querySelector('#reject').open", "dialog")
    english.tab_to("dialog input[name=reason]")
    english.type("Daftar nomor lama")
    english.press("Enter")
    english.wait_for_text("You rejected this batch")
    assert office.wait_for_run(f"batch_{batch_id}").state is RunState.FAILED
    assert set(states(office, batch_id).values()) == {OrderState.REJECTED}


def test_of_two_people_at_once_one_wins(office: Office, english: Page) -> None:
    """The other is told that another answer came first, and whose; nothing of theirs is recorded."""
    batch_id = waiting(office, "Token toko")
    english.open(office.address(f"/approvals/{batch_id}"))
    approve_as(office, batch_id, "adam")
    english.click("button.primary", "Approve")
    english.wait_for_text("Another answer came before yours")
    assert "adam approved 7 orders" in english.text()
    assert office.line.batch(batch_id).approver == "adam"
    assert office.wait_for_run(f"batch_{batch_id}").state is RunState.SUCCESS, office.runs.errors


def test_answer_to_an_older_question_is_asked_again(office: Office, english: Page) -> None:
    """What was signed is named by its digest: after a change the page says what it was and what it is now."""
    batch_id = waiting(office, "Token kios")
    english.open(office.address(f"/approvals/{batch_id}"))
    english.evaluate(
        "document.querySelector('input[name=digest]').value = '2:older';"
        "document.querySelector('input[name=orders]').value = 9"
    )
    english.click("button.primary", "Approve")
    english.wait_for_text("then 9 orders for")
    assert "now 7 orders for" in english.text()
    assert office.line.batch(batch_id).approved is None


def test_several_are_signed_together_each_by_itself(office: Office, english: Page) -> None:
    """One that another person rejected meanwhile is listed as not approved; the others are approved."""
    first, second = waiting(office, "Token utara"), waiting(office, "Token selatan")
    english.open(office.address("/approvals"))
    for batch_id in (first, second):
        english.click(f"input[name=batch_id][value={batch_id}]")
    english.click("main form button")
    english.wait_for_text("Approve 2 batches")
    shown, adam = office.line.batch(first).asked_for, Person("adam", office.host.users["adam"].rights)
    assert shown is not None
    Approvals(office.host).reject(first, shown.quotes_digest, "Dua kali", adam)
    english.click("button.primary", "Approve 2 batches")
    english.wait_for_text("Back to the approvals")
    said = english.text()
    assert "Not approved: it has changed, or another person answered first." in said
    assert "Approved. Its payment goes on." in said
    assert office.line.batch(second).approver == "carl"
    assert office.line.batch(first).approved is None
    assert office.wait_for_run(f"batch_{second}").state is RunState.SUCCESS, office.runs.errors
