"""The table in docs/sdk-defects.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_table_names_a_test_that_does_not_exist() -> None:
    """Every file and every test of the table is there."""
    document = (ROOT / "docs" / "sdk-defects.md").read_text()
    files = dict(re.findall(r"`(\w+)` = `(tests/[\w/]+\.py)`", document))
    named = re.findall(r"`(\w+)::(test_\w+)`", document)
    assert len(named) > 60
    missing = [
        f"{short}::{test}" for short, test in named if f"def {test}(" not in (ROOT / files[short]).read_text()
    ]
    assert missing == []
