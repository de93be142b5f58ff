"""A day gives the same close and the same files, however many partitions it is closed in."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest

from sat_hook.application.nightly_close import NightlyClose
from sat_hook.domain import order_events as happened
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.partitions import MAXIMUM_PARTITIONS, Partition
from sat_hook.reconciliation import break_factory, close_computation
from sat_hook.reconciliation.close_computation import DayComputation, partitions_of
from sat_hook.reconciliation.close_digest import digest_of_close
from sat_hook.reconciliation.day_figures import figures_of, to_bytes
from sat_hook.reconciliation.model import DayClose
from sat_hook.reconciliation.report import write_groups
from sat_hook.store.days import DayReader, RefoldedDayReader
from sat_hook.store.postgres import PostgresEventStore
from tests.integration.reconciliation.planting import CLOSES, DAY, NOON, OPENS, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_life_of_a_break import BY_FINANCE, NEXT
from tests.orders import BY_TEST

ORDERS = 16


def plant(day: Planted, prefix: str, noon: timedelta, chance: random.Random) -> list[str]:
    """Orders with every kind of end, and the rows of a settlement file that is wrong about many of them."""
    at, rows = NOON + noon, []
    for number in range(ORDERS):
        name, moment = f"{prefix}-{number}", at + number * SECOND
        match chance.randrange(8):
            case 0:
                day.send(name, moment, accepted=chance.random() < 0.5)
            case 1:
                day.send(name, moment)
                day.end(name, moment + SECOND, happened.OrderFailed)
            case 2:
                day.send(name, moment)
                day.end(name, moment + SECOND, kept=False)
            case 3:
                day.succeed(name, moment)
                day.end(name, moment + 9 * SECOND, happened.OrderReversed)
            case _:
                day.succeed(name, moment)
        rows += row_of(day, name, chance)
    rows += [day.settlement_row(f"unknown-{prefix}-{number}") for number in range(4)]
    chance.shuffle(rows)
    return rows


def row_of(day: Planted, name: str, chance: random.Random) -> list[str]:
    """What the file has of an order."""
    right = day.settlement_row(name)
    match chance.randrange(10):
        case 0:
            return []
        case 1:
            return [right, right]
        case 2:
            return [day.settlement_row(name, PRICE + 500)]
        case 3:
            return [right, day.settlement_row(name, -PRICE)]
        case 4:
            return [day.settlement_row(name, -700)]
        case 5:
            return [day.settlement_row(name, status="Whatever")]
        case 6:
            return [day.settlement_row(name, product="other", number="0812")]
        case _:
            return [right]


def computed(
    day: Planted,
    of: DayClose,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
    reader: type[DayReader] = DayReader,
) -> DayClose:
    """The close of a day again, in so many partitions."""
    monkeypatch.setattr(close_computation, "partitions_of", lambda movements: count)
    recorded, database = day.keeper.recorded(day.account), day.store.database
    return DayComputation(
        database, day.spool, recorded, day.account, of.business_day, of.position, reader
    ).close()


def contents(close: DayClose, target: Path) -> tuple[bytes, ...]:
    """The files that are made of its orders."""
    groups = write_groups(close.orders, target)
    return target.read_bytes(), to_bytes(figures_of(close, groups))


def test_the_report_does_not_depend_on_the_number_of_partitions(
    store: PostgresEventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digest and all bytes are equal: of a first day, and of a next one with carried breaks, a late file
    about the certified day, orders of yesterday in today's file, and more findings than are itemised."""
    monkeypatch.setattr(break_factory, "MAXIMUM_ITEMISED", 3)
    chance = random.Random(7)
    day = Planted(store, tmp_path, "many")
    other = Planted(store, tmp_path, "others")
    other.succeed("theirs")
    day.observe(OPENS + SECOND)
    rows = plant(day, "first", timedelta(), chance)
    day.settle(*rows[: len(rows) // 2], name="a.csv")
    day.settle(*rows[len(rows) // 2 :], "total,1,,,", name="b.csv")
    day.observe(CLOSES + SECOND)
    first = day.close().close
    for item in first.open_breaks:
        if item.category is BreakCategory.FILE:
            act = (item.break_id, BreakState.EXPLAINED, "seen", BY_FINANCE)
            day.decide(*act)
    day.sign(note="seen")
    again = plant(day, "second", timedelta(days=1), chance)
    for name in [order.order_id for order in day.orders.values() if order.state.is_in_flight][:3]:
        day.end(name, NOON + timedelta(days=1, hours=1))
    moved = chance.sample(rows, 12)
    day.clock.advance(86_400)
    day.settle(*again, *moved, day=NEXT.day, name="c.csv")
    day.settle(*chance.sample(rows, 8), name="late.csv")
    day.observe(NEXT.closes_at + SECOND)
    second = day.close(NEXT).close
    by_log = (2, RefoldedDayReader)
    for close, ways in ((first, [by_log]), (second, [by_log, (7, DayReader)])):
        assert "rest" in {item.subject.partition(":")[0] for item in close.breaks}
        again_closed = [computed(day, close, count, monkeypatch, reader) for count, reader in ways]
        assert {digest_of_close(one) for one in again_closed} == {digest_of_close(close)}
        target = tmp_path / "orders.csv"
        assert len({contents(one, target) for one in (close, *again_closed)}) == 1


def test_a_kept_partition_is_read_instead_of_the_log(
    store: PostgresEventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task keeps it, and a repeated one replaces it by an equal one. A file that cannot be read, or that is
    not there, costs only the time to compute it."""
    monkeypatch.setattr(close_computation, "partitions_of", lambda movements: 3)
    day = Planted(store, tmp_path, "kept")
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    closed = day.close()
    day_of = DayComputation(
        store.database,
        day.spool,
        day.keeper.recorded(day.account),
        day.account,
        DAY,
        closed.close.position,
        kept=day.spool,
    )
    orders = [day_of.keep_partition(partition) for partition in Partition.all_of(3)]
    assert sum(orders) == len(closed.close.orders) == 6
    assert day_of.keep_partition(Partition(1, 3)) == orders[1]
    kept = sorted(tmp_path.glob("reconciliation/kept/*/*/partitions/*.npz"))
    assert len(kept) == 3
    kept[0].write_bytes(b"torn")
    kept[1].unlink()
    read: list[int] = []
    compute = close_computation.close_partition

    def counted(books: object, reader: DayReader, shelf: object) -> object:
        read.append(reader.partition.number)
        return compute(books, reader, shelf)  # type: ignore[arg-type]

    monkeypatch.setattr(close_computation, "close_partition", counted)
    assert digest_of_close(day_of.close()) == closed.digest
    assert read == [0, 1]


def test_the_nightly_run_closes_what_its_tasks_have_matched(
    store: PostgresEventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the position at which they began, although the log has gone on; what they kept is removed. A small
    day has no such tasks."""
    day = Planted(store, tmp_path, "night")
    day.ordinary_day()
    day.observe(CLOSES + SECOND)
    steps = NightlyClose(store, day.clock, day.account, day.spool, list, BY_TEST)
    assert steps.partitions(DAY.day, 0) == []
    monkeypatch.setattr(close_computation, "partitions_of", lambda movements: 3)
    planned = steps.partitions(DAY.day, 0)
    assert [(one.number, one.partitions) for one in planned] == [(0, 3), (1, 3), (2, 3)]
    assert sum(steps.close_partition(DAY.day, 0, one) for one in planned) == 6
    day.succeed("later", NOON)
    monkeypatch.delattr(close_computation, "close_partition")
    closed, uris = steps.close(DAY.day, 0, planned[0].position)
    assert (closed.close.position, len(closed.close.orders)) == (planned[0].position, 6)
    assert len(uris) == 7
    assert not list(tmp_path.glob("**/*.npz"))


def test_partitions_have_every_order_once_and_follow_each_other() -> None:
    """Of any number; by SQL's comparison of texts as by Python's."""
    ids = sorted([*(request_id_of("a", str(number)) for number in range(500)), "", "2", "zz", "S2222", "Ωx"])
    for count in (1, 2, 7, MAXIMUM_PARTITIONS):
        partitions = Partition.all_of(count)
        assert [partition.first for partition in partitions[1:]] == [
            partition.beyond for partition in partitions[:-1]
        ]
        places = [
            [number for number, partition in enumerate(partitions) if partition.holds([key])[0]]
            for key in ids
        ]
        assert all(len(found) == 1 for found in places)
        assert places == sorted(places)
        for key, (number,) in zip(ids, places, strict=True):
            partition = partitions[number]
            assert partition.first <= key
            assert key < partition.beyond or number == count - 1
    sizes = [sum(partition.holds(ids)) for partition in Partition.all_of(7)]
    assert min(sizes) > 40
    with pytest.raises(ValueError, match="found partition 3 of 3"):
        Partition(3, 3)


def test_only_a_large_day_has_several_partitions() -> None:
    """About a million orders each."""
    assert [partitions_of(count) for count in (0, 3_000_000, 3_000_001, 30_000_000)] == [1, 1, 2, 10]
