"""The benchmark of the pipeline drives the batch as it is today: a few orders show that it still runs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.processes import started
from benchmarks.stub import serving
from benchmarks.world import Keys, write_statuses
from stack.databases import ApplicationDatabase

ORDERS = 20


def test_the_side_of_the_pipeline_pays_its_orders(database: ApplicationDatabase, tmp_path: Path) -> None:
    """One process takes a batch from its quotes to its ends, and tells the seconds of every phase."""
    keys, statuses = Keys.made_in(tmp_path), tmp_path / "statuses.tsv"
    write_statuses(statuses, keys, ORDERS)
    with serving(statuses, 0.0) as stub:
        command = ["benchmarks.pipeline_side", "--url", stub.url, "--keys", str(tmp_path)]
        command += ["--orders", str(ORDERS), "--in-flight", "8", "--dsn", database.writer_dsn]
        with started(command) as side:
            assert side.line() == "ready"
            side.go()
            measured = side.document()
    assert measured["orders"] == ORDERS
    assert list(measured["seconds_of_phase"]) == ["intake", "quote", "guard", "reserve", "execute", "settle"]
