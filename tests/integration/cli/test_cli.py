"""The command on a real database: what it shows of the log, and what it must not show."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from sat_hook.domain.account import AccountPaused, AccountStanding
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.identity import account_id_of
from sat_hook.protocol.signing import Signer, generate_key_pair
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase, drop_database, dsn_of, ensure_database
from tests.integration.audit.damage import damage, fill
from tests.integration.calling_back import receive_callback
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, stream_of, submitted
from tests.unit.cli.running import Run
from tests.unit.cli.scripted_airflow import BATCH_ID

OTHER_BATCH = "B" + "C" * 25


@pytest.fixture
def filled(database: ApplicationDatabase) -> ApplicationDatabase:
    """Five orders, a batch, and a callback that came three times."""
    fill(database)
    body = b"{}"
    for _ in range(3):
        receive_callback(database.receiver_dsn, stream_of(1).key, body, key="key-1")
    return database


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("reference", ["order-1", stream_of(1).key])
def test_an_order_is_shown_with_its_life(run: Run, api: dict[str, str], reference: str) -> None:
    """By either id: events in order, the callback among them, the number masked."""
    ran = run("order", "show", reference, env=api)
    assert ran.code == 0, ran.err
    words = ("1 OrderReceived", "2 OrderValidated", "3 OrderSucceeded", "· callback", "key-1")
    places = [ran.out.index(word) for word in words]
    assert places == sorted(places)
    assert "came 2 more times" in ran.out
    assert "waits for a status check" in ran.out
    assert "Rp 52,000" in ran.out
    assert "0812*****01" in ran.out
    assert "08121000001" not in ran.out


@pytest.mark.usefixtures("filled")
def test_an_unknown_order_is_a_mistake(run: Run, api: dict[str, str]) -> None:
    """One line. The beginning of an id is not the id."""
    assert run("order", "withdraw", "order-", "--reason", "a test", env=api).err.startswith(
        "sat: ID: found 0 orders 'order-'; expected one order"
    )
    ran = run("order", "show", "nobody", env=api)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no order 'nobody'" in ran.err


@pytest.mark.usefixtures("filled")
def test_batches_are_listed_and_shown(run: Run, api: dict[str, str]) -> None:
    """States, counts and rupiah."""
    listed = run("batch", "list", env=api)
    assert listed.code == 0, listed.err
    assert re.search(rf"{BATCH}\s+submitted\s+{ACCOUNT}\s+\S+\s+\d+\s+5\s+0\s+0\s+-\s+-", listed.out)
    shown = run("batch", "show", BATCH, env=api)
    assert shown.code == 0, shown.err
    assert re.search(r"succeeded\s+5\s+Rp 0\s+Rp 260,000", shown.out)
    missing = run("batch", "show", BATCH_ID, env=api)
    assert (missing.code, missing.err) == (2, f"sat: there is no batch {BATCH_ID}\n")


@pytest.mark.usefixtures("filled")
def test_a_list_of_batches_can_be_narrowed(run: Run, api: dict[str, str]) -> None:
    """By the filters of the API; a filter without a batch, and one that does not exist, say so."""
    assert BATCH in run("batch", "list", "--account", "sat_default", "--standing", "checking", env=api).out
    assert run("batch", "list", "--maker", "eve", env=api).out == "No such batch was submitted\n"
    ran = run("batch", "list", "--standing", "stuck", env=api)
    assert (ran.code, ran.err.count("\n"), "standing: " in ran.err) == (2, 1, True)


@pytest.mark.usefixtures("filled")
def test_a_batch_is_shown_as_it_stood(run: Run, api: dict[str, str]) -> None:
    """As of a position: right after the submission there was no order; beyond the log there is no answer."""
    now = run("batch", "show", BATCH, env=api)
    then = run("batch", "show", BATCH, "--at", "1", env=api)
    assert (then.code, then.err) == (0, "")
    assert "As of position 1 of the log" in then.out
    assert ("succeeded" in now.out, "succeeded" in then.out) == (True, False)
    beyond = run("batch", "show", BATCH, "--at", "999", env=api)
    assert (beyond.code, "position 999: found a log that is settled from 1 to" in beyond.err) == (2, True)


def test_a_batch_of_a_paused_account_says_so(
    run: Run, filled: ApplicationDatabase, api: dict[str, str]
) -> None:
    """Why nothing goes out any more; as of an earlier position it says nothing of today's pause."""
    account_id = account_id_of(ACCOUNT)
    paused = AccountPaused(account=ACCOUNT, reason="deposit looks wrong")
    standing = AccountStanding(
        account_id=account_id, account=ACCOUNT, version=1, is_paused=True, pause_reason=paused.reason
    )
    pause = Change(StreamId(StreamKind.ACCOUNT, account_id), 0, (paused,), standing)
    with closing(Database(filled.writer_dsn)) as database:
        assert not PostgresEventStore(database).append([pause], BY_TEST, T0)
    said = f"Account {ACCOUNT} is paused, nothing is sent: deposit looks wrong"
    assert said in run("batch", "show", BATCH, env=api).out
    assert said not in run("batch", "show", BATCH, "--at", "1", env=api).out


def test_a_day_to_come_is_not_closed(run: Run) -> None:
    """Said at once, not by a red task minutes later."""
    ran = run("reconcile", "close", "2999-01-01", env={})
    assert (ran.code, "2999-01-01 is not over yet in Jakarta (WIB)" in ran.err) == (2, True)


