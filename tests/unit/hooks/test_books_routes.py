"""The routes of the books: what a request may hold, before anybody asks the database."""

from __future__ import annotations

import warnings

import httpx
import pytest
from fastapi import FastAPI

from sat_hook.domain.event_record import Provenance
from sat_hook.store.postgres import PostgresEventStore

with warnings.catch_warnings():
    # Airflow's API server imports what its own libraries call outdated.
    warnings.simplefilter("ignore")
    from airflow.api_fastapi.core_api.security import get_user

    from sat_hook.hooks.books_routes import books_routes


class UntouchedError(Exception):
    """The request was let through to the books."""


def no_store() -> PostgresEventStore:
    """Nothing is recorded here."""
    raise UntouchedError


@pytest.fixture
def app() -> FastAPI:
    """The routes for somebody who may use them."""
    router = books_routes(no_store, lambda name: name, lambda _, cause: Provenance("user:ops", cause))
    made = FastAPI()
    made.include_router(router)
    (may_keep_books,) = router.dependencies
    assert may_keep_books.dependency is not None
    made.dependency_overrides = {may_keep_books.dependency: lambda: None, get_user: lambda: None}
    return made


@pytest.mark.parametrize("amount", [1000.0, 1000.5, "1000", "1.000", True, 0, -1, None])
async def test_an_amount_is_a_whole_number_of_rupiah(app: FastAPI, amount: object) -> None:
    """Neither a float nor a text nor a truth is turned into money."""
    asked = {
        "amount_rupiah": amount,
        "reference": "BCA-1",
        "credited_at": "2026-11-22T09:14:00+07:00",
        "reason": "weekly transfer",
    }
    path, transport = "/books/sat_default/top-ups", httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.post(path, json=asked)
        assert reply.status_code == 422
        assert {error["loc"][-1] for error in reply.json()["detail"]} == {"amount_rupiah"}
        with pytest.raises(UntouchedError):
            await client.post(path, json={**asked, "amount_rupiah": 1000})
