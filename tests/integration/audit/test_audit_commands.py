"""``sat log verify``, ``sat audit``: what people see, and the exit codes."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sat_hook.audit.checkpoints import name_of
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.order_events import OrderSucceeded
from sat_hook.pipeline.overrides import pause_account, resume_account
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import damage
from tests.integration.audit.keeping import Notary, rewrite_event
from tests.integration.audit.test_signed_statuses import FINGERPRINT, OTHER, PUBLIC, SAT, Ledger, text
from tests.integration.conftest import Api
from tests.orders import ACCOUNT, BATCH, T0, ManualClock, submitted
from tests.unit.cli.running import Run


@pytest.fixture
def notary(database: ApplicationDatabase, tmp_path: Path) -> Notary:
    """Five orders under one published checkpoint, and one beyond it."""
    notary = Notary(database, tmp_path / "published")
    notary.append(1, 5)
    notary.make()
    notary.append(6, 1)
    (tmp_path / "audit_public.pem").write_bytes(notary.signer.public_key_pem())
    return notary


def settings_of(notary: Notary) -> dict[str, str]:
    """What an auditor's environment says."""
    return {
        "SAT_DB_DSN": notary.database.reader_dsn,
        "SAT_AUDIT_PUBLIC_KEYS": "audit_public.pem",
        "SAT_CHECKPOINTS_URI": notary.folder.as_uri(),
    }


def test_a_whole_log_says_what_was_looked_at(run: Run, notary: Notary) -> None:
    """By settings, by options, or not at all."""
    ran = run("log", "verify", env=settings_of(notary))
    assert ran.code == 0, ran.out + ran.err
    sealed = "1 checkpoints up to position 5; 1 newer events wait for the next"
    assert f"{sealed}; signatures good; published up to checkpoint 1" in ran.out
    options = ("--public-key", "audit_public.pem", "--published", str(notary.folder), "--every-copy")
    by_options = run("log", "verify", *options, env={"SAT_DB_DSN": notary.database.reader_dsn})
    assert by_options.out == ran.out
    bare = run("log", "verify", env={"SAT_DB_DSN": notary.database.reader_dsn})
    assert "signatures not looked at (no public key); published copies not looked at" in bare.out
    assert bare.code == 0


def test_damage_is_told_with_its_place(run: Run, notary: Notary) -> None:
    """Exit code 1; the customer's number is in no line."""
    rewrite_event(notary.database, 3, "0812", "0813")
    ran = run("log", "verify", env=settings_of(notary))
    assert ran.code == 1
    assert "checkpoint 1 (position 1): checkpoint_events: found other events at positions 1 to 5" in ran.out
    assert "081" not in ran.out
    damage(notary.database, "DELETE FROM sat.checkpoints")
    assert "published_beyond" in run("log", "verify", env=settings_of(notary)).out


def test_signatures_of_statuses_are_looked_at_with_sats_keys(run: Run, notary: Notary) -> None:
    """By the owner, with the keys that ever signed; without one the result says so."""
    fill_with_statuses(notary)
    Path("sat.pem").write_bytes(PUBLIC)
    env = {**settings_of(notary), "SAT_OWNER_DSN": notary.database.owner_dsn}
    looked = run("log", "verify", "--as-owner", "--sat-key", "sat.pem", env=env)
    assert looked.code == 1
    assert "evidence_signature: found a text that none of SAT's keys signed" in looked.out
    assert "2 signed statuses held against SAT's keys" in looked.out
    withdrawn = ("--withdrawn", f"{FINGERPRINT}=2020-01-01")
    named = run("log", "verify", "--as-owner", *withdrawn, env={**env, "SAT_STATUS_PUBLIC_KEYS": "sat.pem"})
    assert f"rests on key {FINGERPRINT} alone, which is withdrawn since 2020-01-01" in named.out
    assert "SAT's signatures not looked at" in run("log", "verify", "--as-owner", env=env).out
    wrong = run(
        "log", "verify", "--as-owner", "--sat-key", "sat.pem", "--withdrawn", "abc=2020-01-01", env=env
    )
    assert (wrong.code, "is withdrawn and not among SAT's" in wrong.err) == (2, True)


