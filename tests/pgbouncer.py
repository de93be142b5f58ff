"""A real PgBouncer before a test's PostgreSQL, in transaction pooling with very few server sessions."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

from stack.databases import ApplicationDatabase
from stack.postgres import free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SERVER_SESSIONS = 2


class Pooler:
    """A PgBouncer that can be killed and started again."""

    def __init__(self, folder: Path, port: int, dsn: str) -> None:
        self.folder = folder
        self.port = port
        self._dsn = dsn
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        assert PGBOUNCER is not None
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [PGBOUNCER, *as_user, str(self.folder / "pgbouncer.ini")]
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _wait_for(through(self._dsn, self.port), self.folder / "said")

    def kill(self) -> None:
        """As ``kill -9`` does; its clients' connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def pgbouncer(database: ApplicationDatabase, **settings: str) -> Iterator[int]:
    """Its port; the database keeps its name, and the roles their passwords.

    :param settings: further lines of its section ``[pgbouncer]``.
    """
    with pooler(database, **settings) as made:
        yield made.port


@contextmanager
def pooler(database: ApplicationDatabase, **settings: str) -> Iterator[Pooler]:
    """The same, for tests that kill it."""
    server = parse_dsn(database.superuser_dsn)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sat-pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        users = [parse_dsn(dsn) for dsn in (database.writer_dsn, database.receiver_dsn, database.reader_dsn)]
        (folder / "users.txt").write_text("".join(f'"{u["user"]}" "{u["password"]}"\n' for u in users))
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(folder / "users.txt"),
            "pool_mode": "transaction",
            "default_pool_size": str(SERVER_SESSIONS),
            **settings,
        }
        text = f"[databases]\n{database.name} = host={server['host']} port={server['port']}\n[pgbouncer]\n"
        (folder / "pgbouncer.ini").write_text(text + "".join(f"{k} = {v}\n" for k, v in lines.items()))
        made = Pooler(folder, port, database.writer_dsn)
        try:
            made.start()
            yield made
        finally:
            made.kill()


def through(dsn: str, port: int) -> str:
    """The same DSN by way of the pooler."""
    return dsn.replace(f":{parse_dsn(dsn)['port']}/", f":{port}/")


def _wait_for(dsn: str, said: Path) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            with closing(psycopg2.connect(dsn)):
                return
        except psycopg2.OperationalError:
            if time.monotonic() > give_up:
                raise AssertionError(said.read_text()) from None
            time.sleep(0.05)
