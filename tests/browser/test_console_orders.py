"""Orders in a real browser: one is released, one resolved, several decided; goods are delivered."""

from __future__ import annotations

import pytest

from sat_hook.domain.order import Order, OrderState
from sat_hook.store.event_store import OrderSlice, each_order
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.reading import read_answer, read_everywhere

pytestmark = needs_chromium


def orders_of(office: Office, batch: str, state: OrderState) -> list[Order]:
    """The orders of a batch of the past that are in a state."""
    return list(each_order(office.store, OrderSlice(office.batches[batch], (state,))))


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ("carl", "/orders?state=held"),
        ("rosa", "/deliveries/{complete}"),
        ("carl", "/decisions?batch={held}&act=release"),
        ("carl", "/decisions/made"),
    ],
)
def test_pages_are_readable_everywhere(office: Office, page: Page, user: str, path: str) -> None:
    """In both languages, light and dark, on a desk and on a phone."""
    office.log_in(page, user)
    read_everywhere(page, office.address(path.format_map(office.batches)))


@pytest.mark.parametrize(
    ("user", "batch", "state"),
    [
        ("vera", "complete", OrderState.SUCCEEDED),
        ("carl", "escalated", OrderState.ESCALATED),
    ],
)
def test_an_order_is_readable_everywhere(
    office: Office, page: Page, user: str, batch: str, state: OrderState
) -> None:
    """Whatever has become of it, and whatever the person may do."""
    office.log_in(page, user)
    order = orders_of(office, batch, state)[0]
    read_everywhere(page, office.address(f"/orders/{order.request_id}"), name=f"order-{state}")


def test_the_keyboard_releases_an_order(office: Office, page: Page) -> None:
    """The dialog says what will happen, asks for a reason, and closes with Escape."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "carl")
    order = orders_of(office, "held", OrderState.HELD)[0]
    page.open(office.address(f"/orders/{order.request_id}"))
    page.tab_to("button[data-dialog=release]")
    page.press("Enter")
    page.wait_for_text("the next run of its batch pays it")
    page.press("Escape")
    page.wait_for("!document.querySelector('dialog[open]')", "closed dialog")
    page.press("Enter")
    page.wait_for("document.querySelector('dialog[open]') !== null", "dialog")
    page.tab_to("#release [name=reason]")
    page.type("Two different people")
    page.press("Enter")
    page.wait_for_text("Released: Two different people")
    (after,) = office.store.load_orders([order.request_id]).values()
    assert after.state is OrderState.QUOTED


def test_an_unclear_order_is_asked_about_and_resolved(office: Office, page: Page) -> None:
    """SAT still does not know it, so a person decides, and is named in its timeline."""
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "carl")
    (order,) = orders_of(office, "escalated", OrderState.ESCALATED)
    page.open(office.address(f"/orders/{order.request_id}"))
    page.click("button", "Ask SAT now")
    page.write("#recheck [name=reason]", "The customer waits")
    page.click("#recheck button", "Ask SAT now")
    page.wait_for_text("SAT does not know this order.")
    page.wait_for_text("A person had SAT asked: The customer waits")
    page.click("button", "It is not paid")
    page.write("#not-paid [name=reason]", "Checked with SAT by phone")
    page.click("#not-paid button", "It is not paid")
    page.wait_for_text("Decided by a person: not paid. Checked with SAT by phone")
    page.wait_for_text("by carl")
    assert orders_of(office, "escalated", OrderState.ESCALATED) == []


def test_selected_orders_are_decided_together(office: Office, page: Page) -> None:
    """What is selected is counted, shown with its effects, and done once."""
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "carl")
    held = orders_of(office, "held", OrderState.HELD)
    page.open(office.address(f"/batches/{office.batches['held']}?state=held"))
    page.click("input[data-all]")
    page.wait_for(f"document.querySelector('[data-count]').textContent === '{len(held)}'", "count")
    page.click("button[data-needs-rows]")
    page.wait_for_text(f"Release: {len(held)} order")
    read_answer(page, "decision-preview")
    page.write("[name=reason]", "Agreed with the field team")
    page.click("button.primary")
    page.wait_for_text(f"Done: {len(held)} order")
    read_everywhere(page, page.evaluate("location.href"), name="decided")
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    page.open(office.address("/decisions/made"))
    page.click("a", "Release")
    page.wait_for_text(f"Done: {len(held)} order")
    assert orders_of(office, "held", OrderState.HELD) == []


def test_goods_are_delivered_and_the_delivery_is_listed(office: Office, page: Page) -> None:
    """The file comes as a download; the page then says who took it."""
    page.set_cookie(office.url, "sat_language", "en")
    office.log_in(page, "rosa")
    page.open(office.address("/deliveries"))
    page.click("a", "Token listrik gudang.csv")
    page.wait_for_text("These goods were never delivered.")
    page.write("[name=reason]", "For the warehouse")
    page.click("button", "Record and download")

    def is_listed() -> bool:
        page.open(office.address(f"/deliveries/{office.batches['vouchers']}"))
        return "For the warehouse" in page.text()

    assert any(is_listed() for _ in range(20))


def test_arrow_keys_choose_from_a_list_without_sending_it(office: Office, page: Page) -> None:
    """The page and the focus stay; the button beside the list sends it. Space chooses columns."""
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    office.log_in(page, "carl")
    page.open(office.address("/orders"))
    page.tab_to("select[name=state]")
    for _ in range(10):
        page.press("ArrowDown")
    assert page.evaluate("[document.activeElement.name, document.activeElement.value, location.search]") == [
        "state",
        "succeeded",
        "",
    ]
    page.tab_to("summary")
    page.tab_to("details.more:last-of-type summary")
    page.press("Enter")
    page.tab_to("input[name=column][value=charged]")
    page.press(" ")
    page.press("Enter")
    page.wait_for("location.search.includes('state=succeeded')", "filtered orders")
    assert "column=charged" in page.evaluate("location.search")
    page.wait_for("document.querySelector('td[data-name=Charged]') !== null", "chosen column")
