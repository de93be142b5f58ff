"""The limits that all workers of an account share, on real PostgreSQL and with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest

from sat_hook.clients.shared_limiter import LEASE_SECONDS
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.rate_limit import PostgresRequestRegister
from stack.databases import ApplicationDatabase
from tests.integration.store.limited_worker import ACCOUNT
from tests.sql import execute

Requests = list[tuple[float, float]]


class Worker:
    """One process of :mod:`tests.integration.store.limited_worker`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def go(self) -> None:
        """Begin a round."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def begun(self) -> None:
        """Wait until the round has begun."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "working\n"

    def made(self) -> Requests:
        """The round's requests."""
        assert self.process.stdout is not None
        return [(began, ended) for began, ended in json.loads(self.process.stdout.readline())]


@contextmanager
def workers(
    dsn: str, count: int, *, seconds: float, tasks: int, requests_per_second: float, max_in_flight: int
) -> Iterator[list[Worker]]:
    """Several worker processes of one account."""
    arguments = [str(value) for value in (seconds, tasks, requests_per_second, max_in_flight)]
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.integration.store.limited_worker", *arguments],
                    cwd=Path(__file__).parents[3],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdin is not None
            process.stdin.write(f"{dsn}\n")
            made.append(Worker(process))
        yield made


def rounds(group: list[Worker]) -> Requests:
    """One round of all workers at once: every request, by its beginning."""
    for worker in group:
        worker.go()
    for worker in group:
        worker.begun()
    return sorted(request for worker in group for request in worker.made())


def most_at_once(requests: Requests) -> int:
    """The largest number of requests in flight at any moment."""
    steps = sorted([(began, 1) for began, _ in requests] + [(ended, -1) for _, ended in requests])
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def most_in_a_second(requests: Requests) -> int:
    """The largest number of requests that began within any second."""
    beginnings = [began for began, _ in requests]
    first = most = 0
    for last, began in enumerate(beginnings):
        while began - beginnings[first] > 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def full_speed(requests: Requests, seconds: float) -> float:
    """Requests a second while everybody still wanted more."""
    return sum(1 for began, _ in requests if began - requests[0][0] < seconds) / seconds


def in_use(requests: Requests, seconds: float) -> float:
    """How many requests are in flight on average, in so long from the first on."""
    until = requests[0][0] + seconds
    return sum(min(ended, until) - began for began, ended in requests if began < until) / seconds


def test_several_processes_together_stay_under_both_limits(database: ApplicationDatabase) -> None:
    """Three processes with twelve tasks each want far more than 30 a second and 8 in flight."""
    with workers(
        database.writer_dsn, 3, seconds=4.0, tasks=12, requests_per_second=30, max_in_flight=8
    ) as group:
        started = time.monotonic()
        requests = rounds(group)
    assert most_at_once(requests) <= 8
    # None begins before its moment; the first moment is the start at the earliest.
    early = [number / 30 - (began - started) for number, (began, _) in enumerate(requests)]
    assert max(early) < 0.02
    # Who was not run for a while begins late, and what comes next in time; three limits would be 90.
    assert most_in_a_second(requests) <= 30 * 1.5
    assert full_speed(requests, 3.5) >= 30 * 0.6, "the limit is there to be used"


def test_permits_alone_are_shared_and_used(database: ApplicationDatabase) -> None:
    """Without a pace, six permits among three processes; all of them are in use most of the time."""
    with workers(
        database.writer_dsn, 3, seconds=3.0, tasks=6, requests_per_second=0, max_in_flight=6
    ) as group:
        requests = rounds(group)
    assert most_at_once(requests) <= 6
    assert in_use(requests, 2.5) >= 0.5 * 6


def test_permits_of_a_killed_worker_come_back(database: ApplicationDatabase) -> None:
    """It held all of them; after its lease another process does."""
    with workers(database.writer_dsn, 1, seconds=60.0, tasks=8, requests_per_second=0, max_in_flight=4) as (
        doomed,
    ):
        doomed.go()
        doomed.begun()
        register = register_of(database.writer_dsn, "next", max_in_flight=4)
        give_up = time.monotonic() + 60
        while leased(database) < 4:
            assert time.monotonic() < give_up, "it never took its permits"
            time.sleep(0.05)
        doomed.process.kill()
        doomed.process.wait()
        killed_at = time.monotonic()
        assert register.take(in_use=0, wanted=4, moments=0, lease_seconds=5).permits == 0
        while register.take(in_use=0, wanted=4, moments=0, lease_seconds=5).permits < 4:
            assert time.monotonic() < killed_at + LEASE_SECONDS + 30
            time.sleep(0.1)


