"""A day of operations by keyboard alone, from the template to the delivered goods, in Indonesian."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat_hook.application.runs import RunState
from sat_hook.domain.order import Order, OrderState
from sat_hook.store.event_store import OrderSlice, each_order
from tests.browser.chromium import BrowserError, Page, needs_chromium
from tests.browser.office import Office
from tests.browser.test_console_new_batch import downloaded

pytestmark = needs_chromium

TOKEN = "pln-prepaid-token-100k"
WRONG_PRODUCT, WRONG_NUMBER, NO_NUMBER = 3, 4, 5
MAXIMUM_STOPS = 150
SHIFT = 8

# Whether the element with the focus is the wanted one, and whether a person sees that it has the focus.
_FOCUS = """((selector, text) => {
  const e = document.activeElement;
  if (!e?.matches(selector)) return null;
  if (text && (e.innerText || e.value || '').trim() !== text) return null;
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const middle = [box.x + box.width / 2, box.y + Math.min(box.height / 2, 12)];
  const above = document.elementFromPoint(...middle);
  return {
    outline: e.matches(':focus-visible') && style.outlineStyle !== 'none'
      && parseFloat(style.outlineWidth) > 0,
    place: box.width > 0 && box.height > 0 && box.y >= 0 && box.y < innerHeight,
    covered: above !== null && above !== e && !e.contains(above) && !above.contains(e)
      && !above.closest('label')?.contains(e),
  };
})"""


@dataclass(frozen=True)
class Keyboard:
    """A person without a mouse: Tab, Shift+Tab, arrows, Enter, Space, Escape and typed text."""

    page: Page

    def to(self, selector: str, text: str = "", *, back: bool = False) -> None:
        """Move the focus to an element, by its text when that is given; it must be seen there."""
        self.page.wait_for("document.readyState === 'complete' && window.htmx", "loaded page")
        for _ in range(MAXIMUM_STOPS):
            self.page.press("Tab", modifiers=SHIFT if back else 0)
            found = self._focus(selector, text)
            if found is not None:
                assert found == {"outline": True, "place": True, "covered": False}, (selector, found)
                return
        raise BrowserError(f"Tab does not reach {selector} {text}: {self.page.text()[:1500]!r}")

    def enter(self, selector: str, text: str = "", *, back: bool = False) -> None:
        """Follow a link or press a button."""
        self.to(selector, text, back=back)
        self.page.press("Enter")

    def has(self, selector: str) -> None:
        """The focus is there by itself, for example after a part of the page was renewed."""
        self.page.wait_for(f"document.activeElement?.matches({json.dumps(selector)})", f"focus on {selector}")

    def choose_file(self, file: Path) -> None:
        """Space on a file input opens the browser's dialog; the file is chosen in it."""
        self.page.command("Page.setInterceptFileChooserDialog", enabled=True)
        self.page.events()
        self.page.press(" ")
        opened: dict[str, Any] = self.page.wait_for_event("Page.fileChooserOpened")
        node = opened["backendNodeId"]
        self.page.command("DOM.setFileInputFiles", backendNodeId=node, files=[str(file)])
        self.page.command("Page.setInterceptFileChooserDialog", enabled=False)

    def _focus(self, selector: str, text: str) -> dict[str, bool] | None:
        found: dict[str, bool] | None = self.page.evaluate(
            f"{_FOCUS}({json.dumps(selector)}, {json.dumps(text)})"
        )
        return found


def orders_of(office: Office, batch_id: str, state: OrderState) -> list[Order]:
    """The orders of a batch in a state."""
    return list(each_order(office.store, OrderSlice(batch_id, (state,))))


def written(header: list[str], file: Path) -> None:
    """The template with nine orders, of which three have mistakes."""
    cells = [
        {"order_id": "H-1", "product_code": TOKEN, "client_number": "530012340001"},
        {"order_id": "H-2", "product_code": f"{TOKEN}k", "client_number": "530012340002"},
        {"order_id": "H-3", "product_code": "25k-xl", "client_number": "+62 817-4455-0003"},
        {"order_id": "H-4", "product_code": "25k-xl", "client_number": ""},
        *(
            {"order_id": f"H-{n}", "product_code": TOKEN, "client_number": f"5300123400{n}"}
            for n in range(10, 15)
        ),
    ]
    rows = [",".join(row.get(column, "") for column in header) for row in cells]
    file.write_text("\n".join([",".join(header), *rows, ""]))


