"""A closed day as people read and sign it: its figures, the rows behind them, its files, its signatures."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from sat_hook.application import day_reports
from sat_hook.application.day_books import Signature
from sat_hook.application.day_reports import DayReport, DayReports, FileKind, OrderChoice
from sat_hook.application.errors import CursorError, RightMissingError
from sat_hook.application.rights import Person, Right
from sat_hook.domain.books_commands import DecideBreaks, Seen
from sat_hook.domain.breaks import BreakState
from sat_hook.presentation.language import Language
from sat_hook.reconciliation import report_pdf
from sat_hook.reconciliation.errors import BooksRefusedError, NotReproducedError
from sat_hook.reconciliation.kept_reports import report_of
from sat_hook.store.breaks import BreakTable
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.explained_database import ExplainedDatabase
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_life_of_a_break import BY_FINANCE, NEXT
from tests.pdf_text import pdf_text
from tests.web_host import FakeAccounts, FakeHost, FakeUser, client_of

FINA = Person("fina", frozenset({Right.FINANCE, Right.SIGN_OFF}))
ADAM = Person("adam", frozenset({Right.FINANCE, Right.SIGN_OFF}))
VERA = Person("vera", frozenset({Right.VIEW}))
REASON = "all looked at"


@pytest.fixture(autouse=True)
def plain_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """PDFs without sheets: to lay them out takes longer than everything else here."""
    monkeypatch.setattr(report_pdf, "render_pdf", lambda *of: b"%PDF-")


@pytest.fixture
def day(day: Planted) -> Planted:
    """An ordinary day with one break, closed."""
    day.settle(*day.usual_rows("good-1"), day.settlement_row("good-1", PRICE + 500))
    day.observe(CLOSES + SECOND)
    day.close()
    return day


@pytest.fixture
def host(day: Planted) -> FakeHost:
    """An installation with the day's account."""
    users = (FakeUser("fina", FINA.rights), FakeUser("adam", ADAM.rights))
    host = FakeHost(*users, store=day.store, folder=day.folder)
    host.accounts = FakeAccounts({"sat_default": day.account})
    return host


@pytest.fixture
def reports(host: FakeHost) -> DayReports:
    """Its reports."""
    return DayReports(host)


def shown(reports: DayReports, person: Person = FINA, number: int | None = None) -> DayReport:
    """The day's report."""
    found = reports.report("sat_default", DAY.day, person, number)
    assert found is not None
    return found


def seen(report: DayReport) -> Seen:
    """What a person saw of it."""
    assert report.row.result_digest is not None
    return Seen(report.row.result_digest, report.row.seen_position)


def sign(reports: DayReports, person: Person, what: Seen) -> str:
    """Sign the day; returns why not."""
    (one,) = reports.sign("sat_default", [(DAY.day, what)], REASON, person)
    return one.refusal


