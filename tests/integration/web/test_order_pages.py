"""Pages of orders and deliveries: what they show, what they do, and to whom they refuse it."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import openpyxl
import pytest
from fastapi import FastAPI

from sat_hook.application.batch_standing import BatchStanding
from sat_hook.application.rights import Right
from sat_hook.audit.actions import actions_since
from sat_hook.commands.aggregates import VERIFICATIONS
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.decision import Record
from sat_hook.domain.identity import log_id
from sat_hook.domain.log_archives import EventsArchived
from sat_hook.domain.order import OrderState
from sat_hook.presentation.language import Language, Wording
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.app import create_app
from sat_hook.web.console import words
from sat_hook.web.console.batches import words_of_open_orders
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import damage
from tests.integration.web.test_who_did_what import ORDER, fill
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock
from tests.web_host import FakeAccounts, FakeHost, FakeUser

UNKNOWN_ORDER, UNKNOWN_BATCH, UNKNOWN_DECISION = f"S{'A' * 31}", f"B{'A' * 25}", f"L{'A' * 25}"
PAID, HELD, ESCALATED, UNSENT = ORDER[1], ORDER[2], ORDER[4], ORDER[8]
REASON = {"reason": "as agreed with carl"}


class Browser:
    """What a user's browser gets from the console."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.store = host.store()
        outer = FastAPI()
        outer.mount("/sat", create_app(host))
        self._transport = httpx.ASGITransport(outer)

    async def ask(self, method: str, path: str, *rights: Right, **more: Any) -> httpx.Response:
        """A request of a user with these rights; with every right when none is given."""
        self.host.users["rosa"] = FakeUser("rosa", frozenset(rights or Right))
        async with httpx.AsyncClient(
            transport=self._transport,
            base_url="http://test",
            cookies={"_token": "rosa"},
            headers={"sec-fetch-site": "same-origin", "accept-language": "en"},
        ) as client:
            where = f"/sat{path}" if path.startswith("/v1") else f"/sat/console{path}"
            return await client.request(method, where, **more)

    async def decided(self, answer: httpx.Response) -> str:
        """The page of a decision about many orders, at its end; until then it asks for itself."""
        path = answer.headers["location"].removeprefix("/sat/console")
        for _ in range(300):
            page = (await self.ask("GET", path)).text
            if "hx-get" not in page:
                return page
            await asyncio.sleep(0.1)
        raise AssertionError(page)

    def state(self, request_id: str) -> OrderState:
        """Of an order."""
        return self.store.load_orders([request_id])[request_id].state


@pytest.fixture
def browser(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Browser]:
    """An app with orders in many states."""
    store = PostgresEventStore(Database(database.writer_dsn))
    host = FakeHost(store=store, folder=tmp_path)
    host.accounts = FakeAccounts({"x": ACCOUNT})
    fill(store, tmp_path)
    yield Browser(host)
    store.database.close()


READS = (
    "/orders",
    f"/orders/{PAID}",
    "/deliveries",
    f"/deliveries/{BATCH}",
)
ACTS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/orders/search", {"client_number": "0812"}),
    (f"/orders/{HELD}/release", REASON),
    (f"/orders/{HELD}/cancel", REASON),
    (f"/orders/{UNSENT}/withdraw", REASON),
    (f"/orders/{ESCALATED}/resolve", {**REASON, "resolution": "failed"}),
    (f"/orders/{ESCALATED}/recheck", REASON),
    (f"/deliveries/{BATCH}", {**REASON, "format": "csv"}),
)
BULK: tuple[tuple[str, dict[str, str]], ...] = (
    ("/decisions", {"act": "release", "request_id": HELD}),
    ("/decisions/apply", {**REASON, "act": "release", "request_id": HELD, "digest": "0" * 64}),
)


async def test_every_page_and_act_needs_its_right(browser: Browser) -> None:
    """A user who may only view acts on nothing; one without any right sees nothing."""
    for path in READS:
        rights = [Right.FINANCE] if path.startswith("/orders") else [Right.VIEW, Right.DECIDE]
        assert (await browser.ask("GET", path, *rights)).status_code == 403, path
    for path, form in (*ACTS, *BULK):
        assert (await browser.ask("POST", path, Right.VIEW, data=form)).status_code == 403, path
    for path in (
        f"/decisions?act=release&batch={BATCH}",
        "/decisions/made",
        "/orders/export?format=csv",
    ):
        assert (await browser.ask("GET", path, Right.VIEW)).status_code == 403, path
    assert browser.state(HELD) is OrderState.HELD
    assert [act.type_name for act in actions_since(browser.store.database, T0, user="rosa")] == []


