"""A folder of settlement files as it is in real life: whatever is wrong with one file, the day closes."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import psycopg2
import pytest
from airflow.sdk.io.stat import stat_result

from sat_hook.domain.books_events import SettlementMappingSaved
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.decision import Record
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.book_commands import choose_file
from sat_hook.reconciliation.day_close import close_day
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.model import Break
from sat_hook.reconciliation.settlement_intake import EMPTY_FOR, FOLDER, Arrivals, Intake
from sat_hook.store.database import Database
from sat_hook.store.errors import SpoolError
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from stack.databases import ApplicationDatabase
from tests.integration.reconciliation.planting import CLOSES, DAY, OPENS, PRICE, SECOND, Planted
from tests.orders import BY_TEST

HEAD = "request_id,amount,status\r\n"
NAME = f"settlement-{DAY.day}"
COPY = f"{NAME} (1).csv"


class Inbox:
    """A folder that the provider writes to, and what the night makes of it."""

    def __init__(self, day: Planted, folder: Path) -> None:
        self.day = day
        self.folder = folder
        folder.mkdir()
        day.observe(CLOSES + SECOND)

    def put(self, name: str, content: bytes) -> None:
        """A file comes."""
        (self.folder / name).write_bytes(content)

    def rows(self, *names: str, rupiah: int = PRICE, note: str = "") -> bytes:
        """A file with a row for each of these orders."""
        lines = [f"{self.day.request_id(name)},{rupiah},Success{note}\r\n" for name in names]
        return (HEAD.replace("\r\n", f"{note}\r\n") + "".join(lines)).encode()

    def good(self, note: str = "") -> bytes:
        """A file that agrees with the ordinary day."""
        return self.rows("good-1", "good-2", "good-3", note=note)

    def take_in(self, folder: Any = None, day: date = DAY.day) -> Arrivals:
        """The step of the night."""
        intake = Intake(self.day.keeper, self.day.spool, self.day.account, day, BY_TEST)
        return intake.take_in(folder or self.folder)

    def counting(self) -> list[str]:
        """Names of the files that count for the day."""
        return [item.event.name for item in self.day.keeper.books(self.day.account).settlements_of(DAY.day)]

    def night(self, day: BusinessDay = DAY) -> tuple[Break, ...]:
        """Files are taken in and the day is closed; its breaks."""
        self.take_in(day=day.day)
        return self.day.close(day).close.breaks


@pytest.fixture
def inbox(day: Planted, tmp_path: Path) -> Inbox:
    """The inbox of an ordinary day."""
    return Inbox(day, tmp_path / "inbox")


BAD_FILES: dict[str, Callable[[Inbox], tuple[str, bytes]]] = {
    "no columns": lambda inbox: (f"{NAME}-b.csv", b"id;nilai\nBudi;2\n"),
    "no workbook": lambda inbox: (f"{NAME}-b.xlsx", b"PK\x03\x04 torn"),
    "binary": lambda inbox: (f"{NAME}-b.csv", bytes(range(256)) * 3),
    "no day in its name": lambda inbox: ("settlement-02-11-2026.csv", inbox.good()),
    "two days in its name": lambda inbox: ("settlement-2026-11-01-2026-11-02.csv", inbox.good()),
    "a very long name": lambda inbox: (f"{NAME}-{'b' * 200}.csv", inbox.good()),
}


@pytest.mark.parametrize("bad", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_a_break_and_costs_no_other(
    inbox: Inbox, bad: Callable[[Inbox], tuple[str, bytes]]
) -> None:
    """The good file is matched, the day is closed, and the break names the file and none of its cells."""
    inbox.put(f"{NAME}.csv", inbox.good())
    name, content = bad(inbox)
    inbox.put(name, content)
    (found,) = inbox.night()
    assert (found.category.value, found.match.value, found.state) == ("file", "settlement", BreakState.OPEN)
    assert found.evidence.file_name == name[:200]
    assert "Budi" not in found.what
    assert inbox.counting() == [f"{NAME}.csv"]


def test_a_bad_file_is_told_once_and_ends_when_it_is_mended_or_gone(inbox: Inbox) -> None:
    """The same trouble is no news the next night, other bytes are, and no person has to end it."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.put(f"{NAME}-b.csv", b"id\n1\n")
    inbox.put(f"{NAME}-c.csv", b"id\n2\n")
    assert len(inbox.take_in().aside) == 2
    assert inbox.take_in().aside == []
    assert len(inbox.day.close().close.breaks) == 2
    inbox.put(f"{NAME}-b.csv", inbox.rows("x").replace(b",52000,", b",0,"))
    (inbox.folder / f"{NAME}-c.csv").unlink()
    assert [item.category.value for item in inbox.night()] == ["existence"]
    assert inbox.counting() == [f"{NAME}.csv", f"{NAME}-b.csv"]