def test_a_day_of_operations_by_keyboard(office: Office, page: Page, tmp_path: Path) -> None:
    """A file with three mistakes is mended, approved in part, paid, released, resolved and delivered.

    Every step is reached by Tab, with a focus that is seen, and the focus stays where the person works.
    """
    keys = Keyboard(page)
    page.set_cookie(office.url, "sat_language", "id")
    page.resize(1280)
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    office.log_in(page, "rosa")

    # Rosa fills in the template. Three of its rows have mistakes.
    page.open(office.address("/"))
    keys.enter("a.primary", "Batch baru")
    page.wait_for_text("Unggah dan periksa")
    keys.enter("a[download]", "CSV")
    file = tmp_path / "Token kantor cabang.csv"
    written(downloaded(tmp_path, ".csv").read_text("utf-8-sig").splitlines()[0].split(","), file)
    keys.to("input[type=file]", back=True)
    assert "belum ada berkas" in page.text()
    keys.choose_file(file)
    page.wait_for_text(file.name)
    keys.enter("button", "Unggah dan periksa")

    # The check says what is wrong and where; she mends two rows in the grid and sets one aside.
    page.wait_for_text("3 baris perlu Anda")
    keys.enter(f"#row-{WRONG_PRODUCT} button.mend")
    page.wait_for_text("periksa lagi")
    keys.has(f"#edit-{WRONG_PRODUCT}")
    keys.enter(f"#edit-{WRONG_NUMBER}")
    keys.has("input[name=cell-3]")
    page.press("Tab", modifiers=SHIFT)
    keys.to("input[name=cell-3]")  # a field that is reached by Tab is selected as a whole
    page.type("081744550003")
    page.press("Enter")
    keys.has(f"#edit-{WRONG_NUMBER}")
    keys.to(f"#row-{NO_NUMBER} input[data-row]")
    page.press(" ")
    keys.enter("button", "Sisihkan yang dipilih", back=True)
    page.wait_for_text("1 disisihkan")
    keys.has("main, main *")
    keys.enter("#check", back=True)
    page.wait_for_text("8 baris siap")
    keys.has("#check")
    keys.enter(".verdict a.primary", back=True)
    page.wait_for("document.querySelector('button.pay') !== null", "payment")
    keys.to("input[name=reference]")
    page.type("Token cabang pagi")
    keys.to("input[name=on_bad_rows]")
    page.press("ArrowDown")
    page.press("ArrowUp")
    assert page.evaluate("document.querySelector('input[name=on_bad_rows]:checked').value") == "proceed"
    keys.enter("button.pay")
    batch_id = str(page.wait_for("location.pathname.match(/batches\\/(B\\w+)$/)?.[1]", "page of the batch"))
    page.wait_for_text("menunggu persetujuan")

    # Carl finds it at his first page, leaves one order out, and approves the rest.
    office.log_in(page, "carl")
    page.open(office.address("/"))
    keys.enter("a.need[id^=need-approvals]")
    page.wait_for("location.pathname.endsWith('/approvals')", "the approvals")
    keys.enter("td a", "Token kantor cabang.csv")
    page.wait_for_text("rosa meminta pembayaran 8 pesanan")
    keys.to('input[name=product][value="25k-xl"]')
    page.press(" ")
    page.wait_for_text("Mengapa dikeluarkan?")
    keys.has('input[name=product][value="25k-xl"]')
    keys.to("#why")
    page.type("Nomor ini belum dicek")
    keys.enter(".answer button.primary")
    page.wait_for("document.readyState === 'complete' && !document.querySelector('#choice')", "the answer")

    # Rosa follows it to its end, without a reload.
    office.log_in(page, "rosa")
    page.open(office.address("/"))
    keys.enter("td a", "Token kantor cabang.csv")
    page.wait_for("document.querySelector('#now') && location.pathname.includes('/batches/')", "the batch")
    assert office.wait_for_run(f"batch_{batch_id}").state is RunState.SUCCESS, office.runs.errors
    page.wait_for_text("selesai")
    assert len(orders_of(office, batch_id, OrderState.SUCCEEDED)) == 7
    (left_out,) = orders_of(office, batch_id, OrderState.HELD)

    # Carl releases what was left out; the dialog closes with Escape, and the focus is back on its button.
    office.log_in(page, "carl")
    page.open(office.address("/"))
    keys.enter("a.need[id^=need-held]")
    page.wait_for_text(left_out.order_id)
    keys.enter("td a", left_out.order_id)
    page.wait_for("document.querySelector('button[data-dialog=release]') !== null", "the order")
    keys.enter("button[data-dialog=release]")
    page.wait_for("document.querySelector('dialog[open]') !== null", "dialog")
    page.press("Escape")
    page.wait_for("document.querySelector('dialog[open]') === null", "closed dialog")
    keys.has("button[data-dialog=release]")
    page.press("Enter")
    page.wait_for("document.querySelector('dialog[open]') !== null", "dialog")
    keys.has("#release [name=reason]")
    page.type("Nomor sudah dicek")
    page.press("Enter")
    page.wait_for("!document.querySelector('button[data-dialog=release]')", "the released order")
    assert orders_of(office, batch_id, OrderState.HELD) == []

    # He resolves an unclear order of another batch.
    page.open(office.address("/"))
    keys.enter("a.need[id^=need-escalated]")
    (unclear,) = orders_of(office, office.batches["escalated"], OrderState.ESCALATED)
    page.wait_for_text(unclear.order_id)
    keys.enter("td a", unclear.order_id)
    page.wait_for("document.querySelector('button[data-dialog=not-paid]') !== null", "the order")
    keys.enter("button[data-dialog=not-paid]")
    keys.has("#not-paid [name=reason]")
    page.type("Sudah ditanyakan ke SAT")
    page.press("Enter")
    page.wait_for("!document.querySelector('button[data-dialog=not-paid]')", "the resolved order")
    assert orders_of(office, office.batches["escalated"], OrderState.ESCALATED) == []

    # The released order waits for a run: Rosa starts it, and Carl approves what he had left out.
    office.log_in(page, "rosa")
    page.open(office.address("/"))
    keys.enter(f'form[action*="{batch_id}"] button', "Jalankan sisanya")
    page.wait_for(f"location.pathname.endsWith('/batches/{batch_id}')", "the batch")
    page.wait_for_text("menunggu persetujuan")
    (run_id,) = (one for one in office.runs.started if one.startswith(f"batch_{batch_id}_"))
    office.log_in(page, "carl")
    page.open(office.address("/approvals"))
    keys.enter("td a", "Token kantor cabang.csv")
    page.wait_for("document.querySelector('.answer') !== null", "the question")
    keys.enter(".answer button.primary")
    assert office.wait_for_run(run_id).state is RunState.SUCCESS, office.runs.errors

    # She gives out the tokens; it is recorded with her reason.
    office.log_in(page, "rosa")
    page.open(office.address(f"/batches/{batch_id}"))
    page.wait_for_text("selesai")
    assert len(orders_of(office, batch_id, OrderState.SUCCEEDED)) == 8
    keys.enter("a.button", "Serahkan voucher")
    page.wait_for_text("Catat dan unduh")
    keys.to("[name=reason]")
    page.type("Untuk kantor cabang")
    keys.to("input[name=format]")
    page.press("ArrowDown")
    keys.enter("button", "Catat dan unduh")
    goods = downloaded(tmp_path, "-goods.csv").read_text("utf-8-sig")
    assert len(goods.splitlines()) == 9
    page.open(office.address(f"/deliveries/{batch_id}"))
    assert "Untuk kantor cabang" in page.text()