def fill_with_statuses(notary: Notary) -> None:
    """One end that SAT signed, and one that it did not."""
    with closing(Database(notary.database.writer_dsn)) as opened:
        ledger = Ledger(PostgresEventStore(opened))
        for number, signer in ((21, SAT), (22, OTHER)):
            body = text(number)
            ledger.end(number, OrderSucceeded, body, signer.sign(body.encode()))


def test_checkpoints_that_stopped_are_told(run: Run, notary: Notary) -> None:
    """The log is whole, and a person has to look at the DAG."""
    assert "does the DAG audit_checkpoint run?" not in run("log", "verify", env=settings_of(notary)).out
    earlier = "UPDATE sat.events SET recorded_at = recorded_at - interval '61 minutes' WHERE position = 6"
    damage(notary.database, earlier)
    ran = run("log", "verify", env=settings_of(notary))
    assert (ran.code, "does the DAG audit_checkpoint run?" in ran.out) == (0, True)
    assert "position 6 says that it was recorded" in " ".join(ran.out.split())


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--public-key", "nobody.pem", "nobody.pem: found no such file"),
        ("--public-key", "published", "published: found a directory"),
        ("--public-key", "nonsense.pem", "a public audit key cannot be read"),
        ("--published", "nowhere", "nowhere: found no folder"),
        ("--published", "nonsense://bucket", "nonsense://bucket: found ValueError"),
    ],
)
def test_what_cannot_be_trusted_is_a_mistake(
    run: Run, notary: Notary, option: str, value: str, says: str
) -> None:
    """Exit code 2 and one line, before anything is verified."""
    Path("nonsense.pem").write_text("nonsense")
    ran = run("log", "verify", option, value, env=settings_of(notary))
    assert (ran.code, says in ran.err) == (2, True), ran.err
    assert ran.err.count("\n") == 1


def test_a_place_that_cannot_be_read_is_a_mistake(run: Run, notary: Notary) -> None:
    """A folder where a copy should be."""
    copy = notary.folder / name_of(1)
    copy.unlink()
    copy.mkdir()
    ran = run("log", "verify", env=settings_of(notary))
    assert (ran.code, "cannot be read" in ran.err) == (2, True), ran.err


def test_acts_are_listed_with_who_why_and_how_often(run: Run, notary: Notary, serve_api: Api) -> None:
    """An act of many events is one line; what the pipeline did is none."""
    store = PostgresEventStore(Database(notary.database.writer_dsn))
    with closing(store.database):
        handler = CommandHandler(store, ManualClock(datetime.now(UTC)))
        alice, bob = (Provenance(f"user:{name}", "plugin:act") for name in ("alice", "bob"))
        pause_account(handler, ACCOUNT, "the bank is [closed]", alice)
        resume_account(handler, ACCOUNT, "open again", bob)
        for batch in (BATCH, "B" + "C" * 25):
            store.append([submitted(batch)], bob, T0)
    env = serve_api(notary.database)
    ran = run("audit", "actions", "--since", "2026-01-01", env=env)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert len(lines) == 4
    assert lines[0].split() == [
        "when",
        "(WIB)",
        "who",
        "what",
        "events",
        "reason",
        "about",
        "by",
        "way",
        "of",
    ]
    assert "alice" in lines[1]
    assert "the bank is [closed]" in lines[1]
    assert lines[1].endswith("plugin:act")
    assert re.search(r"BatchSubmitted +2 ", lines[3])
    only = run("audit", "actions", "--since", "2026-01-01T10:00", "--user", "alice", env=env)
    assert len(only.out.splitlines()) == 2
    wrong = run("audit", "actions", "--since", "yesterday", env=env)
    assert (wrong.code, "--since: found 'yesterday'" in wrong.err) == (2, True)


def test_a_new_key_is_made_once(run: Run, tmp_path: Path) -> None:
    """Its id is told, the key is not; a second one replaces nothing."""
    folder = tmp_path / "new" / "keys"
    ran = run("audit", "new-key", str(folder))
    assert ran.code == 0, ran.err
    assert "made key" in ran.out
    private = (folder / "audit_private.pem").read_text()
    assert private.splitlines()[1] not in ran.out
    again = run("audit", "new-key", str(folder))
    assert (again.code, "file exists" in again.err) == (2, True), again.err
    assert (folder / "audit_private.pem").read_text() == private
