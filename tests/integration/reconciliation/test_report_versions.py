"""A report after decisions and signatures: another version, which names those before it and changes none."""

from __future__ import annotations

import io
import zipfile

import openpyxl
import pytest

from sat_hook.domain.breaks import BreakState
from sat_hook.presentation.language import Language
from sat_hook.reconciliation import book_commands, report_pdf
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.reconciliation.kept_reports import KeptReport, report_of
from sat_hook.web.files import archive_of
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_life_of_a_break import BY_CHIEF, BY_FINANCE
from tests.pdf_text import pdf_text

REASON = "the provider corrects it"


class Desk:
    """A day with one break, and the reports of it."""

    def __init__(self, day: Planted) -> None:
        self.day = day
        day.settle(*day.usual_rows("good-1"), day.settlement_row("good-1", PRICE + 500))
        day.observe(CLOSES + SECOND)
        (self.item,) = day.close().close.breaks

    def report(self, number: int | None = None, most_orders: int | None = None) -> KeptReport:
        """A version, as it is kept."""
        return report_of(self.day.keeper, self.day.spool, self.day.account, DAY.day, number, most_orders)

    def content(self, report: KeptReport) -> dict[str, bytes]:
        """Its files."""
        found = {}
        for name, uri in report.files.items():
            with self.day.spool.open(uri) as file:
                found[name] = file.read()
        return found

    def text(self, report: KeptReport, ending: str) -> str:
        """One of its files."""
        (found,) = (text for name, text in self.content(report).items() if name.endswith(ending))
        return pdf_text(found) if ending.endswith(".pdf") else found.decode("utf-8-sig")

    def decide(self, state: BreakState, reason: str = REASON) -> None:
        """A person decides the break."""
        self.day.clock.advance(60)
        self.day.decide(self.item.break_id, state, reason)

    def summary(self, report: KeptReport, language: Language) -> list[str]:
        """The cells of the workbook's first sheet, row by row."""
        content = self.content(report)[report.names.workbook_in(language)]
        book = openpyxl.load_workbook(io.BytesIO(content))
        return [str(cell.value) for row in book.worksheets[0].iter_rows() for cell in row if cell.value]

    def sign(self) -> None:
        """Two people sign the day."""
        for act, person in ((book_commands.prepare, BY_FINANCE), (book_commands.certify, BY_CHIEF)):
            self.day.clock.advance(60)
            act(self.day.keeper, self.day.account, DAY.day, "all looked at", person)


