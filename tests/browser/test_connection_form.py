"""The form of the connection type in a real browser, against the running stack.

Skipped where no Chromium is installed, but never in CI. ``SAT_TEST_CHROMIUM`` names one not on the path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

from sat_hook.provider import get_provider_info
from stack.lifecycle import Stack
from tests.browser.chromium import Page, needs_chromium
from tests.browser.reading import DESK

pytestmark = needs_chromium

BY_HAND, REFUSED = "sat_by_hand", "sat_secret"
DIALOG = "[role=dialog]"


class Airflow:
    """The running Airflow as its administrator, by its REST interface."""

    def __init__(self, stack: Stack) -> None:
        settings = stack.settings()
        self.url = settings.airflow_url
        self.sat_url = settings.sandbox_url
        self.keys = stack.layout.keys
        self._session = requests.Session()
        password = stack.credentials.user_passwords["admin"]
        reply = self._session.post(
            f"{self.url}/auth/token", json={"username": "admin", "password": password}, timeout=90
        )
        assert reply.ok, reply.text
        self.token = str(reply.json()["access_token"])
        self._session.headers["Authorization"] = f"Bearer {self.token}"

    def connect(self, connection_id: str, password: str) -> None:
        """Save a connection to the stack's own SAT server."""
        fields = {
            "environment": "custom",
            "base_url": f"{self.sat_url}/api",
            "token_url": f"{self.sat_url}/token",
            "private_key": (self.keys / "client_private.pem").read_text(),
            "sat_public_keys": (self.keys / "sat_public.pem").read_text(),
        }
        connection = {
            "connection_id": connection_id,
            "conn_type": "sat",
            "login": "demo",
            "password": password,
            "port": 0,
            "extra": json.dumps(fields),
        }
        self._session.post(f"{self.url}/api/v2/connections", json=connection, timeout=90).raise_for_status()

    def close(self) -> None:
        """Delete what was saved: others use this stack too."""
        for connection_id in (BY_HAND, REFUSED):
            self._session.delete(f"{self.url}/api/v2/connections/{connection_id}", timeout=90)
        self._session.close()


@pytest.fixture(scope="module")
def airflow(running_stack: Stack) -> Iterator[Airflow]:
    """The stack's Airflow."""
    with closing(Airflow(running_stack)) as made:
        yield made


def open_form(page: Page, airflow: Airflow) -> None:
    """Admin → Connections → Add Connection → Tokopedia SAT."""
    page.open(f"{airflow.url}/connections")
    page.click("button", "Add Connection")
    page.click(f"{DIALOG} [role=combobox]")
    page.click("[role=option]", "Tokopedia SAT")
    page.wait_for(f"!!document.querySelector('{DIALOG} [name=login]')", "form of the type")


def test_connection_is_added_and_works(page: Page, airflow: Airflow) -> None:
    """The form shows each declared field with its label and description, and masks both secrets.

    Filled in by hand, keys pasted, the connection works: Test says what it found, and what is wrong with
    another connection. The private key comes back masked.
    """
    airflow.connect(REFUSED, "wrong")
    page.resize(DESK, 2600)
    page.set_cookie(airflow.url, "_token", airflow.token)
    open_form(page, airflow)
    standard = page.text()
    for label in ("Client ID", "Client secret"):
        assert label in standard
    page.write(f"{DIALOG} [name=connection_id]", BY_HAND)
    page.write(f"{DIALOG} [name=login]", "demo")
    page.write(f"{DIALOG} [name=password]", "demo")
    page.write(f"{DIALOG} [name=port]", "0")
    page.click(f"{DIALOG} button", "Extra Fields")
    page.wait_for(
        f"document.querySelector('{DIALOG}').innerText.includes('Trust signed callbacks')", "extra fields"
    )
    shown = page.text()
    (kind,) = get_provider_info()["connection-types"]
    for name, field in kind["conn-fields"].items():
        assert field["label"] in shown, name
        assert field["description"] in shown, name
    masked = page.evaluate(
        f"[...document.querySelectorAll('{DIALOG} input[type=password]')].map(e => e.name).sort()"
    )
    assert masked == ["element_private_key", "password"]
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
    for connection_id, said in (
        (BY_HAND, r"deposit of \d+ rupiah"),
        (REFUSED, "the token server refused the client id or its secret"),
    ):
        press_in_row(page, connection_id, "Test Connection")
        page.wait_for(f"/{said}/.test(document.body.innerText)", f"result of the test of {connection_id}")
    press_in_row(page, BY_HAND, "Edit Connection")
    page.click(f"{DIALOG} button", "Extra Fields")
    page.wait_for(f"!!document.querySelector('{DIALOG} [name=element_private_key]')", "field")
    assert page.evaluate(f"document.querySelector('{DIALOG} [name=element_private_key]').value") == "***"
    assert private_key[100:140] not in page.evaluate("document.documentElement.outerHTML")


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
