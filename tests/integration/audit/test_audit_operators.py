"""The operators of audits on a real database: what the connection and the environment must say."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseHook
from airflow.sdk import Connection as AirflowConnection
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem

from sat_hook.application.settings import read_settings
from sat_hook.audit import full_verification
from sat_hook.audit.checkpoints import name_of
from sat_hook.audit.errors import PublicationError
from sat_hook.audit.exports import load_export, request_export
from sat_hook.audit.keys import AuditSigner, new_audit_key
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.handler import CommandHandler, standing_of
from sat_hook.domain.event_record import Provenance, RecordedEvent, StreamId, StreamKind
from sat_hook.domain.identity import log_id
from sat_hook.domain.order_events import OrderSucceeded
from sat_hook.domain.verifications import LogVerified
from sat_hook.hooks.audit import audit_signer, checkpoint_publication
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.operators.audit import (
    SATCheckpointOperator,
    SATExportOperator,
    SATVerifyLogOperator,
    SATVerifyPartsOperator,
)
from sat_hook.operators.retention import SATRetainOperator
from sat_hook.pipeline.overrides import resume_account
from sat_hook.protocol.signing import generate_key_pair
from sat_hook.store.database import Database
from sat_hook.store.log_archives import LogArchives
from sat_hook.store.log_partitions import LogPartitions
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.dags.api_server import postgres_connection
from tests.integration.audit.damage import damage, fill
from tests.integration.audit.keeping import Notary, rewrite_event
from tests.integration.audit.test_signed_statuses import (
    FINGERPRINT,
    OTHER,
    OTHER_PUBLIC,
    PUBLIC,
    SAT,
    Ledger,
    text,
)
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock, submitted
from tests.sql import execute

PRIVATE, _ = new_audit_key()
CONTEXT: Any = {
    "ti": SimpleNamespace(map_index=-1, dag_id="d", task_id="t", run_id="r", try_number=1),
}


def connection(password: str | None = None, **extra: str) -> SimpleNamespace:
    """The connection ``sat_audit``."""
    return SimpleNamespace(password=password, extra_dejson=extra, conn_type="generic")


@pytest.fixture
def airflow(database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Notary:
    """Connections and environment of a worker, and a log with news."""
    attributes = postgres_connection(database.writer_dsn)
    known = {
        "sat_audit": connection(PRIVATE.decode().replace("\n", " ")),
        "sat_db": SimpleNamespace(**attributes, extra_dejson={"sslmode": "disable"}),
        "sat_db_owner": SimpleNamespace(
            **postgres_connection(database.owner_dsn), extra_dejson={"sslmode": "disable"}
        ),
    }
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda _, name: known[name]))
    monkeypatch.setenv("SAT_CHECKPOINTS_URI", (tmp_path / "published").as_uri())
    monkeypatch.setenv("SAT_RESULTS_URI", (tmp_path / "results").as_uri())
    notary = Notary(database, tmp_path / "published", signer=AuditSigner(PRIVATE))
    notary.append(1, 3)
    return notary


def test_checkpoints_are_made_and_published(airflow: Notary) -> None:
    """Then there is nothing to do."""
    operator = SATCheckpointOperator(task_id="checkpoint")
    assert operator.execute(CONTEXT) == {"made": 1, "published": 1}
    assert operator.execute(CONTEXT) == {"made": 0, "published": 0}
    assert airflow.verify()[1].findings == []


def test_the_log_is_archived_only_when_the_policy_says_so(
    airflow: Notary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run changes nothing, and a wrong policy fails for good."""
    monkeypatch.setenv("SAT_SPOOL_URI", tmp_path.as_uri())
    monkeypatch.setenv("SAT_ARCHIVE_URI", (tmp_path / "archive").as_uri())
    policy = tmp_path / "retention.toml"
    fill(airflow.database, first=4)
    damage(airflow.database, "UPDATE sat.events SET recorded_at = recorded_at - interval '100 days'")
    airflow.make()
    with closing(Database(airflow.database.writer_dsn)) as opened:
        assert LogPartitions(opened).make_ahead().is_turned

        def run(text: str) -> int:
            policy.write_text(text)
            return SATRetainOperator(task_id="retain").execute(CONTEXT)["events"]

        assert SATRetainOperator(task_id="retain").execute(CONTEXT)["events"] == 0
        monkeypatch.setenv("SAT_RETENTION_FILE", str(policy))
        term = "require_signed_days = false\n[events]\nkeep_days = 62\n"
        assert (run(term), LogArchives(opened).in_effect()) == (1, [])
        assert run(f"run = true\n{term}") == 1
        assert [archive.partition for archive in LogArchives(opened).in_effect()] == ["events_0000"]
        assert run(f"run = true\n{term}") == 0
        with pytest.raises(AirflowFailException, match=r"retention\.toml: run: found 1"):
            run("run = 1")
    airflow.make()
    assert airflow.verify()[1].findings == []


