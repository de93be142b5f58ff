"""The first page of the console in a real browser, and what reads it."""

from __future__ import annotations

import hashlib

from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import AXE, AXE_SHA256, read_everywhere

pytestmark = needs_chromium


def test_axe_is_the_published_one() -> None:
    """The vendored axe-core is byte for byte that of its npm package."""
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256


def test_first_page_is_readable_everywhere(office: Office, page: Page) -> None:
    """In both languages, light and dark, on a desk and on a phone."""
    office.log_in(page, "adam")
    read_everywhere(page, office.address("/"))


def test_run_leads_to_its_batch(office: Office, page: Page) -> None:
    """The tab of a run shows its batch; a run without one says so, readable everywhere."""
    office.log_in(page, "adam")
    batch_id = office.batches["waiting_for_approval"]
    page.open(office.address(f"/runs/bulk_disbursement/batch_{batch_id}"))
    page.wait_for(f"location.pathname.endsWith('/console/batches/{batch_id}')", "page of the batch")
    assert "THR mitra Surabaya" in page.text()
    read_everywhere(page, office.address("/runs/order_recovery/scheduled__2026-11-30T05:00:00+00:00"))