async def test_a_batch_without_orders_is_loaded_again_once_it_has_some(browser: Browser) -> None:
    """Only the upper part of the page renews itself, and the table stands below it."""
    part = {"headers": {"hx-request": "true"}}
    empty = await browser.ask("GET", f"/batches/{BATCH}?is_empty=1", **part)
    filled = await browser.ask("GET", f"/batches/{BATCH}", **part)
    assert (empty.headers.get("hx-refresh"), filled.headers.get("hx-refresh")) == ("true", None)


@pytest.mark.parametrize(
    ("standing", "state", "said"),
    [
        (BatchStanding.AWAITING_APPROVAL, OrderState.QUOTED, "not sent yet"),
        (BatchStanding.SHORT_OF_FUNDS, OrderState.PENDING, "being paid"),
        (BatchStanding.PAYING, OrderState.QUOTED, "being paid"),
        (BatchStanding.STOPPED, OrderState.QUOTED, "left to pay"),
        (BatchStanding.COMPLETE, OrderState.SUCCEEDED, "being paid"),
    ],
)
def test_open_orders_are_called_paid_once_one_was_sent(
    standing: BatchStanding, state: OrderState, said: str
) -> None:
    """While a batch waits for an approval, nothing of it is being paid."""
    row = SimpleNamespace(standing=standing, orders={state: 1})
    assert words_of_open_orders(cast("Any", SimpleNamespace(row=row))) == said


async def test_what_does_not_exist_is_not_found(browser: Browser) -> None:
    """For every user; an address that cannot be an id is refused as such."""
    for method, path, form in [
        ("GET", f"/orders/{PAID}", {}),
        ("GET", f"/deliveries/{BATCH}", {}),
        ("GET", f"/decisions/{UNKNOWN_DECISION}", {}),
        *(("POST", path, form) for path, form in ACTS[1:]),
    ]:
        for unknown, status in ((True, 404), (False, 422)):
            order, batch = (UNKNOWN_ORDER, UNKNOWN_BATCH) if unknown else ("1", "1'--")
            where = path.replace(BATCH, batch)
            where = where.replace(UNKNOWN_DECISION, UNKNOWN_DECISION if unknown else "1")
            for request_id in ORDER.values():
                where = where.replace(request_id, order)
            assert (await browser.ask(method, where, data=form)).status_code == status, where


ODD_FORMS = (
    (f"/orders/{HELD}/release", {}),
    (f"/orders/{HELD}/release", {"reason": ""}),
    (f"/orders/{HELD}/release", {"reason": "x" * 501}),
    (f"/orders/{HELD}/pay", REASON),
    (f"/orders/{ESCALATED}/resolve", {**REASON, "resolution": "maybe"}),
    (f"/orders/{ESCALATED}/resolve", REASON),
    ("/orders/search", {"client_number": ""}),
    (f"/deliveries/{BATCH}", {"format": "csv"}),
    (f"/deliveries/{BATCH}", {**REASON, "format": "exe"}),
    ("/decisions", {"request_id": HELD}),
    ("/decisions", {"act": "pay", "request_id": HELD}),
    ("/decisions/apply", {**REASON, "act": "release", "request_id": HELD, "digest": "x"}),
    ("/decisions/apply", {"act": "release", "request_id": HELD, "digest": "0" * 64}),
    (f"/decisions?batch={BATCH}'--", {"act": "release", "everything": "true"}),
)


async def test_an_odd_form_is_refused_and_changes_nothing(browser: Browser) -> None:
    """422 as a page, and no event."""
    for path, form in ODD_FORMS:
        answer = await browser.ask("POST", path, data=form)
        assert (answer.status_code, "<h1>" in answer.text) == (422, True), (path, form)
    assert list(actions_since(browser.store.database, T0, user="rosa")) == []


async def test_an_order_is_shown_with_its_life_and_without_goods(browser: Browser) -> None:
    """In people's words; the request id is at the end, for support."""
    page = await browser.ask("GET", f"/orders/{PAID}")
    assert page.status_code == 200
    assert "Paid, signed by SAT" in page.text
    assert page.text.index("What happened") < page.text.index(f"<code>{PAID}</code>")
    numbers = await browser.ask("GET", f"/orders/{PAID}", Right.VIEW)
    number = browser.store.load_orders([PAID])[PAID].client_number
    assert number in page.text
    assert number not in numbers.text