def test_two_logs_are_told_once_and_fail_the_task(airflow: Notary) -> None:
    """No retry makes them one."""
    path = airflow.folder / name_of(1)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another log's")
    operator = SATCheckpointOperator(task_id="checkpoint")
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="checkpoint 1 was published with other contents"):
            operator.execute(CONTEXT)
    assert execute(airflow.database.superuser_dsn, "SELECT kind, account FROM sat.alerts") == [
        ("log_forked", "*")
    ]


def test_two_logs_stop_every_account_until_people_resume_them(airflow: Notary) -> None:
    """The older one does not know what was sent; who resumes is not overruled by the next minute."""
    store = PostgresEventStore(Database(airflow.database.writer_dsn))
    with closing(store.database):
        store.append([submitted()], BY_TEST, T0)
        path = airflow.folder / name_of(1)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"another log's")
        operator = SATCheckpointOperator(task_id="checkpoint")
        with pytest.raises(AirflowFailException):
            operator.execute(CONTEXT)
        assert standing_of(store, ACCOUNT).is_paused
        resume_account(CommandHandler(store, SystemClock()), ACCOUNT, "compared with SAT's console", BY_TEST)
        with pytest.raises(AirflowFailException):
            operator.execute(CONTEXT)
        assert not standing_of(store, ACCOUNT).is_paused


def alerts_of(database: ApplicationDatabase) -> list[tuple[str, str]]:
    """Kind and text of every alert."""
    return execute(database.superuser_dsn, "SELECT kind, text FROM sat.alerts ORDER BY alert_id")


def verifications(notary: Notary) -> list[RecordedEvent]:
    """The verifications that the log has."""
    store = PostgresEventStore(Database(notary.database.writer_dsn))
    with closing(store.database):
        return store.read_stream(StreamId(StreamKind.LOG, log_id()))


@pytest.mark.parametrize("everything", ["True", "False"])
def test_a_whole_log_is_verified_in_silence(airflow: Notary, everything: str) -> None:
    """All of it, or the last days."""
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    airflow.append(4, 1)
    by_audi = {**CONTEXT, "dag_run": SimpleNamespace(triggering_user_name="audi", conf={})}
    done = SATVerifyLogOperator(task_id="verify", everything=everything).execute(by_audi)
    assert done == {"events": 4, "from_checkpoint": 1, "checkpoints": 1, "published": 1}
    assert alerts_of(airflow.database) == []
    [recorded] = verifications(airflow)
    verified = recorded.event
    assert isinstance(verified, LogVerified)
    assert recorded.provenance == Provenance("user:audi", "task d.t run r try 1")
    assert (verified.is_everything, verified.findings) == (everything == "True", {})
    assert (verified.closed_position, verified.covered_position, verified.uncovered_events) == (4, 3, 1)
    assert (verified.published_checkpoint, verified.key_ids) == (1, (airflow.signer.key_id,))


def test_damage_fails_each_night_and_is_told_once(airflow: Notary) -> None:
    """With its place; no retry, because none helps. New damage is new news."""
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    rewrite_event(airflow.database, 2, "0812", "0813")
    operator = SATVerifyLogOperator(task_id="verify", everything=True)
    for events in (3, 4):  # the first verification is an event, too
        with pytest.raises(AirflowFailException, match=f"1 problems in {events} events"):
            operator.execute(CONTEXT)
    [(kind, text)] = alerts_of(airflow.database)
    assert kind == "log_damaged"
    found = [recorded.event.findings for recorded in verifications(airflow)]  # type: ignore[attr-defined]
    assert found == [{"checkpoint_events": 1}] * 2
    assert "checkpoint 1 (position 1): checkpoint_events: found other events" in text
    damage(airflow.database, "UPDATE sat.events SET actor = 'user:eve' WHERE position = 3")
    with pytest.raises(AirflowFailException, match="2 problems"):
        operator.execute(CONTEXT)
    assert len(alerts_of(airflow.database)) == 2


