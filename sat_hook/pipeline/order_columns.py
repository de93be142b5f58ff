"""The column titles of an order file, in English and Indonesian and in many spellings.

Capitals, spaces, dots, dashes and underscores do not matter, and ``nomor``, ``nomer`` and ``number`` are
``no``. An unknown title refuses the file: silently ignoring ``amout_rupiah`` would drop a ceiling.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FILE_LIMITS, FileLimits
from sat_hook.pipeline.order_problems import FIELD_PREFIX, NOTE_PREFIX
from sat_hook.presentation.spreadsheet_cells import first_control, one_line, shape_of, shown

# Written by the intake of table rows: why a row cannot be an order, independent of its other cells.
INTAKE_ERROR = "intake_error"

ALIASES: dict[str, tuple[str, ...]] = {
    "order_id": (
        "order",
        "order_no",
        "order_ref",
        "no_order",
        "id_order",
        "kode_order",
        "reference",
        "ref",
        "ref_id",
        "no_ref",
        "reff",
        "reff_id",
        "no_reff",
        "referensi",
        "no_referensi",
        "no_pesanan",
        "id_pesanan",
        "kode_pesanan",
        "no_transaksi",
        "id_transaksi",
        "kode_transaksi",
        "transaction_id",
        "trx_id",
        "id_trx",
        "no_trx",
        "no_invoice",
        "invoice_no",
    ),
    "product_code": (
        "product",
        "product_id",
        "sku",
        "kode_sku",
        "kode_produk",
        "kode_product",
        "kd_produk",
        "id_produk",
        "produk",
        "kode_barang",
        "kode_layanan",
        "kode_paket",
    ),
    "client_number": (
        "client_id",
        "customer_no",
        "customer_id",
        "msisdn",
        "phone",
        "phone_no",
        "mobile_no",
        "meter_no",
        "hp",
        "no_hp",
        "no_hp_tujuan",
        "no_hp_pelanggan",
        "no_hp_penerima",
        "handphone",
        "no_handphone",
        "no_ponsel",
        "telp",
        "no_telp",
        "telepon",
        "no_telepon",
        "no_meter",
        "no_meteran",
        "id_meter",
        "no_pelanggan",
        "id_pelanggan",
        "no_pel",
        "idpel",
        "no_tujuan",
        "tujuan",
    ),
    "amount_rupiah": (
        "amount",
        "amount_idr",
        "nominal",
        "nominal_rp",
        "nominal_rupiah",
        "nominal_idr",
        "jumlah",
        "jumlah_rp",
        "tagihan",
        "jumlah_tagihan",
        "nominal_tagihan",
        "nilai_tagihan",
        "total_tagihan",
    ),
    "max_rupiah": (
        "max",
        "maximum",
        "max_amount",
        "max_price",
        "maximum_rupiah",
        "batas",
        "batas_harga",
        "maks",
        "maksimal",
        "maksimum",
        "harga_maks",
        "harga_max",
        "harga_maksimal",
        "harga_maksimum",
        "max_harga",
        "maks_harga",
        "nominal_maks",
        "nominal_maksimal",
    ),
    "downline_id": ("downline", "id_downline", "kode_downline"),
}
NOTES = (
    "no",
    "no_urut",
    "nama",
    "nama_pelanggan",
    "nama_penerima",
    "nama_karyawan",
    "nama_toko",
    "nama_produk",
    "name",
    "customer_name",
    "product_name",
    "penerima",
    "karyawan",
    "nik",
    "pic",
    "keterangan",
    "ket",
    "catatan",
    "note",
    "notes",
    "remark",
    "remarks",
    "memo",
    "description",
    "deskripsi",
    "tanggal",
    "tgl",
    "date",
    "bulan",
    "periode",
    "cabang",
    "branch",
    "departemen",
    "divisi",
    "bagian",
    "jabatan",
    "unit",
    "toko",
    "kota",
    "area",
    "wilayah",
    "alamat",
    "email",
)
"""Titles of the submitter's own columns: they are copied to the results and used nowhere else."""

RESULT_COLUMNS = (
    "sat_verdict",
    "sat_state",
    "sat_reason",
    "sat_message",
    "sat_request_id",
    "sat_price_rupiah",
    "sat_charged_rupiah",
    "sat_fulfilled_at",
)
"""The columns that a result file adds; ignored when it is submitted again."""

REQUIRED = ("order_id", "product_code", "client_number")
_EXPECTED = (
    f"{', '.join(REQUIRED)} and optionally amount_rupiah, max_rupiah, downline_id, field:<name>, or "
    "note:<name> for a column of your own"
)
_NUMBER = re.compile("nomor|nomer|number")
# A hint is for a typing error. Words that only look alike (pesanan, pelanggan) get no hint.
_ALIKE = 0.86


def key_of(title: str) -> str:
    """A title without capitals, spaces and marks, and with one word for number."""
    key = "".join(filter(str.isalnum, unicodedata.normalize("NFKC", title).casefold()))
    return _NUMBER.sub("no", key)