def test_a_file_about_an_earlier_day_is_a_break_of_the_night_it_came_in(inbox: Inbox) -> None:
    """Also about a day that was never closed; and the next day carries it on as the same break."""
    inbox.put("settlement-2026-10-07.csv", b"id\n1\n")
    (found,) = inbox.night()
    assert (found.day, found.first_seen) == (date(2026, 10, 7), DAY.day)
    after = BusinessDay(DAY.day + timedelta(days=1))
    inbox.day.clock.advance(86_400)
    again = {item.break_id: item.first_seen for item in inbox.night(after)}
    assert again[found.break_id] == DAY.day
    (inbox.folder / "settlement-2026-10-07.csv").unlink()
    inbox.day.clock.advance(86_400)
    ended = {item.break_id: item for item in inbox.night(BusinessDay(DAY.day + timedelta(days=2)))}
    assert ended[found.break_id].state is BreakState.RESOLVED
    assert ended[found.break_id].reason == "the file is gone from its folder"


def test_a_mapping_that_cannot_be_read_is_one_break(inbox: Inbox) -> None:
    """New files wait for it, the day closes; with the mapping mended they are taken in."""
    inbox.put("mapping.json", b'{"amount_rupiah": 7')
    inbox.put(f"{NAME}.csv", inbox.good())
    (found,) = inbox.night()
    assert found.evidence.file_name == "mapping.json"
    assert inbox.counting() == []
    inbox.put("mapping.json", b"{}")
    assert inbox.night() == ()
    assert inbox.counting() == [f"{NAME}.csv"]


class Kept:
    """Files with other titles, and mappings that people keep for them by name."""

    TITLES = "Ref;Nilai;Hasil"

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    def keep(self, name: str, **members: Any) -> None:
        """A person keeps a mapping."""
        said = {"request_id": "Ref", "amount_rupiah": "Nilai", "status": "Hasil", "delimiter": ";", **members}
        event = SettlementMappingSaved(
            account=self.inbox.day.account, name=name, mapping=SettlementMapping.model_validate(said)
        )
        self.inbox.day.keeper.post(event.account, Record(event), BY_TEST)

    def file(self, amount: str = str(PRICE)) -> bytes:
        """The ordinary day under these titles."""
        orders = [self.inbox.day.request_id(f"good-{number}") for number in (1, 2, 3)]
        return "\r\n".join((self.TITLES, *(f"{one};{amount};Success" for one in orders), "")).encode()


@pytest.fixture
def kept(inbox: Inbox) -> Kept:
    """No mapping is kept yet."""
    return Kept(inbox)


def test_a_mapping_kept_by_name_reads_the_files_of_the_night(inbox: Inbox, kept: Kept) -> None:
    """No mapping.json is needed. Files that it does not fit are read as before."""
    inbox.put(f"{NAME}.csv", kept.file())
    assert [item.name for item in inbox.take_in().aside] == [f"{NAME}.csv"]
    kept.keep("The bank's export")
    assert inbox.take_in().imported == 1
    assert inbox.day.close().close.breaks == ()
    inbox.put("settlement-2026-11-01.csv", inbox.rows("x"))
    assert inbox.take_in().imported == 1


def test_the_mapping_of_the_folder_comes_first(inbox: Inbox, kept: Kept) -> None:
    """A kept one is asked only for files without the columns of mapping.json."""
    kept.keep("no refunds", negative_is_refund=False, refund_words=[])
    own = {"request_id": "Ref", "amount_rupiah": "Nilai", "status": "Hasil", "delimiter": ";"}
    inbox.put("mapping.json", json.dumps(own).encode())
    inbox.put(f"{NAME}.csv", kept.file())
    inbox.take_in()
    (counting,) = inbox.day.keeper.books(inbox.day.account).settlements_of(DAY.day)
    assert counting.event.mapping.negative_is_refund
    (inbox.folder / "mapping.json").write_bytes(b'{"request_id": "Nomor"}')
    inbox.put("settlement-2026-11-01.csv", kept.file())
    assert inbox.take_in().imported == 1


