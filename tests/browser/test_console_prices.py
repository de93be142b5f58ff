"""Prices and notifications in a real browser: read everywhere, compared, downloaded, chosen, acknowledged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sat_hook.domain.alerts import AlertKind
from sat_hook.store.notifications import NotificationBook
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import read_everywhere
from tests.browser.test_console_new_batch import downloaded
from tests.orders import ACCOUNT

pytestmark = needs_chromium


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ("vera", "/prices?since=2020-01-01"),
        ("vera", "/prices/compare?code=25k-xl&code=50k-simpati&code=nothing&since=2020-01-01"),
        ("vera", "/prices/week"),
        ("fina", "/prices/margin"),
        ("vera", f"/products/{ACCOUNT}/50k-simpati"),
        ("carl", "/notifications?seen=true"),
        ("vera", "/notifications"),
    ],
)
def test_pages_are_readable_everywhere(office: Office, page: Page, user: str, path: str) -> None:
    """In both languages, light and dark, on a desk and on a phone."""
    office.log_in(page, user)
    read_everywhere(page, office.address(path))


def test_what_changed_is_found_and_downloaded(office: Office, page: Page, tmp_path: Path) -> None:
    """From the list of changes to the product's picture; the same list as a file."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "vera")
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.open(office.address("/"))
    page.click("nav a", "Prices")
    page.wait_for_text("What changed")
    page.evaluate("document.querySelector('[name=since]').value = '2020-01-01'")
    page.evaluate("document.querySelector('[name=text]').value = '50k-simpati'")
    page.click("form.filters button", "Filter")
    page.wait_for("location.search.includes('text=50k-simpati')", "the filtered changes")
    page.click("a[download]", "CSV")
    assert "50k-simpati" in downloaded(tmp_path, ".csv").read_text("utf-8-sig")
    page.click("td a")
    page.wait_for("!!document.querySelector('main svg.chart')", "the picture of the price")
    assert "Rp" in str(page.evaluate("document.querySelector('main svg.chart').getAttribute('aria-label')"))


def test_a_user_chooses_and_acknowledges(office: Office, page: Page) -> None:
    """The choice is kept for the user; an acknowledged alert leaves the list."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "carl")
    page.open(office.address("/notifications"))
    said = page.evaluate("document.querySelector('td summary').closest('td').innerText")
    assert "An order has no clear end" in said
    assert "SAT does not know the order" not in said, "the recorded text is for support"
    before = int(page.evaluate("document.querySelectorAll('input[data-row]').length"))
    assert before
    page.click("input[data-row]")
    page.write("form [name=reason]", "Sudah ditangani")
    page.click("button[data-needs-rows]")
    page.wait_for(f"document.querySelectorAll('input[data-row]').length === {before - 1}", "one alert less")
    page.write("form.card [name=address]", "carl@example.com")
    page.click(f"form.card input[value={AlertKind.PRICE_JUMP.value}]")
    page.click("form.card input[name=is_digest][value=true]")
    page.click("form.card button.primary", "Keep")
    kept = "document.querySelector('form.card input[name=is_digest][value=true]')?.defaultChecked"
    page.wait_for(kept, "the choice that was kept")
    [choice] = NotificationBook(office.store.database).choices("carl")
    assert (choice.channel, choice.kinds, choice.is_digest) == ("mail", {AlertKind.PRICE_JUMP}, True)
