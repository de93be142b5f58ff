"""What all pages of the console share: the way to the login, errors as pages, the language, the headers."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from sat_hook.application.errors import DraftRefusedError, RightMissingError
from sat_hook.application.rights import Person
from sat_hook.store.errors import (
    AnswerNotKeptError,
    KeyInUseError,
    KeyInvalidError,
    KeyReusedError,
    StoreUnavailableError,
)
from sat_hook.web.app import create_app
from sat_hook.web.console.error_words import REFUSALS, explained
from sat_hook.web.console.language import Language, Wording
from sat_hook.web.console.site import HEADERS, Site
from sat_hook.web.errors import PROBLEMS
from tests.web_host import FakeHost, FakeUser


def client_of(host: FakeHost, user: str = "ops", **headers: str) -> httpx.AsyncClient:
    """A browser with a user's cookie, at the address where Airflow mounts the app."""
    app = FastAPI()
    app.mount("/sat", create_app(host))
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        cookies={"_token": user},
        headers={"sec-fetch-site": "same-origin", "accept-language": "en", **headers},
    )


async def test_without_a_user_a_page_leads_to_the_login_and_back() -> None:
    """A page by a redirect, a part of a page by htmx's header with the page around it."""
    host = FakeHost(FakeUser("ops"))
    async with client_of(host, "stranger") as client:
        page = await client.get("/sat/console/?a=1")
        part = await client.get("/sat/console/", headers={"hx-request": "true"})
    login = "/api/v2/auth/login?next=http%3A%2F%2Ftest%2Fsat%2Fconsole%2F"
    assert (page.status_code, page.headers["location"]) == (303, f"{login}%3Fa%3D1")
    assert (part.status_code, part.headers["hx-redirect"]) == (204, login)


async def test_the_console_is_found_without_its_last_slash() -> None:
    """People type its address; the callback receiver, mounted beside it, would answer."""
    host = FakeHost(FakeUser("ops"))
    async with client_of(host, "ops") as client:
        answer = await client.get("/sat/console")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sat/console/")


async def test_a_missing_right_is_a_page_that_names_it() -> None:
    """In the person's language, with the way back."""
    host = FakeHost(FakeUser("nobody", frozenset()))
    async with client_of(host, "nobody") as client:
        english = await client.get("/sat/console/")
        indonesian = await client.get("/sat/console/", headers={"accept-language": "id-ID,id;q=0.9"})
    assert (english.status_code, "You lack the right view." in english.text) == (403, True)
    assert "Anda tidak punya hak melihat." in indonesian.text


async def test_an_unknown_page_says_so() -> None:
    """As a page, not as JSON."""
    async with client_of(FakeHost(FakeUser("ops"))) as client:
        answer = await client.get("/sat/console/nowhere")
        api = await client.get("/sat/v1/nowhere")
    assert (answer.status_code, "There is no such page" in answer.text) == (404, True)
    assert api.json()["detail"] == "Not Found"


async def test_the_chosen_language_is_kept() -> None:
    """And the person is back on the page they came from; another site's address is not followed."""
    async with client_of(FakeHost(FakeUser("ops")), origin="http://test") as client:
        for referer, back in (
            ("http://test/sat/console/batches?state=held", "/sat/console/batches?state=held"),
            ("http://evil.example/elsewhere", "/sat/console/"),
        ):
            answer = await client.post(
                "/sat/console/language", data={"language": "id"}, headers={"referer": referer}
            )
            assert (answer.status_code, answer.headers["location"]) == (303, back)
        page = await client.get("/sat/console/nowhere")
    assert '<html lang="id">' in page.text


async def test_a_page_allows_only_its_own_files() -> None:
    """And only pages of the same server may frame it."""
    async with client_of(FakeHost(FakeUser("ops"))) as client:
        answer = await client.get("/sat/console/nowhere")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_the_consoles_files_need_no_user() -> None:
    """The login page's neighbours: scripts and styles hold nothing secret."""
    async with client_of(FakeHost()) as client:
        for name in ("console.css", "console.js", "htmx-2.0.11.min.js", "icon.svg"):
            assert (await client.get(f"/sat/console/static/{name}")).status_code == 200, name


@pytest.mark.parametrize("name", ["#toko (1)", "kas+1", "50%", "a b?c=d", "müller@pusat", "x&y"])
def test_an_address_quotes_what_people_call_things(name: str) -> None:
    """A name is one part of the path, read back as it was, and begins no query or fragment."""
    request = Request({"type": "http", "path": "/", "headers": [], "root_path": "/sat"})
    site = Site(request, Person("ops", frozenset()), Wording(Language.ENGLISH))
    address = urlsplit(site.url(f"/accounts/{name}/test", text=name))
    assert (unquote(address.path), address.fragment) == (f"/sat/console/accounts/{name}/test", "")
    assert parse_qs(address.query) == {"text": [name]}
    assert address.path.isascii()


async def test_a_problem_is_told_in_the_language_of_the_person() -> None:
    """By the type of the error; the English message is for support and marked as English."""
    host = FakeHost(FakeUser("ops"))

    def broken() -> None:
        raise StoreUnavailableError("the server closed the connection")

    host.store = broken  # type: ignore[method-assign,assignment]
    async with client_of(host) as client:
        english = await client.get("/sat/console/batches")
        indonesian = await client.get("/sat/console/batches", headers={"accept-language": "id"})
    assert "The database is away for a moment. Try again." in english.text
    assert "Basis data sedang tidak tersedia. Coba lagi." in indonesian.text
    for page in (english, indonesian):
        assert page.status_code == 503
        assert '<small lang="en">the server closed the connection</small>' in page.text


def test_every_error_has_words_in_both_languages() -> None:
    """Those that are answered with a problem of their own, and the codes by which a file is refused."""
    of_keys = {KeyInvalidError, KeyReusedError, KeyInUseError, AnswerNotKeptError}
    for kind in PROBLEMS:
        if kind is RightMissingError or kind in of_keys:
            continue  # a missing right is named, and pages send no key
        error = kind.__new__(kind)
        for language in Language:
            assert explained(error, Wording(language)), kind
    source = "".join(path.read_text("utf-8") for path in Path("sat_hook").rglob("*.py"))
    codes = set(re.findall(r"(?:OrderFileError|DraftRefusedError)\(\s*\"(\w+)\"", source))
    assert len(codes) > 20
    assert codes - set(REFUSALS) == set()


def test_the_facts_of_an_error_are_told_in_the_language_of_the_person() -> None:
    """What was found and how much is possible, with the figures of the language."""
    error = DraftRefusedError("too_many_rows", "x.csv: found more than 100,000 rows", most=100_000)
    indonesian = explained(error, Wording(Language.INDONESIAN))
    assert indonesian is not None
    assert indonesian.said == "Barisnya terlalu banyak. Bagi berkas menjadi dua. (paling banyak: 100.000)"
    assert indonesian.detail == str(error)