def test_much_damage_is_told_in_few_alerts(airflow: Notary) -> None:
    """The first ones by themselves, and how many there are."""
    airflow.append(10, 30)
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    damage(airflow.database, "UPDATE sat.events SET actor = 'user:eve'")
    with pytest.raises(AirflowFailException, match="33 problems"):
        SATVerifyLogOperator(task_id="verify", everything=True).execute(CONTEXT)
    texts = [text for _, text in alerts_of(airflow.database)]
    assert (len(texts), texts[-1]) == (21, "33 problems were found in all; run: sat log verify")


def test_the_night_holds_ends_against_the_keys_of_the_accounts(
    airflow: Notary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that SAT never signed is damage; older and withdrawn keys stand in the audit connection."""
    with closing(Database(airflow.database.writer_dsn)) as opened:
        ledger = Ledger(PostgresEventStore(opened))
        for number, signer in ((21, SAT), (22, OTHER)):
            body = text(number)
            ledger.end(number, OrderSucceeded, body, signer.sign(body.encode()))
    airflow.make()
    for name, pem in (("sat.pem", PUBLIC), ("older.pem", OTHER_PUBLIC)):
        (tmp_path / name).write_bytes(pem)
    known = {name: BaseHook.get_connection(name) for name in ("sat_audit", "sat_db")}
    known["sat_default"] = AirflowConnection(
        conn_id="sat_default",
        conn_type="sat",
        login="demo",
        password="demo",
        extra=json.dumps({"environment": "playground", "sat_public_key_paths": str(tmp_path / "sat.pem")}),
    )
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda _, name: known[name]))
    operator = SATVerifyLogOperator(task_id="verify", everything=True)
    with pytest.raises(AirflowFailException, match="1 problems"):
        operator.execute(CONTEXT)
    assert "none of SAT's keys signed" in alerts_of(airflow.database)[0][1]
    known["sat_audit"].extra_dejson["sat_public_key_paths"] = str(tmp_path / "older.pem")
    operator.execute(CONTEXT)
    known["sat_audit"].extra_dejson["withdrawn_sat_keys"] = f"{FINGERPRINT}=2020-01-01"
    with pytest.raises(AirflowFailException, match="1 problems"):
        operator.execute(CONTEXT)


def test_a_connection_without_keys_leaves_the_other_accounts_checked(
    airflow: Notary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forged end of one account is damage whatever became of another's connection; what could not be
    checked is told each day.
    """
    with closing(Database(airflow.database.writer_dsn)) as opened:
        ledger = Ledger(PostgresEventStore(opened))
        body = text(21)
        ledger.end(21, OrderSucceeded, body, OTHER.sign(body.encode()))
    airflow.make()
    (tmp_path / "sat.pem").write_bytes(PUBLIC)
    known = {name: BaseHook.get_connection(name) for name in ("sat_audit", "sat_db")}
    known["sat_audit"].extra_dejson["withdrawn_sat_keys"] = "0123456789abcdef=2026-11-01"

    def account(name: str, **extra: str) -> None:
        members = {"account": name, "environment": "playground", **extra}
        known[f"sat_{name}"] = AirflowConnection(
            conn_id=f"sat_{name}", conn_type="sat", login=name, password="x", extra=json.dumps(members)
        )

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda _, name: known[name]))
    monkeypatch.setenv("SAT_ACCOUNTS", f"sat_{ACCOUNT},sat_north,sat_lost")
    keys = {"sat_public_key_paths": str(tmp_path / "sat.pem")}
    account(ACCOUNT, **keys)
    account("north", sat_public_key_paths="/nowhere.pem")
    operator = SATVerifyLogOperator(task_id="verify", everything=True)
    with pytest.raises(AirflowFailException, match="1 problems"):
        operator.execute(CONTEXT)
    assert "none of SAT's keys signed" in alerts_of(airflow.database)[-1][1]

    account(ACCOUNT)
    account("north", **keys)
    for _ in range(2):
        operator.execute(CONTEXT)
    told = f"SAT's signatures of 1 statuses were not checked: no key in sat_{ACCOUNT}, sat_lost"
    assert [
        kind_and_text for kind_and_text in alerts_of(airflow.database) if "checked" in kind_and_text[1]
    ] == [("log_unproven", told)]


def test_checkpoints_that_have_stopped_are_told_each_day(airflow: Notary) -> None:
    """Nothing is wrong with the log, so nothing is red; but the DAG was switched off."""
    damage(airflow.database, "UPDATE sat.events SET recorded_at = recorded_at - interval '2 hours'")
    operator = SATVerifyLogOperator(task_id="verify", everything=True)
    for _ in range(2):
        operator.execute(CONTEXT)
    [(kind, text)] = alerts_of(airflow.database)
    assert (kind, text.partition(", ")[0]) == ("log_unproven", "3 events wait for a checkpoint")
    airflow.clock = ManualClock(datetime.now(UTC) - timedelta(hours=2))
    airflow.make()
    airflow.append(60, 1)
    airflow.make(publish=False)
    operator.execute(CONTEXT)
    assert "checkpoints from 2 on are not published" in alerts_of(airflow.database)[-1][1]


