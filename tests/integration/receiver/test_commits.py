"""When callbacks are committed: together, in spite of a bad one, and not at all without a database."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg2

from sat_hook.protocol.signing import Signer
from sat_hook.receiver.responses import Refusal
from sat_hook.receiver.settings import Limits
from sat_hook.store.database import Database
from stack.databases import ApplicationDatabase
from stack.postgres import free_port
from tests.integration.receiver.serving import OTHER_PRIVATE_PEM, Served, order, serving, settings_for
from tests.integration.receiver.test_receiver import inbox_size, refusal, rows
from tests.sql import execute

STRANGER = Signer(OTHER_PRIVATE_PEM)


def until_a_commit_waits(database: ApplicationDatabase) -> None:
    """Another session has a lock, and the receiver wants it."""
    while not rows(database.owner_dsn, "SELECT 1 FROM pg_locks WHERE NOT granted"):
        time.sleep(0.01)


def until_queued(served: Served, callbacks: int) -> None:
    """So many wait for the next commit."""
    while served.receiver.open().inbox._queue.qsize() < callbacks:
        time.sleep(0.01)


def test_without_a_database_the_answer_is_503_and_nothing_is_lost(database: ApplicationDatabase) -> None:
    """The sender is told to try again; once the database is back, the same receiver takes the callback."""
    port = free_port()
    with closing(psycopg2.connect(database.receiver_dsn)) as probe:
        upstream = probe.info.host, probe.info.port
        parameters = probe.get_dsn_parameters()
    dsn = psycopg2.extensions.make_dsn(
        host="127.0.0.1",
        port=port,
        user=parameters["user"],
        password=database.receiver_dsn.split(":")[2].split("@")[0],
        dbname=parameters["dbname"],
    )
    with serving(settings_for(dsn)) as served:
        refusal(served, (503, "UNAVAILABLE"))
        assert served.session.get(f"{served.base_url}/sat/health", timeout=20).status_code == 503
        assert inbox_size(database) == 0
        with forwarding(port, upstream):
            assert served.post(order()).status_code == 200
            assert served.post(order()).status_code == 200
            deadline = time.monotonic() + 60
            while served.session.get(f"{served.base_url}/sat/health", timeout=20).status_code != 200:
                assert time.monotonic() < deadline, "health stays bad although callbacks are kept"
                time.sleep(0.1)
        assert inbox_size(database) == 1
        refusal(served, (503, "UNAVAILABLE"))


class forwarding:
    """Lets a port lead to PostgreSQL while the block lasts; then cuts every connection."""

    def __init__(self, port: int, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> None:
        self._threads[0].start()

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for open_socket in self._sockets:
            open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)
        for open_socket in self._sockets:
            open_socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._upstream)
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                thread = threading.Thread(target=_pump, args=(source, target))
                self._threads.append(thread)
                thread.start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while content := source.recv(65536):
            target.sendall(content)
    except OSError:
        pass


def test_a_connection_that_died_is_replaced_within_the_request(
    served: Served, database: ApplicationDatabase
) -> None:
    """PostgreSQL restarted between two callbacks: the sender does not notice."""
    assert served.post(order("S1")).status_code == 200
    rows(
        database.superuser_dsn,
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
        " WHERE application_name = 'sat-receiver'",
    )
    assert served.post(order("S2")).status_code == 200


def test_a_notification_names_what_was_called_back(served: Served, database: ApplicationDatabase) -> None:
    """On the account's channel only, and only when something new came."""
    channel = rows(database.writer_dsn, "SELECT sat.callback_channel('demo')")[0][0]
    listener = Database(database.writer_dsn).listen(channel)
    with closing(listener):
        served.post(order())
        assert select.select([listener], [], [], 60)[0], "no notification came"
        listener.poll()
        # No log knows this order, so it has no batch.
        assert [(n.channel, n.payload) for n in listener.notifies] == [(channel, "- SREQUEST1")]
        listener.notifies.clear()
        served.post(order())
        served.post(order(), account="other", signer=STRANGER)
        assert not select.select([listener], [], [], 0.3)[0]