async def test_an_archived_order_says_so(browser: Browser, database: ApplicationDatabase) -> None:
    """With the command that brings its history back, for people and for programs."""
    month = EventsArchived(
        partition="events_0003",
        first_position=1,
        last_position=9,
        events=9,
        moved_events=9,
        recorded_to=T0,
        uri="file:///archive/month.parquet",
        digest="0" * 64,
        size_bytes=1,
        checkpoint=1,
    )
    CommandHandler(browser.store, ManualClock()).apply_to(VERIFICATIONS, log_id(), Record(month), BY_TEST)
    damage(
        database,
        f"DELETE FROM sat.events WHERE stream = 'order/{PAID}'",
        f"INSERT INTO sat.archived_streams VALUES ('order/{PAID}', 'events_0003')",
    )
    page = await browser.ask("GET", f"/orders/{PAID}")
    assert (page.status_code, "Its history is archived in a file" in page.text) == (409, True)
    assert "sat retention restore events_0003" in page.text
    told = (await browser.ask("GET", f"/v1/orders/{PAID}")).json()
    assert (told["status"], told["type"].rsplit("/")[-1]) == (409, "archived")
    assert PAID in (await browser.ask("GET", "/orders")).text


async def test_who_may_not_decide_is_told_which_right_is_missing(browser: Browser) -> None:
    """And sees no button that would be refused."""
    page = await browser.ask("GET", f"/orders/{HELD}", Right.VIEW)
    assert "You lack the right decide" in page.text
    assert f"/orders/{HELD}/release" not in page.text


