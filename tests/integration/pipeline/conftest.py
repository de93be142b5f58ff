"""A line of the pipeline for each test: database, spool and SAT server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.databases import ApplicationDatabase
from tests.pipeline import Line, line_of


@pytest.fixture
def line(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Line]:
    """The whole way of a batch, against the sandbox in its default scenario."""
    with line_of(database.writer_dsn, tmp_path) as made:
        yield made
