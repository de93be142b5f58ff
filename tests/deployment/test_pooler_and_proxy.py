"""docker/pgbouncer.sh and docker/haproxy.cfg with the real programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import psycopg2
import pytest
import requests
from psycopg2.extensions import parse_dsn

from stack.databases import ApplicationDatabase, dsn_of
from stack.postgres import free_port
from tests.deployment.composition import CHECKOUT
from tests.loopback import QuietHandler, serving
from tests.pgbouncer import PGBOUNCER

PROGRAMS = f"{os.environ.get('PATH', '')}:/usr/sbin"
HAPROXY = shutil.which("haproxy", path=PROGRAMS)


@contextmanager
def running(command: list[str], **environment: str) -> Iterator[None]:
    """A program that ends with the block."""
    process = subprocess.Popen(command, env={"PATH": PROGRAMS, **environment}, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def soon(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.skipif(PGBOUNCER is None and "CI" not in os.environ, reason="no PgBouncer here")
def test_the_pooler_lets_in_the_roles_that_use_it(database: ApplicationDatabase) -> None:
    """Readers and owners connect to PostgreSQL itself; no file with a password can be read by others."""
    server = parse_dsn(database.superuser_dsn)
    passwords = {
        dsn["user"]: dsn["password"] for dsn in map(parse_dsn, (database.writer_dsn, database.receiver_dsn))
    }
    port = free_port()

    def user_at_pooler(role: str, dsn: str) -> str:
        there = dsn_of(dsn, database="sat").replace(f":{server['port']}/", f":{port}/")
        with closing(psycopg2.connect(there)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            return str(cursor.fetchone()[0])

    with tempfile.TemporaryDirectory(prefix="sat-pooler-") as name:
        # As root the program runs as another user, which has to enter the folder above its own.
        Path(name).chmod(0o755)
        folder = Path(name) / "pgbouncer"
        with running(
            ["/bin/sh", str(CHECKOUT / "docker" / "pgbouncer.sh")],
            POSTGRES_ADDRESS=f"host={server['host']} port={server['port']} dbname={database.name}",
            PGBOUNCER_BIND="127.0.0.1",
            PGBOUNCER_PORT=str(port),
            PGBOUNCER_FOLDER=str(folder),
            AIRFLOW_DB_PASSWORD="unused",
            SAT_WRITER_PASSWORD=passwords["sat_writer"],
            SAT_RECEIVER_PASSWORD=passwords["sat_receiver"],
        ):
            soon(lambda: is_open(port))
            assert user_at_pooler("sat_writer", database.writer_dsn) == "sat_writer"
            assert user_at_pooler("sat_receiver", database.receiver_dsn) == "sat_receiver"
            with pytest.raises(psycopg2.OperationalError):
                user_at_pooler("sat_reader", database.reader_dsn)
            assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}


class Receiver(ThreadingHTTPServer):
    """Healthy, and takes callbacks."""

    callbacks = 0
    is_cut_off = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)


class _Answers(QuietHandler):
    server: Receiver

    def do_GET(self) -> None:
        self.reply(200)

    def do_POST(self) -> None:
        self.server.callbacks += 1
        self.body()
        if self.server.is_cut_off:
            self.close_connection = True
        else:
            self.reply(200)


@pytest.mark.skipif(HAPROXY is None and "CI" not in os.environ, reason="no HAProxy here")
def test_the_proxy_sends_a_callback_to_the_other_receiver() -> None:
    """Both get some; one that ends after it has read a callback, before its answer, costs none."""
    port = free_port()
    with ExitStack() as until_the_end:
        first, second = (until_the_end.enter_context(serving(Receiver())) for _ in range(2))
        addresses = [f"127.0.0.1:{one.server_address[1]}" for one in (first, second)]
        until_the_end.enter_context(
            running(
                [str(HAPROXY), "-db", "-f", str(CHECKOUT / "docker" / "haproxy.cfg")],
                PROXY_BIND=f"127.0.0.1:{port}",
                RECEIVER_1=addresses[0],
                RECEIVER_2=addresses[1],
            )
        )
        soon(lambda: is_open(port))

        def call_back() -> set[int]:
            url = f"http://127.0.0.1:{port}/sat/callbacks/main"
            return {requests.post(url, b"signed", timeout=30).status_code for _ in range(6)}

        assert call_back() == {200}
        assert (first.callbacks, second.callbacks) == (3, 3)
        first.is_cut_off = True
        assert call_back() == {200}
        assert first.callbacks > 3
        assert second.callbacks == 9


def is_open(port: int) -> bool:
    try:
        requests.get(f"http://127.0.0.1:{port}/", timeout=5)
    except requests.exceptions.ConnectionError as error:
        return "refused" not in str(error)
    except requests.exceptions.RequestException:
        return True
    return True
