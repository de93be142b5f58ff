"""The form of the connection type in a real browser, against the running stack.

Skipped where no Chromium is installed, but never in CI. ``SAT_TEST_CHROMIUM`` names one not on the path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from sat_hook.provider import get_provider_info
from stack.lifecycle import Stack
from tests.browser.chromium import Page, browser, chromium_path, needs_chromium

CHROMIUM = chromium_path()
pytestmark = needs_chromium

DIALOG = "[role=dialog]"
CLOSED_PORT = "http://127.0.0.1:1"


class Airflow:
    """The running Airflow as its administrator, by its REST interface."""

    def __init__(self, stack: Stack) -> None:
        settings = stack.settings()
        self.url = settings.airflow_url
        self.sat_url = settings.sandbox_url
        self.keys = stack.layout.keys
        self._saved: list[str] = []
        self._session = requests.Session()
        password = stack.credentials.user_passwords["admin"]
        reply = self._session.post(
            f"{self.url}/auth/token", json={"username": "admin", "password": password}, timeout=90
        )
        assert reply.ok, reply.text
        self.token = str(reply.json()["access_token"])
        self._session.headers["Authorization"] = f"Bearer {self.token}"

    def connect(self, connection_id: str, changes: dict[str, str]) -> None:
        """Save a connection to the stack's own SAT server, with some of its fields changed."""
        fields = {
            "environment": "custom",
            "base_url": f"{self.sat_url}/api",
            "token_url": f"{self.sat_url}/token",
            "private_key": (self.keys / "client_private.pem").read_text(),
            "sat_public_keys": (self.keys / "sat_public.pem").read_text(),
            **changes,
        }
        connection = {
            "connection_id": connection_id,
            "conn_type": "sat",
            "login": "demo",
            "password": fields.pop("password", "demo"),
            "port": 0,
            "extra": json.dumps(fields),
        }
        self.will_be_saved(connection_id)
        self._session.post(f"{self.url}/api/v2/connections", json=connection, timeout=90).raise_for_status()

    def will_be_saved(self, connection_id: str) -> None:
        """Remember to delete a connection."""
        self._saved.append(connection_id)

    def close(self) -> None:
        """Delete what was saved: others use this stack too."""
        for connection_id in self._saved:
            self._session.delete(f"{self.url}/api/v2/connections/{connection_id}", timeout=90)
        self._session.close()


@pytest.fixture(scope="module")
def airflow(running_stack: Stack) -> Iterator[Airflow]:
    """The stack's Airflow."""
    with closing(Airflow(running_stack)) as made:
        yield made


@pytest.fixture(scope="module")
def tab(airflow: Airflow) -> Iterator[Page]:
    """A browser in which the administrator is signed in; each test opens its own page in it."""
    assert CHROMIUM is not None
    with browser(CHROMIUM, height=2600) as tab:
        tab.set_cookie(airflow.url, "_token", airflow.token)
        yield tab