def test_two_kept_mappings_that_read_a_file_differently_ask_a_person(inbox: Inbox, kept: Kept) -> None:
    """52.000 is fifty-two thousand by one and fifty-two by the other: no amount is guessed."""
    kept.keep("Points between thousands", thousands=".")
    kept.keep("Points before decimals", decimal=".")
    inbox.put(f"{NAME}.csv", kept.file("52.000"))
    (aside,) = inbox.take_in().aside
    assert "Points before decimals, Points between thousands, which read it differently" in aside.reason
    assert inbox.counting() == []
    kept.keep("Points before decimals", thousands=".", footer_rows=0)
    assert inbox.night() == ()
    assert inbox.counting() == [f"{NAME}.csv"]


def test_a_file_that_stays_empty_is_a_break(inbox: Inbox) -> None:
    """At first it may be on its way; after hours a person is told, until its rows come."""
    inbox.put(f"{NAME}.csv", b"")
    came = inbox.day.clock.now() - EMPTY_FOR
    for ago, told in ((timedelta(minutes=-1), []), (timedelta(minutes=1), [f"{NAME}.csv"])):
        moment = (came - ago).timestamp()
        os.utime(inbox.folder / f"{NAME}.csv", (moment, moment))
        assert [item.name for item in inbox.take_in().aside] == told
    (found,) = inbox.day.close().close.breaks
    assert "found no bytes" in found.what
    inbox.put(f"{NAME}.csv", inbox.good())
    assert inbox.night() == ()


def test_a_folder_that_cannot_be_listed_is_a_break(inbox: Inbox) -> None:
    """An object store raises errors of its own kinds."""

    class Away:
        def iterdir(self) -> list[Path]:
            raise RuntimeError("token=secret")

    assert [event.name for event in inbox.take_in(Away()).aside] == [FOLDER]
    (found,) = inbox.day.close().close.breaks
    assert "RuntimeError" in found.what
    assert "secret" not in found.what


OWNER_FILES = (
    f"~${NAME}.xlsx",
    f"._{NAME}.csv",
    f".{NAME}.csv",
    f".~lock.{NAME}.csv#",
    f"{NAME}.csv.part",
    f"{NAME}.csv.crdownload",
    f"{NAME}.tmp",
    f"{NAME}.csv.filepart",
    f"{NAME}.csv.sha256",
    "mapping.json~",
    "Thumbs.db",
)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"{NAME}.csv.gz", r"found a packed or encrypted file \(\.gz\); expected the settlement file itself"),
        (f"{NAME}.ZIP", r"found a packed or encrypted file \(\.zip\)"),
        (f"{NAME}.csv.pgp", r"found a packed or encrypted file \(\.pgp\)"),
        (f"{NAME}.pdf", "found a name that ends otherwise; expected one of .csv"),
        (NAME, "found a name that ends otherwise"),
        ("Mapping.JSON", "found a name that ends otherwise"),
    ],
)
def test_a_file_that_is_read_by_no_night_is_a_break(inbox: Inbox, name: str, why: str) -> None:
    """Packed, or named otherwise: the provider sent it, and nothing of it counts. It is told once, and ends
    when the file is gone."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.put(name, b"\x1f\x8bBudi")
    assert [event.name for event in inbox.take_in().aside] == [name]
    (found,) = inbox.night()
    assert (found.category.value, found.evidence.file_name, found.day) == ("file", name, DAY.day)
    assert re.search(why, found.what)
    assert inbox.take_in().aside == []
    (inbox.folder / name).unlink()
    assert inbox.night() == ()


def test_a_folder_in_the_folder_is_passed_over_with_a_line(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """For example a folder for files that are done."""
    caplog.set_level(logging.INFO, logger="sat_hook")
    inbox.put(f"{NAME}.csv", inbox.good())
    (inbox.folder / "archive").mkdir()
    assert inbox.night() == ()
    assert "archive is passed over: it is a folder" in caplog.text


def test_files_of_programs_and_half_written_ones_are_passed_over_with_a_line(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    """What a program leaves beside a file is no settlement file, and an empty one is not ready."""
    caplog.set_level(logging.INFO, logger="sat_hook")
    inbox.put(f"{NAME}.csv", inbox.good())
    for name in OWNER_FILES:
        inbox.put(name, b"\x05Budi")
    inbox.put("settlement-2026-11-01.csv", b"")
    arrivals = inbox.take_in()
    assert (arrivals.imported, arrivals.aside) == (1, [])
    for name in (*OWNER_FILES, "settlement-2026-11-01.csv"):
        assert f"{name} is passed over" in caplog.text
    assert inbox.day.close().close.breaks == ()


class Remote:
    """A file of an object store, whose stat answers as it likes."""

    def __init__(self, path: Path, seen: Callable[[Path], Any]) -> None:
        self.name = path.name
        self._path = path
        self._seen = seen
        self.reads = 0

    def stat(self) -> Any:
        return self._seen(self._path)

    def read_bytes(self) -> bytes:
        self.reads += 1
        return self._path.read_bytes()


class Bucket:
    """A folder of an object store."""

    def __init__(self, *files: Remote) -> None:
        self.files = files

    def iterdir(self) -> list[Remote]:
        return list(self.files)


def answer(**seen: Any) -> Any:
    """What Airflow makes of an object store's answer."""
    return stat_result(seen, protocol="gs", conn_id=None)


