"""Empty order files to fill in: CSV, and a workbook of text cells with the products to choose from."""

from __future__ import annotations

from contextlib import closing

from sat_hook.application.installation import Installation, names_of
from sat_hook.application.rights import Person, Right
from sat_hook.pipeline.order_template import TemplateProduct, template_csv, template_workbook
from sat_hook.presentation.text_tables import TableFormat


def order_template(
    installation: Installation, file_format: TableFormat, person: Person, account: str | None = None
) -> bytes:
    """An empty order file.

    :param account: whose catalogue gives the products of a workbook; None leaves them out.
    :raises SATError: SAT's price list cannot be read.
    """
    person.require(Right.SUBMIT)
    if file_format is TableFormat.CSV:
        return template_csv()
    return template_workbook(() if account is None else _products(installation, account))


def _products(installation: Installation, account: str) -> list[TemplateProduct]:
    """The active products by code, with their prices; bills have none."""
    connection = names_of(installation.accounts, account).connection
    with closing(installation.accounts.connect(connection, installation.store().database)) as sat:
        listed = sat.list_product()
    return sorted(
        TemplateProduct(one.code, one.name, None if one.is_inquiry else one.price_rupiah)
        for one in listed
        if one.code and one.is_active and not one.unreadable
    )
