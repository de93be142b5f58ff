"""Breaks as people see and decide them: lists that follow the log, decisions about many, evidence, files."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_evidence import BreakEvidenceReader
from sat_hook.application.break_rows import BreakQuery, BreakSort, ChosenBreaks
from sat_hook.application.breaks import MAXIMUM_FILE_BYTES, Breaks
from sat_hook.application.bulk_break_decisions import BulkBreakDecisions
from sat_hook.application.days import Days
from sat_hook.application.decision_worker import decide_next_part
from sat_hook.application.errors import BreakNotFoundError, CursorError, FileRefusedError, RightMissingError
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.audit.breaks_in_log import compare_breaks
from sat_hook.audit.findings import Finding
from sat_hook.audit.rebuild import compare_projections
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.domain.books_commands import AssignBreaks, DecideBreaks, RecordClose
from sat_hook.domain.books_events import BookedBreak, BreakCommented, BreaksRecorded, DayClosed
from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.suggestions import SuggestionKind
from sat_hook.store.breaks import BreakFilter, BreakTable, FollowedTables
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.listings.test_bulk_decisions import IdleWorker
from tests.integration.listings.test_plans import ExplainedDatabase
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.orders import BY_TEST, ManualClock
from tests.web_host import FakeAccounts, FakeHost

FINA = Person("fina", frozenset({Right.FINANCE, Right.VIEW}))
AUDITOR = Person("adi", frozenset({Right.AUDIT}))
VIEWER = Person("vera", frozenset({Right.VIEW}))
FIRST = date(2026, 11, 1)


def host_of(planted: Planted) -> FakeHost:
    """A host with this log, for which the account is known by its name."""
    host = FakeHost(store=planted.store, folder=planted.folder)
    host.accounts = FakeAccounts({"sat_books": planted.account})
    return host


@pytest.fixture
def closed(day: Planted) -> Planted:
    """An ordinary day whose file lacks an order and charges another one that failed."""
    day.observe(CLOSES + SECOND)
    rows = [*day.usual_rows("good-2"), day.settlement_row("bad"), day.settlement_row("stranger", 25_000)]
    day.settle(*rows)
    day.close()
    return day


def of(planted: Planted, **more: object) -> BreakQuery:
    """The breaks of the account."""
    return BreakQuery(account=planted.account, **more)  # type: ignore[arg-type]


def test_breaks_are_listed_by_age_and_size_with_what_can_be_filtered(closed: Planted) -> None:
    """By state, category, day, age and assignee, with their number and size; pages follow one another."""
    breaks = Breaks(host_of(closed))
    page = breaks.page(of(closed), FINA)
    assert {(row.category.value, row.amount_rupiah) for row in page.items} == {
        ("existence", -PRICE),
        ("status", PRICE),
        ("existence", 25_000),
    }
    assert (page.count, page.is_more, page.size_rupiah) == (3, False, 2 * PRICE + 25_000)
    largest = breaks.page(of(closed), FINA, sort=BreakSort.SIZE)
    assert [abs(row.amount_rupiah) for row in largest.items] == [PRICE, PRICE, 25_000]
    first = breaks.page(of(closed), FINA, limit=2)
    rest = breaks.page(of(closed), FINA, limit=2, cursor=first.next)
    assert [*first.items, *rest.items] == list(page.items)
    assert rest.next is None
    with pytest.raises(CursorError):
        breaks.page(of(closed), FINA, sort=BreakSort.SIZE, cursor=first.next)
    assert [
        row.category.value for row in breaks.page(of(closed, category=BreakCategory.STATUS), FINA).items
    ] == ["status"]
    assert breaks.page(of(closed, day=FIRST), FINA).items == ()
    assert breaks.page(of(closed, states=(BreakState.RESOLVED,)), FINA).count == 0
    band = breaks.page(of(closed), FINA).items[0].age_days
    assert band >= 0
    ageing = breaks.ageing(FINA, closed.account)
    assert sum(one.breaks for one in ageing.bands) == 3
    found = [one.name for one in ageing.bands if one.breaks]
    assert breaks.page(of(closed, band=found[0]), FINA).count == 3
    assert all(
        breaks.page(of(closed, band=one.name), FINA).count == 0 for one in ageing.bands if not one.breaks
    )


def test_decided_breaks_are_in_the_next_close_as_before(closed: Planted) -> None:
    """A decision in bulk counts like one made alone: what is explained is carried, the rest is not."""
    breaks = Breaks(host_of(closed))
    rows = breaks.page(of(closed), FINA).items
    for act, row in zip(BreakAct, rows, strict=True):
        breaks.decide_one(act, row.break_id, "seen by finance", FINA)
    breaks.comment(rows[0].break_id, "a word", FINA)
    before = len(closed.keeper.books(closed.account).closes)
    assert not closed.close().is_new or before == 1
    standing = {item.break_id: item.state for item in closed.close().close.breaks}
    assert [standing[row.break_id] for row in rows] == [act.state for act in BreakAct]


def test_people_assign_comment_and_attach(closed: Planted) -> None:
    """Each under the person's name, in the history of the break; a list finds what is assigned."""
    host = host_of(closed)
    breaks, reader = Breaks(host), BreakEvidenceReader(host)
    first, second, _ = breaks.page(of(closed), FINA).items
    assert breaks.assign([first.break_id, second.break_id], "  rudi ", FINA) == 2
    assert breaks.assign([first.break_id], "rudi", FINA) == 0
    assert breaks.page(of(closed, assignee="rudi"), FINA).count == 2
    assert breaks.page(of(closed, assignee=""), FINA).count == 1
    assert "rudi" in breaks.assignees(FINA)
    breaks.comment(first.break_id, "asked by mail, order 0812 3456 7890", AUDITOR)
    digest = breaks.attach(first.break_id, "C:\\mail\\jawaban.eml", b"Dear all", FINA)
    assert breaks.attach(first.break_id, "again.eml", b"Dear all", FINA) == digest
    name, file = breaks.attachment(first.break_id, digest, AUDITOR)
    with file:
        assert (name, file.read()) == ("jawaban.eml", b"Dear all")
    last = closed.keeper.recorded(closed.account)[-1]
    assert (last.type_name, last.provenance.actor) == ("BreakFileTaken", "user:adi")
    entries = reader.read(first.break_id, AUDITOR).entries
    assert [(entry.kind, entry.user) for entry in entries] == [
        ("assigned", "fina"),
        ("comment", "adi"),
        ("file", "fina"),
    ]
    row = breaks.page(of(closed, assignee="rudi"), FINA).items[0]
    assert (row.comments, row.files) == (1, 1)
    breaks.assign([first.break_id], "", FINA)
    assert breaks.page(of(closed, assignee=""), FINA).count == 2


