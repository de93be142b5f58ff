"""``python -m benchmarks.prices``: measures our cost of a price snapshot, without waiting for SAT.

It includes everything from the received bytes to the commit: reading, comparing, digests, PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import PASSWORDS
from sat_hook.catalogue.snapshot import SnapshotRules, take_snapshot
from sat_hook.domain.event_record import Provenance
from sat_hook.protocol.calls import Call, Reply, T, read_reply
from sat_hook.protocol.exchange import WireResponse
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.prices import PriceHistory
from stack.databases import ApplicationDatabase, prepare_application
from stack.postgres import EmbeddedPostgres

TARGET_SECONDS = 5.0
NAME = "bench_prices"


class Clock:
    """Advances by an hour with each snapshot."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 2, tzinfo=UTC)

    def now(self) -> datetime:
        """The simulated moment."""
        return self.moment

    def boottime_seconds(self) -> float:
        """Not used."""
        return 0.0


class Source:
    """A SAT with prepared answers: the whole list, and no product by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.whole = b""

    def ask(self, call: Call[T]) -> Reply[T]:
        """Return the answer as a client reads it."""
        unknown = b'{"errors": [{"code": "P04", "detail": "Product not found", "status": "400"}]}'
        is_whole = not call.request.query
        reply = WireResponse(200, {}, self.whole) if is_whole else WireResponse(400, {}, unknown)
        return read_reply(call, reply, self._clock.now())


def body_of(numbers: Iterable[int], dearer: int = 0) -> bytes:
    """Return a price list; products below ``dearer`` cost more."""
    lines = [
        {
            "type": "product",
            "id": f"product-{number:06}",
            "attributes": {
                "product_name": f"Paket Data {number}",
                "price": 5_000 + number + (1_000 if number < dearer else 0),
                "is_inquiry": number % 7 == 0,
                "status": 1 + number % 3,
                "operator_name": f"Operator {number % 40}",
                "category_name": f"Kategori {number % 12}",
            },
        }
        for number in numbers
    ]
    return json.dumps({"data": lines}).encode()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prices", description=__doc__)
    parser.add_argument("--products", type=int, default=20_000)
    count = parser.parse_args().products
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as folder:
        # PostgreSQL may run as another user, who must be able to enter this folder.
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "postgres", "bench")
        server.start()
        try:
            prepare_application(NAME, server.dsn(), PASSWORDS)
            application = ApplicationDatabase.named(NAME, server.dsn(), PASSWORDS)
            rows = measure(Database(application.writer_dsn), count)
        finally:
            server.stop("immediate")
    table = Table(title=f"{count:,} products")
    for title in ("snapshot", "changes", "seconds", "of them processor"):
        table.add_column(title, justify="left" if title == "snapshot" else "right")
    for name, changes, seconds, processor in rows:
        table.add_row(name, f"{changes:,}", f"{seconds:.2f}", f"{processor:.2f}")
    Console().print(table)
    worst = max(seconds for _, _, seconds, _ in rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"worst {worst:.2f} s of at most {TARGET_SECONDS:.0f} s; peak memory {peak:.0f} MB")


def measure(database: Database, count: int) -> list[tuple[str, int, float, float]]:
    """Yield name, changes, seconds and processor seconds of each kind of snapshot."""
    clock = Clock()
    source = Source(clock)
    history, alerts = PriceHistory(database), AlertBook(database)
    stories = (
        ("the first", body_of(range(count))),
        ("nothing changed", body_of(range(count))),
        ("one in a hundred changed", body_of(range(count), dearer=count // 100)),
        ("every price changed", body_of(range(count), dearer=count)),
        ("a hundred gone", body_of(range(100, count), dearer=count)),
        ("nothing changed again", body_of(range(100, count), dearer=count)),
    )
    rows = []
    for name, body in stories:
        source.whole = body
        began, processor = time.perf_counter(), time.process_time()
        report = take_snapshot(
            source,
            history,
            clock,
            "bench",
            Provenance("service:bench", "benchmark"),
            rules=SnapshotRules(missing_limit_percent=10, jump_percent=10),
            alerts=alerts,
        )
        rows.append((name, len(report.changes), time.perf_counter() - began, time.process_time() - processor))
        clock.moment += timedelta(hours=1)
    return rows


if __name__ == "__main__":
    main()
