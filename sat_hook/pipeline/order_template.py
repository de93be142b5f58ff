"""Templates of order files, in the columns of the intake."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from sat_hook.pipeline.order_columns import REQUIRED
from sat_hook.presentation.spreadsheet_cells import one_line
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter, neutral

TEMPLATE_COLUMNS = (*REQUIRED, "amount_rupiah", "max_rupiah", "keterangan")
ORDERS, PRODUCTS, INSTRUCTIONS = "Orders", "Products", "Petunjuk - Instructions"
TEXT_ROWS = 5_000
"""Rows with a text format and a list of products; further rows need only the text format of their column."""
_WIDTHS = (22, 28, 22, 16, 16, 30)
_INSTRUCTIONS = (
    ("Petunjuk", "Instructions"),
    (
        "Isi lembar Orders: satu baris untuk satu pesanan. Jangan ubah judul kolom.",
        "Fill in the sheet Orders: one row for each order. Keep the titles of the columns.",
    ),
    (
        "order_id: nomor pesanan Anda sendiri. Satu nomor hanya untuk satu pesanan, selamanya.",
        "order_id: your own number for the order. A number stands for one order, for ever.",
    ),
    (
        "product_code: pilih dari daftar; harganya ada di lembar Products.",
        "product_code: choose it from the list; prices are on the sheet Products.",
    ),
    (
        "client_number: nomor HP (08…), meter, atau pelanggan, sebagai teks. Nol di depan tetap ada.",
        "client_number: a mobile number (08…), a meter or customer number, as text. Leading zeros stay.",
    ),
    (
        "amount_rupiah: untuk tagihan saja, boleh kosong. Jika diisi, tagihan harus sama persis.",
        "amount_rupiah: for bills only, may be empty. If it is given, the bill must be exactly that.",
    ),
    (
        "max_rupiah: harga tertinggi yang boleh dibayar, boleh kosong.",
        "max_rupiah: the highest price that may be paid, may be empty.",
    ),
    (
        "keterangan: catatan Anda; ikut tersalin ke file hasil. Boleh menambah kolom note: lain.",
        "keterangan: your own note; it is copied to the result file. You may add other note: columns.",
    ),
    (
        "Jumlah uang ditulis dalam rupiah utuh, tanpa titik atau koma: 10000.",
        "Money is written in whole rupiah, without points or commas: 10000.",
    ),
    (
        "Menempel nomor: pilih tempel sebagai teks (Paste Special, Text) agar angkanya tidak berubah.",
        "To paste numbers, paste them as text (Paste Special, Text), so that no digit changes.",
    ),
)


class TemplateProduct(NamedTuple):
    """A product to choose; its price is None for a bill."""

    code: str
    name: str
    price_rupiah: int | None


def template_csv() -> bytes:
    """The titles as UTF-8 CSV with BOM."""
    out = io.StringIO(newline="")
    SpreadsheetWriter(out).row(TEMPLATE_COLUMNS)
    return out.getvalue().encode("utf-8-sig")


def template_workbook(products: Sequence[TemplateProduct]) -> bytes:
    """A workbook with a sheet of orders whose cells are text, the products, and instructions.

    :param products: without any there is no list to choose from.
    """
    # Imported here: only requests for a workbook need the library.
    import xlsxwriter  # type: ignore[import-untyped]

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        text = book.add_format({"num_format": "@"})
        title = book.add_format({"num_format": "@", "bold": True, "bottom": 1})
        orders: Any = book.add_worksheet(ORDERS)
        for place, (name, width) in enumerate(zip(TEMPLATE_COLUMNS, _WIDTHS, strict=True)):
            orders.set_column(place, place, width, text)
            orders.write_string(0, place, name, title)
        orders.freeze_panes(1, 0)
        if products:
            _add_products(book, orders, products, title)
        instructions: Any = book.add_worksheet(INSTRUCTIONS)
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        instructions.set_column(0, 1, 60, wrapped)
        for row, texts in enumerate(_INSTRUCTIONS):
            for place, words in enumerate(texts):
                instructions.write_string(row, place, words, title if row == 0 else wrapped)
    return out.getvalue()


def _add_products(book: Any, orders: Any, products: Sequence[TemplateProduct], title: Any) -> None:
    listed: Any = book.add_worksheet(PRODUCTS)
    listed.set_column(0, 0, 28)
    listed.set_column(1, 1, 50)
    listed.set_column(2, 2, 14, book.add_format({"num_format": "#,##0"}))
    for place, name in enumerate(("Kode - code", "Produk - product", "Harga - price (Rp)")):
        listed.write_string(0, place, name, title)
    for row, product in enumerate(products, 1):
        listed.write_string(row, 0, neutral(product.code))
        listed.write_string(row, 1, neutral(one_line(product.name)))
        if product.price_rupiah is not None:
            listed.write_number(row, 2, product.price_rupiah)
    listed.freeze_panes(1, 0)
    place = TEMPLATE_COLUMNS.index("product_code")
    orders.data_validation(
        1,
        place,
        TEXT_ROWS,
        place,
        {
            "validate": "list",
            "source": f"={PRODUCTS}!$A$2:$A${len(products) + 1}",
            "error_title": "Product",
            "error_message": "Choose a product of the list / pilih produk dari daftar",
            "error_type": "warning",
        },
    )
