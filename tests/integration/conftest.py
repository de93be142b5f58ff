"""The API on a real database, for the commands that read through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stack.databases import ApplicationDatabase
from tests.console_server import api_settings
from tests.orders import ACCOUNT

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
