"""Airflow as the host of the web application: its users and their roles."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

with warnings.catch_warnings():
    # Airflow's API server imports what its own libraries call outdated.
    warnings.simplefilter("ignore")
    from sat_hook.plugin.airflow_host import AirflowUser


@pytest.mark.parametrize(
    ("more", "roles"),
    [
        ({}, []),
        ({"role": "finance"}, ["finance"]),
        ({"role": "user", "roles": None}, ["user"]),
        ({"roles": [SimpleNamespace(name="Viewer"), SimpleNamespace(name="Finance")]}, ["Viewer", "Finance"]),
    ],
)
def test_roles_are_those_of_the_auth_manager(more: dict[str, Any], roles: list[str]) -> None:
    """Airflow's auth managers keep one role by name, or several as objects."""
    user: Any = SimpleNamespace(get_name=lambda: "alice", **more)
    found = AirflowUser(user)
    assert (found.name, list(found.roles)) == ("alice", roles)
