"""What finance does with the books from a terminal: days of several accounts, files, versions, reports."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sat_hook.domain.business_day import BusinessDay
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.console_server import api_settings
from tests.integration.reconciliation.planting import CLOSES, DAY, SECOND, Planted
from tests.unit.cli.running import Run
from tests.unit.cli.scripted_airflow import PASSWORD, ScriptedAirflow, scripted_airflow

DAG = "/sat/v1/dags/nightly_reconciliation"


def days_ago(days: int) -> str:
    """A WIB day, read from the clock at once: midnight may pass during the tests."""
    return (BusinessDay.of(datetime.now(UTC)).day - timedelta(days=days)).isoformat()


@pytest.fixture
def airflow() -> Iterator[ScriptedAirflow]:
    """Airflow as the command sees it."""
    with scripted_airflow() as scripted:
        yield scripted


def env(airflow: ScriptedAirflow) -> dict[str, str]:
    """Settings of a user who may act."""
    return {"SAT_AIRFLOW_URL": airflow.url, "SAT_AIRFLOW_USER": "ops", "SAT_AIRFLOW_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def books(
    module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Two accounts with a closed day each; one of them has a file that does not count."""
    store = PostgresEventStore(Database(module_database.writer_dsn, "tests"))
    with closing(store.database):
        for account in ("east", "west"):
            day = Planted(store, tmp_path_factory.mktemp(account), account)
            day.ordinary_day()
            day.settle(*day.usual_rows(), name="settlement-2026-11-02.csv")
            if account == "west":
                day.set_aside("settlement-2026-11-02.xlsx", "found a locked workbook; expected an open one")
            day.observe(CLOSES + SECOND)
            day.close()
    folder = tmp_path_factory.mktemp("api")
    with api_settings(module_database, folder, sat_east="east", sat_west="west") as settings:
        yield settings


