"""The routes of the books: what a request may hold, before the database is asked."""

from __future__ import annotations

import httpx
import pytest

from sat_hook.web.app import create_app
from tests.web_host import FakeHost, FakeUser, UntouchedError


@pytest.mark.parametrize("amount", [1000.0, 1000.5, "1000", "1.000", True, 0, -1, None])
async def test_an_amount_is_a_whole_number_of_rupiah(amount: object) -> None:
    """Neither a float nor a text nor a truth is turned into money."""
    asked = {
        "amount_rupiah": amount,
        "reference": "BCA-1",
        "credited_at": "2026-11-22T09:14:00+07:00",
        "reason": "weekly transfer",
    }
    transport = httpx.ASGITransport(create_app(FakeHost(FakeUser("ops"))))
    headers = {"authorization": "Bearer ops"}
    path = "/v1/books/sat_default/top-ups"
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        reply = await client.post(path, json=asked)
        assert reply.status_code == 422
        document = reply.json()
        assert (document["type"], document["status"]) == ("request_invalid", 422)
        assert document["detail"].startswith("body.amount_rupiah: ")
        with pytest.raises(UntouchedError):
            await client.post(path, json={**asked, "amount_rupiah": 1000})