async def test_decisions_lead_back_to_the_order(browser: Browser) -> None:
    """And are recorded with the person who decided; a second decision is told that it is too late."""
    for path, form, state in (
        (f"/orders/{HELD}/release", REASON, OrderState.QUOTED),
        (f"/orders/{ESCALATED}/resolve", {**REASON, "resolution": "succeeded"}, OrderState.SUCCEEDED),
        (f"/orders/{UNSENT}/withdraw", REASON, OrderState.CANCELLED),
    ):
        request_id = path.split("/")[2]
        answer = await browser.ask("POST", path, data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sat/console/orders/{request_id}")
        assert browser.state(request_id) is state
    again = await browser.ask("POST", f"/orders/{HELD}/cancel", data=REASON)
    assert (again.status_code, browser.state(HELD)) == (409, OrderState.QUOTED)


async def test_a_number_is_searched_by_a_form_and_recorded(browser: Browser) -> None:
    """It is in no address, neither of the page nor of a link on it."""
    number = browser.store.load_orders([PAID])[PAID].client_number
    page = await browser.ask("POST", "/orders/search", data={"client_number": number})
    assert page.status_code == 200
    assert PAID in page.text
    assert f"={number}" not in page.text
    acts = [act.type_name for act in actions_since(browser.store.database, T0, user="rosa")]
    assert acts == ["ClientNumberSearched"]
    back = await browser.ask("GET", "/orders/search")
    assert (back.status_code, back.headers["location"]) == (303, "/sat/console/orders")


async def test_a_delivery_is_a_file_and_is_listed_afterwards(browser: Browser) -> None:
    """Recorded with its reason; SAT is not asked about an order that was never sent."""
    first = await browser.ask("GET", f"/deliveries/{BATCH}")
    assert "These goods were never delivered." in first.text
    for form, begins in (("csv", b"\xef\xbb\xbforder_id"), ("xlsx", b"PK")):
        file = await browser.ask("POST", f"/deliveries/{BATCH}", data={**REASON, "format": form})
        assert (file.status_code, file.content.startswith(begins)) == (200, True)
        assert f"-goods.{form}" in file.headers["content-disposition"]
    page = await browser.ask("GET", f"/deliveries/{BATCH}")
    assert page.text.count(REASON["reason"]) == 2
    refused = await browser.ask("POST", f"/orders/{UNSENT}/recheck", data=REASON)
    assert (refused.status_code, "never sent, so SAT cannot know it" in refused.text) == (409, True)


async def test_many_orders_are_decided_as_their_preview_said(browser: Browser) -> None:
    """The preview changes nothing; what cannot be decided is listed, also as CSV; then it is done once."""
    selected = {"act": "release", "request_id": [HELD, ORDER[3], PAID, UNKNOWN_ORDER]}
    preview = await browser.ask("POST", "/decisions", data=selected)
    assert "Release: 2 orders" in preview.text
    assert "its state does not allow it" in preview.text
    assert "there is no such order" in preview.text
    assert "data:text/csv;charset=utf-8;base64," in preview.text
    assert browser.state(HELD) is OrderState.HELD
    (digest,) = re.findall(r'name="digest" value="([0-9a-f]{64})"', preview.text)
    decided = await browser.ask("POST", "/decisions/apply", data={**selected, **REASON, "digest": digest})
    assert decided.status_code == 303
    page = await browser.decided(decided)
    assert "Done: 2 orders" in page
    assert "2 could not be decided" in page
    made = await browser.ask("GET", "/decisions/made")
    assert decided.headers["location"] in made.text
    assert {browser.state(HELD), browser.state(ORDER[3])} == {OrderState.QUOTED}
    again = await browser.ask("POST", "/decisions/apply", data={**selected, **REASON, "digest": digest})
    assert again.status_code == 409


async def test_all_that_match_a_filter_are_decided(browser: Browser) -> None:
    """And a decision about nothing, or about a filter that no index serves, is refused."""
    form = {"act": "cancel", "everything": "true"}
    where = f"/decisions?batch={BATCH}&state=held"
    preview = await browser.ask("POST", where, data=form)
    (digest,) = re.findall(r'name="digest" value="([0-9a-f]{64})"', preview.text)
    action = where.replace("/decisions?", "/decisions/apply?")
    decided = await browser.ask("POST", action, data={**form, **REASON, "digest": digest})
    assert "Done: 2 orders" in await browser.decided(decided)
    assert decided.headers["location"].endswith(f"?state=held&batch={BATCH}")
    assert {browser.state(HELD), browser.state(ORDER[3])} == {OrderState.CANCELLED}
    assert browser.state(UNSENT) is OrderState.QUOTED
    refused = await browser.ask("POST", "/decisions", data=form)
    assert refused.status_code == 409
    back = await browser.ask("GET", f"/decisions?batch={BATCH}&state=held")
    assert back.headers["location"] == f"/sat/console/batches/{BATCH}?state=held"


async def test_what_renews_a_batch_page_reads_no_orders(browser: Browser) -> None:
    """The page lists orders; the part that it asks for every few seconds has the figures alone."""
    whole = await browser.ask("GET", f"/batches/{BATCH}")
    part = await browser.ask("GET", f"/batches/{BATCH}", headers={"hx-request": "true"})
    for answer, has_orders in ((whole, True), (part, False)):
        assert (answer.status_code, f"/orders/{PAID}" in answer.text) == (200, has_orders)
        assert all(f'id="{name}"' in answer.text for name in ("now", "standing", "actions"))


async def test_what_matches_leaves_as_a_file_of_text(browser: Browser) -> None:
    """Of a batch or of all; a cell that would run as a formula is text."""
    for where in (f"batch={BATCH}", "state=held", "product=50k-simpati", ""):
        for file_format, begins in (("csv", b"\xef\xbb\xbforder_id,row,file"), ("xlsx", b"PK")):
            file = await browser.ask("GET", f"/orders/export?format={file_format}&{where}")
            assert (file.status_code, file.content.startswith(begins)) == (200, True), where
    file = await browser.ask("GET", "/orders/export?format=csv&state=held")
    assert {HELD in file.text, ORDER[3] in file.text, PAID in file.text} == {True, False}
    unknown = await browser.ask("GET", f"/orders/export?format=csv&batch={UNKNOWN_BATCH}")
    assert unknown.status_code == 404
    assert (await browser.ask("GET", "/orders/export?format=exe")).status_code == 422


async def test_a_workbook_of_orders_is_in_the_persons_language(browser: Browser) -> None:
    """Words in the language, amounts as numbers, long numbers as text; a program gets the usual names."""
    for language, heads in (
        (Language.ENGLISH, ("Order", "State")),
        (Language.INDONESIAN, ("Pesanan", "Status")),
    ):
        said = {*heads, Wording(language).text(words.ORDERS[OrderState.HELD].text)}
        header = {"accept-language": language.value}
        file = await browser.ask("GET", "/orders/export?format=xlsx&state=held", headers=header)
        sheet = openpyxl.load_workbook(io.BytesIO(file.content)).worksheets[0]
        cells = {cell.value: cell for row in sheet.iter_rows() for cell in row}
        assert said <= cells.keys(), cells.keys()
        assert any(isinstance(value, int) and value > 1_000 for value in cells)
        assert all(isinstance(row[2].value, str) for row in sheet.iter_rows())
    plain = await browser.ask("GET", "/v1/orders/export?format=xlsx&state=held")
    sheet = openpyxl.load_workbook(io.BytesIO(plain.content)).worksheets[0]
    assert [cell.value for cell in sheet[1]][:2] == ["order_id", "row"]


async def test_who_took_orders_as_a_file_is_recorded(browser: Browser) -> None:
    """By whom, which orders, and how many rows; a file that was refused leaves nothing."""
    refused = await browser.ask("GET", f"/orders/export?format=csv&batch={BATCH}", Right.VIEW)
    assert refused.status_code == 403
    await browser.ask("GET", "/orders/export?format=xlsx&state=held&least=1.000")
    await browser.ask("GET", f"/v1/orders/export?format=csv&batch_id={BATCH}")
    acts = [
        (act.type_name, act.provenance.actor, json.loads(act.data))
        for act in actions_since(browser.store.database, T0, user="rosa")
    ]
    assert [(name, actor) for name, actor, _ in acts] == [("OrdersExported", "user:rosa")] * 2
    found, whole = acts[0][2], acts[1][2]
    assert found == {
        "account": ACCOUNT,
        "content": "orders",
        "batch_id": None,
        "criteria": {"states": "held", "least_rupiah": "1000"},
        "file_format": "xlsx",
        "rows": 2,
    }
    assert (whole["batch_id"], whole["criteria"], whole["file_format"]) == (BATCH, {}, "csv")
    assert whole["rows"] > 2


async def test_the_columns_of_a_table_are_chosen_and_kept_in_its_links(browser: Browser) -> None:
    """What is shown, how it is sorted and which orders stay the same when one of them changes."""
    usual = await browser.ask("GET", f"/batches/{BATCH}")
    assert 'data-name="Charged"' not in usual.text
    where = f"/batches/{BATCH}?state=held&sort=amount&column=charged&column=reason"
    page = await browser.ask("GET", where)
    for title, is_shown in (("Charged", True), ("Reason", True), ("Product", False), ("State", False)):
        assert (f'data-name="{title}"' in page.text) is is_shown, title
    assert "over a limit" in page.text
    assert f"/batches/{BATCH}?sort=amount&amp;column=reason&amp;column=charged" in page.text  # show all
    everywhere = await browser.ask("GET", "/orders?state=held&column=file&column=account&sort=product")
    assert 'data-name="File"' in everywhere.text
    assert "column=file&amp;column=account" in everywhere.text
    refused = await browser.ask("GET", "/orders?column=password")
    assert refused.status_code == 422


async def test_programs_decide_many_orders_likewise(browser: Browser) -> None:
    """Preview, decision, deliveries and files are routes of the API."""
    body = {"act": "release", "filter": {"batch_id": BATCH, "states": ["held"]}}
    preview = (await browser.ask("POST", "/v1/decisions/preview", json=body)).json()
    assert (preview["orders"], preview["undone"]) == (2, [])
    assert [(one["state"], one["orders"]) for one in preview["by_standing"]] == [("held", 2)]
    body |= {**REASON, "digest": preview["digest"]}
    result = (await browser.ask("POST", "/v1/decisions", json=body)).json()
    assert (result["orders"], result["done"], result["undone"]) == (2, 2, [])
    assert result["ended_at"] is not None
    kept = (await browser.ask("GET", f"/v1/decisions/{result['decision_id']}")).json()
    assert kept == result
    assert (await browser.ask("GET", "/v1/decisions")).json() == [result]
    assert browser.state(HELD) is OrderState.QUOTED
    empty = {"act": "release", "filter": {"batch_id": BATCH, "states": ["held"]}}
    nothing = (await browser.ask("POST", "/v1/decisions/preview", json=empty)).json()
    done = await browser.ask("POST", "/v1/decisions", json={**empty, **REASON, "digest": nothing["digest"]})
    assert (done.status_code, done.json()["done"]) == (200, 0)
    deliverable = (await browser.ask("GET", f"/v1/batches/{BATCH}/deliveries", Right.DELIVER)).json()
    assert (deliverable["paid"], deliverable["earlier"]) == (1, [])
    file = await browser.ask("GET", f"/v1/orders/export?batch_id={BATCH}&format=xlsx")
    assert file.content.startswith(b"PK")
    by_number = await browser.ask("GET", "/v1/orders/export?client_number=0812")
    assert (by_number.status_code, by_number.json()["type"]) == (422, "list_refused")
    unsent = await browser.ask("POST", f"/v1/orders/{UNSENT}/recheck")
    assert (unsent.status_code, unsent.json()["type"]) == (409, "not_possible")
