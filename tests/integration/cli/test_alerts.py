"""``sat alerts`` and ``sat rechecks`` through the API, on a real database."""

from __future__ import annotations

from datetime import timedelta

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.rechecks import RecheckFinding
from sat_hook.pipeline.alerting import tell_people
from sat_hook.pipeline.limits import AlertingLimits
from sat_hook.store.alerts import AlertBook
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.rechecks import PostgresRecheckSchedule
from stack.databases import ApplicationDatabase
from tests.integration.conftest import Api
from tests.integration.store.test_rechecks import REQUESTED, SUCCEEDED, Kept
from tests.orders import ACCOUNT, T0
from tests.unit.cli.running import Run


def test_alerts_are_listed_with_whether_people_were_told(
    run: Run, database: ApplicationDatabase, serve_api: Api
) -> None:
    """Newest first; --untold leaves out what was told."""
    opened = Database(database.writer_dsn)
    book = AlertBook(opened)
    env = serve_api(database)
    assert run("alerts", env=env).out == "nothing\n"
    book.add([Alert("a/1", AlertKind.PRICE_JUMP, ACCOUNT, "25k-xl: [dear]", T0)])
    book.add([Alert("a/2", AlertKind.ORDER_REVERSED, ACCOUNT, "S1: taken back", T0)])
    book.settle_notified(["a/1"], T0)
    ran = run("alerts", env=env)
    assert ran.out.index("order_reversed") < ran.out.index("price_jump")
    assert "25k-xl: [dear]" in ran.out
    ran = run("alerts", "--untold", env=env)
    assert "no, 0 tries" in ran.out
    assert "price_jump" not in ran.out
    # Without a notifier there was only a line in a log: no person was told.
    tell_people(book, SystemClock(), lambda _: None, AlertingLimits(), reaches_people=False)
    for arguments in (("alerts",), ("alerts", "--untold")):
        ran = run(*arguments, env=env)
        assert "no: no notifier is set (variable sat_alerts)" in ran.out
    assert run("alerts", "--limit", "1", env=env).out.count("2026") == 1
    assert book.claim(T0 + timedelta(days=9000), T0 + timedelta(days=9001), 10) == []
    opened.close()


def test_looks_are_counted_and_misses_are_an_exit_code(
    run: Run, database: ApplicationDatabase, serve_api: Api
) -> None:
    """Rechecks that were due three days ago and were not done."""
    opened = Database(database.writer_dsn)
    watch = PostgresRecheckSchedule(opened)
    kept = Kept(PostgresEventStore(opened), watch)
    env = serve_api(database)
    assert run("looks", env=env).out == "nothing was due\n"
    ended = SystemClock().now() - timedelta(days=4)
    kept.put(1, REQUESTED, SUCCEEDED, at=ended)
    kept.put(2, REQUESTED, SUCCEEDED, at=ended)
    watch.enroll(1, 0)
    now = SystemClock().now()
    looks = watch.claim_due(ACCOUNT, (1,), now, now, 10)
    watch.close({looks[0].key: RecheckFinding.SAME}, ended + timedelta(days=1))
    ran = run("rechecks", env=env)
    assert ran.code == 1
    assert ran.out.split()[-7:] == ["D+1", ACCOUNT, "1", "0", "0", "1", "0"]
    watch.close({looks[1].key: RecheckFinding.SAME}, now)
    ran = run("rechecks", env=env)
    assert ran.code == 0
    assert ran.out.split()[-7:] == ["D+1", ACCOUNT, "1", "1", "0", "0", "0"]
    opened.close()
