"""Thousands of orders wait at once: measures the real triggers' queries and cost, and their response to
callbacks.

``python -m tests.chaos.many_waiting --orders 5000 --seconds 120`` is one batch that waits.
``python -m tests.chaos.many_waiting --orders 0 --batches 1000 --singles 5000 --seconds 120`` is a thousand
batches of one order and five thousand sensors of single orders. The triggers run in this process as in the
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
from sat_hook.domain.grouping import grouped
from sat_hook.domain.identity import batch_id_of
from sat_hook.protocol.signing import generate_key_pair
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.triggers.batch import ENDED, SATBatchTrigger
from sat_hook.triggers.order import SATOrderTrigger
from sat_hook.triggers.order_wait import SATOrderWaitTrigger
from sat_hook.triggers.order_watch import Wait
from stack.databases import ApplicationDatabase
from tests.airflow_connections import SUCCESS, database_connection, fired
from tests.keeper import kept
from tests.orders import ACCOUNT, BATCH, BY_TEST, received, stream_of, submitted
from tests.postgres import DatabaseTemplate, server_for_tests
from tests.sql import execute

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
    :param connections: the triggers' most sessions at the same time.
    :param woken: waits that were woken after their first look.
    """

    orders: int
    waits: int
    seconds: float = 0.0
    questions: int = 0
    most: int = 0
    cpu_seconds: float = 0.0
    longest_pause_seconds: float = 0.0
    heard_seconds: list[float] = field(default_factory=list)
    connections: int = 0
    woken: set[Wait] = field(default_factory=set)

    def __str__(self) -> str:
        heard = self.heard_seconds
        middle = f"{sorted(heard)[len(heard) // 2]:.2f}" if heard else "-"
        share = self.cpu_seconds / self.seconds
        return (
            f"{self.orders:,} orders and {self.waits:,} waits, for {self.seconds:.0f} s\n"
            f"connections: at most {self.connections}; woken: {len(self.woken)} waits\n"
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
    batches: int = 0
    singles: int = 0

    @property
    def places(self) -> list[str]:
        """The batch of each order, in the order of their numbers."""
        alone = [batch_id_of(ACCOUNT, f"batch {n}") for n in range(self.batches + self.singles)]
        return [BATCH] * self.orders + alone

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
        places = self.places
        for group in grouped([submitted(batch_id) for batch_id in dict.fromkeys(places)], GROUP):
            assert not store.append(group, BY_TEST, now)
        for group in grouped(list(enumerate(places, 1)), GROUP):
            changes = [
                Change.of_order(
                    stream_of(number).key, None, (received(number, batch_id=batch_id), *chain), now
                )
                for number, batch_id in group
            ]
            assert not store.append(changes, BY_TEST, now)
        opened.close()

    def triggers(self, seconds: float) -> list[SATOrderWaitTrigger]:
        """The wait of each batch, and of each single order."""
        places, numbers = self.places, range(1, len(self.places) + 1)
        arguments = {
            "sat_conn_id": "sat_many",
            "db_conn_id": "sat_many_db",
            "deadline": (SystemClock().now() + timedelta(seconds=seconds)).isoformat(),
        }
        batches = dict.fromkeys(places[: self.orders + self.batches])
        return [
            *(SATBatchTrigger(batch_id=batch_id, **arguments) for batch_id in batches),
            *(
                SATOrderTrigger(request_id=stream_of(number).key, batch_id=batch_id, **arguments)
                for number, batch_id in zip(numbers, places, strict=True)
                if number > self.orders + self.batches
            ),
        ]

    async def wait(self, seconds: float, callbacks_after: Sequence[float] = ()) -> Measured:
        """Let the trigger wait this long, with a callback at these moments, and until those led to ends."""
        triggers = self.triggers(seconds + PATIENCE_SECONDS)
        measured = Measured(len(self.places), len(triggers))

        began, cpu = time.monotonic(), time.process_time()
        pauses = asyncio.create_task(self._watch_the_loop(measured))
        sessions = asyncio.create_task(self._count_sessions(measured))
        with _wakes_noted(measured):
            waiting = [asyncio.create_task(fired(trigger)) for trigger in triggers]
            await self._call_back(callbacks_after, measured)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            ends = 0 if self.orders else len(callbacks_after)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while sum(task.done() for task in waiting) < ends:  # noqa: ASYNC110 - ends come from SAT
                    await asyncio.sleep(0.05)
            measured.seconds = time.monotonic() - began
            measured.cpu_seconds = time.process_time() - cpu
            ended = [task for task in waiting if task.done()]
            for task in (pauses, sessions, *waiting):
                task.cancel()
            await asyncio.gather(pauses, sessions, *waiting, return_exceptions=True)
        assert len(ended) == (0 if self.orders else len(callbacks_after))
        assert {task.result()["end"] for task in ended} <= {SUCCESS, ENDED}
        asked = await asyncio.to_thread(lambda: requests.get(f"{self.url}/asked", timeout=30).json())
        measured.questions, measured.most = sum(asked.values()), max(asked.values(), default=0)
        return measured

    async def _watch_the_loop(self, measured: Measured) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            pause = time.monotonic() - began - 0.02
            measured.longest_pause_seconds = max(measured.longest_pause_seconds, pause)

    async def _count_sessions(self, measured: Measured) -> None:
        while True:
            [(sessions,)] = await asyncio.to_thread(
                execute,
                self.database.superuser_dsn,
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sat trigger'",
            )
            measured.connections = max(measured.connections, sessions)
            await asyncio.sleep(0.5)

    async def _call_back(self, moments: Sequence[float], measured: Measured) -> None:
        began = time.monotonic()
        for number, moment in enumerate(moments, 1):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            # From the end of the list: the schedule alone would not reach these soon.
            key = stream_of(len(self.places) + 1 - number).key
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
            cursor.execute(
                "SELECT pg_notify(sat.callback_channel(%s), sat.callback_payloads(%s, %s))",
                (ACCOUNT, ACCOUNT, [key]),
            )
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
def _wakes_noted(measured: Measured) -> Iterator[None]:
    """Note each wait that is woken after its first look."""
    wake = Wait.wake

    def noted(self: Wait) -> None:
        if self.left is not None:
            measured.woken.add(self)
        wake(self)

    with mock.patch.object(Wait, "wake", noted):
        yield


@contextmanager
def many_waiting(
    database: ApplicationDatabase, folder: Path, orders: int, *, batches: int = 0, singles: int = 0
) -> Iterator[ManyWaiting]:
    """Set up orders in flight in ``database``: one batch of ``orders``, and so many of one order each."""
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
            many = ManyWaiting(database, url, orders, batches, singles)
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
    parser.add_argument("--batches", type=int, default=0)
    parser.add_argument("--singles", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sat-waiting-") as folder, server_for_tests() as dsn:
        os.environ["AIRFLOW_HOME"] = folder
        template = DatabaseTemplate(dsn)
        chosen = {"batches": wanted.batches, "singles": wanted.singles}
        with (
            template.copy() as database,
            many_waiting(database, Path(folder), wanted.orders, **chosen) as many,
        ):
            moments = [wanted.seconds * place / 20 for place in range(1, 19)]
            print(asyncio.run(many.wait(wanted.seconds, moments)))
        template.drop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