def test_a_row_of_a_break_that_was_altered_is_found(closed: Planted) -> None:
    """A comparison with the log names each break whose row differs, is missing or is not in the log."""
    breaks, database = Breaks(host_of(closed)), closed.store.database
    first, second, third = (row.break_id for row in breaks.page(of(closed), FINA).items)
    breaks.decide_one(BreakAct.EXPLAIN, second, "a late file", FINA)
    breaks.comment(third, "asked by mail", AUDITOR)
    breaks.page(of(closed), FINA)

    def noted(comments: int) -> dict[str, str]:
        with database.transaction() as connection, connection.cursor() as cursor:
            statement = "UPDATE sat.breaks SET comments = comments + %s WHERE break_id = %s"
            cursor.execute(statement, (comments, first))
        found: list[Finding] = []
        compare_projections(database, found.append)
        return {one.place: one.found for one in found if one.place.startswith("break")}

    assert noted(1) == {f"breaks {first}": "other values in comments"}
    assert noted(-1) == {}
    with database.transaction() as connection, connection.cursor() as cursor:
        for statement in (
            f"UPDATE sat.breaks SET state = 'resolved', amount_rupiah = 1 WHERE break_id = '{first}'",
            f"UPDATE sat.breaks SET booked = booked - 'ours' WHERE break_id = '{second}'",
            f"UPDATE sat.breaks SET break_id = 'KAAAAAAAAAAAAAAA' WHERE break_id = '{third}'",
            f"UPDATE sat.break_ages SET breaks = 9 WHERE account = '{closed.account}'",
        ):
            cursor.execute(statement)
        found: list[Finding] = []
        compare_breaks(FollowedTables(connection), found.append)
        connection.rollback()
    assert {one.place: one.found for one in found} == {
        f"breaks {first}": "other values in state, amount_rupiah",
        f"breaks {second}": "other values in booked",
        f"breaks {third}": "no row",
        "breaks KAAAAAAAAAAAAAAA": "a row",
        f"break_ages of {closed.account} on {DAY.day}": "other ages",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pdf", b""),
        pytest.param("large.pdf", b"x" * (MAXIMUM_FILE_BYTES + 1), id="too large"),
        ("", b"x"),
        ("a/b/", b"x"),
        ("bell\x07.pdf", b"x"),
        ("n" * 200, b"x"),
    ],
)
def test_a_file_that_cannot_be_kept_is_refused(closed: Planted, name: str, content: bytes) -> None:
    """Empty, too large, or without a usable name: nothing is written."""
    breaks = Breaks(host_of(closed))
    (row, *_) = breaks.page(of(closed), FINA).items
    with pytest.raises(FileRefusedError):
        breaks.attach(row.break_id, name, content, FINA)
    assert not (closed.folder / "breaks").exists()


