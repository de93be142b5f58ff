"""The line of a batch, and the API, each on a real database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stack.databases import ApplicationDatabase
from tests.console_server import api_settings
from tests.orders import ACCOUNT
from tests.pipeline import Line, line_of

Api = Callable[..., dict[str, str]]


@pytest.fixture
def serve_api(tmp_path: Path) -> Iterator[Api]:
    """Serves the API over a database until the test ends; see :func:`tests.console_server.api_settings`."""
    with ExitStack() as until_the_end:
        yield lambda database, **accounts: until_the_end.enter_context(
            api_settings(database, tmp_path, **accounts)
        )


@pytest.fixture
def api(database: ApplicationDatabase, serve_api: Api) -> dict[str, str]:
    """Settings that lead to the API of a database with three accounts."""
    return serve_api(database, sat_default=ACCOUNT, sat_north="north", sat_south="south")


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Line]:
    """The whole way of a batch, against the sandbox in its default scenario."""
    with line_of(database.writer_dsn, tmp_path) as made:
        yield made
