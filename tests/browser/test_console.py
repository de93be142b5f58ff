"""The first page of the console in a real browser, and what reads it."""

from __future__ import annotations

import hashlib
from contextlib import closing

import requests

from sat_hook.store.callbacks import CallbackTable
from sat_hook.store.database import Database
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import AXE, AXE_SHA256, PHONE, read_everywhere

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


def test_refused_callbacks_are_told_where_the_account_is(office: Office, page: Page) -> None:
    """How many, why and when, beside how callbacks come in. Those to unknown accounts are on the list."""
    with closing(Database(office.database.receiver_dsn, "tests")) as own:
        CallbackTable(own).count_refused(
            {("cabang", "bad_signature"): 12, ("cabang", "no_order"): 1, ("", "unknown_account"): 3}
        )
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "adam")
    page.open(office.address("/accounts"))
    page.wait_for_text("3 callbacks within 24 hours were refused")
    page.open(office.address("/accounts/cabang"))
    page.wait_for_text("13 callbacks were refused within 24 hours. They changed nothing.")
    assert "its signature is missing, or of no key of this account" in page.text()
    read_everywhere(page, office.address("/accounts/cabang"), name="account-refused")
    reply = requests.get(
        f"{office.url}/v1/accounts/cabang", headers={"Authorization": "Bearer adam"}, timeout=30
    )
    refused = [(one["reason"], one["refused"]) for one in reply.json()["callbacks"]["refused"]]
    assert refused == [("bad_signature", 12), ("no_order", 1)]


def test_the_page_s_entry_of_the_navigation_is_in_sight_on_a_phone(office: Office, page: Page) -> None:
    """The navigation is one line there, and longer than the window."""
    office.log_in(page, "adam")
    page.resize(PHONE)
    page.open(office.address("/prices"))
    box = "document.querySelector('.top nav [aria-current]').getBoundingClientRect()"
    page.wait_for(f"{box}.left >= 0 && {box}.right <= {PHONE}", "the entry within the window")
