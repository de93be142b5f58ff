"""A day of operations in the browser, from the template to the delivered goods, in Indonesian."""

from __future__ import annotations

from pathlib import Path

from sat_hook.application.runs import RunState
from sat_hook.domain.order import Order, OrderState
from sat_hook.store.event_store import OrderSlice, each_order
from tests.browser.chromium import Page, needs_chromium
from tests.browser.office import Office
from tests.browser.test_console_new_batch import downloaded

pytestmark = needs_chromium

TOKEN = "pln-prepaid-token-100k"
WRONG_PRODUCT, WRONG_NUMBER, NO_NUMBER = 3, 4, 5


def orders_of(office: Office, batch_id: str, state: OrderState) -> list[Order]:
    """The orders of a batch in a state."""
    return list(each_order(office.store, OrderSlice(batch_id, (state,))))


def test_a_day_of_operations(office: Office, page: Page, tmp_path: Path) -> None:
    """A file with three mistakes is mended, approved in part, paid, released, resolved and delivered."""
    page.set_cookie(office.url, "sat_language", "id")
    page.resize(1280)
    office.log_in(page, "rosa")

    # Rosa fills in the template. Three of its rows have mistakes.
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.open(office.address("/"))
    page.click("a.primary", "Batch baru")
    page.click("a[download]", "CSV")
    header = downloaded(tmp_path, ".csv").read_text("utf-8-sig").splitlines()[0].split(",")
    cells = [
        {"order_id": "H-1", "product_code": TOKEN, "client_number": "530012340001"},
        {"order_id": "H-2", "product_code": "pln-prepaid-token-100kk", "client_number": "530012340002"},
        {"order_id": "H-3", "product_code": "25k-xl", "client_number": "+62 817-4455-0003"},
        {"order_id": "H-4", "product_code": "25k-xl", "client_number": ""},
        *(
            {
                "order_id": f"H-{n}",
                "product_code": "pln-prepaid-token-100k",
                "client_number": f"5300123400{n}",
            }
            for n in range(10, 15)
        ),
    ]
    rows = [",".join(row.get(column, "") for column in header) for row in cells]
    file = tmp_path / "Token kantor cabang.csv"
    file.write_text("\n".join([",".join(header), *rows, ""]))
    page.upload("input[type=file]", file)
    page.click("button", "Unggah dan periksa")

    # The check says what is wrong and where; she mends two rows in the grid and sets one aside.
    page.wait_for_text("3 baris perlu Anda")
    page.click(f"#row-{WRONG_PRODUCT} button", "Pakai pln-prepaid-token-100k")
    page.wait_for_text("periksa lagi")
    page.click(f"#row-{WRONG_NUMBER} a.edit")
    page.write("input[name=cell-3]", "081744550003")
    page.press("Enter")
    page.wait_for("!document.querySelector('input[name=cell-3]')", "the changed row")
    page.click(f"#row-{NO_NUMBER} input[data-row]")
    page.click("button", "Sisihkan yang dipilih")
    page.wait_for_text("1 disisihkan")
    page.click("#check")
    page.wait_for_text("8 baris siap")
    page.click(".verdict a.primary")
    page.write("input[name=reference]", "Token cabang pagi")
    page.click("button.pay")
    batch_id = str(page.wait_for("location.pathname.match(/batches\\/(B\\w+)$/)?.[1]", "page of the batch"))
    page.wait_for_text("menunggu persetujuan")

    # Carl finds it at his first page, leaves one order out, and approves the rest.
    office.log_in(page, "carl")
    page.open(office.address("/"))
    page.click("a.need h2", "Batch menunggu persetujuan")
    page.click("a", "Token kantor cabang.csv")
    page.wait_for_text("rosa meminta pembayaran 8 pesanan")
    page.open(office.address(f"/approvals/{batch_id}"))
    page.wait_for("window.htmx", "htmx")
    page.click('input[name=product][value="25k-xl"]')
    page.wait_for_text("Mengapa dikeluarkan?")
    page.write("#why", "Nomor ini belum dicek")
    page.click("button.primary")
    page.wait_for("document.readyState === 'complete' && !document.querySelector('#choice')", "the answer")

    # Rosa follows it to its end, without a reload.
    office.log_in(page, "rosa")
    page.open(office.address(f"/batches/{batch_id}"))
    assert office.wait_for_run(f"batch_{batch_id}").state is RunState.SUCCESS, office.runs.errors
    page.wait_for_text("selesai")
    assert len(orders_of(office, batch_id, OrderState.SUCCEEDED)) == 7
    (left_out,) = orders_of(office, batch_id, OrderState.HELD)

    # Carl releases what was left out, and resolves an unclear order of another batch.
    office.log_in(page, "carl")
    page.open(office.address("/orders?state=held"))
    page.click("a", left_out.order_id)
    page.click("button[data-dialog=release]")
    page.write("#release [name=reason]", "Nomor sudah dicek")
    page.press("Enter")
    page.wait_for("!document.querySelector('button[data-dialog=release]')", "the released order")
    assert orders_of(office, batch_id, OrderState.HELD) == []
    page.open(office.address("/orders?state=escalated"))
    (unclear,) = orders_of(office, office.batches["escalated"], OrderState.ESCALATED)
    page.click("a", unclear.order_id)
    page.click("button[data-dialog=not-paid]")
    page.write("#not-paid [name=reason]", "Sudah ditanyakan ke SAT")
    page.press("Enter")
    page.wait_for("!document.querySelector('button[data-dialog=not-paid]')", "the resolved order")
    assert orders_of(office, office.batches["escalated"], OrderState.ESCALATED) == []

    # Rosa gives out the tokens that were paid; it is recorded with her reason.
    office.log_in(page, "rosa")
    page.open(office.address(f"/batches/{batch_id}"))
    page.click("a.button", "Serahkan voucher")
    page.write("[name=reason]", "Untuk kantor cabang")
    page.click("button", "Catat dan unduh")

    def is_listed() -> bool:
        page.open(office.address(f"/deliveries/{batch_id}"))
        return "Untuk kantor cabang" in page.text()

    assert any(is_listed() for _ in range(20))
