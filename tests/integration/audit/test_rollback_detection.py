"""A database that was restored to an older state: nothing is sent from it before a person has looked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sat_hook.audit.checkpoints import name_of
from sat_hook.audit.rollback_detection import REASON, detect_rollback, pause_after_rollback
from sat_hook.commands.handler import CommandHandler, standing_of
from sat_hook.domain.event_record import Provenance
from sat_hook.pipeline.overrides import pause_account, resume_account
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import damage
from tests.integration.audit.keeping import Notary
from tests.orders import ACCOUNT, BY_TEST, T0, ManualClock, submitted

BY_TASK = Provenance("service:airflow", "task audit_checkpoint.checkpoint")
ALICE = Provenance("user:alice", "plugin:resume")


@pytest.fixture
def notary(database: ApplicationDatabase, tmp_path: Path) -> Notary:
    """Two published checkpoints of one order each, and a batch."""
    notary = Notary(database, tmp_path / "published")
    notary.append(1, 1)
    notary.make()
    notary.append(2, 1)
    store = PostgresEventStore(Database(database.writer_dsn))
    with closing(store.database):
        store.append([submitted()], BY_TEST, T0)
    notary.make()
    return notary


@pytest.fixture
def handler(notary: Notary) -> Iterator[CommandHandler]:
    """At a time of its own."""
    store = PostgresEventStore(Database(notary.database.writer_dsn))
    with closing(store.database):
        yield CommandHandler(store, ManualClock(datetime.now(UTC)))


def restore(notary: Notary) -> None:
    """The state after the first checkpoint, as a backup of then has it."""
    damage(
        notary.database,
        "DELETE FROM sat.checkpoints WHERE number = 2",
        "DELETE FROM sat.events WHERE position > 1",
        "DELETE FROM sat.stream_heads WHERE stream NOT IN (SELECT stream FROM sat.events)",
    )


def test_a_database_that_has_all_that_was_published_lost_nothing(
    notary: Notary, handler: CommandHandler
) -> None:
    """Also with more than was published, with nothing published, and while nothing was ever signed."""
    database = handler.store.database
    assert detect_rollback(database, notary.publication) is None
    notary.append(3, 1)
    notary.make(publish=False)
    assert detect_rollback(database, notary.publication) is None
    for number in (1, 2):
        (notary.folder / name_of(number)).unlink()
    assert detect_rollback(database, notary.publication) is None


def test_a_restored_one_is_known_by_what_was_published(notary: Notary, handler: CommandHandler) -> None:
    """At once, and still after it has gone on and signed another history."""
    restore(notary)
    loss = detect_rollback(handler.store.database, notary.publication)
    assert loss is not None
    assert loss.number == 2
    for number in (30, 31, 32):
        notary.append(number, 1)
        notary.make(publish=False) if number > 30 else None
        assert detect_rollback(handler.store.database, notary.publication) is not None


def test_its_accounts_are_paused_until_a_person_resumes_them(notary: Notary, handler: CommandHandler) -> None:
    """An event of the service, once; who resumes one is not overruled within a day, and is after it."""
    restore(notary)
    assert handler.store.accounts_with_batches() == [ACCOUNT]
    assert pause_after_rollback(handler, ACCOUNT, BY_TASK)
    assert standing_of(handler.store, ACCOUNT).pause_reason == REASON
    assert not pause_after_rollback(handler, ACCOUNT, BY_TASK)
    resume_account(handler, ACCOUNT, "compared with the console of SAT", ALICE)
    assert not pause_after_rollback(handler, ACCOUNT, BY_TASK)
    assert not standing_of(handler.store, ACCOUNT).is_paused
    later = CommandHandler(handler.store, ManualClock(datetime.now(UTC) + timedelta(hours=25)))
    assert pause_after_rollback(later, ACCOUNT, BY_TASK)


def test_another_pause_that_ended_does_not_count_as_a_look(notary: Notary, handler: CommandHandler) -> None:
    """Who resumed after something else has not seen what was lost."""
    pause_account(handler, ACCOUNT, "the bank is closed", ALICE)
    resume_account(handler, ACCOUNT, "the bank is open", ALICE)
    assert pause_after_rollback(handler, ACCOUNT, BY_TASK)
