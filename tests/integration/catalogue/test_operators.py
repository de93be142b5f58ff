"""The operators: what becomes of a task when the list is good, unchanged, doubtful, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sat_hook.catalogue.errors import PriceListDoubtedError
from sat_hook.domain.business_day import business_day
from sat_hook.domain.prices import SnapshotOutcome
from sat_hook.operators.prices import (
    SATAnnouncePricesOperator,
    SATSnapshotPricesOperator,
    SATSummarisePricesOperator,
)
from sat_hook.protocol.errors import UnexpectedReplyError
from sat_hook.store.database import Database
from sat_hook.store.prices import PriceHistory
from stack.databases import ApplicationDatabase
from tests.airflow_connections import database_connection
from tests.orders import T0
from tests.price_lists import NOT_FOUND, document, product
from tests.scripted_sat import ScriptedSAT, http_answer, scripted_sat

PRICES = Asset("sat://product_prices")
PATH = "/v2/product-list"
LINES = [product(f"product-{number}", 1_000) for number in range(5)]


class Desk:
    """Two connections, a scripted SAT, and tasks of one run after the other."""

    def __init__(self, sat: ScriptedSAT, database: Database) -> None:
        self.sat = sat
        self.history = PriceHistory(database)

    def lists(self, *answers: bytes) -> None:
        """What SAT answers to the next questions; the last answer stays."""
        self.sat.script[PATH] = list(answers)

    def snapshot(self, user: str | None = None, **parameters: object) -> dict[str, Any]:
        """The task ``snapshot``."""
        operator = SATSnapshotPricesOperator(
            task_id="snapshot", sat_conn_id="sat_test", db_conn_id="sat_test_db", **parameters
        )
        return operator.execute(self._context(user))

    def announce(self, run_id: str = "run-1") -> dict[str, Any]:
        """The extra of the event that the task ``announce`` leaves behind."""
        operator = SATAnnouncePricesOperator(
            task_id="announce", sat_conn_id="sat_test", db_conn_id="sat_test_db", outlets=[PRICES]
        )
        context = self._context(None, run_id)
        operator.execute(context)
        extra: dict[str, Any] = context["outlet_events"][PRICES].extra
        return extra

    def summarise(self, day: str = "") -> Path:
        """The page that the task ``summarise`` writes."""
        operator = SATSummarisePricesOperator(
            task_id="summarise", sat_conn_id="sat_test", db_conn_id="sat_test_db", day=day
        )
        return Path(urlsplit(operator.execute(self._context(None))).path)

    def last(self) -> Any:
        """The newest attempt."""
        year = T0.replace(year=2020), T0.replace(year=2200)
        return self.history.snapshots("demo", *year)[0]

    def _context(self, user: str | None, run_id: str = "run-1") -> Any:
        ti = SimpleNamespace(dag_id="d", task_id="t", map_index=0, run_id=run_id, try_number=1)
        return {
            "ti": ti,
            "dag_run": SimpleNamespace(triggering_user_name=user),
            "outlet_events": {PRICES: SimpleNamespace(extra={})},
        }


def listing(*lines: Any) -> bytes:
    """A price list, as an HTTP answer."""
    return http_answer(200, document(lines or LINES))


@pytest.fixture
def desk(database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """SAT lists five products."""
    writer = Database(database.writer_dsn)
    with scripted_sat() as server:
        extra = {
            "account": "demo",
            "environment": "custom",
            "base_url": server.base_url,
            "token_url": server.token_url,
        }
        sat = {"conn_type": "sat", "login": "demo", "password": "demo", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST", json.dumps(sat))
        monkeypatch.setenv("AIRFLOW_CONN_SAT_TEST_DB", database_connection(database.writer_dsn))
        made = Desk(server, writer)
        made.lists(listing())
        yield made
    writer.close()


def test_a_changed_list_is_announced_once(desk: Desk) -> None:
    """The event has the list; the next run finds nothing to tell and is skipped."""
    told = desk.snapshot()
    assert (told["listed"], told["changes"], told["jumps"]) == (5, 5, 0)
    extra = desk.announce("run-1")
    assert (extra["kind"], extra["counts"], extra["snapshots"]) == (
        "price_change",
        {"appeared": 5},
        [told["snapshot_id"]],
    )
    assert desk.announce("run-1") == extra, "a second try of the same task tells the same"
    assert desk.snapshot()["changes"] == 0
    with pytest.raises(AirflowSkipException):
        desk.announce("run-2")


def test_what_a_run_could_not_announce_the_next_one_does(desk: Desk) -> None:
    """Two snapshots, one event; a jump gives it its kind."""
    first = desk.snapshot()
    desk.lists(listing(LINES[0]._replace(price_rupiah=2_000), *LINES[1:]))
    second = desk.snapshot()
    assert second["jumps"] == 1
    extra = desk.announce("run-2")
    assert extra["kind"] == "price_jump"
    assert extra["snapshots"] == [first["snapshot_id"], second["snapshot_id"]]
    assert extra["changes"][0]["product_code"] == "product-0"


def test_a_doubtful_list_fails_the_task(desk: Desk) -> None:
    """Kept as suspect; the words say what to do; believed by a person it is complete, with the name."""
    desk.snapshot()
    desk.lists(listing(*LINES[:2]), http_answer(400, NOT_FOUND))
    with pytest.raises(PriceListDoubtedError, match=r"3 of 5 products missing.*missing_limit_percent"):
        desk.snapshot()
    assert desk.last().outcome is SnapshotOutcome.SUSPECT
    desk.lists(listing(*LINES[:2]), http_answer(400, NOT_FOUND))
    believed = desk.snapshot(user="ops", missing_limit_percent="60")
    assert (believed["listed"], believed["changes"]) == (2, 3)
    assert (desk.last().actor, desk.last().missing_limit_percent) == ("user:ops", 60)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http_answer(503, b"<html>later</html>"), UnexpectedReplyError),
        (http_answer(403, b"<html>no</html>"), AirflowFailException),
        (http_answer(200, b'{"data": ['), AirflowFailException),
    ],
)
def test_a_list_that_fails_is_an_attempt(desk: Desk, answer: bytes, error: type[Exception]) -> None:
    """Tried again where that may help; in each case the attempt stands in the history, with its try."""
    desk.lists(answer)
    with pytest.raises(error):
        desk.snapshot()
    assert desk.last().outcome is SnapshotOutcome.FAILED
    assert desk.last().cause == "task d.t[0] run run-1 try 1"


def test_a_week_is_written_beside_the_results(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Under the account and the week; the same week is the same file; one that has not begun is a mistake."""
    monkeypatch.setenv("SAT_RESULTS_URI", tmp_path.as_uri())
    desk.snapshot()
    today = business_day(desk.last().asked_at)
    page = desk.summarise(str(today))
    year, week, _ = today.isocalendar()
    assert page == tmp_path / "prices" / "demo" / f"{year}-W{week:02}.html"
    assert "1 price list was read" in page.read_text("utf-8")
    assert "nothing is known of this week" in desk.summarise().read_text("utf-8")
    with pytest.raises(AirflowFailException, match="a week that has begun"):
        desk.summarise("2199-01-01")
