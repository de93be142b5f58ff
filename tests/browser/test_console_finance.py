"""A finance person's day in the browser: what is missing, close, open figures, download, prepare, approve."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sat_hook.application.runs import RunState
from sat_hook.reconciliation import book_commands
from stack.databases import ApplicationDatabase
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office, office_on
from tests.browser.reading import PICTURES_VARIABLE, read_everywhere
from tests.browser.test_console_day import Keyboard
from tests.browser.test_console_new_batch import downloaded
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_life_of_a_break import BY_CHIEF, BY_FINANCE, NEXT
from tests.orders import ACCOUNT
from tests.pdf_text import pdf_text

pytestmark = needs_chromium

MONTH = f"/days?account={ACCOUNT}&month={DAY.day:%Y-%m}"
PLACE = f"/days/{ACCOUNT}/{DAY.day}"


@pytest.fixture(scope="module")
def office(
    module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """An office without batches of its own."""
    with office_on(module_database, tmp_path_factory.mktemp("office"), with_past=False) as office:
        yield office


@pytest.fixture(scope="module")
def books(office: Office) -> Planted:
    """An ordinary day of the office's account; nothing has come for it yet."""
    planted = Planted(office.store, Path(office.host.results().uri_of("").removeprefix("file://")), ACCOUNT)
    planted.ordinary_day()
    return planted


def test_a_day_of_finance(office: Office, page: Page, books: Planted, tmp_path: Path) -> None:
    """From the calendar to the second signature, by keyboard alone."""
    page.set_cookie(office.url, "sat_language", "id")
    page.resize(1280)
    office.log_in(page, "fina")
    keys = Keyboard(page)

    # She sees in the calendar what the day still waits for.
    page.open(office.address(MONTH))
    for missing in ("berkas settlement belum datang", "saldo tidak diamati", "1 pesanan masih berjalan"):
        assert missing in page.text()

    # The file and the deposit come. She closes the day and follows the run.
    books.settle(*books.usual_rows("good-1"), books.settlement_row("good-1", PRICE + 500))
    books.observe(CLOSES + SECOND)
    keys.enter("main a.date", "Sen 2")
    page.wait_for_text("Hari ini belum ditutup")
    keys.enter("button", "Tutup hari")
    page.wait_for_text("Hari sedang ditutup")
    run_id = f"close_sat_default_{DAY.day}_1"
    assert office.wait_for_run(run_id).state is RunState.SUCCESS, office.runs.errors
    page.wait_for_text("Deposit, dari saldo awal sampai saldo akhir")
    assert "ada selisih" in page.text()

    # A figure opens the rows behind it.
    keys.enter("#states td a", "3")
    page.wait_for_text("Pesanan di balik angka")
    assert "good-1" in page.text()
    keys.enter("main .under a", "2 Nov 2026")
    page.wait_for_text("Pesanan menurut status")

    # She closes the day again and follows that run, too.
    keys.enter("button", "Tutup lagi")
    page.wait_for_text("Hari sedang ditutup")
    again = office.wait_for_run(f"close_sat_default_{DAY.day}_2")
    assert again.state is RunState.SUCCESS, office.runs.errors
    page.wait_for("!document.body.innerText.includes('Hari sedang ditutup')", "page after the close")

    # The PDF has the ids, and room for two signatures.
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    keys.enter("a[download]", "PDF")
    text = pdf_text(downloaded(tmp_path, ".pdf").read_bytes())
    assert "Disiapkan oleh: ____" in text
    close = books.keeper.books(ACCOUNT).closes[DAY.day].event
    assert close.result_digest in text

    # She prepares it, and cannot approve it herself.
    keys.enter("button[data-dialog=sign]")
    keys.has("#sign [name=reason]")
    page.type("Semua selisih sudah dilihat")
    page.press("Enter")
    page.wait_for_text("orang lain harus menyetujuinya")
    assert not page.evaluate("document.querySelector('button[data-dialog=sign]')")

    # Adam sees that nothing has changed since, and approves what he saw.
    office.log_in(page, "adam")
    page.open(office.address(PLACE))
    page.wait_for_text("Tidak ada yang berubah")
    keys.enter("button[data-dialog=sign]")
    keys.has("#sign [name=reason]")
    page.type("Setuju")
    page.press("Enter")
    page.wait_for_text("ditandatangani oleh adam")
    certified = books.keeper.books(ACCOUNT).certified[DAY.day]
    assert (certified.posted.actor, certified.event.result_digest) == ("user:adam", close.result_digest)


def test_every_page_of_days_is_readable(office: Office, page: Page, books: Planted) -> None:
    """The calendar, a signed and adjusted day, the day that adjusts it, rows, and signing several days."""
    keeper = books.keeper
    if DAY.day not in keeper.books(ACCOUNT).certified:
        books.observe(CLOSES + SECOND)
        books.close()
        for act, person in ((book_commands.prepare, BY_FINANCE), (book_commands.certify, BY_CHIEF)):
            act(keeper, ACCOUNT, DAY.day, "all looked at", person)
    books.top_up(700)
    books.clock.advance(86_400)
    books.end("on its way", CLOSES + timedelta(hours=1))
    books.observe(NEXT.closes_at + SECOND)
    books.close(NEXT)
    office.log_in(page, "adam")
    for path in (
        MONTH,
        PLACE,
        f"{PLACE}/orders?term=debit_rupiah",
        f"/days/{ACCOUNT}/{NEXT.day}",
        f"/days/{ACCOUNT}/sign?day={DAY.day}&day={NEXT.day}",
    ):
        read_everywhere(page, office.address(path))
    page.resize(1280)
    page.open(office.address(PLACE))
    printed = base64.b64decode(page.command("Page.printToPDF", preferCSSPageSize=True)["data"])
    sheets = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", printed)
    assert {(round(float(wide)), round(float(tall))) for wide, tall in sheets} == {(595, 842)}
    assert 2 <= len(sheets) <= 6
    if folder := os.environ.get(PICTURES_VARIABLE):
        (Path(folder) / "days-printed.pdf").write_bytes(printed)
