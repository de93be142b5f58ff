"""Finds the mapping's columns in the header of a settlement file, or describes what was found instead.

A row in the place of the header may be customer data. Only the shape of a cell is described, unless all its
words are common in headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.presentation.spreadsheet_cells import shape_of
from sat_hook.reconciliation.errors import MissingColumnsError, SettlementRefusedError

MAXIMUM_SHOWN_COLUMNS = 20
MAXIMUM_COLUMNS = 1_000
DELIMITERS = (",", ";", "\t", "|")
# fmt: off
_HEADER_WORDS = frozenset((
    "account", "admin", "aktif", "akun", "alamat", "amount", "at", "bank", "bayar", "beli", "biaya",
    "bill", "buyer", "charge", "charged", "client", "code", "created", "credit", "currency",
    "cust", "customer", "date", "debet", "debit", "denom", "desc", "description", "detail",
    "distributor", "downline", "end", "fee", "fees", "finish", "harga", "hp", "id", "idpel", "idr",
    "idtrx", "info", "invoice", "jam", "jenis", "jumlah", "kanal", "kategori", "ket", "keterangan",
    "kode", "komisi", "konsumen", "kredit", "layanan", "merchant", "meter", "method", "metode",
    "msisdn", "nama", "name", "net", "netto", "nilai", "no", "nominal", "nomor", "note", "number",
    "operator", "order", "partner", "pelanggan", "pembayaran", "pembeli", "penjual", "pesanan", "phone",
    "price", "product", "produk", "promo", "provider", "qty", "quantity", "ref", "reference",
    "referensi", "refund", "remark", "remarks", "req", "request", "reseller", "rp", "rupiah", "saldo",
    "sales", "sat", "seller", "serial", "settlement", "sku", "sn", "start", "state", "status", "sub",
    "subtotal", "sum", "supplier", "tagihan", "tanggal", "telepon", "tgl", "tiket", "time", "timestamp",
    "tipe", "token", "total", "transaction", "transaksi", "trx", "tujuan", "type", "unit", "unix",
    "updated", "user", "voucher", "waktu", "wib",
))
# fmt: on
_WORD = re.compile(r"[^\W_]+")


def wanted_columns(mapping: SettlementMapping) -> dict[str, str]:
    """Return the columns that a mapping names, by their meaning."""
    named = {
        "request_id": mapping.request_id,
        "amount": mapping.amount_rupiah,
        "status": mapping.status,
        "kind": mapping.kind,
        "product_code": mapping.product_code,
        "client_number": mapping.client_number,
        "moment": mapping.moment,
    }
    return {ours: theirs for ours, theirs in named.items() if theirs is not None}


def names_in(row: Iterable[str]) -> list[str]:
    """Return the names of a header row, without empty ones at its end."""
    names = [cell.removeprefix("\ufeff").strip() for cell in row]
    while names and not names[-1]:
        names.pop()
    return names


def places_of(names: Sequence[str], name: str, mapping: SettlementMapping) -> dict[str, int]:
    """Return the places of a mapping's columns.

    :param name: of the file.
    :raises MissingColumnsError: a column is not there.
    :raises SettlementRefusedError: a column is there twice, for example gross and net under one name.
    """
    wanted = wanted_columns(mapping)
    if len(names) > MAXIMUM_COLUMNS:
        raise SettlementRefusedError(
            f"{name}: found {len(names):,} columns; expected at most {MAXIMUM_COLUMNS:,}"
        )
    missing = [column for column in wanted.values() if column not in names]
    if missing:
        found = ", ".join(map(_said, names[:MAXIMUM_SHOWN_COLUMNS])) or "none"
        is_data = not set(wanted.values()) & set(names)
        more = f" and {len(names) - MAXIMUM_SHOWN_COLUMNS} more" if len(names) > MAXIMUM_SHOWN_COLUMNS else ""
        raise MissingColumnsError(
            f"{name}: found the columns {found}{more} in row {mapping.header_row}; expected "
            f"{', '.join(map(repr, missing))} among them{'; has the file a header?' if is_data else ''}"
        )
    for column in wanted.values():
        if names.count(column) > 1:
            raise SettlementRefusedError(f"{name}: found the column {column!r} twice; expected it once")
    return {ours: names.index(theirs) for ours, theirs in wanted.items()}


def has_columns(row: Iterable[str], mapping: SettlementMapping) -> bool:
    return set(wanted_columns(mapping).values()) <= set(names_in(row))


def hint_at_header(first_rows: Iterable[tuple[int, list[str]]], mapping: SettlementMapping) -> str:
    """Return where the columns are, if another row or another delimiter has them."""
    for number, row in first_rows:
        if has_columns(row, mapping):
            return f'; row {number} has them: "header_row": {number}'
        line = mapping.delimiter.join(row)
        for delimiter in DELIMITERS:
            if delimiter != mapping.delimiter and has_columns(line.split(delimiter), mapping):
                place = f', "header_row": {number}' if number != mapping.header_row else ""
                shown = {"\t": "\\t"}.get(delimiter, delimiter)
                return f'; they are there with another delimiter: "delimiter": "{shown}"{place}'
    return ""


def _said(cell: str) -> str:
    words = [word.casefold() for word in _WORD.findall(cell)]
    if words and all(word in _HEADER_WORDS for word in words) and len(cell) <= 40:
        return cell
    return f"({shape_of(cell)})" if cell else "(empty)"
