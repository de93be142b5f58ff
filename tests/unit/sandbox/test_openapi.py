"""The OpenAPI document tells the truth about the server: generated requests get described answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from requests.auth import AuthBase

import sandbox
from sandbox import refusals
from sandbox.keys import KeyPairs
from sandbox.testing import SandboxServer
from sat_hook.protocol.signing import Signer

DOCUMENT = Path(sandbox.__file__).with_name("openapi.yaml")
# From a fixture: cases are then drawn where the test runs, not by every worker that collects it.
schema = schemathesis.pytest.from_fixture("described")


class Credentials(AuthBase):
    """A bearer token, or Basic for the token itself; a checkout's signature over the bytes that leave."""

    def __init__(self, server: SandboxServer) -> None:
        self._signer = Signer(server.keys.client_private_pem)
        reply = requests.post(
            server.token_url, data={"grant_type": "client_credentials"}, auth=("demo", "demo"), timeout=30
        )
        self._bearer = "Bearer " + reply.json()["access_token"]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if request.path_url.startswith("/token"):
            return requests.auth.HTTPBasicAuth("demo", "demo")(request)
        request.headers["Authorization"] = self._bearer
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        request.headers["signature"] = self._signer.sign(body)
        return request


@pytest.fixture(scope="module")
def described() -> schemathesis.BaseSchema:
    """The document."""
    return schemathesis.openapi.from_path(DOCUMENT)


@pytest.fixture(scope="module")
def server(keys: KeyPairs) -> Iterator[SandboxServer]:
    """A sandbox to be asked anything."""
    with SandboxServer(keys=keys) as running:
        yield running


@pytest.fixture(scope="module")
def credentials(server: SandboxServer) -> Credentials:
    """Its partner."""
    return Credentials(server)


@schema.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described(
    case: schemathesis.Case, server: SandboxServer, credentials: Credentials
) -> None:
    """Status, content type and shape of every answer, for requests drawn from the document."""
    response = case.call(base_url=server.url, auth=credentials, timeout=30)
    case.validate_response(
        response,
        checks=[
            schemathesis.checks.not_a_server_error,
            schemathesis.specs.openapi.checks.status_code_conformance,
            schemathesis.specs.openapi.checks.content_type_conformance,
            schemathesis.specs.openapi.checks.response_schema_conformance,
        ],
    )


def test_generated_orders_left_the_book_in_order(server: SandboxServer) -> None:
    """The document's own examples were accepted, and not a rupiah is missing."""
    ledger = server.ledger()
    assert ledger["deposit"]["conserved"]
    assert {"EXAMPLE1", "EXAMPLE2"} <= {
        request_id for request_id, entry in ledger["requests"].items() if entry["charged"] == 1
    }


def test_guesses_are_marked_as_guesses() -> None:
    """Every code of ours that no source shows is named as a guess, and every known one as known."""
    document = yaml.safe_load(DOCUMENT.read_text())
    errors = document["components"]["schemas"]["Errors"]["properties"]["errors"]
    known, guesses = errors["items"]["properties"]["code"]["description"].split("Guesses")
    for refusal in refusals.ALL:
        assert refusal.code in (guesses if refusal.guess else known)
    assert document["components"]["responses"]["Unauthorized"]["x-guess"] is True
