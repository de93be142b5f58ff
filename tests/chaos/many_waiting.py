"""Thousands of orders wait at once: measures the real trigger's queries and cost, and its response to
callbacks.

``python -m tests.chaos.many_waiting --orders 5000 --seconds 120``. The trigger runs in this process as in the
triggerer, against its own PostgreSQL and a SAT that only answers Pending.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2
import requests

from sat_hook.clients.clock import SystemClock
from sat_hook.domain import order_events as happened
from sat_hook.protocol.signing import generate_key_pair
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.airflow_connections import database_connection
from tests.keeper import kept
from tests.orders import ACCOUNT, BATCH, BY_TEST, received, stream_of, submitted
from tests.postgres import DatabaseTemplate, server_for_tests

GROUP = 500
PATIENCE_SECONDS = 250.0


@dataclass
class Measured:
    """Measurements made while orders waited.

    :param questions: statuses asked for, and ``most`` those about one order.
    :param cpu_seconds: of the process that the trigger ran in.
    :param longest_pause_seconds: the longest time that the event loop, and so every other trigger, was
        blocked.
    :param heard_seconds: from a callback to the recorded end of its order, the slowest first.
    """

    orders: int
    seconds: float = 0.0
    questions: int = 0
    most: int = 0
    cpu_seconds: float = 0.0
    longest_pause_seconds: float = 0.0
    heard_seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        heard = self.heard_seconds
        middle = f"{sorted(heard)[len(heard) // 2]:.2f}" if heard else "-"
        share = self.cpu_seconds / self.seconds
        return (
            f"{self.orders:,} orders waited for {self.seconds:.0f} s\n"
            f"questions: {self.questions:,}, at most {self.most} about one order\n"
            f"triggerer: {self.cpu_seconds:.1f} CPU seconds, {share:.0%} of a core; its loop stood still for"
            f" {self.longest_pause_seconds:.2f} s at most\n"
            f"callbacks: {len(heard)} led to ends, in the middle after {middle} s,"
            f" at most after {max(heard, default=0):.2f} s"
        )


@dataclass
class ManyWaiting:
    """Orders in flight in a database, a SAT that says Pending, and connections that Airflow finds."""

    database: ApplicationDatabase
    url: str
    orders: int

    def put_in_flight(self) -> None:
        """Put every order in the state just after an accepted checkout."""
        opened = Database(self.database.writer_dsn)
        store = PostgresEventStore(opened)
        now = SystemClock().now()
        chain = (
            happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000),
            happened.OrderQuoted(
                price_rupiah=52_000,
                source=happened.QuoteSource.CATALOGUE,
                admin_fee_rupiah=None,
                valid_until=now + timedelta(hours=1),
            ),
            happened.CheckoutRequested(
                attempt=1, body="{}", price_rupiah=52_000, send_before=now, settled_after=now
            ),
            happened.CheckoutAccepted(
                attempt=1,
                reported_status="Pending",
                sales_price_rupiah=52_000,
                partner_fee_rupiah=None,
                response_digest=None,
            ),
        )
        assert not store.append([submitted()], BY_TEST, now)
        for first in range(1, self.orders + 1, GROUP):
            changes = []
            for number in range(first, min(first + GROUP, self.orders + 1)):
                events = (received(number), *chain)
                changes.append(Change.of_order(stream_of(number).key, None, events, now))
            assert not store.append(changes, BY_TEST, now)
        opened.close()

    async def wait(self, seconds: float, callbacks_after: Sequence[float] = ()) -> Measured:
        """Let the trigger wait this long, with a callback at these moments, and until those led to ends."""
        # Imported late: a program that runs this module must set its environment before it imports Airflow.
        from sat_hook.triggers.batch import SATBatchTrigger

        measured = Measured(self.orders)
        trigger = SATBatchTrigger(
            batch_id=BATCH,
            sat_conn_id="sat_many",
            db_conn_id="sat_many_db",
            deadline=(SystemClock().now() + timedelta(seconds=seconds + PATIENCE_SECONDS)).isoformat(),
        )

        async def run() -> None:
            async for _ in trigger.run():
                break

        began, cpu = time.monotonic(), time.process_time()
        pauses = asyncio.create_task(self._watch_the_loop(measured))
        waiting = asyncio.create_task(run())
        await self._call_back(callbacks_after, measured)
        await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        measured.seconds = time.monotonic() - began
        measured.cpu_seconds = time.process_time() - cpu
        ended_early = waiting.done()
        for task in (pauses, waiting):
            task.cancel()
        await asyncio.gather(pauses, waiting, return_exceptions=True)
        assert not ended_early, "there was more to wait for"
        asked = await asyncio.to_thread(lambda: requests.get(f"{self.url}/asked", timeout=30).json())
        measured.questions, measured.most = sum(asked.values()), max(asked.values(), default=0)
        return measured

    async def _watch_the_loop(self, measured: Measured) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            pause = time.monotonic() - began - 0.02
            measured.longest_pause_seconds = max(measured.longest_pause_seconds, pause)

    async def _call_back(self, moments: Sequence[float], measured: Measured) -> None:
        began = time.monotonic()
        for number, moment in enumerate(moments, 1):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            # From the end of the list: the schedule alone would not reach these soon.
            key = stream_of(self.orders + 1 - number).key
            measured.heard_seconds.append(await asyncio.to_thread(self._call_back_and_wait, key))

    def _call_back_and_wait(self, key: str) -> float:
        """Do the receiver's work for one callback, and measure how long its order then takes to end."""
        requests.post(f"{self.url}/ended", json=[key], timeout=10)
        connection = psycopg2.connect(self.database.superuser_dsn)
        connection.autocommit = True
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sat.receive_callback(%s, %s, %s, '', 's', 'k', 'application/json', '')",
                (ACCOUNT, key, os.urandom(32).hex()),
            )
            cursor.execute("SELECT pg_notify(sat.callback_channel(%s), '')", (ACCOUNT,))
            while time.monotonic() - began < PATIENCE_SECONDS:
                cursor.execute("SELECT state FROM sat.orders WHERE request_id = %s", (key,))
                if cursor.fetchone() == ("succeeded",):
                    break
                time.sleep(0.02)
            else:
                raise AssertionError(f"{key} has not ended by its callback")
        connection.close()
        return time.monotonic() - began