def test_a_file_belongs_to_its_break_alone(closed: Planted) -> None:
    """Its digest finds nothing at another break, and no break has a file that was never attached."""
    breaks = Breaks(host_of(closed))
    first, second, _ = breaks.page(of(closed), FINA).items
    digest = breaks.attach(first.break_id, "a.txt", b"a", FINA)
    with pytest.raises(BreakNotFoundError):
        breaks.attachment(second.break_id, digest, FINA)
    with pytest.raises(BreakNotFoundError):
        breaks.attachment("K" + "A" * 15, digest, FINA)
    with pytest.raises(BreakNotFoundError):
        breaks.assign([first.break_id, "K" + "A" * 15], "rudi", FINA)


def test_everything_needs_its_right(closed: Planted) -> None:
    """Finance decides, finance and audit read, a viewer sees nothing; nothing is looked up before."""
    host = host_of(closed)
    breaks, reader = Breaks(host), BreakEvidenceReader(host)
    (row, *_) = breaks.page(of(closed), FINA).items
    acts = (
        lambda who: breaks.decide_one(BreakAct.EXPLAIN, row.break_id, "a reason", who),
        lambda who: breaks.assign([row.break_id], "x", who),
        lambda who: breaks.attach(row.break_id, "a", b"a", who),
    )
    reads = (
        lambda who: breaks.page(of(closed), who),
        breaks.ageing,
        breaks.accounts,
        breaks.assignees,
        lambda who: reader.read(row.break_id, who),
        lambda who: breaks.attachment(row.break_id, "0" * 64, who),
        lambda who: breaks.comment(row.break_id, "a comment", who),
    )
    for act in (*acts, *reads):
        with pytest.raises(RightMissingError):
            act(VIEWER)
    for act in acts:
        with pytest.raises(RightMissingError):
            act(AUDITOR)
    assert {*BOOK_READERS} == {Right.FINANCE, Right.SIGN_OFF, Right.AUDIT}


def test_evidence_stands_side_by_side(closed: Planted) -> None:
    """Ours, the file's row as its mapping reads it, SAT's signed status, and explanations."""
    host = host_of(closed)
    reader = BreakEvidenceReader(host)
    by_category = {
        (row.category, row.amount_rupiah): row.break_id for row in Breaks(host).page(of(closed), FINA).items
    }
    details = reader.read(by_category[BreakCategory.STATUS, PRICE], FINA)
    assert details.order is not None
    assert (details.order.order_id, details.order.state.value) == ("bad", "failed")
    assert "*" in details.order.client_number
    assert [(one.status, one.price_rupiah) for one in details.signed] == [("failed", PRICE)]
    assert details.file is not None
    ((row),) = details.file.rows
    assert (row.number, row.kind, row.status, row.rupiah) == (4, "sale", "succeeded", PRICE)
    assert details.suggestions[0].kind in (SuggestionKind.REFUND_EXPECTED, SuggestionKind.REFUND_OVERDUE)
    missing = reader.read(by_category[BreakCategory.EXISTENCE, -PRICE], FINA)
    assert SuggestionKind.LATE_FILE in [one.kind for one in missing.suggestions]
    stranger = reader.read(by_category[BreakCategory.EXISTENCE, 25_000], FINA)
    assert (stranger.order, stranger.signed) == (None, ())
    assert reader.read(by_category[BreakCategory.STATUS, PRICE], AUDITOR).order is None
    with pytest.raises(BreakNotFoundError):
        reader.read("K" + "A" * 15, FINA)


def booked(
    name: str, day: date, first_seen: date, state: BreakState = BreakState.OPEN, amount: int = 5
) -> BookedBreak:
    """A break of a generated close."""
    return BookedBreak(
        break_id=name,
        match=MatchKind.SETTLEMENT,
        category=BreakCategory.AMOUNT,
        subject=name,
        day=first_seen,
        first_seen=first_seen,
        request_id=None,
        order_id=None,
        what=f"of {day}",
        ours="",
        theirs="",
        amount_rupiah=amount,
        evidence=BreakEvidence(),
        state=state,
        reason=None,
        actor=None,
        decided_at=None,
        is_adjustment=False,
    )