def test_days_of_several_accounts_are_listed(run: Run, books: dict[str, str]) -> None:
    """Each under its account; one of them on its own where it is named."""
    said = run("reconcile", "list", env=books).out
    assert said.index("account east") < said.index("account west")
    assert said.count(DAY.day.isoformat()) == 2
    for name in ("east", "sat_east"):
        said = run("reconcile", "list", "--account", name, env=books).out
        assert ("account east" in said, "account west" in said) == (True, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("explain", "KABCDEFGHIJKLMNO", "--reason", "bad file"),
        ("prepare", DAY.day.isoformat(), "--reason", "looked at"),
        ("report", DAY.day.isoformat()),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_only_account_need_not_be_named(
    run: Run, airflow: ScriptedAirflow, arguments: tuple[str, ...]
) -> None:
    """Where there are several, the refusal names them."""
    assert "found nothing" not in run("reconcile", *arguments, env=env(airflow)).err
    assert airflow.targets[-1].startswith("/sat/v1/books/demo/")
    airflow.accounts = {"sat_east": "east", "sat_west": "west"}
    refused = run("reconcile", *arguments, env=env(airflow))
    assert refused.code == 2
    assert "--account: found nothing; expected one of the accounts east, west" in refused.err


def test_what_is_no_break_s_id_is_refused_in_words(run: Run, airflow: ScriptedAirflow) -> None:
    """Not with the pattern that the server compares it with."""
    refused = run("reconcile", "explain", "NOPE", "--reason", "bad file", env=env(airflow))
    assert refused.code == 2
    assert "BREAK: found 'NOPE'; expected a break's id" in refused.err


def test_the_files_of_a_day_say_which_count(run: Run, books: dict[str, str]) -> None:
    """And of one that does not, why."""
    said = run("reconcile", "files", DAY.day.isoformat(), "--account", "west", env=books).out
    assert "settlement-2026-11-02.csv" in said
    assert "does not count: settlement-2026-11-02.xlsx: found a locked workbook" in said


def test_a_day_shows_the_versions_of_its_report(run: Run, books: dict[str, str]) -> None:
    """By what made each, and how to fetch one."""
    said = run("reconcile", "show", DAY.day.isoformat(), "--account", "east", env=books).out
    assert "closed at log position" in said
    assert f"sat reconcile report {DAY.day} --account east --output FOLDER" in said


def test_breaks_are_those_of_the_newest_close(run: Run, books: dict[str, str]) -> None:
    """As many as the day has; a day that is not closed says where to look, and so does an unknown account."""
    said = run("reconcile", "breaks", "--account", "east", "--all", env=books).out
    shown = run("reconcile", "show", DAY.day.isoformat(), "--account", "east", env=books).out
    (last,) = (line for line in said.splitlines() if f"breaks, as of {DAY.day}" in line)
    assert last in shown
    other = run("reconcile", "show", "2026-11-01", "--account", "east", env=books)
    assert (other.code, other.err) == (
        2,
        "sat: DAY: found 2026-11-01; expected a day that is closed (see: sat reconcile list)\n",
    )
    assert run("reconcile", "breaks", "--account", "north", env=books).code == 2


@pytest.mark.parametrize("params", [{}, {"cut_off_minutes": 0}, {"cut_off_minutes": 60}])
def test_a_day_that_is_not_over_is_refused_at_once(
    run: Run, airflow: ScriptedAirflow, params: dict[str, object]
) -> None:
    """No run is started that would be red for it."""
    airflow.overrides[f"GET {DAG}/parameters"] = (200, params)
    today = days_ago(0)
    ran = run("reconcile", "close", today, env=env(airflow))
    assert (ran.code, f"{today} is not over yet" in ran.err) == (2, True)
    assert airflow.triggered == []


def test_a_day_that_is_over_is_closed(run: Run, airflow: ScriptedAirflow) -> None:
    """Whatever the cut-off, two days ago is over."""
    day = days_ago(2)
    assert run("reconcile", "close", day, env=env(airflow)).code == 0
    assert airflow.triggered == [{"parameters": {"day": day}}]


def test_a_report_is_fetched_as_files(run: Run, airflow: ScriptedAirflow, tmp_path: Path) -> None:
    """Into a folder, or as one archive; a name in it that leads elsewhere does not."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("day.xlsx", b"workbook")
        archive.writestr("../../day.html", b"page")
    day = DAY.day.isoformat()
    path = f"GET /sat/v1/books/sat_default/days/{day}/report"
    airflow.overrides[path] = (200, packed.getvalue())
    target = tmp_path / "deep" / "reports"
    of_day = ("reconcile", "report", day, "--account", "sat_default")
    ran = run(*of_day, "--output", str(target), "--version", "2", env=env(airflow))
    assert ran.code == 0, ran.err
    assert airflow.targets[-1].endswith("/report?version=2")
    assert {item.name: item.read_bytes() for item in target.iterdir()} == {
        "day.xlsx": b"workbook",
        "day.html": b"page",
    }
    assert {item.stat().st_mode & 0o777 for item in target.iterdir()} == {0o600}
    run(*of_day, "--output", str(tmp_path / "all.zip"), env=env(airflow))
    assert (tmp_path / "all.zip").read_bytes() == packed.getvalue()
    (tmp_path / "a file").write_text("")
    ran = run(*of_day, "--output", str(tmp_path / "a file" / "x"), env=env(airflow))
    assert (ran.code, "a place that can be written to" in ran.err) == (2, True)


def test_a_choice_between_files_is_asked_of_airflow(run: Run, airflow: ScriptedAirflow) -> None:
    """With the reason; the answer says from when on it counts."""
    day = DAY.day.isoformat()
    answer = {"file": "s (1).csv", "day": day, "is_new": True, "account": "east"}
    airflow.overrides[f"POST /sat/v1/books/sat_default/days/{day}/settlement"] = (200, answer)
    people = ("--account", "sat_default", "--reason", "the first was cut off")
    said = run("reconcile", "choose", day, "s (1).csv", *people, env=env(airflow)).out
    assert said.startswith("s (1).csv: chosen; it counts from the next close of 2026-11-02 on")
