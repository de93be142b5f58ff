"""Steps of the nightly run by themselves: which day it is, and which files are taken in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.application.settings import DeploymentSettings
from sat_hook.clients.clock import SystemClock
from sat_hook.operators.reconciliation import (
    SATAskAgainOperator,
    SATBooksOperator,
    SATCloseDayOperator,
    SATImportSettlementsOperator,
    SATNameDayOperator,
)
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BY_TEST

CSV = "request_id,amount,status\nS1,52000,Success\n"


def named(
    logical_date: datetime | None,
    run_after: datetime,
    day: str = "",
    cut_off_minutes: int = 0,
    interval_end: datetime | None = None,
) -> str:
    """The day that a run closes."""
    run = SimpleNamespace(logical_date=logical_date, run_after=run_after, data_interval_end=interval_end)
    task = SATNameDayOperator(task_id="day", day=day, cut_off_minutes=cut_off_minutes)
    context: Any = {"dag_run": run}
    return task.execute(context)


def test_a_run_closes_the_day_before_its_own_time_however_late() -> None:
    """00:30 WIB closes the day that ended at 00:00; by when it was scheduled, not by the clock."""
    scheduled = datetime(2025, 3, 4, 17, 30, tzinfo=UTC)
    assert named(scheduled, scheduled) == "2025-03-04"
    assert named(None, datetime(2025, 3, 5, 16, 59, tzinfo=UTC)) == "2025-03-04"
    assert named(None, datetime(2025, 3, 5, 16, 59, tzinfo=UTC), cut_off_minutes=-60) == "2025-03-05"


def test_a_run_that_is_dated_by_the_start_of_its_interval_closes_the_day_that_ended() -> None:
    """Airflow's create_cron_data_intervals dates a run a whole interval before it starts."""
    started = datetime(2025, 3, 4, 17, 30, tzinfo=UTC)
    dated = started - timedelta(days=1)
    assert named(dated, started, interval_end=started) == "2025-03-04"
    # A person who starts a run for a moment gets the interval before that moment.
    assert named(started, started, interval_end=dated) == "2025-03-04"


def test_a_day_that_somebody_names_is_closed() -> None:
    """If it has ended."""
    now = datetime.now(UTC)
    assert named(None, now, "2025-03-01") == "2025-03-01"
    with pytest.raises(AirflowFailException, match="that has ended"):
        named(None, now, "2999-01-01")
    with pytest.raises(AirflowFailException, match="expected YYYY-MM-DD"):
        named(None, now, "yesterday")


def test_a_run_of_a_moment_that_is_to_come_closes_nothing() -> None:
    """Airflow lets people start a run for any moment; a day that has not ended cannot be closed."""
    now = datetime.now(UTC)
    with pytest.raises(AirflowFailException, match="expected a day that ended"):
        named(now + timedelta(days=2), now)


@pytest.mark.parametrize(
    "step",
    [SATAskAgainOperator, SATImportSettlementsOperator, SATCloseDayOperator],
)
def test_a_run_that_closes_no_day_says_so_once(step: type[SATBooksOperator]) -> None:
    """Where its day was refused the steps are skipped, and none adds an error of its own."""
    context: Any = {}
    with pytest.raises(AirflowSkipException, match="the log of the task day says why"):
        step(task_id="step", day="None").execute(context)


