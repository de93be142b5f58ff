"""``python -m benchmarks.audit``: measures checkpoints, their verification, an evidence pack and a rebuild.

Memory is the peak of this process so far, including the log rows that it appended itself.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import PASSWORDS
from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.checkpoints import make_checkpoints, publish_checkpoints
from sat_hook.audit.exports import request_export, requested_by
from sat_hook.audit.findings import Finding
from sat_hook.audit.keys import AuditSigner, AuditVerifier, new_audit_key
from sat_hook.audit.log_verification import verify_log
from sat_hook.audit.pack import PackWriter
from sat_hook.audit.publication import PublishedFolder
from sat_hook.audit.rebuild import rebuild_projections
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import payload_digest, request_id_of
from sat_hook.domain.order_events import (
    OrderAdmitted,
    OrderQuoted,
    OrderReceived,
    OrderValidated,
    QuoteSource,
)
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase, prepare_application
from stack.postgres import EmbeddedPostgres

NAME = "bench_audit"
EVENTS_OF_ORDER = 3
ORDERS_OF_APPEND = 500
MOMENT = datetime(2026, 11, 2, tzinfo=UTC)
BY = Provenance("service:bench", "bench")
REBUILDS = {
    "of what is right": "",
    "of every order": "UPDATE sat.orders SET committed_rupiah = committed_rupiah + 1",
}
ASKER = Provenance("user:auditor", "bench")


def change_of(number: int) -> Change:
    """An order of three events."""
    client = f"08121{number:07}"
    events = (
        OrderReceived(
            account="bench",
            order_id=f"order-{number}",
            batch_id="B" + "A" * 25,
            row_number=number,
            product_code="50k-simpati",
            client_number=client,
            amount_rupiah=None,
            max_rupiah=None,
            downline_id=None,
            fields=(),
            payload_digest=payload_digest("50k-simpati", client, None, None, None, ()),
        ),
        OrderValidated(is_inquiry=False, list_price_rupiah=52_000),
        OrderQuoted(
            price_rupiah=52_000, source=QuoteSource.CATALOGUE, admin_fee_rupiah=None, valid_until=MOMENT
        ),
    )
    key = request_id_of("bench", f"order-{number}")
    return Change.of_order(key, None, events, MOMENT)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="sat-bench-") as name:
        folder = Path(name)
        # PostgreSQL may run as another user, who must be able to enter this folder.
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "postgres", "bench")
        server.start()
        try:
            application = prepare_application(NAME, server.dsn(), PASSWORDS)
            measure(application, folder, events)
        finally:
            server.stop()


def measure(application: ApplicationDatabase, folder: Path, events: int) -> None:
    """Measure everything once, on one log."""
    table = Table("what", "seconds", "events a second", "MB at most", title=f"{events:,} events")

    @contextmanager
    def timed(what: str, over: int = events) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds = time.perf_counter() - began
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        table.add_row(what, f"{seconds:.2f}", f"{over / seconds:,.0f}" if over else "-", str(megabytes))

    writer, reader = Database(application.writer_dsn), Database(application.reader_dsn)
    signer, publication = AuditSigner(new_audit_key()[0]), PublishedFolder(folder / "published")
    with timed("append (not the audit's)"):
        fill(writer, events)
    with timed("make checkpoints, all at once"):
        made = make_checkpoints(writer, signer, SystemClock())
    with timed(f"publish {len(made)} checkpoints"):
        publish_checkpoints(writer, publication)
    with timed("a minute without news", 0):
        make_checkpoints(writer, signer, SystemClock())
        publish_checkpoints(writer, publication)
    trust = Trust(AuditVerifier([signer.public_key_pem()]), publication)
    with timed("sat log verify"):
        verified = verify_log(reader, refuse(), trust)
    assert verified.events == events
    pack = folder / "pack.zip"
    with timed("write a masked pack"):
        write(writer, signer, pack)
    with timed(f"verify.py over {pack.stat().st_size / 1e6:.0f} MB (a process of its own)"):
        verify(pack, signer, folder)
    new_numbers = count(1_000_000_000)
    with closing(Database(application.owner_dsn)) as owner:
        for what, damage in REBUILDS.items():
            if damage:
                with owner.transaction() as connection:
                    connection.cursor().execute(damage)
            with appending(writer, new_numbers) as waits, timed(f"rebuild {what}"):
                rebuild_projections(owner)
            told = f"{len(waits):,} appends, the longest {max(waits):.2f} s"
            table.add_row("  beside it", "", told, "")
    Console().print(table)


@contextmanager
def appending(database: Database, numbers: Iterator[int]) -> Iterator[list[float]]:
    """Old and new orders change all the time, one after the other; how long each append took."""
    store = PostgresEventStore(database)
    waits: list[float] = []
    is_over = threading.Event()

    def append_on() -> None:
        while not is_over.is_set():
            new = change_of(next(numbers))
            key = request_id_of("bench", f"order-{1 + len(waits) % ORDERS_OF_APPEND}")
            order = store.load_orders([key])[key]
            old = Change.of_order(key, order, [OrderAdmitted(price_rupiah=52_000)], MOMENT)
            for change in (new, old):
                began = time.perf_counter()
                assert not store.append([change], BY, MOMENT)
                waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=append_on)
    thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        thread.join()


def fill(database: Database, events: int) -> None:
    """Append orders."""
    store, orders = PostgresEventStore(database), range(1, events // EVENTS_OF_ORDER + 2)
    left = events
    for start in range(0, len(orders), ORDERS_OF_APPEND):
        changes = [change_of(number) for number in orders[start : start + ORDERS_OF_APPEND]]
        while left < EVENTS_OF_ORDER * len(changes):
            last = changes.pop()
            if left - EVENTS_OF_ORDER * len(changes) > 0:
                kept = last.events[: left - EVENTS_OF_ORDER * len(changes)]
                changes.append(Change.of_order(last.stream.key, None, kept, MOMENT))
                break
        store.append(changes, BY, MOMENT)
        left -= sum(len(change.events) for change in changes)


def write(database: Database, signer: AuditSigner, path: Path) -> None:
    """Write a pack of everything."""
    store, now = PostgresEventStore(database), datetime.now(UTC)
    export = request_export(
        store,
        SystemClock(),
        recorded_from=now - timedelta(days=1),
        recorded_before=now,
        with_personal_data=False,
        reason="",
        provenance=ASKER,
    )
    PackWriter(database, export, requested_by(store, export.export_id), signer).write(path)


def verify(pack: Path, signer: AuditSigner, folder: Path) -> None:
    """Verify with the pack's own script."""
    (folder / "public.pem").write_bytes(signer.public_key_pem())
    with zipfile.ZipFile(pack) as opened:
        (folder / "verify.py").write_bytes(opened.read("verify.py"))
    command = [sys.executable, "-I", "verify.py", "--key", "public.pem", str(pack)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def refuse() -> Callable[[Finding], None]:
    """Fail: the benchmark damages nothing."""

    def report(finding: Finding) -> None:
        raise AssertionError(finding)

    return report


if __name__ == "__main__":
    main()