def leased(database: ApplicationDatabase) -> int:
    """Permits that are held now."""
    return int(execute(database.reader_dsn, "SELECT coalesce(sum(permits), 0) FROM sat.request_leases")[0][0])


def register_of(
    dsn: str, holder: str, *, requests_per_second: float | None = None, max_in_flight: int = 10
) -> PostgresRequestRegister:
    """The register as one process sees it."""
    return PostgresRequestRegister(
        Database(dsn, "tests"),
        account=ACCOUNT,
        holder=holder,
        requests_per_second=requests_per_second,
        max_in_flight=max_in_flight,
    )


def test_newcomer_gets_a_fair_share(database: ApplicationDatabase) -> None:
    """The first had everything; it keeps what is in use, and gives the rest back at its next question."""
    first, second = (register_of(database.writer_dsn, name) for name in ("first", "second"))
    assert first.take(in_use=0, wanted=10, moments=0, lease_seconds=60).permits == 10
    assert second.take(in_use=0, wanted=10, moments=0, lease_seconds=60).permits == 0
    assert first.take(in_use=7, wanted=10, moments=0, lease_seconds=60).permits == 7
    assert second.take(in_use=0, wanted=10, moments=0, lease_seconds=60).permits == 3
    assert first.take(in_use=2, wanted=10, moments=0, lease_seconds=60).permits == 5
    answer = second.take(in_use=3, wanted=10, moments=0, lease_seconds=60)
    assert (answer.permits, answer.holders) == (5, 2)


def test_what_one_does_not_want_the_other_may_use(database: ApplicationDatabase) -> None:
    """Shares are claims, not walls."""
    modest, greedy = (register_of(database.writer_dsn, name) for name in ("modest", "greedy"))
    assert modest.take(in_use=0, wanted=2, moments=0, lease_seconds=60).permits == 2
    assert greedy.take(in_use=0, wanted=10, moments=0, lease_seconds=60).permits == 8
    assert modest.take(in_use=0, wanted=0, moments=0, lease_seconds=60).permits == 0
    assert greedy.take(in_use=8, wanted=10, moments=0, lease_seconds=60).permits == 10


def test_no_moment_is_given_twice(database: ApplicationDatabase) -> None:
    """The second block begins where the first ends; no process takes moments without permits for them."""
    first, second = (
        register_of(database.writer_dsn, name, requests_per_second=10) for name in ("first", "second")
    )
    before = time.monotonic()
    taken = first.take(in_use=0, wanted=8, moments=5, lease_seconds=60)
    assert taken.moments == 5
    assert taken.delay_seconds <= 0, "none was before"
    after = second.take(in_use=0, wanted=8, moments=5, lease_seconds=60)
    assert (after.permits, after.moments) == (2, 2)
    assert 0.49 - (time.monotonic() - before) <= after.delay_seconds <= 0.5
    assert first.take(in_use=5, wanted=5, moments=3, lease_seconds=60).moments == 0


def test_accounts_do_not_share(database: ApplicationDatabase) -> None:
    """Another account has limits of its own."""
    register_of(database.writer_dsn, "one").take(in_use=0, wanted=10, moments=0, lease_seconds=60)
    other = PostgresRequestRegister(
        Database(database.writer_dsn, "tests"),
        account="another",
        holder="two",
        requests_per_second=None,
        max_in_flight=10,
    )
    assert other.take(in_use=0, wanted=10, moments=0, lease_seconds=60).permits == 10


def test_database_that_is_away_is_said() -> None:
    """What the limiters turn into a share of the limits."""
    with pytest.raises(StoreUnavailableError):
        register_of("host=127.0.0.1 port=1 dbname=none", "lost").take(
            in_use=0, wanted=1, moments=1, lease_seconds=60
        )


def test_roles(database: ApplicationDatabase) -> None:
    """The reader sees who holds what; the receiver has no business here."""
    register_of(database.writer_dsn, "one").take(in_use=0, wanted=3, moments=0, lease_seconds=60)
    held = execute(database.reader_dsn, "SELECT holder, permits FROM sat.request_leases")
    assert held == [("one", 3)]
    with pytest.raises(psycopg2.Error):
        register_of(database.receiver_dsn, "two").take(in_use=0, wanted=3, moments=0, lease_seconds=60)