@pytest.fixture
def store(database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """The books' store."""
    store = PostgresEventStore(Database(database.writer_dsn, "tests"))
    with closing(store.database):
        yield store


@pytest.fixture
def take_in(store: PostgresEventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the step over ``tmp_path/files``."""
    monkeypatch.setattr(SATImportSettlementsOperator, "account", lambda *_: ACCOUNT)
    task = SATImportSettlementsOperator(
        task_id="settlements", day="2026-11-22", settlements_uri=(tmp_path / "files").as_uri()
    )
    application: Any = SimpleNamespace(
        store=store,
        alerts=AlertBook(store.database),
        handler=SimpleNamespace(clock=SystemClock()),
        settings=DeploymentSettings(results_uri=(tmp_path / "kept").as_uri()),
    )
    return lambda: task.step(application, BY_TEST)


def counts(imported: int, found: int, set_aside: int = 0) -> dict[str, int]:
    """What the step returns."""
    return {"imported": imported, "found": found, "set_aside": set_aside}


def test_files_are_taken_in_once_by_their_mapping(
    take_in: Any, store: PostgresEventStore, tmp_path: Path
) -> None:
    """By name and day; a corrected one replaces what came before; one without a day is told once."""
    with pytest.raises(AirflowSkipException, match="there is no"):
        take_in()
    folder = tmp_path / "files" / ACCOUNT
    folder.mkdir(parents=True)
    (folder / "mapping.json").write_text(json.dumps({"delimiter": ","}))
    (folder / "settlement-2026-11-22.csv").write_text(CSV)
    (folder / "notes.csv").write_text("hello")
    assert take_in() == counts(1, 2, set_aside=1)
    assert take_in() == counts(0, 2)
    (folder / "settlement-2026-11-22-corrected.csv").write_text(CSV + "S2,1,Success\n")
    assert take_in() == counts(1, 3)
    settlements = BookKeeper(store, SystemClock()).books(ACCOUNT).settlements
    assert [(item.event.rows, item.event.replaces_earlier) for item in settlements] == [(1, False), (2, True)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the provider's files of the account arrive."""
    made = tmp_path / "files" / ACCOUNT
    made.mkdir(parents=True)
    return made


@pytest.fixture
def counting(store: PostgresEventStore) -> Callable[[], list[str]]:
    """Names of the files that count for the day, by the books."""
    return lambda: [
        item.event.name
        for item in BookKeeper(store, SystemClock()).books(ACCOUNT).settlements_of(date(2026, 11, 22))
    ]


def test_a_correction_counts_after_what_it_corrects_in_one_night(
    take_in: Any, folder: Path, counting: Callable[[], list[str]]
) -> None:
    """By name the corrected file comes first; by meaning it comes last."""
    (folder / "settlement-2026-11-22.csv").write_text(CSV)
    (folder / "settlement-2026-11-22-corrected.csv").write_text(CSV + "S2,1,Success\n")
    assert take_in() == counts(2, 2)
    assert counting() == ["settlement-2026-11-22-corrected.csv"]


def test_a_file_that_comes_again_with_other_bytes_of_the_same_size_counts(
    take_in: Any, store: PostgresEventStore, folder: Path, counting: Callable[[], list[str]]
) -> None:
    """One digit was wrong, then it was right after all: each time the last bytes count, and once."""
    path, name = folder / "settlement-2026-11-22.csv", "settlement-2026-11-22.csv"
    for content in (CSV, CSV.replace("52000", "52500"), CSV):
        path.write_text(content)
        assert take_in() == counts(1, 1)
        assert take_in() == counts(0, 1)
        assert counting() == [name]
    settlements = BookKeeper(store, SystemClock()).books(ACCOUNT).settlements
    first, second, third = (item.event.digest for item in settlements)
    assert first == third != second


def test_the_same_bytes_count_again_only_as_a_correction_by_another_mapping(
    take_in: Any, store: PostgresEventStore, folder: Path, counting: Callable[[], list[str]]
) -> None:
    """A copy is not new; a file that was read wrongly is read again under a name that says so."""
    (folder / "settlement-2026-11-22.csv").write_text(CSV)
    assert take_in()["imported"] == 1
    (folder / "copy-2026-11-22.csv").write_text(CSV)
    assert take_in()["imported"] == 0
    (folder / "mapping.json").write_text(json.dumps({"statuses": {"Success": "failed"}}))
    assert take_in()["imported"] == 0
    (folder / "settlement-2026-11-22-corrected.csv").write_text(CSV)
    assert take_in()["imported"] == 1
    assert take_in()["imported"] == 0
    assert counting() == ["settlement-2026-11-22-corrected.csv"]


def test_a_file_that_cannot_be_used_is_told_at_once(
    take_in: Any, store: PostgresEventStore, folder: Path, counting: Callable[[], list[str]]
) -> None:
    """The step succeeds, the other file counts, and people hear of the one that does not."""
    (folder / "settlement-2026-11-22.csv").write_text(CSV)
    (folder / "settlement-2026-11-22-b.csv").write_text("id;nilai\nBudi;2\n")
    assert take_in() == counts(1, 2, set_aside=1)
    assert counting() == ["settlement-2026-11-22.csv"]
    (alert,) = AlertBook(store.database).recent(10)
    assert alert.alert.subject == "settlement-2026-11-22-b.csv"
    assert "(file, 2026-11-22): a settlement file does not count" in alert.alert.text
    assert "Budi" not in alert.alert.text


def test_without_a_place_for_files_the_step_is_skipped() -> None:
    """Files may never come."""
    task = SATImportSettlementsOperator(task_id="settlements")
    with pytest.raises(AirflowSkipException, match="is not set"):
        task.step(SimpleNamespace(settings=DeploymentSettings(settlements_uri="")), BY_TEST)  # type: ignore[arg-type]