@pytest.fixture
def desk(day: Planted, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk of an ordinary day. Of its PDFs, the English ones are read, and laid out."""
    render_pdf = report_pdf.render_pdf
    monkeypatch.setattr(
        report_pdf, "render_pdf", lambda *of: render_pdf(*of) if Language.ENGLISH in of else b"%PDF-"
    )
    return Desk(day)


def test_what_people_said_is_in_the_next_version(desk: Desk) -> None:
    """Break ids, decisions, and who signed what, in the page, the workbook and the CSV."""
    first = desk.report()
    desk.decide(BreakState.EXPLAINED)
    desk.sign()
    desk.decide(BreakState.WRITTEN_OFF, "too small to chase")
    last = desk.report()
    assert (first.version.number, last.version.number) == (1, 5)
    page = desk.text(last, "-en.pdf")
    assert "version 5, after version 4" in page
    for said in (
        desk.item.break_id,
        "closed at log position",
        f"explained: {REASON}",
        "written off: too small to chase",
        "prepared: all looked at",
        "approved: all looked at",
        "Prepared by: finance,",
        "Approved by: chief,",
        last.version.close.result_digest,
    ):
        assert said in page, said
    assert f"{desk.item.break_id},written_off," in desk.text(last, "-breaks.csv")
    for language, heading, signed_by, said in (
        (Language.ENGLISH, "Versions and signatures", "Approved by", "certified, result"),
        (Language.INDONESIAN, "Versi dan tanda tangan", "Disetujui oleh", "disetujui: all looked at"),
    ):
        cells, unsigned = desk.summary(last, language), desk.summary(first, language)
        assert {heading, BY_CHIEF.actor} <= set(cells)
        # The signature block: a line to sign on, until a person signs. It names the result.
        assert unsigned[unsigned.index(signed_by) + 1] == "_" * 40
        assert cells[cells.index(signed_by) + 1].startswith("chief, ")
        assert cells[-1].endswith(last.version.close.result_digest)
        assert any(cell.startswith(said) for cell in cells), cells


def test_no_version_ever_changes(desk: Desk) -> None:
    """Neither when more is said, nor when it is asked for again, nor by another release."""
    desk.decide(BreakState.EXPLAINED)
    desk.sign()
    signed = desk.report()
    before = desk.content(signed)
    desk.decide(BreakState.RESOLVED)
    after = desk.report()
    assert set(after.files.values()).isdisjoint(signed.files.values())
    assert desk.content(desk.report(signed.version.number)) == before
    for name in before:
        desk.day.spool.write(f"{signed.version.place}/{name}", b"as an earlier release wrote it")
    assert set(desk.content(desk.report(signed.version.number)).values()) == {
        b"as an earlier release wrote it"
    }


def test_a_version_of_an_earlier_release_gets_what_it_lacks(desk: Desk) -> None:
    """A page, and no PDF, orders or figures: these are added, and what was written stays as it was."""
    place = desk.day.folder / desk.report().version.place
    for file in place.iterdir():
        if file.suffix in (".pdf", ".json") or file.name.endswith(("-orders.csv", "-id.xlsx")):
            file.unlink()
        else:
            file.write_bytes(b"as an earlier release wrote it")
    (workbook,) = place.glob("*.xlsx")
    workbook.with_suffix(".html").write_bytes(b"a page")
    assert desk.report(most_orders=5).files.keys() == {file.name for file in place.iterdir()}
    files = desk.content(desk.report())
    assert files[workbook.name] == b"as an earlier release wrote it"
    assert files[workbook.name.replace(".xlsx", ".html")] == b"a page"
    assert files[workbook.name.replace(".xlsx", "-en.pdf")].startswith(b"%PDF")
    assert files[workbook.name.replace(".xlsx", "-id.xlsx")].startswith(b"PK")


def test_an_earlier_version_is_made_as_it_was(desk: Desk) -> None:
    """A version that is requested late is written without what came later."""
    desk.decide(BreakState.EXPLAINED)
    desk.sign()
    page = desk.text(desk.report(2), "-en.pdf")
    assert "explained" in page
    assert "chief" not in page
    assert "version 2, after version 1" in page


def test_a_day_closed_again_goes_on_counting(desk: Desk) -> None:
    """The version after it names the close before."""
    desk.day.top_up(1)
    desk.day.close()
    report = desk.report()
    assert report.version.number == 2
    assert desk.text(report, "-en.pdf").count("closed at log position") == 2


def test_what_is_not_there_is_said(desk: Desk) -> None:
    """A version, a day, or a day that is too large for the API server."""
    with pytest.raises(BooksRefusedError, match="found no version 7; expected the number of one, up to 1"):
        desk.report(7)
    with pytest.raises(BooksRefusedError, match=r"found 6 orders and no file of version 1 yet"):
        desk.report(most_orders=5)
    desk.report()
    assert desk.report(most_orders=5).files
    with pytest.raises(BooksRefusedError, match="found no close"):
        report_of(desk.day.keeper, desk.day.spool, "nobody", DAY.day)


def test_a_report_is_one_archive(desk: Desk) -> None:
    """With the files under their own names."""
    report = desk.report()
    archive = zipfile.ZipFile(io.BytesIO(b"".join(archive_of(desk.day.spool, report))))
    assert {name: archive.read(name) for name in archive.namelist()} == desk.content(report)
