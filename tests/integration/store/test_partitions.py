"""The log in partitions by month: what holds for the log holds in and over each of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import psycopg2.errors
import pytest

from sat_hook.audit.log_verification import verify_log
from sat_hook.domain import order_events as happened
from sat_hook.shipped import shipped
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreBusyError
from sat_hook.store.log_partitions import LogPartitions
from sat_hook.store.migrations import apply_privileges
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.statements import queries
from stack.databases import APPLICATION_OWNER, ApplicationDatabase, drop_database, dsn_of, ensure_database
from stack.postgres import wheel_installation
from tests.integration.audit.damage import Found, damage
from tests.orders import BY_TEST, T0, change_of, received, stream_of, submitted
from tests.sql import execute
from tests.unit.cli.running import runner

SIZE = 10_000_000_000
VALIDATED = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)
LAST_MONTH = "UPDATE sat.events SET recorded_at = recorded_at - interval '40 days'"
POSITIONS = "SELECT position FROM sat.events ORDER BY position"


@pytest.fixture
def store(database: ApplicationDatabase) -> Iterator[PostgresEventStore]:
    """A store with one order of one event."""
    with closing(Database(database.writer_dsn)) as opened:
        made = PostgresEventStore(opened)
        assert made.append([change_of(None, 1, received(1))], BY_TEST, T0) == frozenset()
        yield made


def end_month(database: ApplicationDatabase, store: PostgresEventStore) -> None:
    """Turn to the next partition, as the job does in a new month."""
    damage(database, LAST_MONTH)
    assert LogPartitions(store.database).make_ahead().is_turned
    assert LogPartitions(store.database).make_ahead() == (1, False)


@pytest.fixture(scope="module")
def two_months(module_database: ApplicationDatabase) -> ApplicationDatabase:
    """A log over two partitions, for tests whose statements are all refused."""
    with closing(Database(module_database.writer_dsn)) as opened:
        store = PostgresEventStore(opened)
        assert store.append([change_of(None, 1, received(1))], BY_TEST, T0) == frozenset()
        end_month(module_database, store)
    return module_database


def test_a_new_month_begins_a_partition(database: ApplicationDatabase, store: PostgresEventStore) -> None:
    """Once a month and in any number of runs; versions and positions go on, and the log verifies."""
    partitions = LogPartitions(store.database)
    assert (partitions.make_ahead().made, partitions.make_ahead().is_turned) == (0, False)
    end_month(database, store)
    order = store.load_orders([stream_of(1).key])[stream_of(1).key]
    assert store.append([change_of(order, 1, VALIDATED)], BY_TEST, T0) == frozenset()
    assert partitions.make_ahead().is_turned is False
    assert execute(database.owner_dsn, POSITIONS) == [(1,), (SIZE + 1,)]
    assert store.close_position() == SIZE + 1
    assert [event.version for event in store.read_stream(stream_of(1))] == [1, 2]
    now = partitions.all()
    assert [kept.name for kept in now if kept.is_current] == ["events_0001"]
    assert [kept.name for kept in now] == [f"events_{n:04}" for n in range(4)] + ["events_default"]
    assert all(kept.is_guarded for kept in now)
    assert partitions.troubles() == []
    found = Found()
    verify_log(store.database, found)
    assert found.findings == []


def test_people_see_partitions_and_what_is_wrong_with_them(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command makes them, lists them, and says with its exit code whether a person is needed."""
    run = runner(monkeypatch, capsys)
    env = {"SAT_DB_DSN": database.reader_dsn, "SAT_OWNER_DSN": database.owner_dsn}
    assert "0 made" in run("db", "make-partitions", env=env).out
    shown = run("db", "partitions", env=env)
    assert (shown.code, "events_0002" in shown.out, "new events" in shown.out) == (0, True, True)
    damage(database, "ALTER TABLE sat.events_0001 DISABLE TRIGGER events_hold_position")
    shown = run("db", "partitions", env=env)
    assert shown.code == 1
    assert "events_0001: a trigger or the unique index" in shown.out


def test_a_month_without_events_takes_no_partition(database: ApplicationDatabase) -> None:
    """An empty partition waits for its first event, whatever the calendar says."""
    with closing(Database(database.writer_dsn)) as opened:
        assert LogPartitions(opened).make_ahead() == (0, False)