LONG_AGO = datetime(2026, 11, 2, 12, tzinfo=UTC)


def refused(path: Path) -> Any:
    raise PermissionError(path)


STATS: dict[str, tuple[Callable[[Path], Any], bool]] = {
    "an aware moment": (lambda path: answer(size=path.stat().st_size, mtime=LONG_AGO), False),
    "a number": (lambda path: answer(size=path.stat().st_size, mtime=LONG_AGO.timestamp()), False),
    "a moment of S3": (lambda path: answer(size=path.stat().st_size, LastModified=LONG_AGO), False),
    "a later moment": (lambda path: answer(size=path.stat().st_size, mtime=datetime.now(UTC)), True),
    "a moment without a zone": (
        lambda path: answer(size=path.stat().st_size, mtime=LONG_AGO.replace(tzinfo=None)),
        True,
    ),
    "a text": (lambda path: answer(size=path.stat().st_size, mtime="2026-11-03T00:00:00Z"), True),
    "a number beyond all time": (lambda path: answer(size=path.stat().st_size, mtime=1e300), True),
    "not a number": (lambda path: answer(size=path.stat().st_size, mtime=float("nan")), True),
    "no time": (lambda path: answer(size=path.stat().st_size), True),
    "nothing": (lambda path: answer(), True),
    "no size": (lambda path: answer(size=None, mtime=LONG_AGO), True),
    "an error": (refused, True),
}


@pytest.mark.parametrize(("seen", "is_read"), STATS.values(), ids=STATS)
def test_times_of_any_store_are_understood_or_the_bytes_are_read(
    inbox: Inbox, seen: Callable[[Path], Any], is_read: bool
) -> None:
    """A file that was taken in long ago is unchanged, whatever its store says about it."""
    inbox.day.clock.advance(86_400)
    inbox.put(f"{NAME}.csv", inbox.good())
    assert inbox.take_in().imported == 1
    remote = Remote(inbox.folder / f"{NAME}.csv", seen)
    arrivals = inbox.take_in(Bucket(remote), DAY.day + timedelta(days=52))
    assert (arrivals.imported, arrivals.aside) == (0, [])
    assert bool(remote.reads) is is_read


def test_a_file_that_grows_while_it_is_read_is_passed_over(inbox: Inbox) -> None:
    """It is taken in once it is no longer being written."""
    inbox.put(f"{NAME}.csv", inbox.good())
    sizes = iter((10, 20, 30, 40))
    growing = Remote(inbox.folder / f"{NAME}.csv", lambda path: answer(size=next(sizes)))
    assert inbox.take_in(Bucket(growing)).imported == 0
    assert inbox.take_in().imported == 1


def test_an_error_that_no_one_has_thought_of_costs_its_file_alone(inbox: Inbox) -> None:
    """Its words are not repeated: they may quote a cell."""

    class Broken(Remote):
        def read_bytes(self) -> bytes:
            raise OverflowError("0812 Budi")

    inbox.put(f"{NAME}.csv", inbox.good())
    good = Remote(inbox.folder / f"{NAME}.csv", Path.stat)
    broken = Broken(inbox.folder / f"{NAME}.csv", Path.stat)
    broken.name = f"{NAME}-a.csv"
    arrivals = inbox.take_in(Bucket(broken, good))
    assert (arrivals.imported, [event.name for event in arrivals.aside]) == (1, [f"{NAME}-a.csv"])
    assert "OverflowError" in arrivals.aside[0].reason
    assert "Budi" not in arrivals.aside[0].reason