@contextmanager
def many_waiting(database: ApplicationDatabase, folder: Path, orders: int) -> Iterator[ManyWaiting]:
    """Set up this many orders in flight in ``database``."""
    sat_private, sat_public = generate_key_pair()
    client_private, _ = generate_key_pair()
    for name, pem in (
        ("sat.pem", sat_private),
        ("sat_public.pem", sat_public),
        ("client.pem", client_private),
    ):
        (folder / name).write_bytes(pem)
    with kept("tests.chaos.pending_sat", str(folder / "sat.pem")) as url:
        variables = {
            "AIRFLOW_CONN_SAT_MANY": json.dumps(_sat(url, folder)),
            "AIRFLOW_CONN_SAT_MANY_DB": database_connection(database.writer_dsn),
        }
        with mock.patch.dict("os.environ", variables):
            many = ManyWaiting(database, url, orders)
            many.put_in_flight()
            yield many


def _sat(url: str, folder: Path) -> dict[str, Any]:
    return {
        "conn_type": "sat",
        "login": "many-waiting",
        "password": "many-waiting",
        "extra": {
            "account": ACCOUNT,
            "environment": "custom",
            "base_url": f"{url}/api",
            "token_url": f"{url}/token",
            "private_key_path": str(folder / "client.pem"),
            "sat_public_key_paths": str(folder / "sat_public.pem"),
        },
    }


def main() -> int:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.many_waiting", description=__doc__)
    parser.add_argument("--orders", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=120)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sat-waiting-") as folder, server_for_tests() as dsn:
        os.environ["AIRFLOW_HOME"] = folder
        template = DatabaseTemplate(dsn)
        with template.copy() as database, many_waiting(database, Path(folder), wanted.orders) as many:
            moments = [wanted.seconds * place / 20 for place in range(1, 19)]
            print(asyncio.run(many.wait(wanted.seconds, moments)))
        template.drop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
