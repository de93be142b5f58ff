"""``sat receiver serve`` as a process: whatever ends it, what it acknowledged is in the database."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
import requests

from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import JSON_API, PUBLIC_PEM, SIGNER, order
from tests.integration.receiver.test_commits import until_a_commit_waits
from tests.integration.receiver.test_receiver import rows

BODIES = {f"S{number}": order(f"S{number}") for number in range(2000)}


@dataclass
class Running:
    """The process, and where it takes callbacks."""

    process: subprocess.Popen[str]
    url: str

    def post(self, request_id: str, session: requests.Session | None = None) -> int | None:
        """The answer to a callback; None when there was none, or not the whole of it."""
        body = BODIES[request_id]
        headers = {"Content-Type": JSON_API, "signature": SIGNER.sign(body)}
        try:
            return (session or requests).post(self.url, data=body, headers=headers, timeout=20).status_code
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            return None

    def lets_in(self) -> bool:
        """Whether it still accepts connections."""
        address = urlsplit(self.url)
        try:
            socket.create_connection((address.hostname, address.port), timeout=5).close()
        except ConnectionError:
            return False
        return True

    def senders(self) -> int:
        """Connections that it has accepted, and that are open."""
        return sum(
            connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == urlsplit(self.url).port
            for connection in psutil.Process(self.process.pid).net_connections(kind="tcp")
        )


@contextmanager
def running(database: ApplicationDatabase, folder: Path) -> Iterator[Running]:
    """The command, as a container runs it; killed at the end if it still runs."""
    (folder / "sat.pem").write_bytes(PUBLIC_PEM)
    settings = {"accounts": {"demo": {"public_key_paths": ["sat.pem"]}}}
    (folder / "receiver.json").write_text(json.dumps(settings), "utf-8")
    environment = {
        **os.environ,
        "SAT_RECEIVER_CONFIG": str(folder / "receiver.json"),
        "SAT_RECEIVER_DSN": database.receiver_dsn,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-c", "from sat_hook.cli import main; main()"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "receiver", "serve", "--port", "0", "--log-format", "json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            url = re.search(r"http://\S+/callbacks/", said)
            assert url is not None, (said, (folder / "log").read_text())
            yield Running(process, f"{url.group()}demo")
        finally:
            process.kill()


def kept(database: ApplicationDatabase) -> set[str]:
    """The ids in the inbox."""
    return {row[0] for row in rows(database.owner_dsn, "SELECT request_id FROM sat.callback_inbox")}


@pytest.fixture(autouse=True)
def no_bodies_in_the_log(tmp_path: Path) -> Iterator[None]:
    """Whatever happened, the log names no body and no signature, and each of its lines is a JSON object with
    the members of Airflow's.
    """
    yield
    log = (tmp_path / "log").read_text()
    for line in log.splitlines():
        assert {"timestamp", "level", "event", "logger"} <= json.loads(line).keys()
    assert "Success" not in log
    assert "attributes" not in log


def test_sigterm_answers_and_commits_what_is_there(database: ApplicationDatabase, tmp_path: Path) -> None:
    """The database is slow when the signal comes: everybody who was let in is answered after the commit."""
    with (
        running(database, tmp_path) as receiver,
        ThreadPoolExecutor(8) as senders,
        closing(psycopg2.connect(database.owner_dsn)) as blocker,
    ):
        assert receiver.post("S0") == 200
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE sat.callback_inbox IN ACCESS EXCLUSIVE MODE")
        replies = [senders.submit(receiver.post, f"S{number}") for number in range(1, 9)]
        until_a_commit_waits(database)
        while receiver.senders() < len(replies):
            time.sleep(0.01)
        time.sleep(0.5)  # what they send has been read, too
        receiver.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while receiver.lets_in():
            assert time.monotonic() < deadline, "it still lets new ones in"
        assert receiver.process.poll() is None, "it waits for those it has"
        blocker.rollback()
        assert [reply.result() for reply in replies] == [200] * 8
        assert receiver.process.wait(60) in (0, -signal.SIGTERM)
    assert kept(database) == {f"S{number}" for number in range(9)}


def test_sigkill_loses_nothing_that_was_acknowledged(database: ApplicationDatabase, tmp_path: Path) -> None:
    """No farewell, in the middle of a stream: every 200 stands in the inbox, and a repeat is counted."""
    acknowledged: set[str] = set()
    with running(database, tmp_path) as receiver:

        def send(first: int) -> None:
            with requests.Session() as session:
                for number in range(first, len(BODIES), 4):
                    if receiver.post(f"S{number}", session) != 200:
                        return
                    acknowledged.add(f"S{number}")

        senders = [threading.Thread(target=send, args=(first,)) for first in range(4)]
        for sender in senders:
            sender.start()
        while len(acknowledged) < 40:
            time.sleep(0.01)
        receiver.process.kill()
        for sender in senders:
            sender.join(60)
    assert acknowledged <= kept(database)
    (tmp_path / "log").unlink()
    with running(database, tmp_path) as again:
        assert {again.post(request_id) for request_id in acknowledged} == {200}
    assert rows(database.owner_dsn, "SELECT count(*) FROM sat.callback_repeats") == [(len(acknowledged),)]


def test_settings_that_cannot_be_read_end_it_with_the_reason(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """At the start there are no last good ones: one sentence, exit code 2, nothing is served."""
    (tmp_path / "log").write_text("")
    (tmp_path / "receiver.json").write_text("{", "utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", "from sat_hook.cli import main; main()", "receiver", "serve", "--port", "0"],
        env={**os.environ, "SAT_RECEIVER_CONFIG": str(tmp_path / "receiver.json")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "receiver.json" in ended.stderr
    assert "Traceback" not in ended.stderr
