"""The page that Prometheus scrapes: it is closed without a token, bounded, and never stops its server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import httpx
import pytest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from sat_hook.application.metrics import Metrics, scrape_tokens
from sat_hook.store.errors import UntrustedFileError
from sat_hook.telemetry import scrape
from sat_hook.telemetry.scrape import BAD_TOKENS_PER_MINUTE, SCRAPES_PER_MINUTE, ScrapePage
from sat_hook.web.app import create_app
from tests.web_host import FakeHost, FakeUser

TOKEN, NEXT_TOKEN = "t" * 32, "n" * 40
FIGURES = [GaugeMetricFamily("sat_thing", "A thing", 1)]


class Page:
    """A page with a clock that stands still."""

    def __init__(
        self,
        families: Callable[[], Iterable[Metric]] = lambda: FIGURES,
        tokens: Callable[[], Sequence[str] | None] = lambda: [TOKEN, NEXT_TOKEN],
    ) -> None:
        self.seconds = 0.0
        self._page = ScrapePage(families, tokens, lambda: self.seconds)

    def ask(self, token: str | None = TOKEN, method: str = "GET", times: int = 1) -> list[int]:
        """The statuses of so many requests at once."""
        return [response.status_code for response in self.responses(token, method, times)]

    def responses(self, token: str | None, method: str = "GET", times: int = 1) -> list[httpx.Response]:
        """The same as responses."""

        async def ask() -> list[httpx.Response]:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._page), base_url="http://sat"
            ) as sat:
                requests = [sat.request(method, "/metrics", headers=headers) for _ in range(times)]
                return await asyncio.gather(*requests)

        return asyncio.run(ask())


def test_only_a_valid_token_gets_figures() -> None:
    """During a rotation both tokens are valid; everything else is refused, and the answer is not kept."""
    page = Page()
    for token in (TOKEN, NEXT_TOKEN):
        [response] = page.responses(token)
        assert "sat_thing 1.0" in response.text
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-type"].startswith("text/plain; version=")
    for token in (None, "", "t" * 31, "ü" * 32):
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
        request = scrape.Request(
            {**scope, "headers": [(name.lower().encode(), value) for name, value in headers.items()]}
        )
        response = asyncio.run(page._page.answer(request))
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
    assert page.ask(method="POST") == [405]


def test_a_mistake_hides_the_figures(tmp_path: Path) -> None:
    """Without a token file there is no page; with one that cannot be used there are no figures."""

    def broken() -> Sequence[str]:
        raise ValueError("no token")

    assert Page(tokens=lambda: None).ask() == [404]
    assert Page(tokens=lambda: []).ask() == [401]
    assert Page(tokens=broken).ask() == [503]
    assert scrape_tokens("") is None
    file = tmp_path / "tokens"
    file.write_text(f"{TOKEN}\n\n {NEXT_TOKEN} \n")
    assert scrape_tokens(str(file)) == [TOKEN, NEXT_TOKEN]
    for text in ("", "\n", f"{TOKEN}\nshort\n"):
        file.write_text(text)
        with pytest.raises(ValueError, match="expected") as raised:
            scrape_tokens(str(file))
        assert "short" not in str(raised.value)
    file.chmod(0o666)
    with pytest.raises(UntrustedFileError):
        scrape_tokens(str(file))


def test_requests_are_limited_for_a_minute() -> None:
    """Strangers who guess tokens do not use up the scrapers' requests."""
    page = Page()
    assert set(page.ask("wrong", times=BAD_TOKENS_PER_MINUTE)) == {401}
    assert page.ask("wrong") == [429]
    assert set(page.ask(times=SCRAPES_PER_MINUTE)) == {200}
    assert page.ask() == [429]
    page.seconds = 60.0
    assert page.ask() == [200]


def test_a_slow_reading_is_one_thread_and_the_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrapes that come meanwhile wait for the same reading, and are answered in time without it."""
    monkeypatch.setattr(scrape, "SCRAPE_SECONDS", 0.2)
    begun: list[float] = []
    release = threading.Event()

    def slow() -> list[Metric]:
        begun.append(time.monotonic())
        release.wait(10)
        return list(FIGURES)

    async def scrape_and_serve() -> list[int]:
        transport = httpx.ASGITransport(ScrapePage(slow, lambda: [TOKEN], time.monotonic))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://sat", headers=headers) as sat:
            first = await asyncio.gather(*(sat.get("/metrics") for _ in range(5)))
            assert len(begun) == 1
            release.set()
            second = await sat.get("/metrics")
        return [response.status_code for response in (*first, second)]

    assert asyncio.run(scrape_and_serve()) == [503] * 5 + [200]


def test_figures_that_cannot_be_read_are_missing_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a database the page answers, each part is 0, and nothing is raised."""
    file = tmp_path / "tokens"
    file.write_text(TOKEN)
    monkeypatch.setenv("SAT_METRICS_TOKEN_FILE", str(file))
    app = create_app(FakeHost(FakeUser("ops")))

    async def ask(**headers: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sat") as sat:
            return await sat.get("/metrics", headers=headers)

    response = asyncio.run(ask(authorization=f"Bearer {TOKEN}"))
    assert response.status_code == 200
    parts = [line for line in response.text.splitlines() if line.startswith("sat_figures_read{")]
    assert len(parts) > 5
    assert all(line.endswith(" 0.0") for line in parts)
    # A user of the console is no scraper.
    assert asyncio.run(ask(authorization="Bearer ops")).status_code == 401


def test_figures_are_kept_for_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrapers that come often cost one reading; a reading that takes too long begins no further part."""
    seconds = [0.0]
    metrics = Metrics(FakeHost(), lambda: seconds[0])
    read: list[str] = []

    def part(name: str) -> Callable[[], list[Metric]]:
        def reading() -> list[Metric]:
            read.append(name)
            seconds[0] += 6.0
            return list(FIGURES)

        return reading

    monkeypatch.setattr(metrics, "_parts", lambda: {name: part(name) for name in ("a", "b", "c")})
    families = metrics.families()
    assert metrics.families() is families
    assert read == ["a", "b"]
    [was_read] = [family for family in families if family.name == "sat_figures_read"]
    assert {sample.labels["part"]: sample.value for sample in was_read.samples} == {"a": 1, "b": 1, "c": 0}
    seconds[0] += 10.0
    metrics.families()
    assert read == ["a", "b", "a", "b"]
