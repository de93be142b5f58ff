"""The benchmarks drive the project as it is today: a few orders, and addresses of pages, show it."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Match

from benchmarks import books, console
from benchmarks.processes import started
from benchmarks.stub import serving
from benchmarks.world import Keys, write_statuses
from sat_hook.web.app import create_app
from stack.databases import ApplicationDatabase
from tests.web_host import FakeHost, FakeUser

ORDERS = 20


def test_the_side_of_the_pipeline_pays_its_orders(database: ApplicationDatabase, tmp_path: Path) -> None:
    """One process takes a batch from its quotes to its ends, and tells the seconds of every phase."""
    keys, statuses = Keys.made_in(tmp_path), tmp_path / "statuses.tsv"
    write_statuses(statuses, keys, ORDERS)
    with serving(statuses, 0.0) as stub:
        command = ["benchmarks.pipeline_side", "--url", stub.url, "--keys", str(tmp_path)]
        command += ["--orders", str(ORDERS), "--in-flight", "8", "--dsn", database.writer_dsn]
        with started(command) as side:
            assert side.line() == "ready"
            side.go()
            measured = side.document()
    assert measured["orders"] == ORDERS
    assert list(measured["seconds_of_phase"]) == ["intake", "quote", "guard", "reserve", "execute", "settle"]


def test_the_pages_that_are_measured_are_pages_of_the_console() -> None:
    """A page with another address would be measured as one that is not found."""
    asked = [
        *console.pages(f"B{'A' * 25}", f"S{'A' * 31}").values(),
        *books.pages(f"K{'A' * 15}", 1).values(),
    ]
    app = create_app(FakeHost(FakeUser("ops")))

    def is_found(path: str) -> bool:
        scope = {"type": "http", "method": "GET", "path": f"/console{path.partition('?')[0]}", "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in app.routes)

    assert [path for path in asked if not is_found(path)] == []
    assert not is_found("/top-ups")
