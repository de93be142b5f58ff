"""docker/new_env.py fills in what is ours to make up, and nothing else."""

from __future__ import annotations

import re
from typing import Any

from cryptography.fernet import Fernet

from tests.deployment.composition import CHECKOUT, example_environment, uses
from tests.deployment.conftest import ASKED


def test_the_generated_secrets_are_fresh_and_fit_where_they_stand(
    new_env: dict[str, Any], environment: dict[str, str]
) -> None:
    """All different, URL-safe and long enough for Airflow not to complain."""
    made = {name: environment[name] for name in new_env["GENERATED"]}
    assert len(set(made.values())) == len(made)
    Fernet(made.pop("AIRFLOW_FERNET_KEY"))
    assert [value for value in made.values() if not re.fullmatch(r"[A-Za-z0-9_-]{64}", value)] == []
    again = new_env["filled"]((CHECKOUT / ".env.example").read_text("utf-8"))
    assert not any(value in again for value in made.values())


def test_what_is_left_empty_is_what_only_people_know(new_env: dict[str, Any]) -> None:
    """Generated, asked, or given in the example: every required variable is one of the three."""
    required = {use.name for use in uses() if use.kind == ":?"}
    empty = {name for name, value in example_environment().items() if not value and name in required}
    assert empty - new_env["GENERATED"] == ASKED.keys() - {"SAT_BASE_URL", "SAT_TOKEN_URL"}