def test_a_list_that_is_cut_says_so(run: Run, filled: ApplicationDatabase, api: dict[str, str]) -> None:
    """How many are shown, and how to see more; a whole list says nothing."""
    assert "older ones" not in run("batch", "list", "--limit", "1", env=api).out
    with closing(Database(filled.writer_dsn)) as database:
        change = submitted(OTHER_BATCH)
        assert not PostgresEventStore(database).append([change], BY_TEST, T0 + timedelta(seconds=1))
    cut = run("batch", "list", "--limit", "1", env=api)
    assert "The newest 1; there are older ones: sat batch list --limit 5" in cut.out
    assert (OTHER_BATCH in cut.out, BATCH in cut.out) == (True, False)


def test_nothing_submitted_is_said(run: Run, api: dict[str, str]) -> None:
    """An empty list looks like a defect."""
    assert "No batch was ever submitted" in run("batch", "list", env=api).out


def test_the_log_is_verified_and_projections_compared(run: Run, filled: ApplicationDatabase) -> None:
    """Exit code 0 when whole, 1 with every finding when not; a rebuild repairs what is derived."""
    reader = {"SAT_DB_DSN": filled.reader_dsn}
    owner = {"SAT_OWNER_DSN": filled.owner_dsn}
    whole = run("log", "verify", env=reader)
    assert (whole.code, "The log is whole" in whole.out) == (0, True)
    same = run("projections", "rebuild", "--check", env=reader)
    assert (same.code, "agree with the log: 5 orders and 1 batches" in same.out) == (0, True)

    damage(filled, "UPDATE sat.orders SET charged_rupiah = 1")
    other = run("projections", "rebuild", "--check", env=reader)
    assert (other.code, "5 differences" in other.out) == (1, True)
    assert f"order/{stream_of(1).key}" in other.out
    rebuilt = run("projections", "rebuild", env=owner)
    assert (rebuilt.code, "Rebuilt 5 orders and 1 batches" in rebuilt.out) == (0, True)
    assert run("projections", "rebuild", "--check", env=reader).code == 0

    damage(filled, "UPDATE sat.events SET actor = 'user:eve' WHERE position = 2")
    damage(filled, "UPDATE sat.status_evidence SET body = '{\"forged\": 1}'")
    changed = run("log", "verify", env=reader)
    assert (changed.code, "1 problems" in changed.out) == (1, True)
    assert "version 1 (position 2): digest_mismatch" in changed.out
    assert "2 problems" in run("log", "verify", "--as-owner", env=owner).out


def test_a_role_that_may_not_is_told_so(run: Run, filled: ApplicationDatabase) -> None:
    """One line, not a traceback."""
    ran = run("projections", "rebuild", env={"SAT_OWNER_DSN": filled.writer_dsn})
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "permission denied" in ran.err


def test_a_database_is_made_ready_by_command(
    run: Run, superuser_dsn: str, database: ApplicationDatabase
) -> None:
    """Without a schema the advice is to migrate; afterwards everything works. Twice is harmless."""
    name = "sat_made_by_command"
    ensure_database(superuser_dsn, name, owner="sat_owner")
    try:
        owner = database.owner_dsn.replace(database.name, name)
        empty = run("projections", "rebuild", "--check", env={"SAT_DB_DSN": owner})
        assert (empty.code, "run: sat db migrate" in empty.err) == (2, True)
        for _ in range(2):
            assert run("db", "migrate", env={"SAT_OWNER_DSN": owner}).code == 0
        assert run("db", "apply-privileges", env={"SAT_OWNER_DSN": owner}).code == 0
        reader = database.reader_dsn.replace(database.name, name)
        assert run("projections", "rebuild", "--check", env={"SAT_DB_DSN": reader}).code == 0
    finally:
        drop_database(superuser_dsn, name)


def test_roles_are_given_the_passwords_of_the_environment(
    run: Run, superuser_dsn: str, database: ApplicationDatabase
) -> None:
    """The same passwords again here, because other tests use the roles."""

    def password(dsn: str) -> str:
        return dsn.split(":")[2].split("@")[0]

    env = {
        "SAT_ADMIN_DSN": dsn_of(superuser_dsn, database=database.name),
        "SAT_WRITER_PASSWORD": password(database.writer_dsn),
        "SAT_READER_PASSWORD": password(database.reader_dsn),
        "SAT_RECEIVER_PASSWORD": password(database.receiver_dsn),
    }
    ran = run("db", "create-roles", env=env)
    assert (ran.code, ran.err) == (0, "")
    assert run("projections", "rebuild", "--check", env={"SAT_DB_DSN": database.reader_dsn}).code == 0


def test_the_receiver_serves_alone(database: ApplicationDatabase, tmp_path: Path) -> None:
    """A process of its own: it says where, takes a callback, and ends cleanly on SIGTERM."""
    private_pem, public_pem = generate_key_pair()
    (tmp_path / "sat.pem").write_bytes(public_pem)
    settings = {"dsn": database.receiver_dsn, "accounts": {"demo": {"public_key_paths": ["sat.pem"]}}}
    (tmp_path / "receiver.json").write_text(json.dumps(settings), "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", "from sat_hook.cli import main; main()", "receiver", "serve", "--port", "0"],
        env={**os.environ, "SAT_RECEIVER_CONFIG": str(tmp_path / "receiver.json"), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            url = re.search(r"http://\S+/callbacks/", said)
            assert url is not None, said
            body = b'{"data":{"type":"order","id":"SX","attributes":{"status":"Success"}}}'
            headers = {"Content-Type": "application/json", "signature": Signer(private_pem).sign(body)}
            reply = requests.post(f"{url.group()}demo", data=body, headers=headers, timeout=20)
            assert (reply.status_code, reply.json()) == (200, {"message": "OK"})
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
