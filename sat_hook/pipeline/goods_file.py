"""Vouchers and serials as a file: CSV like the submitted one, or a workbook whose cells are text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sat_hook.presentation.text_tables import TableFormat, TextTable

DELIVERY_COLUMNS = ("order_id", "row", "product_code", "client_number", "voucher_code", "serial_number")
_TABLE = TextTable("goods", DELIVERY_COLUMNS, (22, 8, 28, 22, 30, 30))


def goods_file(rows: Iterable[Sequence[str]], file_format: TableFormat, delimiter: str) -> bytes:
    """The file; ``rows`` have cells for ``DELIVERY_COLUMNS``. What would run as a formula is text.

    :param delimiter: of the CSV.
    """
    return _TABLE.content(rows, as_workbook=file_format is TableFormat.XLSX, delimiter=delimiter)
