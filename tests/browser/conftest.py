"""What tests of pages share: one office and one browser for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stack.databases import ApplicationDatabase
from tests.browser.chromium import Page, browser, chromium_path
from tests.browser.office import Office, office_on


@pytest.fixture(scope="module")
def office(
    module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """An office with a past; the tests of a module share it."""
    with office_on(module_database, tmp_path_factory.mktemp("office")) as office:
        yield office


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A tab of a browser; the tests of a module share it."""
    path = chromium_path()
    assert path is not None
    with browser(path) as page:
        yield page