def record_close(
    keeper: BookKeeper, account: str, day: date, breaks: Iterable[BookedBreak], position: int = 10
) -> None:
    """Close a day of an account with these breaks."""
    found = tuple(breaks)
    closed = DayClosed(
        account=account, day=day, cut_off_minutes=0, position=position, result_digest="a" * 64, orders=0,
        open_breaks=len(found), saldo=None, adjusted_days={},
    )  # fmt: skip
    recorded = BreaksRecorded(account=account, day=day, position=position, breaks=found)
    keeper.post(account, RecordClose(closed, (recorded,)), BY_TEST)


class Ledger:
    """Closes and decisions drawn by chance, as the nightly close makes them."""

    def __init__(self, keeper: BookKeeper, account: str, draw: random.Random) -> None:
        self.keeper, self.account, self.draw = keeper, account, draw
        self.position = self.made = 0
        self.day = FIRST - timedelta(days=1)
        self.found: list[BookedBreak] = []

    def step(self) -> None:
        """A night, a close once more, or an act of a person."""
        books = self.keeper.books(self.account)
        known = list(books.newest_breaks())
        kind = self.draw.choice(("night", "again", "decide", "decide", "assign", "comment"))
        if kind in ("night", "again") or not known:
            self.close(is_again=kind == "again" and bool(books.closes))
            return
        some = tuple(self.draw.sample(known, self.draw.randint(1, min(3, len(known)))))
        if kind == "decide":
            state = self.draw.choice([state for state in BreakState if state is not BreakState.OPEN])
            self.post(DecideBreaks(some, state, "by chance"))
        elif kind == "assign":
            self.post(AssignBreaks(some, self.draw.choice(("", "rudi", "fina"))))
        else:
            self.post(Record(BreakCommented(account=self.account, break_id=some[0], note="a word")))

    def post(self, command: object) -> None:
        """Some are refused: the books do not allow them."""
        try:
            self.keeper.post(self.account, command, Provenance("user:fina", "plugin:test"))  # type: ignore[arg-type]
        except BooksRefusedError:
            return

    def close(self, *, is_again: bool) -> None:
        """What was carried stays, ended or not; a day that is closed again may lose what it had found."""
        books = self.keeper.books(self.account)
        if not is_again:
            self.day += timedelta(days=1)
            self.found = []
        before = books.before(self.day)
        carried = [] if before is None else books.carried_from(before)
        kept = [item for item in self.found if self.draw.random() < 0.7]
        for _ in range(self.draw.randint(0, 3)):
            self.made += 1
            name = f"K{self.made:X}".ljust(6, "A") + "".join(self.draw.choices("ABCDEFGH234567", k=10))
            kept.append(booked(name, self.day, self.day, amount=self.draw.randint(-9, 9)))
        self.found = kept
        self.position += 10
        closed = DayClosed(
            account=self.account,
            day=self.day,
            cut_off_minutes=0,
            position=self.position,
            result_digest=f"{self.position:064}",
            orders=0,
            open_breaks=0,
            saldo=None,
            adjusted_days={},
        )
        breaks = [
            *(
                item.model_copy(update={"state": self.draw.choice((item.state, BreakState.RESOLVED))})
                for item in carried
            ),
            *kept,
        ]
        parts = [
            BreaksRecorded(account=self.account, day=self.day, position=self.position, breaks=tuple(part))
            for part in (breaks[:2], breaks[2:])
        ]
        self.keeper.post(self.account, RecordClose(closed, tuple(parts)), BY_TEST)


@pytest.mark.parametrize("seed", range(12))
def test_the_table_is_what_the_books_say(store: PostgresEventStore, seed: int) -> None:
    """However closes and decisions come, and whenever it is read: each break as the fold has it."""
    draw, account = random.Random(seed), f"table-{seed}"
    ledger = Ledger(BookKeeper(store, ManualClock(CLOSES)), account, draw)
    table = BreakTable(store.database)
    for _ in range(25):
        ledger.step()
        if draw.random() < 0.3:
            table.catch_up()
    table.catch_up()
    books = ledger.keeper.books(account)
    found, following = table.page(BreakFilter(account=account), by_size=False, after=None, limit=1_000)
    assert following is None
    assert {one.break_id: (one.closed_day, one.state, one.assignee, one.comments) for one in found} == {
        name: (
            close.event.day,
            books.standing_of(item, close),
            books.assignees.get(name, ""),
            books.comments[name],
        )
        for name, (item, close) in books.newest_breaks().items()
    }
    carried = {(one.closed_day, one.age_days): one.breaks for one in table.ages_by_close(account, FIRST)}
    expected: dict[tuple[date, int], int] = {}
    for day, close in books.closes.items():
        for item in close.breaks:
            if not item.state.is_final:
                key = (day, (day - item.first_seen).days)
                expected[key] = expected.get(key, 0) + 1
    assert carried == expected
    differing: list[Finding] = []
    with store.database.transaction(snapshot=True) as connection:
        compare_breaks(FollowedTables(connection), differing.append)
    assert differing == []


