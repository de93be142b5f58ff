"""SQL runs in one package."""

from __future__ import annotations

import re
from pathlib import Path

import sat_hook

PACKAGE = Path(sat_hook.__file__).parent
RUNS_SQL = re.compile(r"""\.(cursor|executemany|copy_expert|mogrify)\(|\.execute\(\s*[rf]?["']""")


def test_only_the_store_runs_sql() -> None:
    """The verifier inside an evidence pack runs alone, on SQLite, and is the only exception."""
    outside = (path for path in PACKAGE.rglob("*.py") if (PACKAGE / "store") not in path.parents)
    found = {str(path.relative_to(PACKAGE)) for path in outside if RUNS_SQL.search(path.read_text("utf-8"))}
    assert found == {"audit/pack_verifier.py"}
