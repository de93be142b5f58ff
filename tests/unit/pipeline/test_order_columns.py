"""Titles of order files: what people in Indonesia write is understood, and what is not is named at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.order_columns import ALIASES, NOTES, RESULT_COLUMNS, columns_of, key_of

NEEDED = ["order_id", "product_code", "client_number"]


def refusal(*titles: str) -> OrderFileError:
    """Why a header is refused."""
    with pytest.raises(OrderFileError) as caught:
        columns_of(titles, "orders.csv", 1)
    return caught.value


@pytest.mark.parametrize(
    ("title", "column"),
    [
        ("No. HP", "client_number"),
        ("Nomor HP", "client_number"),
        ("NO HP", "client_number"),
        ("no.hp", "client_number"),
        ("IDPEL", "client_number"),
        ("Id. Pelanggan", "client_number"),
        ("ID_Pelanggan", "client_number"),
        ("No Meter", "client_number"),
        ("No.Meter", "client_number"),
        ("Tujuan", "client_number"),
        ("No. Tujuan", "client_number"),
        ("Nomor\nHP", "client_number"),
        ("Nomer HP", "client_number"),
        ("No. HP Tujuan", "client_number"),
        ("Nomor HP Pelanggan", "client_number"),
        ("Phone No.", "client_number"),
        ("ID Meter", "client_number"),
        ("No Pesanan", "order_id"),
        ("Trx ID", "order_id"),
        ("Reff ID", "order_id"),
        ("Invoice Number", "order_id"),
        ("ID Produk", "product_code"),
        ("Kd. Produk", "product_code"),
        ("Total Tagihan", "amount_rupiah"),
        ("Max Harga", "max_rupiah"),
        ("Nomor", "note:no"),
        ("Bulan", "note:bulan"),
        ("Nomor Pesanan", "order_id"),
        ("no-pesanan", "order_id"),
        ("Order ID", "order_id"),
        ("Kode Produk", "product_code"),
        ("SKU", "product_code"),
        ("Nominal", "amount_rupiah"),
        ("Nominal (Rp)", "amount_rupiah"),
        ("Jumlah", "amount_rupiah"),
        ("Harga Maks", "max_rupiah"),
        ("Harga Maks.", "max_rupiah"),
        ("Harga Maksimal", "max_rupiah"),
        ("Keterangan", "note:keterangan"),
        ("Ket.", "note:ket"),
        ("No.", "note:no"),
        ("Nama Pelanggan", "note:nama_pelanggan"),
        ("sat_verdict", "sat_verdict"),
        ("field:Nama", "field:Nama"),
        ("note:Mine", "note:mine"),
    ],
)
def test_titles_as_people_write_them_are_understood(title: str, column: str) -> None:
    """Capitals, dots, spaces, dashes and underscores do not matter."""
    others = [name for name in NEEDED if name != column]
    assert columns_of([*others, title], "orders.csv", 1)[-1] == column


def test_no_title_means_two_columns() -> None:
    """The lists of titles do not overlap, so that a title has one meaning."""
    titles = [title for name, aliases in ALIASES.items() for title in (name, *aliases)]
    every = [key_of(title) for title in (*titles, *NOTES, *RESULT_COLUMNS)]
    assert sorted(every) == sorted(set(every))


@given(
    name=st.sampled_from([(name, alias) for name, aliases in ALIASES.items() for alias in aliases]),
    mark=st.sampled_from([" ", ".", "_", "-", ". ", "  ", ""]),
    case=st.sampled_from([str.upper, str.lower, str.title]),
)
def test_every_known_title_is_known_in_every_spelling(
    name: tuple[str, str], mark: str, case: type[str]
) -> None:
    """Every title of the documented list, however it is capitalised and separated."""
    column, alias = name
    title = case(alias.replace("_", mark))  # type: ignore[call-arg]
    titles = [*(needed for needed in NEEDED if needed != column), title]
    assert columns_of(titles, "orders.csv", 1)[-1] == column


def test_two_titles_of_one_meaning_are_both_named() -> None:
    """Which of the two is meant, only the submitter knows; notes may repeat."""
    error = refusal("No Pesanan", "Kode Produk", "No. HP", "ID Pelanggan", "Keterangan", "Keterangan")
    assert error.code == "column_twice"
    assert "column 3 'No. HP' and column 4 'ID Pelanggan'" in str(error)
    assert "client_number" in str(error)


def test_all_unknown_titles_are_named_at_once_with_what_is_missing() -> None:
    """One refusal lists everything that has to be corrected in the header."""
    error = refusal("order_id", "product_code", "amout", "", "Harga")
    assert error.code == "unknown_column"
    for words in (
        "column 3 'amout' (did you mean amount_rupiah?)",
        "column 4 without a title",
        "column 5 'Harga'",
        "column client_number is missing",
    ):
        assert words in str(error)


@pytest.mark.parametrize(
    ("title", "hint"),
    [
        ("No Pesanann", "order_id"),
        ("No Pelangan", "client_number"),
        ("Kode Prodk", "product_code"),
        ("amout_rupiah", "amount_rupiah"),
        ("Harga Maksm", "max_rupiah"),
        ("No Pemesan", None),
        ("No Pengiriman", None),
        ("Kode Pelanggan", None),
        ("Nominal Admin", None),
        ("Harga Produk", None),
        ("Batas Waktu", None),
        ("Status", None),
    ],
)
def test_a_hint_is_for_a_slip_of_the_pen_only(title: str, hint: str | None) -> None:
    """Words that merely look alike are no hint: it would cross meanings."""
    message = str(refusal(*(name for name in NEEDED if name != hint), title))
    assert (f"did you mean {hint}?" in message) if hint else ("did you mean" not in message)


def test_a_file_without_a_header_shows_nothing_of_its_first_order() -> None:
    """When no title is known, the first row is probably an order."""
    message = str(refusal("A-1", "50k-simpati", "Budi Santoso", "081234567890"))
    assert "Budi" not in message
    assert "expected a header" in message
