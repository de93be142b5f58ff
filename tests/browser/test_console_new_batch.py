"""New batch in a real browser: a file with mistakes is paid, once by mouse and once by keyboard."""

from __future__ import annotations

import time
from pathlib import Path

from sat_hook.application.draft_submissions import DraftSubmissions
from sat_hook.application.drafts import Drafts
from sat_hook.application.rights import Person
from sat_hook.application.runs import RunState
from sat_hook.domain.order import OrderState
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import CONNECTION, Office
from tests.browser.reading import read_everywhere

pytestmark = needs_chromium

MISTAKES = """No Order;Kode Produk;Nomor HP;Kode Cabang
N-1;25k-xl;081711220001;JKT
N-2;25k-xlx;081711220002;JKT
N-3;25k-xl;+62 817-1122-0003;BDG
N-4;25k-xl;;SBY
"""


def batch_of(page: Page) -> str:
    """The batch whose page was opened by the payment."""
    address = page.wait_for("location.pathname.match(/batches\\/(B\\w+)$/)?.[1]", "page of the batch")
    return str(address)


def states(office: Office, batch_id: str) -> dict[str, OrderState]:
    """The orders of a batch, once its run has ended."""
    assert office.wait_for_run(f"batch_{batch_id}").state is RunState.SUCCESS, office.runs.errors
    return {one.order_id: one.state for one in office.line.orders(batch_id).values()}


def downloaded(folder: Path, suffix: str, seconds: float = 20.0) -> Path:
    """A file that the browser has saved."""
    deadline = time.monotonic() + seconds
    while not (found := [path for path in folder.glob(f"*{suffix}") if path.stat().st_size]):
        assert time.monotonic() < deadline, f"no {suffix} was downloaded"
        time.sleep(0.05)
    return found[0]


def test_file_with_mistakes_is_mended_and_paid(office: Office, page: Page, tmp_path: Path) -> None:
    """Two mistakes are mended in the grid, a row is set aside, and the office's run pays the others."""
    office.log_in(page, "rosa")
    page.set_cookie(office.url, "sat_language", "en")
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.open(office.address("/new"))
    page.click("a[download]", "CSV")
    assert downloaded(tmp_path, ".csv").read_text("utf-8-sig").startswith("order_id")
    file = tmp_path / "Pulsa November.csv"
    file.write_text(MISTAKES)
    page.upload("input[type=file]", file)
    page.click("button", "Upload and check")
    page.wait_for_text("1 column is not known")
    page.evaluate("document.querySelectorAll('select')[3].value = 'note'")
    page.click("button", "Check the rows")
    page.wait_for_text("3 rows need you")
    page.click("button", "Use 25k-xl")
    page.wait_for_text("changed, check again")
    page.click("a", "Edit")  # of the first row; its number is right, and stays
    page.click("a.button", "Back")
    page.wait_for("!document.querySelector('#edited')", "grid without a row that is edited")
    page.click("#row-4 a.edit")
    page.write("input[name=cell-3]", "081711220003")
    page.press("Enter")
    page.wait_for_text("081711220003")
    page.click("#row-5 input[data-row]")
    page.click("button", "Set the chosen aside")
    page.wait_for_text("1 set aside")
    page.click("button", "Check again")
    page.wait_for_text("3 rows ready")
    page.click("a", "Go on to paying")
    page.write("input[name=reference]", "Pulsa November")
    page.click("button", "Pay 3 rows · Rp\u00a075,300")
    batch_id = batch_of(page)
    paid = OrderState.SUCCEEDED
    assert states(office, batch_id) == {"N-1": paid, "N-2": paid, "N-3": paid}
    assert office.line.batch(batch_id).reference == "Pulsa November"


def test_pasted_rows_are_paid_by_keyboard_alone(office: Office, page: Page) -> None:
    """Tab, Enter and typing suffice: a mistake is mended, the batch is paid; pasted again, it says so."""
    office.log_in(page, "rosa")
    page.set_cookie(office.url, "sat_language", "en")
    rows = "order_id\tproduct_code\tclient_number\nK-1\t25k-xl\t081711330001\nK-2\t25k-xl\t0817\n"
    for turn in range(2):
        page.open(office.address("/new"))
        page.tab_to("textarea[name=pasted]")
        page.type(rows)
        page.tab_to("section:nth-of-type(2) .actions button")
        page.press("Enter")
        if turn:
            break
        page.wait_for_text("1 row needs you")
        page.tab_to("#row-3 a.edit")
        page.press("Enter")
        page.wait_for("document.activeElement?.name === 'cell-3'", "focus on the wrong cell")
        page.press("a", modifiers=2)
        page.type("081711330002")
        page.press("Enter")
        page.wait_for("document.activeElement?.id === 'edit-3'", "focus back on the row")
        page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
        page.press("Tab")
        page.tab_to("#check")
        page.press("Enter")
        page.wait_for_text("2 rows ready")
        page.tab_to(".verdict a.primary")
        page.press("Enter")
        page.wait_for("document.querySelector('button.pay') !== null", "the button that pays")
        page.tab_to("button.pay")
        page.press("Enter")
        batch_id = batch_of(page)
        assert set(states(office, batch_id).values()) == {OrderState.SUCCEEDED}
    # The upload is another file than the mended one: its first row is known, and is not paid again.
    page.wait_for_text("was submitted before. It is not paid again")
    page.wait_for_text("pasted rows, row 2")


