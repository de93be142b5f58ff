"""The Airflow that the commands talk to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.cli.scripted_airflow import ScriptedAirflow, scripted_airflow


@pytest.fixture
def airflow() -> Iterator[ScriptedAirflow]:
    """A scripted Airflow."""
    with scripted_airflow() as script:
        yield script
