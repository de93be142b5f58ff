"""Keys change while the receiver runs: no restart, and none of them counts longer than the settings say."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from sat_hook.protocol.signing import Signer
from sat_hook.receiver import live_settings
from sat_hook.receiver.settings import Limits, ReceiverSettings, load_settings
from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import (
    OTHER_PRIVATE_PEM,
    OTHER_PUBLIC_PEM,
    PUBLIC_PEM,
    Served,
    order,
    serving,
    settings_for,
)
from tests.sql import execute

NEW = Signer(OTHER_PRIVATE_PEM)
# Short, so that a test need not wait; callers never get settings older than this.
REREAD = 0.1


@dataclass
class Configured:
    """A receiver and the file that it reads."""

    served: Served
    path: Path
    written: dict[str, Any]

    def write(self, **changes: Any) -> None:
        """Change the file in one step, and wait until its old contents are too old to be used."""
        self.written.update(changes)
        other = self.path.with_suffix(".new")
        other.write_text(json.dumps(self.written), "utf-8")
        other.replace(self.path)
        time.sleep(REREAD)

    def status(self, request_id: str, signer: Signer | None = None) -> int:
        """The answer to a callback; with the first key unless another is given."""
        more = {} if signer is None else {"signer": signer}
        return self.served.post(order(request_id), **more).status_code


@pytest.fixture
def configured(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Configured]:
    """A receiver that trusts the first key."""
    (tmp_path / "old.pem").write_bytes(PUBLIC_PEM)
    (tmp_path / "new.pem").write_bytes(OTHER_PUBLIC_PEM)
    written = {
        "dsn": database.receiver_dsn,
        "accounts": {"demo": {"public_key_paths": ["old.pem"]}},
        "limits": {"reread_seconds": REREAD},
    }
    path = tmp_path / "receiver.json"
    path.write_text(json.dumps(written), "utf-8")
    with serving(partial(load_settings, path)) as served:
        yield Configured(served, path, written)


def keys(*names: str) -> dict[str, Any]:
    """The accounts of the file, with these keys."""
    return {"demo": {"public_key_paths": [f"{name}.pem" for name in names]}}


def test_keys_rotate_without_a_restart_and_without_a_gap(
    configured: Configured, caplog: pytest.LogCaptureFixture
) -> None:
    """Old, both, new: each step counts within the interval, also for a receiver that idled through it."""
    caplog.set_level(logging.INFO)
    assert (configured.status("S1"), configured.status("S2", NEW)) == (200, 400)
    configured.write(accounts=keys("old", "new"))
    assert (configured.status("S3"), configured.status("S4", NEW)) == (200, 200)
    configured.write(accounts=keys("new"))
    assert configured.status("S5") == 400, "the first callback after the withdrawal is refused already"
    assert configured.status("S6", NEW) == 200
    assert "keys of account demo from now on" in caplog.text


def test_a_key_file_whose_contents_changed_is_read_again(configured: Configured) -> None:
    """The settings name the same path; what stands there is another key."""
    (configured.path.parent / "old.pem").write_bytes(OTHER_PUBLIC_PEM)
    time.sleep(REREAD)
    assert (configured.status("S1"), configured.status("S2", NEW)) == (400, 200)


def test_accounts_and_senders_come_and_go(configured: Configured) -> None:
    """A new account is heard, a removed one is not; so it is with the allow-list."""
    accounts = {**keys("old"), "shop": {"public_key_paths": ["new.pem"]}}
    configured.write(accounts=accounts)
    assert configured.served.post(order("S1"), account="shop", signer=NEW).status_code == 200
    configured.write(accounts={"shop": accounts["shop"]})
    assert configured.status("S2") == 400
    configured.write(accounts=accounts, allowed_sources=["203.0.113.0/24"])
    assert configured.status("S3") == 400
    configured.write(allowed_sources=["127.0.0.0/8"])
    assert configured.status("S4") == 200


@pytest.mark.parametrize("damage", ["half", "gone", "no key"])
def test_what_cannot_be_read_changes_nothing(
    configured: Configured, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The last good settings stay, the log says so, health says stale; and the mended file counts again."""
    whole = configured.path.read_text("utf-8")
    if damage == "gone":
        configured.path.unlink()
    elif damage == "half":
        configured.path.write_text(whole[: len(whole) // 2], "utf-8")
    else:
        (configured.path.parent / "old.pem").write_text("no key", "utf-8")
    time.sleep(REREAD)
    assert configured.status("S1") == 200
    assert "the last good ones stay" in caplog.text
    health = f"{configured.served.base_url}/sat/health"
    assert configured.served.session.get(health, timeout=30).json()["settings"] == "stale"
    (configured.path.parent / "old.pem").write_bytes(PUBLIC_PEM)
    configured.write(accounts=keys("new"))
    assert configured.status("S2", NEW) == 200
    assert configured.served.session.get(health, timeout=30).json()["settings"] == "current"


def test_another_database_takes_over_and_nothing_is_lost(
    configured: Configured, new_database: Any, database: ApplicationDatabase
) -> None:
    """What was acknowledged before is in the old one, what comes after in the new one."""
    other = new_database()
    assert configured.status("S1") == 200
    configured.write(dsn=other.receiver_dsn)
    assert configured.status("S2") == 200
    assert [kept(database), kept(other)] == [["S1"], ["S2"]]
    deadline = time.monotonic() + 60
    while connected(database):
        assert time.monotonic() < deadline, "the old database is still held on to"
        time.sleep(0.05)


def connected(database: ApplicationDatabase) -> int:
    """How many connections receivers have to it."""
    ((found,),) = execute(
        database.superuser_dsn,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'sat-receiver' AND datname = current_database()",
    )
    return int(found)


def kept(database: ApplicationDatabase) -> list[str]:
    """The ids in the inbox."""
    ids = "SELECT request_id FROM sat.callback_inbox ORDER BY inbox_id"
    return [row[0] for row in execute(database.owner_dsn, ids)]


def test_limits_change_too_and_counts_survive_a_change_of_keys(configured: Configured) -> None:
    """A sender of forgeries stays limited although a key was added; a new limit starts from zero."""
    configured.write(limits={"reread_seconds": REREAD, "bad_signatures_per_minute": 1})
    assert [configured.status("S1", NEW), configured.status("S1", NEW)] == [400, 429]
    configured.write(accounts=keys("old", "new"))
    assert configured.status("S2") == 429
    configured.write(limits={"reread_seconds": REREAD, "body_bytes": 1024})
    assert configured.status("S3") == 200
    assert configured.served.post(order("S4", note="x" * 2000)).status_code == 413


class Slow:
    """Settings on a disk that hangs."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self.settings = settings
        self.hangs = threading.Event()
        self.released = threading.Event()
        self.reads = 0

    def __call__(self) -> ReceiverSettings:
        self.reads += 1
        if self.hangs.is_set():
            self.released.wait(60)
        return self.settings


def test_a_disk_that_hangs_does_not_stop_the_receiver(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread waits for it, callbacks are taken with the settings that were read last."""
    monkeypatch.setattr(live_settings, "READING_SECONDS", 0.2)
    slow = Slow(settings_for(database.receiver_dsn, Limits(reread_seconds=REREAD)))
    with serving(slow) as served:
        slow.hangs.set()
        time.sleep(REREAD)
        before = slow.reads
        assert [served.post(order(f"S{n}")).status_code for n in range(4)] == [200] * 4
        assert slow.reads == before + 1
        slow.settings = settings_for(database.receiver_dsn, allowed_sources=(ip_network("203.0.113.0/24"),))
        slow.hangs.clear()
        slow.released.set()
        deadline = time.monotonic() + 60
        while served.post(order("S9")).status_code == 200:
            assert time.monotonic() < deadline, "the settings that came at last are used"
            time.sleep(REREAD)


def test_nothing_is_read_more_often_than_the_interval(database: ApplicationDatabase) -> None:
    """A flood of requests reads no file."""
    slow = Slow(settings_for(database.receiver_dsn, Limits(reread_seconds=3600)))
    with serving(slow) as served:
        before = slow.reads
        assert [served.post(order(f"S{n}")).status_code for n in range(5)] == [200] * 5
        assert slow.reads == before
