"""A deployment's environment, as an operator would have filled it in."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.deployment.composition import CHECKOUT, composed

ASKED = {
    "AIRFLOW_USERS": "alice:user,bob:user",
    "SAT_ACCOUNT": "main",
    "SAT_ENVIRONMENT": "custom",
    "SAT_CLIENT_ID": "some-id",
    "SAT_CLIENT_SECRET": "some-secret",
    "SAT_BASE_URL": "http://sandbox:8089/api",
    "SAT_TOKEN_URL": "http://sandbox:8089/token",
}


@pytest.fixture(scope="session")
def new_env() -> dict[str, Any]:
    """What docker/new_env.py defines."""
    return runpy.run_path(str(CHECKOUT / "docker" / "new_env.py"))


@pytest.fixture(scope="session")
def environment(new_env: dict[str, Any]) -> dict[str, str]:
    """.env as docker/new_env.py makes it, with the questions answered."""
    text = new_env["filled"]((CHECKOUT / ".env.example").read_text("utf-8"))
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs} | ASKED


@pytest.fixture(scope="session")
def services(environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The services by name."""
    found: dict[str, dict[str, Any]] = composed(environment)["services"]
    return found
