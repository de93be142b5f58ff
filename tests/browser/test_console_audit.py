"""An auditor's day in the browser: the log, one event, a verification, a pack, who did what, and rights."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sat_hook.domain.business_day import business_day
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import read_everywhere
from tests.browser.test_console_new_batch import downloaded

pytestmark = needs_chromium


@pytest.mark.parametrize(
    "path",
    [
        "/audit",
        "/audit?stream={complete}",
        "/audit/acts",
        "/audit/access",
        "/audit/verification",
        "/audit/packs",
        "/audit/rights",
    ],
)
def test_pages_are_readable_everywhere(office: Office, page: Page, path: str) -> None:
    """In both languages, light and dark, on a desk and on a phone."""
    office.log_in(page, "audi")
    read_everywhere(page, office.address(path.format_map(office.batches)))


@pytest.mark.parametrize("kind", ["RowsTakenIn", "BatchQuoted", "OrderSucceeded", "ConsoleSignedIn"])
def test_an_event_is_readable_everywhere(office: Office, page: Page, kind: str) -> None:
    """Whatever its members are."""
    office.log_in(page, "audi")
    event = next(e for e in office.store.read_log(0, 2**62, 10_000) if e.type_name == kind)
    read_everywhere(page, office.address(f"/audit/events/{event.position}"), name=f"event-{kind}")


def test_a_day_of_an_auditor(office: Office, page: Page, tmp_path: Path) -> None:
    """With keys alone: filters the log, keeps an event's link, verifies, asks for a pack, and takes it."""

    def choose(selector: str) -> None:
        page.tab_to(selector)
        page.press("Enter")

    page.set_cookie(office.url, "sat_language", "id")
    page.resize(1280)
    office.log_in(page, "audi")
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))

    # The log, filtered: who took goods, and why.
    page.open(office.address("/"))
    choose("nav a[href$='/audit']")
    page.wait_for_text("Semua yang pernah dicatat")
    page.tab_to("[name=type]")
    while page.evaluate("document.activeElement.value") != "GoodsDelivered":
        page.press("ArrowDown")
    choose("form.filters button:not([type=button])")
    page.wait_for("location.search.includes('type=GoodsDelivered')", "the filtered log")
    page.wait_for_text("Dikirim ke HRD")
    choose("td a[href*='/audit/events/']")
    page.wait_for_text("Digest cocok dengan isinya")
    link = str(page.evaluate("location.href"))
    assert "/audit/events/" in link
    page.wait_for_text("adam")

    # Verify now. The run covers the log with checkpoints first, so the event is proven afterwards.
    page.open(office.address("/audit/verification"))
    choose("main .head button.primary")
    page.wait_for_text("Log utuh")
    page.wait_for("document.querySelectorAll('tbody tr').length > 0", "the recorded verification")
    assert office.runs.audit is not None
    assert office.runs.audit.signer.key_id in page.text()
    page.open(link)
    page.wait_for_text("checkpoint bertanda tangan yang mencakupnya")

    # A pack of today with a reason; its page renews itself until it is written.
    page.open(office.address("/audit/packs"))
    today = business_day(datetime.now(UTC)).isoformat()
    for name in ("since", "until"):
        page.tab_to(f"[name={name}]")
        page.press("a", 2)
        page.type(today)
    page.tab_to("form.card [name=reason]")
    page.type("Audit tahunan 2026")
    choose("form.card button.primary")
    page.wait_for("location.pathname.includes('/audit/packs/X')", "the page of the pack")
    page.wait_for_text("Catat dan unduh")
    choose(".head button.primary")
    with zipfile.ZipFile(downloaded(tmp_path, ".zip")) as pack:
        assert {"cover.html", "manifest.json", "events.jsonl", "verify.py"} <= set(pack.namelist())

    # Who did what, in columns; sign-ins and exports; rights.
    page.open(office.address("/audit/acts?user=audi"))
    for text in ("Mengunduh paket bukti", "Audit tahunan 2026", "Masuk ke konsol", "Memverifikasi log"):
        page.wait_for_text(text)
    assert "konsol atau API" in page.text()
    assert "plugin:" not in page.text()
    page.open(office.address("/audit/access"))
    page.wait_for_text("Mengunduh paket bukti")
    page.wait_for_text("Dikirim ke HRD")
    page.open(office.address("/audit/rights"))
    page.wait_for_text("mengambil voucher dan nomor seri")
    page.wait_for_text("bawaan menurut peran Airflow")


def test_others_see_no_audit(office: Office, page: Page) -> None:
    """No entry in the navigation; the page names the right that is missing."""
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "vera")
    page.open(office.address("/"))
    assert "Log and evidence" not in page.text()
    page.open(office.address("/audit"))
    assert "You lack the right audit" in page.text()
