"""What a signature is bound to, and who hears of new breaks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from sat_hook.application.settings import read_settings
from sat_hook.domain.breaks import BreakState
from sat_hook.operators.reconciliation import SATCloseDayOperator
from sat_hook.reconciliation import book_commands
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.errors import SpoolError
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.keeping import Notary
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_life_of_a_break import BY_CHIEF, BY_FINANCE, NEXT
from tests.orders import BY_TEST

OF_DAY = (DAY.day, "looked at all of it")


@pytest.fixture
def store(database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """A log."""
    store = PostgresEventStore(Database(database.writer_dsn, "tests"))
    with closing(store.database):
        yield store


@pytest.fixture
def day(store: PostgresEventStore, tmp_path: Path) -> Planted:
    """An ordinary day, looked at at its close; the file lacks an order."""
    planted = Planted(store, tmp_path / "kept", "signing")
    planted.ordinary_day()
    planted.settle(*planted.usual_rows("good-2"))
    planted.observe(CLOSES + SECOND)
    return planted


def test_a_certificate_names_the_checkpoint_over_its_position(
    day: Planted, database: ApplicationDatabase, tmp_path: Path
) -> None:
    """Under checkpoints a day waits for the one that covers it, so what was signed cannot be rewritten."""
    notary = Notary(database, tmp_path / "published")
    (early,) = notary.make()
    close = day.close().close
    day.top_up(1)
    close = day.close().close
    assert early.text.last_position < close.position
    book_commands.prepare(day.keeper, day.account, *OF_DAY, BY_FINANCE)
    with pytest.raises(BooksRefusedError, match=f"no signed checkpoint over position {close.position} yet"):
        book_commands.certify(day.keeper, day.account, *OF_DAY, BY_CHIEF)
    assert DAY.day not in day.keeper.books(day.account).certified
    (covering,) = notary.make()
    notary.append(1, 1)
    notary.make()
    assert covering.text.first_position <= close.position <= covering.text.last_position
    signed = book_commands.certify(day.keeper, day.account, *OF_DAY, BY_CHIEF)
    assert (signed.certified_by, signed.checkpoint) == ("user:chief", covering.digest)
    certificate = day.keeper.books(day.account).certified[DAY.day].event
    assert (certificate.checkpoint, certificate.position) == (covering.digest, close.position)


def test_a_log_without_checkpoints_has_certificates_without_one(day: Planted) -> None:
    """Without checkpoints the books can still be closed, and the certificate says so."""
    day.close()
    book_commands.prepare(day.keeper, day.account, *OF_DAY, BY_FINANCE)
    assert book_commands.certify(day.keeper, day.account, *OF_DAY, BY_CHIEF).checkpoint is None


@pytest.fixture
def close_by_dag(day: Planted, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """The step of the DAG over a day."""
    monkeypatch.setenv("SAT_RESULTS_URI", day.folder.as_uri())
    monkeypatch.setattr(SATCloseDayOperator, "account", lambda *_: day.account)
    application: Any = SimpleNamespace(
        settings=read_settings(),
        store=day.store,
        alerts=AlertBook(day.store.database),
        handler=SimpleNamespace(clock=day.clock),
    )
    return lambda named: SATCloseDayOperator(task_id="close", day=named).step(application, BY_TEST)


def alerts(store: PostgresEventStore) -> list[tuple[str, str, str]]:
    """Key, subject and text of every alert of a break."""
    with store.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT key, subject, text FROM sat.alerts WHERE kind = 'reconciliation_break' ORDER BY 1"
        )
        return list(cursor.fetchall())


def test_a_new_break_is_told_once(
    day: Planted, store: PostgresEventStore, close_by_dag: Callable[[str], dict[str, Any]]
) -> None:
    """When it is found, not when the day is closed again, and not while it is carried or explained."""
    assert close_by_dag(DAY.day.isoformat())["open_breaks"] == 1
    (item,) = day.keeper.books(day.account).closes[DAY.day].breaks
    told = [(f"break/{item.break_id}", day.request_id("good-2"))]
    assert [(key, subject) for key, subject, _ in alerts(store)] == told
    ((_, _, text),) = alerts(store)
    assert text.startswith(f"{item.break_id} (existence, {DAY.day}): ")
    assert text.endswith(f"; {-PRICE:,} rupiah")
    close_by_dag(DAY.day.isoformat())
    reason = "the provider looks for it"
    day.decide(item.break_id, BreakState.EXPLAINED, reason)
    day.end("on its way", CLOSES + timedelta(hours=1))
    day.net_rupiah -= 700
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    close_by_dag(NEXT.day.isoformat())
    (new,) = [
        found for found in day.keeper.books(day.account).closes[NEXT.day].breaks if found.day == NEXT.day
    ]
    assert {key for key, _, _ in alerts(store)} == {told[0][0], f"break/{new.break_id}"}


def test_the_pages_of_breaks_have_nothing_left_to_read_after_a_close(
    day: Planted, store: PostgresEventStore, close_by_dag: Callable[[str], dict[str, Any]]
) -> None:
    """The close brings the table of breaks up to the log, so that no page waits for it."""
    close_by_dag(DAY.day.isoformat())
    with store.database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM sat.breaks WHERE account = %s", [day.account])
        assert cursor.fetchone() == (1,)


def test_a_day_that_cannot_be_closed_again_costs_no_other_day(
    day: Planted, close_by_dag: Callable[[str], dict[str, Any]]
) -> None:
    """Its report cannot be written; the day after it is closed and reported, and the task fails."""
    close_by_dag(DAY.day.isoformat())
    day.top_up(1)
    day.clock.advance(86_400)
    place = day.folder / "reconciliation" / day.account
    shutil.rmtree(place)
    place.mkdir()
    (place / DAY.day.isoformat()).write_text("no folder")
    with pytest.raises(SpoolError):
        close_by_dag(NEXT.day.isoformat())
    assert NEXT.day in day.keeper.books(day.account).closes
    assert list((place / NEXT.day.isoformat()).iterdir())


def test_a_run_without_a_day_says_where_to_look() -> None:
    """The step runs whatever became of the one that names the day. It is skipped, and no day is closed."""
    operator = SATCloseDayOperator(task_id="close", day="None")
    with pytest.raises(AirflowSkipException, match="the log of the task day"):
        operator.execute({})
