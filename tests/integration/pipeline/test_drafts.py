"""Drafts: what a person uploads is mapped, mended and checked, and becomes the batch that was shown."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sat_hook.application import drafts as application
from sat_hook.domain.batch_events import BatchStartPlanned, OrderFileMended
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import batch_id_of, digest_of
from sat_hook.pipeline import draft as pipeline_draft
from sat_hook.pipeline.intake import take_in
from sat_hook.web.app import create_app
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line
from tests.web_host import FakeAccounts, FakeHost, FakeUser, LiveConnection
from tests.workbooks import book_of

HEADER = "order_id,product_code,client_number\n"
FIRST = HEADER + "A-1,50k-simpati,081211311111\n"


@dataclass
class Desk:
    """The app over a line, and what people do there."""

    line: Line
    host: FakeHost
    app: FastAPI

    async def ask(self, method: str, path: str, user: str = "mia", **more: Any) -> httpx.Response:
        """A request below ``/v1``."""
        transport, token = httpx.ASGITransport(self.app), {"authorization": f"Bearer {user}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=token) as client:
            return await client.request(method, f"/v1{path}", **more)

    async def did(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The answer to a request that succeeds."""
        answer = await self.ask(method, path, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def take_in(self, batch_id: str) -> None:
        """What the run's first task does."""
        take_in(self.line.handler, self.host.submissions(), batch_id, BY_TEST)

    async def upload(self, content: bytes, name: str = "orders.csv") -> dict[str, Any]:
        """A new draft."""
        return await self.did("POST", f"/drafts?account=sat_default&file_name={name}", content=content)

    async def change(self, draft: dict[str, Any], what: str, **body: Any) -> dict[str, Any]:
        """A change of the draft as it was last seen."""
        path = f"/drafts/{draft['draft_id']}/{what}"
        return await self.did("POST", path, json={"version": draft["version"], **body})

    async def check(self, draft: dict[str, Any]) -> dict[str, Any]:
        """The draft with the outcome of a check."""
        return await self.did("POST", f"/drafts/{draft['draft_id']}/check")

    async def rows(self, draft: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        """The rows of a page."""
        page = await self.did("GET", f"/drafts/{draft['draft_id']}/rows{query}")
        found: list[dict[str, Any]] = page["rows"]
        return found


@pytest.fixture
def desk(line: Line, tmp_path: Path) -> Desk:
    """Two people who may submit, and one who may not."""
    users = FakeUser("mia"), FakeUser("max"), FakeUser("vera", frozenset())
    host = FakeHost(*users, store=line.store, folder=tmp_path / "host")
    host.accounts = FakeAccounts(connections={"sat_default": LiveConnection(line.settings)})
    return Desk(line, host, create_app(host))


SHEET = book_of(
    (
        "Pesanan",
        [
            ("No Order", "Kode Produk", "Ponsel", "Kode Cabang"),
            ("A-1", "50k-simpati", "081211311111", "JKT"),
            ("A-2", "50k-simpati", 81211311112, "JKT"),
            ("A-3", "50k-simpti", "081211311113", "BDG"),
            ("A-4", "50k-simpati", "081211311111", "BDG"),
            ("A-5", "pln-postpaid", "532110000001", "BDG"),
            ("A-6", "50k-simpati", None, "SBY"),
        ],
    ),
    ("Lama", [("x",)]),
)


async def test_a_workbook_is_mapped_mended_checked_and_paid_later(desk: Desk) -> None:
    """What is spooled is what was shown; the log says who changed what; nothing is recorded before."""
    draft = await desk.upload(SHEET, "pesanan.xlsx")
    assert draft["unknown_titles"] == ["Ponsel", "Kode Cabang"]
    assert (draft["facts"]["sheet"], draft["facts"]["other_sheets"]) == ("Pesanan", ["Lama"])
    refused = await desk.ask("POST", f"/drafts/{draft['draft_id']}/check")
    assert refused.status_code == 422
    assert "'Ponsel'" in refused.json()["detail"]
    columns = ["order_id", "product_code", "client_number", "note:Cabang"]
    draft = await desk.change(draft, "columns", columns=columns, save_as="Cabang")
    draft = await desk.check(draft)
    assert draft["is_checked"]
    assert [(row["row_number"], row["light"]) for row in await desk.rows(draft)] == [
        (2, "green"),
        (3, "red"),
        (4, "red"),
        (5, "amber"),
        (6, "amber"),
        (7, "red"),
    ]
    red = await desk.rows(draft, "?light=red")
    found = [(row["findings"][0]["code"], row["findings"][0]["column"]) for row in red]
    assert found == [
        ("lost_zeros", "client_number"),
        ("unknown_product", "product_code"),
        ("missing_client_number", "client_number"),
    ]
    assert red[1]["findings"][0]["parameters"]["nearest"] == "50k-simpati"
    (held, bill) = await desk.rows(draft, "?light=amber")
    assert held["findings"][0]["code"] == "business_duplicate"
    assert held["findings"][0]["parameters"]["row"] == 2
    assert bill["findings"][0]["code"] == "bill_without_price"
    assert {"green": 1, "amber": 2, "red": 3}.items() <= draft["check"].items()
    afterwards = draft["check"]["free_rupiah"] - draft["check"]["total_rupiah"]
    assert draft["check"]["deposit_afterwards_rupiah"] == afterwards
    edits = [(3, 3, "081211311112"), (4, 2, "50k-simpati")]
    draft = await desk.change(draft, "cells", edits=edits)
    assert not draft["is_checked"]
    draft = await desk.change(draft, "set-aside", rows=[5, 7])
    draft = await desk.check(draft)
    assert {"green": 3, "amber": 1, "red": 0}.items() <= draft["check"].items()
    (changed, *_) = await desk.rows(draft, "?light=green&after=1")
    assert (changed["cells"][2], changed["changed"]) == ("081211311112", [3])
    bad = await desk.ask("GET", f"/drafts/{draft['draft_id']}/bad-rows")
    lines = bad.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "No Order,Kode Produk,Ponsel,Kode Cabang,sat_reason,sat_message"
    assert len(lines) == 3
    assert desk.line.store.close_position() == 0

    start = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    draft = await desk.change(draft, "options", options={"start_at": start, "on_short_funds": "partial"})
    done = await desk.change(draft, "submit")
    again = await desk.change({**draft, "version": draft["version"] + 1}, "submit")
    assert (done["is_new"], again["is_new"], again["batch_id"]) == (True, False, done["batch_id"])
    run = desk.host.airflow.started[done["run_id"]]
    assert run.run_after == datetime.fromisoformat(start)
    assert run.conf["on_short_funds"] == "partial"
    stream = StreamId(StreamKind.BATCH, done["batch_id"])
    recorded = desk.line.store.read_stream(stream)
    assert {one.provenance.actor for one in recorded} == {"user:mia"}
    _, mended, planned = [one.event for one in recorded]
    assert isinstance(mended, OrderFileMended)
    assert mended.upload_digest == digest_of(SHEET)
    assert [(one.row_number, one.column, one.cell_after) for one in mended.cell_changes] == [
        (3, "client_number", "081211311112"),
        (4, "product_code", "50k-simpati"),
    ]
    assert [(one.title, one.column) for one in mended.columns] == [
        ("Ponsel", "client_number"),
        ("Kode Cabang", "note:cabang"),
    ]
    assert mended.left_out == "5,7"
    assert isinstance(planned, BatchStartPlanned)
    desk.take_in(done["batch_id"])
    orders = desk.line.orders(done["batch_id"])
    assert {key: order.row_number for key, order in orders.items()} == {
        "A-1": 2,
        "A-2": 3,
        "A-3": 4,
        "A-5": 6,
    }
    known = await desk.upload(SHEET, "pesanan.xlsx")
    assert (known["mapping"], known["unknown_titles"]) == ("Cabang", [])
    named = {"json": {"name": "Cabang"}}
    assert (await desk.ask("POST", "/column-mappings/delete?account=demo", **named)).status_code == 204
    assert (await desk.ask("GET", "/column-mappings?account=demo")).json() == []


async def test_an_untouched_csv_file_is_submitted_byte_for_byte(desk: Desk) -> None:
    """It is the batch that the command would have made, and its record names no mending."""
    draft = await desk.upload(FIRST.encode())
    done = await desk.change(draft, "submit")
    assert done["batch_id"] == batch_id_of(ACCOUNT, digest_of(FIRST.encode()))
    events = desk.line.store.read_stream(StreamId(StreamKind.BATCH, done["batch_id"]))
    assert [one.type_name for one in events] == ["BatchSubmitted"]
    repeated = await desk.check(await desk.upload(FIRST.encode()))
    assert repeated["check"]["known_batch"]["batch_id"] == done["batch_id"]


async def test_a_row_of_an_earlier_batch_is_told_with_who_and_when(desk: Desk) -> None:
    """The same order id is not paid again; the same payment under another id would be held."""
    batch_id = (await desk.change(await desk.upload(FIRST.encode(), "maret.csv"), "submit"))["batch_id"]
    desk.take_in(batch_id)
    draft = await desk.check(await desk.upload((FIRST + "B-1,5k-xl,0817123456\n").encode()))
    (known,) = await desk.rows(draft, "?light=amber")
    finding = known["findings"][0]
    assert (finding["code"], finding["standing"]) == ("already_submitted", "already_known")
    assert finding["parameters"]["maker"] == "mia"
    assert finding["parameters"]["file_name"] == "maret.csv"
    assert finding["parameters"]["submitted_at"][:10] == f"{datetime.now(UTC):%F}"


async def test_two_people_and_two_windows_do_not_overwrite_each_other(desk: Desk) -> None:
    """A stale change is a conflict; another person's draft does not exist; a submitted one is closed."""
    draft = await desk.upload(FIRST.encode())
    path = f"/drafts/{draft['draft_id']}"
    await desk.change(draft, "cells", edits=[(2, 1, "A-9")])
    for what, body in (
        ("cells", {"edits": [(2, 1, "A-8")]}),
        ("columns", {"columns": ["order_id", "product_code", "client_number"]}),
        ("set-aside", {"rows": [2]}),
        ("submit", {}),
    ):
        answer = await desk.ask("POST", f"{path}/{what}", json={"version": draft["version"], **body})
        assert (answer.status_code, answer.json()["type"]) == (409, "draft_changed"), what
    for method, what in (("GET", ""), ("GET", "/rows"), ("POST", "/check"), ("GET", "/bad-rows")):
        assert (await desk.ask(method, path + what, user="max")).status_code == 404
    assert (await desk.ask("POST", f"{path}/discard", user="max")).status_code == 204
    assert (await desk.ask("GET", "/drafts", user="max")).json() == []
    assert (await desk.ask("GET", "/drafts", user="vera")).status_code == 403
    seen = await desk.did("GET", path)
    await desk.change(seen, "submit")
    closed = await desk.did("GET", path)
    answer = await desk.ask("POST", f"{path}/cells", json={"version": closed["version"], "edits": []})
    assert answer.status_code == 409
    assert (await desk.ask("POST", f"{path}/discard")).status_code == 204
    assert (await desk.ask("GET", path)).status_code == 404


async def test_drafts_are_bounded_and_do_not_stay(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, in changes, in age and in the time until they start."""
    monkeypatch.setattr(application, "MAXIMUM_DRAFTS", 2)
    monkeypatch.setattr(pipeline_draft, "MAXIMUM_CHANGES", 2)
    draft = await desk.upload(FIRST.encode())
    await desk.upload(FIRST.encode())
    path = f"/drafts/{draft['draft_id']}"
    full = await desk.ask("POST", "/drafts?account=sat_default", content=FIRST.encode())
    assert "2 drafts" in full.json()["detail"]
    for what, body, words in (
        ("cells", {"edits": [(2, 1, text) for text in ("x", "y", "z")]}, "more than 2 changed cells"),
        ("cells", {"edits": [(3, 1, "x")]}, "no such cell"),
        ("cells", {"edits": [(2, 1, "x" * 300)]}, "300 characters"),
        ("columns", {"columns": ["order_id"]}, "found 1 columns; expected 3"),
        ("columns", {"columns": ["order_id", "ordr", "note:x"]}, "'ordr'"),
        ("options", {"options": {"start_at": "2020-01-01T00:00:00Z"}}, "within 30 days"),
    ):
        answer = await desk.ask("POST", f"{path}/{what}", json={"version": 1, **body})
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text
    with desk.line.store.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE sat.order_drafts SET changed_at = now() - interval '8 days'")
    await desk.upload(FIRST.encode())
    assert len((await desk.ask("GET", "/drafts")).json()) == 1
    with desk.line.store.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sat.order_draft_parts")
        assert cursor.fetchone() == (2,)


async def test_rows_of_a_long_draft_are_paged_by_light(desk: Desk) -> None:
    """Pasted rows, over several parts; each page continues where the one before ended."""
    lines = [f"A-{n}\t{'50k-simpati' if n % 3 else 'nope'}\t0812{n:08d}" for n in range(2_400)]
    text = "\n".join(["No Order\tKode Produk\tNo HP", *lines])
    draft = await desk.did("POST", "/drafts/paste?account=sat_default", content=text.encode())
    draft = await desk.check(draft)
    assert (draft["check"]["red"], draft["check"]["rows"]) == (800, 2_400)
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        query = f"/drafts/{draft['draft_id']}/rows?light=red&limit=300&after={after}"
        page = await desk.did("GET", query)
        seen += [row["row_number"] for row in page["rows"]]
        assert all(row["findings"][0]["code"] == "unknown_product" for row in page["rows"])
        after = page["next_after"]
    assert seen == list(range(2, 2_402, 3))
    draft = await desk.change(draft, "set-aside", light="red")
    assert len(await desk.rows(draft, "?light=red&limit=5")) == 5
    draft = await desk.check(draft)
    assert (draft["check"]["rows"], draft["check"]["red"]) == (1_600, 0)
    assert [row["light"] for row in await desk.rows(draft, "?light=left_out&limit=2")] == ["left_out"] * 2
    draft = await desk.change(draft, "restore", rows=[2, 5])
    assert (await desk.rows(draft, "?limit=1"))[0]["light"] != "left_out"


async def test_a_workbook_submitted_by_the_command_is_the_same_order_file(desk: Desk) -> None:
    """One way of reading, whichever way it came; a column that needs a hand is refused with its title."""
    book = book_of(("a", [("No Order", "Kode Produk", "No HP"), ("A-1", "50k-simpati", "081211311111")]))
    query = "?account=sat_default&file_name=a.xlsx"
    checked = await desk.did("POST", f"/batches/check{query}", content=book)
    assert (checked["rows"], checked["payable"]) == (1, 1)
    sent = await desk.did("POST", f"/batches{query}", content=book)
    done = await desk.change(await desk.upload(book, "a.xlsx"), "submit")
    assert (done["batch_id"], done["is_new"]) == (sent["batch_id"], False)
    refused = await desk.ask("POST", f"/batches{query}", content=SHEET)
    assert refused.status_code == 422
    assert "'Ponsel'" in refused.json()["detail"]


async def test_templates_are_order_files(desk: Desk) -> None:
    """Filled in, they are read without a mapping; a workbook has the products to choose from."""
    import openpyxl

    csv = await desk.ask("GET", "/order-templates/csv")
    assert csv.content.decode("utf-8-sig").startswith("order_id,product_code,client_number")
    answer = await desk.ask("GET", "/order-templates/xlsx?account=sat_default")
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert book.sheetnames == ["Orders", "Products", "Petunjuk - Instructions"]
    codes = [cell.value for cell in book["Products"]["A"]]
    assert "50k-simpati" in codes
    (validation,) = book["Orders"].data_validations.dataValidation
    assert f"$A${len(codes)}" in validation.formula1
    sheet = book["Orders"]
    sheet.append(["A-1", "50k-simpati", "081211311111", "", "", "contoh"])
    assert sheet["C2"].number_format in ("@", "General")
    filled = io.BytesIO()
    book.save(filled)
    draft = await desk.check(await desk.upload(filled.getvalue(), "order-template.xlsx"))
    assert (draft["unknown_titles"], draft["check"]["green"]) == ([], 1)
