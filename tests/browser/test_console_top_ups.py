"""Top-ups in a real browser: one recorded and taken back, and those of a statement read and recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.books import BRANCH, OfficeBooks, close_a_day
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import read_answer, read_everywhere
from tests.integration.reconciliation.test_top_ups import rises
from tests.unit.reconciliation.test_bank_statement import MT940

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def books(office: Office) -> OfficeBooks:
    """The books of the branch, with a rise of the deposit that no top-up explains."""
    day = close_a_day(office)
    rises(day, 50_000_000, 1)
    return day


def references(books: OfficeBooks) -> dict[str, int]:
    """What is recorded and counts, by reference."""
    found: dict[str, int] = {}
    for entry in books.keeper.books(BRANCH).top_ups:
        key = entry.event.reference
        found[key] = found.get(key, 0) + entry.event.amount_rupiah
    return found


def test_a_top_up_is_recorded_and_taken_back(office: Office, page: Page, books: OfficeBooks) -> None:
    """The amount as people write it; the second entry has a reason, and both stay."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "fina")
    page.open(office.address(f"/topups?account={BRANCH}"))
    page.wait_for_text("Rises of the deposit without a top-up")
    page.write("[name=reference]", "BCA-WRONG")
    page.write("[name=amount]", "5 juta")
    page.evaluate("document.querySelector('[name=credited_at]').value = '2026-11-02T12:00'")
    page.write("[name=reason]", "Weekly transfer")
    page.click("button", "Record")
    page.wait_for_text("Write the amount as whole rupiah")
    page.write("[name=amount]", "5.000.000")
    page.click("button", "Record")
    page.wait_for_text("BCA-WRONG")
    assert references(books) == {"BCA-WRONG": 5_000_000}
    page.click("button", "Reverse")
    page.write("dialog[open] [name=reason]", "A zero too many")
    page.click("dialog[open] button.danger")
    page.wait_for_text("A zero too many")
    assert references(books) == {"BCA-WRONG": 0}


def test_a_statement_is_read_and_its_lines_recorded(
    office: Office, page: Page, books: OfficeBooks, tmp_path: Path
) -> None:
    """MT940: the line of the rise is chosen already; what cannot be read is named."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "fina")
    statement = tmp_path / "rekening.sta"
    statement.write_text(MT940.replace("2611221122D", "2611021102D"))
    page.open(office.address(f"/topups?account={BRANCH}"))
    page.upload("[name=file]", statement)
    page.click("button", "Read the statement")
    page.wait_for_text("SETORAN DEPOSIT SAT")
    page.wait_for_text("Lines that cannot be read")
    page.wait_for("document.querySelector('[data-count]').textContent === '1'", "count")
    read_answer(page, "statement")
    page.write("[name=reason]", "Read from the statement")
    page.click("button.primary")
    page.wait_for_text("1 top-up")
    assert references(books)["BCA-17"] == 50_000_000


def test_pages_are_readable_everywhere(office: Office, page: Page, books: OfficeBooks) -> None:
    """In both languages, light and dark, on a desk and on a phone; for those who only read, too."""
    assert books.account == BRANCH
    for user in ("fina", "adam"):
        office.log_in(page, user)
        read_everywhere(page, office.address("/topups"), name=f"top-ups-{user}")