def test_trouble_that_is_not_a_file_s_is_raised(inbox: Inbox) -> None:
    """A disk that is full is no break of a file: the step is tried again."""

    class Full(LocalSpool):
        def write(self, name: str, content: bytes) -> str:
            raise SpoolError("no space left")

    inbox.put(f"{NAME}.csv", inbox.good())
    intake = Intake(inbox.day.keeper, Full(inbox.folder), inbox.day.account, DAY.day, BY_TEST)
    with pytest.raises(SpoolError):
        intake.take_in(inbox.folder)


# A second download of the same file.

SECONDS = (f"{NAME} (1).csv", f"Copy of {NAME}.csv", f"{NAME}.txt", "laporan 20261102.csv")
"""Before and after the first in the alphabet, and two whose names tell nothing."""


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("is_same_night", [True, False])
def test_a_second_download_asks_which_counts(inbox: Inbox, second: str, is_same_night: bool) -> None:
    """Nothing is counted twice, whichever comes first in the alphabet; the break is of its own kind."""
    inbox.put(f"{NAME}.csv", inbox.good())
    if not is_same_night:
        assert inbox.night() == ()
    inbox.put(second, inbox.good(note=",09:01"))
    (found,) = inbox.night()
    assert (found.category.value, found.evidence.file_name) == (
        "file",
        inbox.day.keeper.books(inbox.day.account).set_aside.popitem()[0],
    )
    assert "a person has to choose" in found.what
    assert len(inbox.counting()) == 1


@pytest.mark.parametrize("name", ["{} (copy)", "Salinan {}", "{} final"])
def test_a_copy_with_other_amounts_asks_which_counts(inbox: Inbox, name: str) -> None:
    """Whatever a desktop calls a copy, and whatever another file of the same orders is called."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.put(f"{name.format(NAME)}.csv", inbox.rows("good-1", "good-2", "good-3", rupiah=PRICE - 500))
    assert [item.category.value for item in inbox.night() if item.category.value != "amount"] == ["file"]
    assert len(inbox.counting()) == 1


def test_refunds_in_a_file_of_their_own_are_no_second_download(inbox: Inbox) -> None:
    """They name the orders of the sales, and take back what those took."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.put(f"{NAME}-refunds.csv", inbox.rows("good-1", rupiah=-10_000))
    assert [(item.category.value, item.amount_rupiah) for item in inbox.night()] == [("amount", -10_000)]
    assert len(inbox.counting()) == 2


def test_a_person_keeps_the_first(inbox: Inbox) -> None:
    """The break ends, and the other file is not asked about again."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.put(COPY, inbox.good(note=",09:01"))
    inbox.night()
    assert choose_file(inbox.day.keeper, inbox.day.account, DAY.day, f"{NAME}.csv", "the first", BY_TEST)
    assert inbox.night() == ()
    assert inbox.take_in().aside == []
    assert inbox.counting() == [f"{NAME}.csv"]


def test_a_person_takes_the_second(inbox: Inbox) -> None:
    """It counts instead of the first; other files of the day go on counting."""
    inbox.put(f"{NAME}.csv", inbox.rows("good-1", "good-2", rupiah=PRICE - 1))
    inbox.put(f"{NAME}-evening.csv", inbox.rows("good-3"))
    inbox.put(COPY, inbox.rows("good-1", "good-2"))
    assert {item.category.value for item in inbox.night()} == {"file", "amount"}
    assert choose_file(inbox.day.keeper, inbox.day.account, DAY.day, COPY, "prices were wrong", BY_TEST)
    assert inbox.night() == ()
    assert inbox.counting() == [COPY, f"{NAME}-evening.csv"]
    assert inbox.take_in().aside == []


def test_the_second_download_may_simply_be_removed(inbox: Inbox) -> None:
    """That is a decision, too."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.put(COPY, inbox.good(note=",09:01"))
    inbox.night()
    (inbox.folder / COPY).unlink()
    assert inbox.night() == ()


def test_one_of_several_files_that_comes_again_asks(inbox: Inbox) -> None:
    """It may replace the others too; a person names the one that is meant by its digest."""
    inbox.put(f"{NAME}-a.csv", inbox.rows("good-1"))
    inbox.put(f"{NAME}-b.csv", inbox.rows("good-2", "good-3"))
    assert inbox.take_in().imported == 2
    inbox.put(f"{NAME}-b.csv", inbox.rows("good-2", "good-3", note=",09:01"))
    (asked,) = inbox.take_in().aside
    with pytest.raises(BooksRefusedError, match="found 2 files of that name"):
        choose_file(inbox.day.keeper, inbox.day.account, DAY.day, f"{NAME}-b.csv", "newest", BY_TEST)
    assert choose_file(inbox.day.keeper, inbox.day.account, DAY.day, asked.digest[:8], "newest", BY_TEST)
    assert inbox.take_in().imported == 1
    assert inbox.counting() == [f"{NAME}-b.csv", f"{NAME}-a.csv"]


