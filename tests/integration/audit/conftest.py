"""What the tests of packs share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sat_hook.audit import checkpoints
from stack.databases import ApplicationDatabase
from tests.integration.audit.desk import Desk, desk_of


@pytest.fixture
def desk(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Orders with evidence, a callback, a pause by bob; checkpoints of four events."""
    monkeypatch.setattr(checkpoints, "MAXIMUM_EVENTS", 4)
    with desk_of(database, tmp_path) as desk:
        yield desk
