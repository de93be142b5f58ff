"""The pages of new batch: what they show, what they change, and to whom they refuse it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from sat_hook.application.rights import Right
from sat_hook.web.app import create_app
from tests.orders import ACCOUNT
from tests.pipeline import Line
from tests.web_host import FakeAccounts, FakeHost, FakeUser, LiveConnection

HEADER = "order_id,product_code,client_number\n"
GOOD = HEADER + "A-1,50k-simpati,081211311111\nA-2,50k-simpati,081211311112\n"
BAD = HEADER + "A-1,50k-simpati,081211311111\nA-2,50k-simpti,081211311112\nA-3,50k-simpati,62 812-1131-1113\n"
UNKNOWN = f"D{'A' * 25}"
PAY = {"on_bad_rows": "proceed", "on_short_funds": "wait", "when": "now"}


class Browser:
    """What a person's browser gets from the console."""

    def __init__(self, host: FakeHost, user: str) -> None:
        outer = FastAPI()
        outer.mount("/sat", create_app(host))
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(outer),
            base_url="http://test",
            cookies={"_token": user},
            headers={"sec-fetch-site": "same-origin", "accept-language": "en"},
        )

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer below the console, without following it."""
        return await self._client.request(method, f"/sat/console/new{path}", **more)

    async def upload(self, content: str | bytes, name: str = "orders.csv") -> httpx.Response:
        """A file, as the form sends it."""
        body = content.encode() if isinstance(content, str) else content
        return await self.ask("POST", "", data={"account": ACCOUNT}, files={"file": (name, body)})

    async def draft(self, content: str | bytes, name: str = "orders.csv") -> str:
        """The id of a new draft."""
        answer = await self.upload(content, name)
        assert answer.status_code == 303, answer.text
        return str(re.search(r"/new/(D\w+)/", answer.headers["location"])[1])  # type: ignore[index]

    async def version(self, draft_id: str) -> str:
        """As the page shows it."""
        page = (await self.ask("GET", f"/{draft_id}/rows")).text
        return str(re.search(r'name="version" value="(\d+)"', page)[1])  # type: ignore[index]


@pytest.fixture
def host(line: Line, tmp_path: Path) -> FakeHost:
    """Two people who may submit, and one who may only view."""
    users = FakeUser("mia"), FakeUser("max"), FakeUser("vera", frozenset({Right.VIEW}))
    host = FakeHost(*users, store=line.store, folder=tmp_path / "host")
    host.accounts = FakeAccounts(connections={"sat_default": LiveConnection(line.settings)})
    return host


async def test_a_file_is_checked_and_paid_and_is_known_then(host: FakeHost) -> None:
    """The same file again leads to the batch, and can be given a new reference."""
    mia = Browser(host, "mia")
    draft = await mia.draft(GOOD, "Pulsa.csv")
    page = (await mia.ask("GET", f"/{draft}/rows")).text
    assert "2 rows ready" in page
    paid = await mia.ask("POST", f"/{draft}/pay", data={**PAY, "version": await mia.version(draft)})
    place = paid.headers["location"]
    assert re.search(r"/console/batches/B\w+$", place)
    assert (await mia.ask("GET", f"/{draft}/rows")).headers["location"] == place
    again = await mia.ask("POST", f"/{draft}/pay", data={**PAY, "version": "1"})
    assert again.headers["location"] == place
    assert len(host.airflow.started) == 1
    twin = await mia.draft(GOOD, "Pulsa again.csv")
    page = (await mia.ask("GET", f"/{twin}/rows")).text
    assert "This file was submitted before" in page
    assert place.removeprefix("http://test") in page
    renamed = {"version": await mia.version(twin), "reference": "Pulsa 2"}
    assert (await mia.ask("POST", f"/{twin}/reference", data=renamed)).status_code == 303
    page = (await mia.ask("GET", f"/{twin}/rows")).text
    # Its run has not read the first file yet, so its order ids are not known: only the reference differs.
    assert "2 rows ready" in page


async def test_another_persons_draft_is_not_found(host: FakeHost) -> None:
    """Whatever is asked of it; neither is one that never was, nor an address that cannot be an id."""
    mia, max_ = Browser(host, "mia"), Browser(host, "max")
    draft = await mia.draft(BAD)
    form = {"version": "1", "row": "3", "cell-2": "x", "column": "order_id", "reference": "r", **PAY}
    reads = ("", "/columns", "/rows", "/pay")
    acts = ("/columns", "/check", "/cells", "/set-aside", "/restore", "/reference", "/pay")
    for found, status in ((draft, 404), (UNKNOWN, 404), ("1'--", 422)):
        for path in reads:
            assert (await max_.ask("GET", f"/{found}{path}")).status_code == status, path
        for path in acts:
            assert (await max_.ask("POST", f"/{found}{path}", data=form)).status_code == status, path
    assert draft not in (await max_.ask("GET", "")).text
    await max_.ask("POST", f"/{draft}/discard")
    assert draft in (await mia.ask("GET", "")).text


async def test_without_the_right_nothing_is_read(host: FakeHost) -> None:
    """A viewer is told which right is missing, before the file is read."""
    mia, vera = Browser(host, "mia"), Browser(host, "vera")
    draft = await mia.draft(GOOD)
    for path in ("", f"/{draft}/rows", f"/{draft}/pay"):
        answer = await vera.ask("GET", path)
        assert (answer.status_code, "You lack the right submit." in answer.text) == (403, True)
    assert (await vera.upload(GOOD)).status_code == 403
    assert (await vera.ask("POST", f"/{draft}/pay", data={**PAY, "version": "1"})).status_code == 403


async def test_two_tabs_change_one_cell(host: FakeHost) -> None:
    """The second is told, sees the cell as it is now with what was typed, and loses nothing."""
    mia = Browser(host, "mia")
    draft = await mia.draft(BAD)
    seen = await mia.version(draft)
    first = {"version": seen, "row": "3", "cell-2": "50k-simpati"}
    assert (await mia.ask("POST", f"/{draft}/cells?light=red", data=first)).status_code == 303
    second = await mia.ask("POST", f"/{draft}/cells?light=red", data={**first, "cell-2": "25k-xl"})
    assert second.status_code == 409
    assert "changed in the meantime" in second.text
    assert 'value="25k-xl"' in second.text
    assert second.headers["hx-push-url"] == "false"
    kept = {**first, "version": await mia.version(draft), "cell-2": "25k-xl"}
    assert (await mia.ask("POST", f"/{draft}/cells?light=red", data=kept)).status_code == 303


async def test_rows_of_a_reason_and_of_a_verdict_are_set_aside(host: FakeHost) -> None:
    """All at once, and back again; what was meant is offered; an unchecked change cannot be paid."""
    mia = Browser(host, "mia")
    draft = await mia.draft(BAD)
    page = (await mia.ask("GET", f"/{draft}/rows?light=red")).text
    assert "Use 50k-simpati" in page
    assert "Use 081211311113" in page
    for form, left in (({"reason": "unknown_product"}, "1 set aside"), ({"light": "red"}, "2 set aside")):
        body = {"version": await mia.version(draft), **form}
        assert (await mia.ask("POST", f"/{draft}/set-aside", data=body)).status_code == 303
        assert left in (await mia.ask("GET", f"/{draft}/rows")).text
    early = await mia.ask("POST", f"/{draft}/pay", data={**PAY, "version": await mia.version(draft)})
    assert early.status_code == 409
    back = {"version": await mia.version(draft), "row": ["3", "4"]}
    assert (await mia.ask("POST", f"/{draft}/restore", data=back)).status_code == 303
    assert "0 set aside" in (await mia.ask("GET", f"/{draft}/rows")).text


async def test_odd_bodies_are_refused_as_pages(host: FakeHost) -> None:
    """Empty, no table, no rows, unknown account, no number, a start in the past, a body that is too large."""
    mia = Browser(host, "mia")
    for content, said in ((b"", "no rows"), (HEADER.encode(), "no rows"), (b"PK\x03\x04junk", "workbook")):
        answer = await mia.upload(content)
        assert (answer.status_code, said in answer.text) == (422, True), content
    nothing = await mia.ask("POST", "", data={"account": ACCOUNT})
    assert nothing.status_code == 422
    elsewhere = await mia.ask("POST", "", data={"account": "nowhere", "pasted": GOOD})
    assert elsewhere.status_code == 422
    odd = await mia.ask("POST", "", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert odd.status_code == 400
    large = {"content-length": str(10**12), "content-type": "multipart/form-data; boundary=x"}
    assert (await mia.ask("POST", "", content=b"", headers=large)).status_code == 413
    draft = await mia.draft(GOOD, "../../etc/\x00 passwd.csv")
    form = {"version": await mia.version(draft), "row": "99", "cell-2": "x"}
    assert (await mia.ask("POST", f"/{draft}/cells", data=form)).status_code == 422
    assert (await mia.ask("POST", f"/{draft}/cells", data={**form, "row": "one"})).status_code == 422
    form = {**PAY, "version": form["version"], "when": "later"}
    for start in ("", "2020-01-01T08:00", "soon"):
        refused = await mia.ask("POST", f"/{draft}/pay", data={**form, "start_at": start})
        assert (refused.status_code, "within 30 days" in refused.text) == (422, True)
    wrong = await mia.ask("POST", f"/{draft}/columns", data={"version": form["version"], "column": "x"})
    assert wrong.status_code == 422
    assert not host.airflow.started