def test_notifications_of_long_foreign_ids_are_short_enough(database: ApplicationDatabase) -> None:
    """PostgreSQL refuses 8,000 bytes, and with them every callback of the group."""
    ids = [f"{n:04}" + "\N{MONEY BAG}" * 60 for n in range(100)] + [f"{n:064}" for n in range(300)]
    found = execute(database.owner_dsn, "SELECT p FROM sat.callback_payloads('demo', %s) AS p", (ids,))
    payloads = [payload for (payload,) in found]
    assert max(len(payload.encode()) for payload in payloads) < 8000
    assert sorted(one for payload in payloads for one in payload.split(" ")[1:]) == sorted(ids)


@contextmanager
def commits_held_up(
    served: Served, database: ApplicationDatabase, *names: str
) -> Iterator[list[Future[Any]]]:
    """Hold up the commit of one callback until the end of the block, while these others come and wait.

    Gives the requests that are under way, the one that is held up first.
    """
    with closing(psycopg2.connect(database.owner_dsn)) as blocker, ThreadPoolExecutor(21) as senders:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE sat.callback_inbox IN ACCESS EXCLUSIVE MODE")
        replies = [senders.submit(served.post, order("S0"))]
        until_a_commit_waits(database)
        replies += [senders.submit(served.post, order(name)) for name in names]
        until_queued(served, len(names))
        try:
            yield replies
        finally:
            blocker.rollback()


def test_callbacks_that_wait_together_share_a_commit(served: Served, database: ApplicationDatabase) -> None:
    """While one transaction is held up, the others gather and are committed as one."""
    with commits_held_up(served, database, *(f"S{n}" for n in range(1, 21))) as replies:
        pass
    assert {reply.result().status_code for reply in replies} == {200}
    transactions = rows(
        database.owner_dsn, "SELECT count(*), count(DISTINCT xmin::text) FROM sat.callback_inbox"
    )
    assert transactions == [(21, 2)]


def test_a_full_queue_is_503_at_once(database: ApplicationDatabase) -> None:
    """Bounded: what cannot be committed soon is sent back to try again."""
    limits = Limits(waiting_callbacks=1, answer_seconds=0.5)
    with (
        serving(settings_for(database.receiver_dsn, limits)) as served,
        closing(psycopg2.connect(database.owner_dsn)) as blocker,
        ThreadPoolExecutor(4) as senders,
    ):
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE sat.callback_inbox IN ACCESS EXCLUSIVE MODE")
        statuses = list(senders.map(lambda n: served.post(order(f"S{n}")).status_code, range(4)))
        assert statuses == [503] * 4
        assert served.receiver.tally.refusals == {Refusal.NOT_STORED: 4}
        blocker.rollback()
        while served.receiver.open().inbox._queue.qsize():
            time.sleep(0.01)
        assert served.post(order("S0")).status_code == 200


def test_one_callback_that_the_database_refuses_costs_no_other(
    served: Served, database: ApplicationDatabase
) -> None:
    """A group that fails is committed one by one: only the poisonous one is sent back."""
    execute(
        database.superuser_dsn,
        "ALTER TABLE sat.callback_inbox ADD CONSTRAINT poison CHECK (request_id <> 'SPOISON')",
    )
    with commits_held_up(served, database, "S1", "SPOISON", "S2") as replies:
        pass
    assert [reply.result().status_code for reply in replies] == [200, 200, 503, 200]
    assert inbox_size(database) == 3


def test_what_waits_is_committed_when_the_server_stops(served: Served, database: ApplicationDatabase) -> None:
    """A server that is told to stop answers the requests that it has, after their commit."""
    with commits_held_up(served, database, "S1", "S2", "S3") as replies:
        served.server.should_exit = True
        time.sleep(0.3)
    assert [reply.result().status_code for reply in replies] == [200] * 4
    assert inbox_size(database) == 4
