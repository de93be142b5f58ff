"""Settlement files in a real browser: upload one, build its mapping with the rows live, import it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sat_hook.domain.masking import masked_number
from tests.browser.books import BRANCH, OfficeBooks, close_a_day
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import read_everywhere
from tests.integration.reconciliation.planting import DAY
from tests.integration.reconciliation.test_settlement_uploads import theirs

pytestmark = needs_chromium
NAME = f"provider {DAY.day}.csv"


@pytest.fixture(scope="module")
def books(office: Office) -> OfficeBooks:
    """The books of the branch, with a file that came in the night."""
    return close_a_day(office)


@pytest.fixture(scope="module")
def file(books: OfficeBooks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the provider writes it."""
    path = tmp_path_factory.mktemp("files") / NAME
    path.write_bytes(theirs(books, "good-1", "good-2", "good-3"))
    return path


def test_a_mapping_is_built_with_the_rows_live(
    office: Office, page: Page, books: OfficeBooks, file: Path
) -> None:
    """Choosing the header row offers the columns; the rows follow each change; the file then counts."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "fina")
    page.open(office.address(f"/settlements?account={BRANCH}"))
    page.wait_for_text("settlement-2026-11-02.csv")
    page.upload("[name=file]", file)
    page.click("button", "Upload and look")
    page.wait_for_text("found the columns")
    page.write("[name=header_row]", "3")
    page.click("button", "Use this mapping")
    page.wait_for("document.querySelectorAll('[name=request_id] option').length > 3", "columns")
    for name, value in (
        ("request_id", "ID Transaksi"),
        ("amount_rupiah", "Nilai"),
        ("status", "Status"),
        ("client_number", "No Pelanggan"),
        ("thousands", "."),
        ("decimal", ","),
    ):
        page.evaluate(
            f"(() => {{ const one = document.querySelector('select[name={name}]'); one.value = '{value}'; "
            "one.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )
    page.write("[name=prefix]", "Rp")
    page.write("[name=status_succeeded]", "BERHASIL")
    page.evaluate(
        "document.querySelector('[name=prefix]').dispatchEvent(new Event('change', {bubbles: true}))"
    )
    page.wait_for_text("Can be matched\n3")
    page.wait_for_text(masked_number(books.number("good-1")))
    page.write("[name=save_as]", "Provider")
    page.click("button", "Use this mapping")
    page.wait_for_text("This file replaces them")
    page.click("[name=replaces]")
    page.click("button.primary", "Import")
    page.wait_for_text("replaced by a later file")
    page.open(office.address("/settlements"))
    page.wait_for_text("Mappings kept by name")
    counting = [item.event.name for item in books.keeper.books(BRANCH).settlements_of(DAY.day)]
    assert counting == [NAME]


def test_pages_are_readable_everywhere(office: Office, page: Page, books: OfficeBooks, file: Path) -> None:
    """The list, and an upload whose mapping is being built; in both languages, light and dark, on a phone."""
    assert books.account == BRANCH
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "fina")
    page.open(office.address(f"/settlements?account={BRANCH}"))
    page.upload("[name=file]", file)
    page.click("button", "Upload and look")
    page.wait_for_text("How the file is read")
    address = page.evaluate("location.href")
    read_everywhere(page, address, name="settlement-upload")
    read_everywhere(page, office.address("/settlements"), name="settlements")