@pytest.fixture(scope="module")
def many(module_database: ApplicationDatabase) -> Iterator[tuple[FakeHost, ExplainedDatabase]]:
    """10,000 breaks of one day and 10,000 that ended, over a database that says how it reads."""
    database = ExplainedDatabase(module_database.writer_dsn)
    database.plans = []
    host = FakeHost(store=PostgresEventStore(database))
    host.accounts = FakeAccounts({"sat_many": "many"})
    keeper = BookKeeper(host.store(), ManualClock(CLOSES))
    for number, state in enumerate((BreakState.RESOLVED, BreakState.OPEN)):
        names = (f"K{'AB'[number]}{place:013}" for place in range(10_000))
        breaks = (
            booked(name, FIRST, FIRST - timedelta(days=place % 40), state, place)
            for place, name in enumerate(names)
        )
        record_close(keeper, "many", FIRST + timedelta(days=number), breaks, 10 + number)
    table = BreakTable(database)
    table.catch_up()
    with database.transaction() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS settled")
    yield host, database
    with closing(database):
        pass


@pytest.mark.parametrize(
    ("sort", "index"),
    [(BreakSort.AGE, "breaks_standing_by_age"), (BreakSort.SIZE, "breaks_standing_by_size")],
)
def test_a_page_reads_what_it_shows_by_an_index(
    many: tuple[FakeHost, ExplainedDatabase],
    module_database: ApplicationDatabase,
    sort: BreakSort,
    index: str,
) -> None:
    """However many breaks ended before: nothing is sorted for a page."""
    import psycopg2

    with closing(psycopg2.connect(module_database.owner_dsn)) as owner:
        owner.autocommit = True
        owner.cursor().execute("ANALYZE sat.breaks")
    host, database = many
    breaks = Breaks(host)
    first = breaks.page(BreakQuery(account="many"), FINA, sort=sort)
    database.plans.clear()
    second = breaks.page(BreakQuery(account="many"), FINA, sort=sort, cursor=first.next)
    assert (len(first.items), len(second.items), first.count) == (50, 50, 10_000)
    plan = next(plan for plan in database.plans if "LIMIT 51" in plan)
    assert index in plan
    assert "Sort" not in plan


def test_ten_thousand_breaks_are_decided_in_parts(many: tuple[FakeHost, ExplainedDatabase]) -> None:
    """Four appends; one break more is too many. Their day then counts them by an index."""
    host, database = many
    bulk = BulkBreakDecisions(host, IdleWorker(host))
    chosen = ChosenBreaks(which=BreakQuery(account="many"))
    preview = bulk.preview(BreakAct.EXPLAIN, chosen, FINA)
    decision_id = bulk.begin(BreakAct.EXPLAIN, chosen, preview.digest, "the file of the day was cut", FINA)
    parts = 0
    while decide_next_part(host.store(), host.settings().recovery):
        parts += 1
    assert (parts, bulk.find(decision_id, FINA).standing.done) == (4, 10_000)
    assert Breaks(host).page(BreakQuery(account="many", states=(BreakState.EXPLAINED,)), FINA).count == 10_000
    with pytest.raises(OverrideRefusedError):
        bulk.preview(BreakAct.EXPLAIN, ChosenBreaks(which=BreakQuery(account="many", states=None)), FINA)
    database.plans.clear()
    assert Days(host).day("many", FIRST + timedelta(days=1), FINA).open_breaks == 0
    reads = [plan for plan in database.plans if "sat.events" in plan]
    assert reads
    assert not [plan for plan in reads if "Seq Scan on events_0000" in plan]


def test_a_break_of_another_account_is_found_by_its_own_account_only(
    closed: Planted, store: PostgresEventStore, tmp_path: Path
) -> None:
    """Filters by account keep accounts apart."""
    other = Planted(store, tmp_path / "other", f"{closed.account}-other")
    host = host_of(closed)
    host.accounts = FakeAccounts({"a": closed.account, "b": other.account})
    breaks = Breaks(host)
    assert breaks.page(replace(of(closed), account="a"), FINA).count == 3
    assert breaks.page(replace(of(closed), account="b"), FINA).count == 0
    assert DAY.day in {row.day for row in breaks.page(of(closed), FINA).items}
