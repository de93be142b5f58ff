"""What tests of pages share: one office for a module, one browser for a session."""

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


@pytest.fixture(scope="session")
def shared_tab() -> Iterator[Page]:
    """A tab of a browser, started once in a session."""
    path = chromium_path()
    assert path is not None
    with browser(path) as page:
        yield page


@pytest.fixture(scope="module")
def page(shared_tab: Page) -> Iterator[Page]:
    """A tab with nothing left of other modules; the tests of a module share it.

    It is emptied again afterwards: a page that stays open goes on polling and drawing, and Airflow's own list
    of connections took a seventh of the machine until the session ended.
    """
    shared_tab.forget()
    yield shared_tab
    shared_tab.forget()