def test_only_what_is_in_doubt_can_be_chosen(inbox: Inbox) -> None:
    """A choice says what was found and what could be chosen."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.take_in()
    with pytest.raises(BooksRefusedError, match="no settlement files to choose between"):
        choose_file(inbox.day.keeper, inbox.day.account, DAY.day, f"{NAME}.csv", "this", BY_TEST)
    inbox.put(COPY, inbox.good(note=",1"))
    inbox.take_in()
    with pytest.raises(BooksRefusedError, match="expected one of"):
        choose_file(inbox.day.keeper, inbox.day.account, DAY.day, "other.csv", "this", BY_TEST)


def test_files_that_share_no_orders_are_parts_of_one_day(inbox: Inbox) -> None:
    """Morning and evening are added up, and so are refunds that come in a file of their own."""
    inbox.put(f"{NAME}-1.csv", inbox.rows("good-1"))
    inbox.put(f"{NAME}-2.csv", inbox.rows("good-2", "good-3"))
    assert inbox.night() == ()
    assert inbox.counting() == [f"{NAME}-1.csv", f"{NAME}-2.csv"]


# What was taken in and is lost where it is kept.


def test_a_file_that_is_lost_where_it_is_kept_costs_itself(inbox: Inbox) -> None:
    """The day closes without it, as a break; it counts again when its bytes are back."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.take_in()
    (event,) = (item.event for item in inbox.day.keeper.books(inbox.day.account).settlements)
    kept = Path(event.uri.removeprefix("file://"))
    content = kept.read_bytes()
    kept.unlink()
    (found,) = inbox.day.close().close.breaks
    assert found.evidence.file_name == f"{NAME}.csv"
    kept.write_bytes(content)
    closed = inbox.day.close().close
    assert closed.breaks == ()
    assert closed.matches[1].matched == 3


def test_a_lost_file_that_still_lies_in_the_folder_is_taken_in_again_once(inbox: Inbox) -> None:
    """And not beside itself."""
    inbox.put(f"{NAME}.csv", inbox.good())
    inbox.take_in()
    (event,) = (item.event for item in inbox.day.keeper.books(inbox.day.account).settlements)
    Path(event.uri.removeprefix("file://")).write_bytes(b"something else")
    assert [item.category.value for item in inbox.day.close().close.breaks] == ["file"]
    assert inbox.night() == ()
    assert inbox.counting() == [f"{NAME}.csv"]


def test_the_books_keep_what_they_say(inbox: Inbox) -> None:
    """What was set aside stands in the log as it was told, and a mapping with an odd shape is named."""
    inbox.put("mapping.json", json.dumps({"amount_rupiah": 5}).encode())
    (aside,) = inbox.take_in().aside
    assert aside.reason.startswith("settlement mapping, amount_rupiah:")


class SlowKeep(LocalSpool):
    """A store whose files take their time."""

    def open(self, uri: str) -> BinaryIO:
        time.sleep(0.5)
        return super().open(uri)


def test_a_file_that_takes_long_to_read_ends_no_transaction(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """Many installations end a transaction that stands still: files of the day are read before it begins, and
    those of days long ago under a limit of the session's own."""
    with psycopg2.connect(database.superuser_dsn) as connection, connection.cursor() as cursor:
        name = connection.info.dbname
        cursor.execute(
            f"ALTER ROLE sat_writer IN DATABASE {name} SET idle_in_transaction_session_timeout = '200ms'"
        )
    store = PostgresEventStore(Database(database.writer_dsn, "tests"))
    with closing(store.database):
        day = Planted(store, tmp_path, "slow")
        day.ordinary_day()
        day.succeed("late", OPENS - timedelta(days=5), PRICE)
        day.settle("", day=DAY.day - timedelta(days=5))
        day.settle(*day.usual_rows(), day.settlement_row("late"))
        day.observe(CLOSES + SECOND)
        closed = close_day(day.keeper, SlowKeep(tmp_path), day.account, DAY, BY_TEST)
    assert closed.close.matches[1].matched == 3
