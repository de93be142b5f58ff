"""Breaks in a real browser: filtered, read with their evidence, assigned, and explained together."""

from __future__ import annotations

import pytest

from sat_hook.application.decision_worker import DecisionWorker
from sat_hook.domain.breaks import BreakState
from tests.browser.books import BRANCH, OfficeBooks, close_a_day
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import read_answer, read_everywhere

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def books(office: Office) -> OfficeBooks:
    """The closed day of the branch."""
    return close_a_day(office)


def standing(books: OfficeBooks) -> dict[str, BreakState]:
    """The state of each break."""
    folded = books.keeper.books(BRANCH)
    return {name: folded.standing_of(*found) for name, found in folded.newest_breaks().items()}


def test_breaks_are_readable_everywhere(office: Office, page: Page, books: OfficeBooks) -> None:
    """The list, one break, and the page of a decision; in both languages, light and dark, on a phone."""
    office.log_in(page, "fina")
    read_everywhere(page, office.address("/breaks"), name="breaks")
    page.command("Emulation.setEmulatedMedia", media="print")
    printed = page.evaluate(
        "['main td a', 'input[data-row]', 'form button'].map(one => document.querySelector(one))"
        ".map(one => one.checkVisibility())"
    )
    page.command("Emulation.setEmulatedMedia", media="")
    assert printed == [True, False, False], "the rows are printed, what decides about them is not"
    for break_id in standing(books):
        page.open(office.address(f"/breaks/{break_id}"))
    read_everywhere(page, office.address(f"/breaks/{next(iter(standing(books)))}"), name="break")


def test_finance_works_on_breaks(
    office: Office, page: Page, books: OfficeBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filter, open one, read the suggestion, comment; then explain all of them with one reason."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "fina")
    page.open(office.address("/breaks?category=status"))
    page.wait_for_text("the settlement file says otherwise than our ledger")
    assert "an order that our ledger does not know" not in page.text()
    page.click("a", "the settlement file says otherwise than our ledger")
    page.wait_for_text("Evidence side by side")
    page.wait_for_text("A refund is overdue")
    assert "Failed, Rp\u00a052,000" in page.text()
    page.write("[name=text]", "The provider was asked by mail")
    page.click("button", "Write the comment")
    page.wait_for_text("The provider was asked by mail")
    page.click("button", "Explain it so")
    page.wait_for_text("Explain: 1 break")
    page.click("button.primary")
    page.wait_for_text("A refund is overdue. The order was not paid")
    page.open(office.address("/breaks?state=open"))
    page.click("input[data-all]")
    page.wait_for("document.querySelector('[data-count]').textContent === '2'", "count")
    page.click("button[formaction]")
    page.wait_for_text("fina")
    page.click("input[data-all]")
    page.click("button[data-needs-rows]")
    page.wait_for_text("Explain: 2 breaks")
    read_answer(page, "breaks-preview")
    page.write("[name=reason]", "The file of the day was cut")
    with monkeypatch.context() as nothing_works:
        nothing_works.setattr(DecisionWorker, "wake", lambda worker: None)
        page.click("button.primary")
        page.wait_for_text("0 of 2")
        page.wait_for_text("You may close this page")
        read_everywhere(page, page.evaluate("location.href"), name="breaks-under-way")
    # The page renews itself, and what looks at the decision carries it on.
    page.wait_for_text("Done: 2 breaks")
    page.wait_for_text("2 of 2")
    read_everywhere(page, page.evaluate("location.href"), name="breaks-decided")
    page.click("a", "All decisions")
    page.wait_for_text("Decisions about many breaks")
    page.click("a", "Back to the breaks")
    assert set(standing(books).values()) == {BreakState.EXPLAINED}
    page.open(office.address("/breaks"))
    page.click("button[name=everything]")
    page.wait_for_text("None of these breaks can be decided like this.")
    assert "it is so already" in page.text()
    read_answer(page, "breaks-none")
    page.open(office.address("/breaks"))
    page.wait_for_text("3 breaks")


def test_who_only_views_sees_no_break(office: Office, page: Page, books: OfficeBooks) -> None:
    """Neither the list nor a break by its address."""
    del books
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "vera")
    page.open(office.address("/breaks"))
    page.wait_for_text("You lack the right finance")