def test_a_row_that_is_no_checkpoint_is_told_once(airflow: Notary) -> None:
    """Within a minute, by an alert; the task is green, because nothing is stopped."""
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    damage(
        airflow.database,
        "INSERT INTO sat.checkpoints (document, digest, key_id, signature)"
        " SELECT d, encode(sha256(convert_to(d, 'UTF8')), 'hex'), repeat('0', 16), 'AA==' FROM"
        """ (SELECT '{"number": 2, "first_position": 4, "last_position": 999999}'::text AS d) AS made""",
    )
    for number in (4, 5):
        airflow.append(number, 1)
        made = SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
        assert made == {"made": 1, "published": 1}
    [(kind, text)] = alerts_of(airflow.database)
    assert kind == "log_damaged"
    assert "no link of their chain" in text


def test_older_keys_are_trusted_where_the_connection_names_them(
    airflow: Notary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a change of the key; without its file what the older key signed is not proven."""
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    (tmp_path / "older.pem").write_bytes(AuditSigner(PRIVATE).public_key_pem())
    attributes = postgres_connection(airflow.database.writer_dsn)
    known = {
        "sat_audit": connection(new_audit_key()[0].decode()),
        "sat_db": SimpleNamespace(**attributes, extra_dejson={"sslmode": "disable"}),
    }
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda _, name: known[name]))
    operator = SATVerifyLogOperator(task_id="verify", everything=True)
    with pytest.raises(AirflowFailException, match="1 problems"):
        operator.execute(CONTEXT)
    known["sat_audit"].extra_dejson["public_key_paths"] = f" {tmp_path / 'older.pem'} ,"
    assert operator.execute(CONTEXT)["checkpoints"] == 1
    known["sat_audit"].extra_dejson["public_key_paths"] = "/nowhere.pem"
    with pytest.raises(SATConnectionError, match="public_key_paths"):
        operator.execute(CONTEXT)


def test_a_night_looks_at_what_is_new_until_damage_is_mended(airflow: Notary) -> None:
    """It goes on after the last checkpoint that was found whole; damage is found each night until then."""
    night = SATVerifyLogOperator(task_id="verify", everything="None")

    def next_night() -> None:
        airflow.append(10 * len(verifications(airflow)) + 10, 2)
        SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)

    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    assert (done := night.execute(CONTEXT))["from_checkpoint"] == 1, done
    next_night()
    done = night.execute(CONTEXT)
    assert (done["events"], done["from_checkpoint"], done["checkpoints"]) == (3, 2, 2)  # and a verification
    next_night()
    damage(airflow.database, "UPDATE sat.events SET actor = 'user:eve' WHERE position = 8")
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="from checkpoint 3 on"):
            night.execute(CONTEXT)
        next_night()
    damage(airflow.database, "UPDATE sat.events SET actor = 'service:tests' WHERE position = 8")
    assert night.execute(CONTEXT)["from_checkpoint"] == 3
    next_night()
    assert night.execute(CONTEXT)["from_checkpoint"] == 6


def test_older_damage_is_found_part_after_part(airflow: Notary, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on where the last one ended; what was changed long ago is found, and the end is recorded."""
    monkeypatch.setattr(full_verification, "CHECKPOINTS_OF_A_PART", 1)
    for number in (10, 20, 30):
        SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
        airflow.append(number, 2)
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    assert SATVerifyLogOperator(task_id="verify").execute(CONTEXT)["checkpoints"] == 4
    damage(airflow.database, "UPDATE sat.events SET actor = 'user:eve' WHERE position = 4")
    # The budget of a run has ended after its first part.
    background = SATVerifyPartsOperator(task_id="verify_parts", core_share="1", interval_seconds=1e-9)
    assert background.execute(CONTEXT) == {"checkpoints": 1, "position": 3}
    with pytest.raises(AirflowFailException, match="1 problems in older events"):
        background.execute(CONTEXT)
    assert [kind for kind, _ in alerts_of(airflow.database)] == ["log_damaged"]
    assert background.execute(CONTEXT) == {"checkpoints": 3, "position": 7}

    # A row that the key did not sign is not believed: the round begins again.
    kept = execute(airflow.database.superuser_dsn, "SELECT progress FROM sat.full_verification")
    damage(
        airflow.database,
        """UPDATE sat.full_verification
        SET progress = replace(progress, 'checkpoints":3', 'checkpoints":4')""",
    )
    assert background.execute(CONTEXT) == {"checkpoints": 1, "position": 3}
    damage(airflow.database, "UPDATE sat.events SET actor = 'service:tests' WHERE position = 4")
    SATCheckpointOperator(task_id="checkpoint").execute(CONTEXT)
    background.interval_seconds = 600
    assert background.execute(CONTEXT)["checkpoints"] == 5
    full = verifications(airflow)[-1].event
    assert isinstance(full, LogVerified)
    assert (full.is_everything, full.first_checkpoint, full.checkpoints) == (True, 1, 5)
    assert (full.events, full.streams, full.findings) == (10, 10, {})
    assert background.execute(CONTEXT) == {}  # the next round is due in a day
    # An older row, which the key did sign, is not believed after a later round has ended.
    damage(airflow.database, f"UPDATE sat.full_verification SET progress = '{kept[0][0]}'")
    assert background.execute(CONTEXT) == {}


def test_a_pack_is_written_beside_the_results_and_again(airflow: Notary, tmp_path: Path) -> None:
    """A cleared task writes the same bytes, and records them once. Nothing else is left behind."""
    store = PostgresEventStore(Database(airflow.database.writer_dsn))
    with closing(store.database):
        now = datetime.now(UTC)
        export = request_export(
            store,
            ManualClock(now),
            recorded_from=now - timedelta(hours=1),
            recorded_before=now,
            with_personal_data=False,
            reason="",
            provenance=BY_TEST,
        )
        operator = SATExportOperator(task_id="write_pack", export_id=export.export_id)
        first = operator.execute(CONTEXT)
        assert operator.execute(CONTEXT) == first
        assert json.dumps(first)
        kept = load_export(store, export.export_id)
    assert kept.digest == first["digest"]
    pack = tmp_path / "results" / "exports" / f"{export.export_id}.zip"
    assert pack.stat().st_mode & 0o007 == 0, "it may hold vouchers: it is not everybody's on this machine"
    assert kept.version == 2
    assert [path.name for path in (tmp_path / "results" / "exports").iterdir()] == [f"{export.export_id}.zip"]


def test_nobody_asked_for_it(airflow: Notary) -> None:
    """A run that was started by hand, without a request that is recorded, exports nothing."""
    operator = SATExportOperator(task_id="write_pack", export_id="X" + "A" * 25)
    with pytest.raises(AirflowFailException, match="there is no export"):
        operator.execute(CONTEXT)


@pytest.mark.parametrize(
    ("password", "path", "says"),
    [
        (None, None, "found 0 keys"),
        ("very-secret", None, "found 0 keys"),
        (generate_key_pair()[0].decode(), None, "not an Ed25519 key"),
        (None, "/nowhere/audit.pem", "No such file"),
    ],
    ids=["nothing", "no key", "a key of another kind", "no file"],
)
def test_a_key_that_cannot_be_used_is_told_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, password: str | None, path: str | None, says: str
) -> None:
    """The connection, the field, found and expected."""
    extra = {"private_key_path": path} if path else {}
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda *_: connection(password, **extra)))
    with pytest.raises(SATConnectionError, match=says) as caught:
        audit_signer()
    assert "sat_audit" in str(caught.value)
    assert "very-secret" not in str(caught.value)
    assert "PRIVATE KEY" not in str(caught.value)


def test_the_key_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As secrets are mounted."""
    (tmp_path / "audit.pem").write_bytes(PRIVATE)
    found = connection(private_key_path=str(tmp_path / "audit.pem"))
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda *_: found))
    assert audit_signer().key_id == AuditSigner(PRIVATE).key_id


def test_an_object_store_is_a_place_of_publication(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through Airflow's own paths; a name that is free reads as nothing."""
    monkeypatch.setenv("SAT_CHECKPOINTS_URI", "memory://bucket/checkpoints")
    # No provider brings this one.
    attach("memory", fs=MemoryFileSystem())
    publication = checkpoint_publication(read_settings())
    assert publication.read(name_of(1)) is None
    publication.write(name_of(1), b"one")
    assert checkpoint_publication(read_settings()).read(name_of(1)) == b"one"


def test_a_place_must_be_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints that stay in the database prove nothing against its owner."""
    monkeypatch.setenv("SAT_CHECKPOINTS_URI", " ")
    with pytest.raises(PublicationError, match="SAT_CHECKPOINTS_URI: found nothing"):
        checkpoint_publication(read_settings())