def test_a_report_is_read_without_its_orders(
    day: Planted, reports: DayReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures are stored once; from then on a day of any size is read from them."""
    report = shown(reports)
    assert (report.row.orders, report.figures.order_count) == (6, 6)
    assert report.figures.saldo is not None
    assert report.figures.saldo.unexplained_rupiah == 0
    monkeypatch.setattr(day_reports, "MAXIMUM_ORDERS_ON_REQUEST", 1)
    assert shown(reports).figures == report.figures
    assert reports.report("sat_default", NEXT.day, FINA) is None
    with pytest.raises(RightMissingError):
        shown(reports, VERA)


def test_a_figure_opens_its_orders(reports: DayReports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a state, a term or a product, page by page; client numbers are masked."""
    chosen = reports.orders("sat_default", DAY.day, OrderChoice(term="refund_rupiah"), FINA)
    assert [row["order_id"] for row in chosen.rows] == ["bad"]
    assert chosen.totals["refund_rupiah"] == PRICE
    assert "***" in chosen.rows[0]["client_number"]
    monkeypatch.setattr(day_reports, "ROWS_PER_PAGE", 2)
    found, cursor = [], None
    while True:
        page = reports.orders("sat_default", DAY.day, OrderChoice(), FINA, cursor)
        assert (page.count, len(page.rows)) == (6, 2)
        found += [row["order_id"] for row in page.rows]
        if (cursor := page.next) is None:
            break
    assert sorted(found) == ["bad", "good-1", "good-2", "good-3", "on its way", "refused"]
    first = reports.orders("sat_default", DAY.day, OrderChoice(), FINA).next
    with pytest.raises(CursorError):
        reports.orders("sat_default", DAY.day, OrderChoice(state="failed"), FINA, first)


def test_a_decision_about_many_breaks_is_one_row_to_read(
    day: Planted, module_database: ApplicationDatabase
) -> None:
    """However many breaks people decided at once: one version, which has the number of the last."""
    others = [day.settlement_row(name, PRICE + 500) for name in ("good-1", "good-2", "good-3")]
    day.settle(*others, replaces=True, name="again.csv")
    day.clock.advance(60)
    breaks = tuple(item.break_id for item in day.close().close.breaks)
    assert len(breaks) >= 3
    database = ExplainedDatabase(module_database.writer_dsn)
    host = FakeHost(store=PostgresEventStore(database), folder=day.folder)
    host.accounts = FakeAccounts({"sat_default": day.account})
    reports, rows = DayReports(host), []
    with closing(database):
        before = shown(reports)
        for decided, state in ((breaks[:1], BreakState.EXPLAINED), (breaks[1:], BreakState.RESOLVED)):
            day.keeper.post(day.account, DecideBreaks(decided, state, "a late file"), BY_FINANCE)
            BreakTable(database).catch_up()
            database.rows.clear()
            report = shown(reports)
            rows.append(sum(database.rows))
    assert rows[1] == rows[0] + 1
    assert [one.number - before.version.number for one in report.versions[-2:]] == [1, len(breaks)]
    assert report.versions[-1].what == f"{len(breaks) - 1} breaks resolved: a late file"
    assert report.row.open_breaks == 0
    assert {one.break_id: one.state for one in report.figures.breaks} == {
        **dict.fromkeys(breaks, BreakState.RESOLVED),
        breaks[0]: BreakState.EXPLAINED,
    }


def test_a_signature_is_bound_to_what_was_seen(day: Planted, reports: DayReports) -> None:
    """A decision or a close after the page was opened refuses it; two people sign, each what they saw."""
    report = shown(reports)
    assert report.may_sign is Signature.PREPARE
    (item,) = report.figures.breaks
    day.clock.advance(60)
    day.decide(item.break_id, BreakState.EXPLAINED, "asked for it")
    assert "after what you saw" in sign(reports, FINA, seen(report))
    report = shown(reports)
    assert report.figures.breaks[0].state is BreakState.EXPLAINED
    assert "after what you saw" in sign(reports, FINA, replace(seen(report), result_digest="0" * 64))
    assert sign(reports, FINA, seen(report)) == ""
    assert shown(reports, FINA).may_sign is None
    looked_at = shown(reports, ADAM)
    assert looked_at.changes is not None
    assert looked_at.changes.is_nothing
    assert looked_at.may_sign is Signature.CERTIFY
    assert sign(reports, ADAM, seen(looked_at)) == ""
    assert (shown(reports).row.prepared_by, shown(reports).row.signed_by) == ("fina", "adam")


def test_the_approver_sees_what_has_changed_since(day: Planted, reports: DayReports) -> None:
    """Another close, a new break, a decision: told, and the day must be prepared again."""
    assert sign(reports, FINA, seen(shown(reports))) == ""
    before = shown(reports, ADAM)
    day.top_up(700)
    day.close()
    changes = shown(reports, ADAM).changes
    assert changes is not None
    assert not changes.is_nothing
    assert changes.unexplained_rupiah == (0, -700)
    assert [one.amount_rupiah for one in changes.new_breaks] == [-700]
    assert "found no signature" not in sign(reports, ADAM, seen(before))
    assert day.keeper.books(day.account).certified == {}


def test_several_days_are_signed_at_once(day: Planted, reports: DayReports) -> None:
    """Each as it was seen; one that is refused does not stop the others."""
    day.end("on its way", CLOSES + timedelta(hours=1))
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    day.close(NEXT)
    rows = [reports.report("sat_default", one, FINA) for one in (DAY.day, NEXT.day)]
    seen_days = [(one.row.day, seen(one)) for one in rows if one is not None]
    seen_days[0] = (DAY.day, replace(seen_days[0][1], result_digest="0" * 64))
    first, second = reports.sign("sat_default", seen_days, REASON, FINA)
    assert "after what you saw" in first.refusal
    assert (second.refusal, second.signature) == ("", Signature.PREPARE)
    with pytest.raises(BooksRefusedError, match="at most 31"):
        reports.sign("sat_default", seen_days * 16, REASON, FINA)


def test_later_evidence_is_on_both_days(day: Planted, reports: DayReports) -> None:
    """The signed day shows it, with the day in which it counts; that day has it as an adjustment."""
    day.sign(note=REASON)
    day.top_up(700)
    day.clock.advance(86_400)
    day.observe(NEXT.closes_at + SECOND)
    day.close(NEXT)
    ((later, item),) = shown(reports).adjusted
    assert (later, item.amount_rupiah) == (NEXT.day, 700)
    after = reports.report("sat_default", NEXT.day, FINA)
    assert after is not None
    assert [one.certified_day for one in after.figures.adjustments] == [DAY.day]


def test_a_later_close_that_carries_the_break_makes_no_version(day: Planted, reports: DayReports) -> None:
    """A decision about it belongs to both days; one about the later day's own break to that day alone."""
    day.clock.advance(86_400)
    day.top_up(700, CLOSES + timedelta(hours=2))
    day.observe(NEXT.closes_at + SECOND)
    carried, *_, new = sorted(day.close(NEXT).close.breaks, key=lambda item: item.day)
    for item in (new, carried):
        day.clock.advance(60)
        day.decide(item.break_id, BreakState.EXPLAINED, "asked for it")
    numbers = [one.number for one in shown(reports).versions]
    assert numbers == [1, 2]
    kept = report_of(day.keeper, day.spool, day.account, DAY.day)
    assert kept.version.number == 2
    later = reports.report("sat_default", NEXT.day, FINA)
    assert later is not None
    assert [one.number for one in later.versions] == [1, 2, 3]


def test_files_are_those_of_a_version(
    day: Planted, reports: DayReports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind has its name and version; a later decision is another version, and the first stays."""
    monkeypatch.undo()  # its PDFs are read

    def content(kind: FileKind, number: int | None = None) -> tuple[str, bytes]:
        name, file = reports.file("sat_default", DAY.day, kind, Language.INDONESIAN, FINA, number)
        with file:
            return name, file.read()

    before = {kind: content(kind) for kind in FileKind}
    name, pdf = before[FileKind.PDF]
    assert name.endswith("2026-11-02-id-version-1.pdf")
    assert "Disiapkan oleh: ____" in pdf_text(pdf)
    (item,) = shown(reports).figures.breaks
    day.clock.advance(60)
    day.decide(item.break_id, BreakState.RESOLVED, "paid back")
    assert "versi 2, setelah versi 1" in pdf_text(content(FileKind.PDF)[1])
    assert {kind: content(kind, 1) for kind in FileKind} == before
    assert shown(reports, number=1).figures.breaks[0].state is BreakState.OPEN
    assert shown(reports).figures.breaks[0].state is BreakState.RESOLVED
    with pytest.raises(BooksRefusedError, match="found no version 7"):
        shown(reports, number=7)


def test_figures_that_are_not_those_of_the_close_are_not_shown(day: Planted, reports: DayReports) -> None:
    """A stored file that was changed is refused: nobody signs what it says."""
    version = shown(reports).version
    (file,) = (day.folder / version.place_of_close).glob("*-figures.json")
    file.write_text(file.read_text().replace(f'"saldo_rupiah":{10_000_000}', '"saldo_rupiah":10000001'))
    with pytest.raises(NotReproducedError, match="not those of the recorded close"):
        shown(reports)
    file.write_text("{")
    with pytest.raises(NotReproducedError, match="cannot be read"):
        shown(reports)


async def test_the_api_reads_and_signs_days(host: FakeHost) -> None:
    """The report, rows, a file, and a signature that is bound to what was read."""
    async with client_of(host, "/v1/days/sat_default") as client:
        fina, adam = ({"authorization": f"Bearer {name}"} for name in ("fina", "adam"))
        report = (await client.get("/2026-11-02/report", headers=fina)).json()
        assert (report["version"], report["may_sign"], report["saldo"][-1]["label"]) == (
            1,
            "prepare",
            "Closing saldo",
        )
        rows = (await client.get("/2026-11-02/orders?term=refund_rupiah", headers=fina)).json()
        assert [row["refund_rupiah"] for row in rows["items"]] == [PRICE]
        reply = await client.get("/2026-11-02/files/pdf?language=en", headers=fina)
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/pdf")
        for headers in (fina, adam):
            row = (await client.get("/2026-11-02", headers=headers)).json()
            what = {name: row[name] for name in ("day", "result_digest", "seen_position")}
            body = {"days": [what], "reason": REASON}
            signed = (await client.post("/sign", json=body, headers=headers)).json()["items"]
            assert [one["refusal"] for one in signed] == [""]
        assert (await client.get("/2026-11-02", headers=fina)).json()["state"] == "signed"