@pytest.mark.parametrize("where", ["sat.events", "sat.events_0000", "sat.events_0003", "sat.events_default"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET digest = digest"])
def test_the_owner_changes_no_partition(two_months: ApplicationDatabase, where: str, statement: str) -> None:
    """Not through the log, and not in a partition by itself, also in one that was made later."""
    with pytest.raises(psycopg2.errors.RestrictViolation, match="only grows"):
        execute(two_months.owner_dsn, statement.format(where))


@pytest.mark.parametrize("statement", ["SELECT * FROM {}", "INSERT INTO {} DEFAULT VALUES", "TRUNCATE {}"])
def test_no_role_reaches_a_partition_by_itself(two_months: ApplicationDatabase, statement: str) -> None:
    """Rights are those on the log, before and after the privileges were set again."""
    for _ in range(2):
        for dsn in (two_months.writer_dsn, two_months.reader_dsn, two_months.receiver_dsn):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                execute(dsn, statement.format("sat.events_0003"))
        apply_privileges(two_months.owner_dsn)


def test_a_partition_made_by_hand_refuses_changes_and_is_told(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """PostgreSQL copies the triggers for rows; what is missing beside them is an alert."""
    execute(
        database.owner_dsn,
        f"CREATE TABLE sat.events_9 PARTITION OF sat.events FOR VALUES FROM ({5 * SIZE}) TO ({6 * SIZE})",
    )
    damage(database, f"SELECT setval('sat.events_position_seq', {5 * SIZE})")
    assert store.append([submitted()], BY_TEST, T0) == frozenset()
    for statement in ("DELETE FROM sat.events_9", "UPDATE sat.events_9 SET digest = digest"):
        with pytest.raises(psycopg2.errors.RestrictViolation):
            execute(database.owner_dsn, statement)
    [trouble] = LogPartitions(store.database).troubles()
    assert trouble.startswith("events_9")


@pytest.mark.parametrize(
    "heads",
    ["DELETE FROM sat.stream_heads", "UPDATE sat.stream_heads SET version = 0"],
    ids=["lost", "set back"],
)
@pytest.mark.parametrize("months", [0, 1], ids=["in one partition", "over two"])
def test_a_damaged_head_lets_no_second_version_in(
    database: ApplicationDatabase, store: PostgresEventStore, heads: str, months: int
) -> None:
    """The log itself refuses what is in it: a new order with an old id, and a batch from its beginning."""
    assert store.append([submitted()], BY_TEST, T0) == frozenset()
    for _ in range(months):
        end_month(database, store)
    damage(database, heads)
    before = execute(database.owner_dsn, POSITIONS)
    for change in (change_of(None, 1, received(1)), submitted()):
        with pytest.raises(psycopg2.errors.UniqueViolation):
            store.append([change], BY_TEST, T0)
    assert execute(database.owner_dsn, POSITIONS) == before


def test_a_head_set_back_by_one_lets_no_second_version_in(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """Also where the version before is in the partition of an earlier month, and where it is in this one."""
    before = store.load_orders([stream_of(1).key])[stream_of(1).key]
    second = change_of(before, 1, VALIDATED)
    end_month(database, store)
    assert store.append([second], BY_TEST, T0) == frozenset()
    for is_later in (False, True):
        if is_later:
            end_month(database, store)
        damage(database, "UPDATE sat.stream_heads SET version = 1")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            store.append([second], BY_TEST, T0)


def test_rows_without_a_partition_stop_nothing_and_are_told(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """The default partition takes them, the next run makes partitions beyond, the one after it turns."""
    partitions = LogPartitions(store.database)
    damage(database, f"SELECT setval('sat.events_position_seq', {7 * SIZE + 5})")
    assert store.append([change_of(None, 2, received(2))], BY_TEST, T0) == frozenset()
    assert store.close_position() == 7 * SIZE + 6
    assert [trouble.partition(":")[0] for trouble in partitions.troubles()] == ["events_default"]
    assert partitions.make_ahead() == (2, False)
    assert partitions.make_ahead() == (0, True)
    assert store.append([change_of(None, 3, received(3))], BY_TEST, T0) == frozenset()
    assert store.close_position() == 8 * SIZE + 1


def test_a_long_reader_keeps_partitions_from_being_made_and_appends_from_nothing(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """Behind a verification that reads the whole log the job gives up soon, and tries again another day."""
    end_month(database, store)
    damage(database, f"SELECT setval('sat.events_position_seq', {2 * SIZE + 5})")
    partitions = LogPartitions(store.database)
    with closing(psycopg2.connect(database.reader_dsn)) as reader:
        reader.cursor().execute("SELECT count(*) FROM sat.events")
        with pytest.raises(StoreBusyError):
            partitions.make_ahead()
        assert store.append([change_of(None, 2, received(2))], BY_TEST, T0) == frozenset()
    assert partitions.make_ahead() == (1, False)


def test_pages_of_the_log_read_few_of_many_partitions(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """With 24 partitions: by position one of them; by stream each by its index and no table wholly."""
    owner = database.owner_dsn
    execute(owner, "SELECT sat.make_events_partition(n) FROM generate_series(1, 24) AS n")
    for number in range(24):
        damage(database, f"SELECT setval('sat.events_position_seq', {number * SIZE + 100})")
        assert store.append([change_of(None, 10 + number, received(10 + number))], BY_TEST, T0) == frozenset()

    def plan(name: str, **arguments: object) -> str:
        with closing(psycopg2.connect(owner)) as connection, connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")  # of a few rows, a whole table is the cheapest to read
            statement = getattr(queries("checkpoints" if name == "leaves" else "events"), name).sql
            cursor.execute(f"EXPLAIN {statement}", arguments)
            return "\n".join(row[0] for row in cursor.fetchall())

    def partitions_of(text: str) -> set[str]:
        return set(re.findall(r"Scan.* on (events_[^_ ]+)", text))

    page = {"after_position": 5 * SIZE + 10, "up_to_position": 5 * SIZE + 500, "limit": 100}
    assert partitions_of(plan("read_log", **page)) == {"events_0005"}
    leaves = plan("leaves", first_position=7 * SIZE + 1, last_position=8 * SIZE + 500, limit=1000)
    assert partitions_of(leaves) == {"events_0007", "events_0008"}
    by_stream = plan("read_stream", stream=str(stream_of(1)))
    assert len(partitions_of(by_stream)) == 26
    assert "Seq Scan" not in by_stream
    with closing(psycopg2.connect(owner)) as connection, connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, COSTS off, TIMING off) " + queries("events").newest_position.sql)
        newest = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Only Scan Backward" in newest
    assert store.horizon() == 23 * SIZE + 101


def test_every_index_of_a_partition_is_one_of_the_log(database: ApplicationDatabase) -> None:
    """So that later partitions have it; only the unique index of streams and versions is each one's own."""
    indexes = execute(
        database.owner_dsn,
        "SELECT count(*) FILTER (WHERE i.inhparent IS NULL), count(*) - 1 = (SELECT count(*) FROM pg_index"
        " WHERE indrelid = 'sat.events'::regclass) FROM pg_inherits AS p JOIN pg_index AS x ON"
        " x.indrelid = p.inhrelid LEFT JOIN pg_inherits AS i ON i.inhrelid = x.indexrelid"
        " WHERE p.inhparent = 'sat.events'::regclass GROUP BY p.inhrelid",
    )
    assert indexes == [(1, True)] * 4


def test_a_filled_table_becomes_the_first_partition_and_back(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """Without rewriting it: file, positions, sequence and privileges stay; back again nothing is missing."""
    text = (shipped("sql") / "migrations" / "20261130235703_events_by_month.sql").read_text("utf-8")
    up, _, down = text.partition("-- migrate:down")
    end_month(database, store)
    assert store.append([change_of(None, 2, received(2))], BY_TEST, T0) == frozenset()
    everything = "SELECT * FROM sat.events ORDER BY position"
    before = execute(database.owner_dsn, everything)

    execute(database.owner_dsn, down)
    assert execute(database.reader_dsn, everything) == before
    assert store.append([change_of(None, 3, received(3))], BY_TEST, T0) == frozenset()
    assert store.close_position() == SIZE + 2
    [(file,)] = execute(database.owner_dsn, "SELECT pg_relation_filenode('sat.events')")
    before = execute(database.owner_dsn, everything)

    execute(database.owner_dsn, up)
    assert execute(database.owner_dsn, "SELECT pg_relation_filenode('sat.events_0000')") == [(file,)]
    assert execute(database.reader_dsn, everything) == before
    for number in (4, 5):
        assert store.append([change_of(None, number, received(number))], BY_TEST, T0) == frozenset()
        assert store.close_position() == SIZE + number - 1
    with pytest.raises(psycopg2.errors.RestrictViolation):
        execute(database.owner_dsn, "TRUNCATE sat.events_0000")


def test_a_dump_restores_the_log_with_its_partitions(
    database: ApplicationDatabase, store: PostgresEventStore
) -> None:
    """pg_dump and psql bring back events, guards, partitions and the place of the sequence."""
    end_month(database, store)
    assert store.append([change_of(None, 2, received(2))], BY_TEST, T0) == frozenset()
    programs = wheel_installation() / "bin"
    dump = subprocess.run([programs / "pg_dump", database.superuser_dsn], check=True, capture_output=True)
    restored = dsn_of(database.superuser_dsn, database=f"{database.name}_restored")
    drop_database(database.superuser_dsn, f"{database.name}_restored")
    ensure_database(database.superuser_dsn, f"{database.name}_restored", owner=APPLICATION_OWNER)
    try:
        psql = [programs / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", restored]
        subprocess.run(psql, check=True, capture_output=True, input=dump.stdout)
        everything = "SELECT * FROM sat.events ORDER BY position"
        assert execute(restored, everything) == execute(database.superuser_dsn, everything)
        with closing(Database(restored)) as opened:
            assert all(kept.is_guarded for kept in LogPartitions(opened).all())
            after = PostgresEventStore(opened)
            assert after.append([change_of(None, 3, received(3))], BY_TEST, T0) == frozenset()
            assert after.close_position() == SIZE + 2
    finally:
        drop_database(database.superuser_dsn, f"{database.name}_restored")
