"""People's words for what a check finds in a row: what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from sat_hook.web.console.language import marked as _

FINDINGS: Mapping[str, str] = {
    # The file's cells.
    "too_long": _("The text is too long. Shorten it."),
    "control_character": _("The cell has an invisible character. Delete the cell and type it again."),
    "spreadsheet_error": _("The spreadsheet shows an error here. Correct the formula, or type the value."),
    "misread_text": _("The letters were damaged on the way. Type the text again."),
    "missing_order_id": _("The order id is missing. Give every order its own."),
    "bad_order_id": _("This is not an order id. Use letters, digits, spaces and . _ : / # - only."),
    "bad_product_code": _("This is not a product code. Choose a product from the list."),
    "missing_client_number": _("The client number is missing."),
    "bad_client_number": _("This is not a client number. Write digits only, with the first 0, without +62."),
    "scientific_notation": _("The spreadsheet has rounded the digits away. Type all of them again, as text."),
    "decimal": _("The number has decimals. Write whole digits only."),
    "thousand_separator": _("The amount has separators. Write it without points or commas: 10000."),
    "amount_bounds": _("The amount is not within the limits."),
    "bad_amount": _("This is not an amount. Write whole rupiah, digits only: 10000."),
    "surplus_cells": _("The row has more cells than the header. Remove what is too much."),
    "cut_off": _("The file ends in this row: it may have been cut off. Check the last cell."),
    "bad_field_name": _("The name of an extra field cannot be used."),
    "lost_digits": _("The spreadsheet rounds this number. Type all digits again, as text."),
    "lost_zeros": _("The spreadsheet may have dropped a leading 0. Type the number again, as text."),
    "date_cell": _("The spreadsheet made a date of it. Type it again, as text."),
    "logical_cell": _("The cell is TRUE or FALSE. Type the text that belongs here."),
    "formula_without_value": _("The formula has no value. Save the workbook again, or type the value."),
    "unreadable_cell": _("The cell cannot be read. Save the workbook again, or type the value."),
    # Order ids of earlier rows.
    "order_id_reused": _("Another order has the order id %(order_id)s. Give this one its own."),
    "already_submitted": _("Order %(order_id)s was submitted before. It is not paid again."),
    # The catalogue.
    "unknown_product": _("SAT has no such product."),
    "inactive_product": _("SAT does not sell this product now. Choose another one."),
    "unreadable_product": _("SAT's list shows this product with an error. Choose another one, or ask SAT."),
    "no_price": _("The product has no price now. Choose another one, or wait."),
    "client_number_shape": _("The number does not fit the product. Check number and product."),
    "amount_not_allowed": _("The product has a fixed price. Leave the amount empty."),
    "above_maximum": _("The price %(price_rupiah)s is above the maximum of this row, %(max_rupiah)s."),
    # The guards, and the deposit.
    "business_duplicate": _("The same product and number as order %(order_id)s. A person must release it."),
    "limit": _("It exceeds a limit of the account. A person must release it."),
    "bill_without_price": _("A bill: its amount is known when the batch is paid."),
    "short_of_funds": _("The deposit does not reach this row. It waits for a top-up, or as you choose."),
}
"""By code. ``%(…)s`` stands for a parameter of the finding; money is formatted by the page."""

OF_MANY_ROWS: Mapping[str, str] = {
    "order_id_reused": _("another order has the same order id"),
    "already_submitted": _("submitted before, and not paid again"),
}
"""By code, where the words for one row name something of that row."""