def test_a_file_is_dropped_anywhere_on_the_page(office: Office, page: Page, tmp_path: Path) -> None:
    """It goes into the form, and the browser does not open it in the place of the page."""
    office.log_in(page, "rosa")
    page.set_cookie(office.url, "sat_language", "en")
    page.resize(1280)
    for number, place in enumerate((None, (640.0, 850.0)), 1):
        file = tmp_path / f"Pulsa {number}.csv"
        file.write_text(f"order_id,product_code,client_number\nD-{number},25k-xl,08171122100{number}\n")
        page.open(office.address("/new"))
        middle = "(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector('.drop')"
        x, y = place or page.evaluate(f"{middle}.getBoundingClientRect())")
        page.drop(x, y, file)
        page.wait_for(f"document.querySelector('#file').files[0]?.name === '{file.name}'", "dropped file")
        assert page.evaluate("document.querySelector('.drop.over') === null")
        page.press("Enter")  # the focus is on the button that sends it
        page.wait_for(f"document.querySelector('h1').innerText.includes('{file.name}')", "page of the draft")
        page.wait_for_text("1 row ready")


def test_cells_are_pasted_from_a_spreadsheet(office: Office, page: Page) -> None:
    """As text and not as a table, into their field or beside it; a line break in a cell stays in it."""
    office.log_in(page, "rosa")
    page.set_cookie(office.url, "sat_language", "en")
    for number, selector in enumerate(("textarea[name=pasted]", "h1"), 1):
        cells = [
            ["order_id", "product_code", "client_number", "keterangan"],
            [f"P-{number}", "25k-xl", f"08171122200{number}", "two\nlines"],
        ]
        text = "".join(
            "\t".join(f'"{cell}"' if "\n" in cell else cell for cell in row) + "\r\n" for row in cells
        )
        html = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells)
        page.open(office.address("/new"))
        page.click(selector)
        page.paste(text, f"<table>{html}</table>")
        page.wait_for("document.activeElement?.name === 'pasted'", "focus on the pasted rows")
        page.click("button", "Read and check")
        page.wait_for_text("1 row ready")
        page.wait_for_text(f"08171122200{number}")


def test_failed_rows_are_paid_again(office: Office, page: Page) -> None:
    """The page of a batch begins a draft of its failed orders, with new order ids; both batches lead to each
    other.
    """
    office.log_in(page, "rosa")
    page.set_cookie(office.url, "sat_language", "en")
    batch_id = office.batches["complete"]
    page.open(office.address(f"/batches/{batch_id}"))
    page.click("button", "Pay failed rows again")
    page.wait_for_text("It pays failed orders again")
    assert page.evaluate("document.querySelector('.notice a').href").endswith(f"/batches/{batch_id}")
    page.wait_for_text("-R1")
    page.click("a", "Go on to paying")
    page.click("button.pay")
    later = batch_of(page)
    page.wait_for_text("It pays failed orders again")
    page.open(office.address(f"/batches/{batch_id}"))
    page.wait_for_text("Its failed rows were paid again in:")
    assert page.evaluate(f"document.querySelector('.notice a[href$=\"/batches/{later}\"]') !== null")


def test_every_step_is_readable_everywhere(office: Office, page: Page) -> None:
    """The upload, the columns, the check and the payment."""
    office.log_in(page, "rosa")
    person = Person("rosa", office.host.users["rosa"].rights)
    drafts = Drafts(office.host)
    view = drafts.create(MISTAKES.replace("N-", "R-").encode(), "Pulsa Desember.csv", CONNECTION, person)
    step = f"/new/{view.draft_id}"
    read_everywhere(page, office.address(f"{step}/columns"), name="new-columns")
    columns = ["order_id", "product_code", "client_number", "note:cabang"]
    drafts.map_columns(view.draft_id, view.version, columns, person, "Cabang")
    DraftSubmissions(office.host).check(view.draft_id, person)
    for path, name in ((f"{step}/rows", "new-rows"), (f"{step}/pay", "new-pay"), ("/new", "new")):
        read_everywhere(page, office.address(path), name=name)