_KNOWN = {key_of(alias): name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
_OTHERS = {key_of(name): name for name in (*RESULT_COLUMNS, INTAKE_ERROR)} | {
    key_of(name): NOTE_PREFIX + name for name in NOTES
}


def columns_of(
    titles: Sequence[str], file_name: str, row_number: int, limits: FileLimits = FILE_LIMITS
) -> tuple[str, ...]:
    """The column that each title means: a name of ``ALIASES`` or ``RESULT_COLUMNS``, ``field:…``, ``note:…``.

    :raises OrderFileError: for too many, unknown, doubled or missing columns; it names all of one kind.
    """
    where = f"{file_name} row {row_number}"
    if len(titles) > limits.columns:
        raise OrderFileError(
            "too_many_columns",
            f"{where}: found {len(titles)} columns; expected at most {limits.columns}",
            found=len(titles),
            most=limits.columns,
        )
    columns = [column_of(title, f"{where}, column {place}", limits) for place, title in enumerate(titles, 1)]
    known = tuple(name for name in columns if name is not None)
    missing = [name for name in REQUIRED if name not in known]
    if len(known) < len(columns):
        raise OrderFileError("unknown_column", f"{where}: {_unknown(titles, columns, missing)}")
    _refuse_doubled(titles, known, where)
    if missing:
        raise OrderFileError(
            "missing_column",
            f"{where}: column {', '.join(missing)} is missing; found "
            f"{', '.join(shown(title) for title in titles)}; expected {_EXPECTED}",
            columns=", ".join(missing),
        )
    return known


def field_name_problem(name: str, limits: FileLimits) -> str | None:
    """The expected form of a field's name when ``name`` is not valid; None when it is."""
    if not 0 < len(name) <= limits.field_name_characters or name != name.strip() or first_control(name):
        return field_names_expected(limits)
    return None


def field_names_expected(limits: FileLimits) -> str:
    return (
        f"names of 1 to {limits.field_name_characters} characters without control characters, each once, "
        f"in all not more than fit into {limits.columns} columns"
    )


def is_result_column(title: str) -> bool:
    """Whether a result file adds this title."""
    return _OTHERS.get(key_of(title)) in RESULT_COLUMNS


def column_of(title: str, where: str, limits: FileLimits = FILE_LIMITS) -> str | None:
    """The meaning of a title; None when it is unknown.

    :param where: its place, for the error.
    :raises OrderFileError: it is too long, has control characters, or names a field that no field may have.
    """
    if len(title) > limits.cell_characters:
        raise _bad_title(where, f"{len(title)} characters", f"at most {limits.cell_characters} characters")
    text = title.strip()
    key = key_of(text)
    if name := _KNOWN.get(key) or _OTHERS.get(key):
        return name
    if control := first_control(text):
        raise _bad_title(where, control, "a title without control characters")
    lowered = text.casefold()
    if lowered.startswith(FIELD_PREFIX) and len(text) > len(FIELD_PREFIX):
        name = text[len(FIELD_PREFIX) :].strip()
        if problem := field_name_problem(name, limits):
            raise _bad_title(where, shape_of(name), problem)
        return FIELD_PREFIX + name
    return lowered if lowered.startswith(NOTE_PREFIX) else None


def _bad_title(where: str, found: str, expected: str) -> OrderFileError:
    return OrderFileError("bad_title", f"{where}: found {found}; expected {expected}")


def _unknown(titles: Sequence[str], columns: Sequence[str | None], missing: Sequence[str]) -> str:
    if len(missing) == len(REQUIRED):
        # Probably the first order of a file without a header: show none of its cells.
        return (
            f"found no title that is known; expected a header in the first row, with the columns {_EXPECTED}"
        )
    found = ", ".join(
        f"column {place} {shown(title.strip()) if title.strip() else 'without a title'}{_hint(title)}"
        for place, (title, name) in enumerate(zip(titles, columns, strict=True), 1)
        if name is None
    )
    lacking = f"; column {', '.join(missing)} is missing" if missing else ""
    return f"found titles that are not known: {found}{lacking}; expected {_EXPECTED}"


def _hint(title: str) -> str:
    near = difflib.get_close_matches(key_of(title), _KNOWN, n=1, cutoff=_ALIKE)
    return f" (did you mean {_KNOWN[near[0]]}?)" if near else ""


def _refuse_doubled(titles: Sequence[str], columns: Sequence[str], where: str) -> None:
    places = defaultdict(list)
    for place, name in enumerate(columns, 1):
        if not name.startswith(NOTE_PREFIX) and name not in RESULT_COLUMNS:
            places[name].append(f"column {place} {one_line(titles[place - 1])!r}")
    doubled = [f"{shown(name)} more than once: {' and '.join(at)}" for name, at in places.items() if at[1:]]
    if doubled:
        raise OrderFileError(
            "column_twice",
            f"{where}: found {', '.join(doubled)}; expected each once - remove one, or call it note:<name>",
            columns=", ".join(doubled),
        )