@pytest.fixture
def page(tab: Page, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """The browser, with nothing left of the test before; a test leaves a picture of its last page."""
    tab.open("about:blank")
    yield tab
    tab.photograph(tmp_path / f"{request.node.originalname}.png")


def open_form(page: Page, airflow: Airflow) -> None:
    """Admin → Connections → Add Connection → Tokopedia SAT."""
    page.open(f"{airflow.url}/connections")
    page.click("button", "Add Connection")
    page.click(f"{DIALOG} [role=combobox]")
    page.click("[role=option]", "Tokopedia SAT")
    page.wait_for(f"!!document.querySelector('{DIALOG} [name=login]')", "form of the type")


def test_form_shows_every_field(page: Page, airflow: Airflow) -> None:
    """Each declared field can be seen with its label and description; both secrets are masked."""
    open_form(page, airflow)
    standard = page.text()
    for label in ("Client ID", "Client secret"):
        assert label in standard
    page.click(f"{DIALOG} button", "Extra Fields")
    (kind,) = get_provider_info()["connection-types"]
    page.wait_for(
        f"document.querySelector('{DIALOG}').innerText.includes('Trust signed callbacks')", "extra fields"
    )
    shown = page.text()
    for name, field in kind["conn-fields"].items():
        assert field["label"] in shown, name
        assert field["description"] in shown, name
    masked = page.evaluate(
        f"[...document.querySelectorAll('{DIALOG} input[type=password]')].map(e => e.name).sort()"
    )
    assert masked == ["element_private_key", "password"]


def test_connection_is_added_and_works(page: Page, airflow: Airflow) -> None:
    """Filled in by hand, keys pasted; Test says what it found; the private key comes back masked."""
    airflow.will_be_saved("sat_by_hand")
    open_form(page, airflow)
    page.write(f"{DIALOG} [name=connection_id]", "sat_by_hand")
    page.write(f"{DIALOG} [name=login]", "demo")
    page.write(f"{DIALOG} [name=password]", "demo")
    page.write(f"{DIALOG} [name=port]", "0")
    page.click(f"{DIALOG} button", "Extra Fields")
    page.click("#element_environment [role=combobox]")
    page.click("[role=option]", "custom")
    page.write(f"{DIALOG} [name=element_base_url]", f"{airflow.sat_url}/api")
    page.write(f"{DIALOG} [name=element_token_url]", f"{airflow.sat_url}/token")
    # A one-line field takes the line ends away from a pasted key.
    private_key = (airflow.keys / "client_private.pem").read_text()
    page.write(f"{DIALOG} [name=element_private_key]", private_key.replace("\n", " "))
    page.write(f"{DIALOG} [name=element_sat_public_keys]", (airflow.keys / "sat_public.pem").read_text())
    page.click(f"{DIALOG} button", "Save")
    page.wait_for(f"!document.querySelector('{DIALOG}')", "end of the form")
    page.open(f"{airflow.url}/connections")
    # Others have bought from this deposit, or paid into it, meanwhile.
    assert re.search(r"deposit of \d+ rupiah", result_of_test(page, "sat_by_hand"))
    press_in_row(page, "sat_by_hand", "Edit Connection")
    page.click(f"{DIALOG} button", "Extra Fields")
    page.wait_for(f"!!document.querySelector('{DIALOG} [name=element_private_key]')", "field")
    assert page.evaluate(f"document.querySelector('{DIALOG} [name=element_private_key]').value") == "***"
    assert private_key[100:140] not in page.evaluate("document.documentElement.outerHTML")


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("sat_secret", {"password": "wrong"}, "the token server refused the client id or its secret"),
        ("sat_key", {"private_key": "no key at all"}, "field private_key: found 0 private keys"),
        ("sat_no_file", {"private_key": "", "private_key_path": "/nowhere/k.pem"}, "No such file"),
        ("sat_path", {"base_url": "{sat}/wrong"}, "is the base URL that of a SAT server (it ends in /api)?"),
        ("sat_slip", {"base_url": "127.0.0.1/api"}, "expected a URL like https://host/api"),
        (
            "sat_down",
            {"base_url": f"{CLOSED_PORT}/api", "token_url": f"{CLOSED_PORT}/token"},
            "nothing listens at that address",
        ),
    ],
)
def test_wrong_connection_says_what_is_wrong(
    page: Page, airflow: Airflow, name: str, changes: dict[str, str], words: str
) -> None:
    """The button's message names what is wrong, in words that an operator understands."""
    airflow.connect(name, {field: text.replace("{sat}", airflow.sat_url) for field, text in changes.items()})
    page.open(f"{airflow.url}/connections")
    assert words in result_of_test(page, name)


def press_in_row(page: Page, connection_id: str, label: str) -> None:
    """Press the button of that label in the row of a connection.

    At the very moment in which it is found: the list is drawn anew when it has been loaded again, and with it
    every button.
    """
    rows = "[...document.querySelectorAll('tr')]"
    row = f"{rows}.find(r => r.innerText.split('\\t').some(cell => cell.trim() === '{connection_id}'))"
    button = f"{row}?.querySelector('[aria-label=\"{label}\"]')"
    page.wait_for(
        f"(found => !!found && !found.disabled && (found.click(), true))({button})",
        f"{label} of {connection_id}",
    )


def result_of_test(page: Page, connection_id: str) -> str:
    """What the page says after Test was pressed in the row of a connection."""
    press_in_row(page, connection_id, "Test Connection")
    page.wait_for("/Test Connection \\w+/.test(document.body.innerText)", "result of the test")
    return page.text()
