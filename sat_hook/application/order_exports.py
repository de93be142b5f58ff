"""Orders as files: those that match a filter, or the results of a batch. They hold customers' numbers, and no
goods. Each is recorded before it leaves: who took it, by which filter, and how many rows.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO

from sat_hook.application.errors import ListingRefusedError
from sat_hook.application.installation import Installation
from sat_hook.application.order_details import OrderRow, order_row
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service, handler_on
from sat_hook.commands.handler import load_batch
from sat_hook.domain.account import ExportedContent, OrdersExported
from sat_hook.domain.business_day import local_time
from sat_hook.domain.decision import Record
from sat_hook.domain.order_state import OrderState
from sat_hook.pipeline.delivery import delimiter_of
from sat_hook.presentation.language import Wording
from sat_hook.presentation.language import marked as _
from sat_hook.presentation.sheets import Cell, Column, Kind, write_one_sheet
from sat_hook.presentation.text_tables import TableFormat, TextTable
from sat_hook.store.order_lists import ChangePlace, FoundOrder, OrderFilter, OrderLists, OrderPlace, OrderSort

MAXIMUM_ORDERS = 50_000
READ_AT_ONCE = 2_000
IN_MEMORY_BYTES = 8 * 1024 * 1024
"""A larger file waits on the disk until it is sent."""

TABLE = TextTable(
    "orders",
    (
        "order_id",
        "row",
        "file",
        "product_code",
        "client_number",
        "state",
        "reason_code",
        "reason",
        "amount_rupiah",
        "quote_rupiah",
        "charged_rupiah",
        "changed_at",
        "account",
        "request_id",
    ),
    (22, 8, 30, 28, 22, 12, 22, 40, 16, 16, 16, 28, 16, 36),
)
_COLUMNS = (
    Column(_("Order"), 24, Kind.TEXT),
    Column(_("Product"), 28, Kind.TEXT),
    Column(_("Number"), 22, Kind.TEXT),
    Column(_("State"), 24, Kind.WORD),
    Column(_("Why"), 40, Kind.WORD),
    Column(_("Amount"), 16, Kind.RUPIAH),
    Column(_("Quoted"), 16, Kind.RUPIAH),
    Column(_("Charged"), 16, Kind.RUPIAH),
    Column(_("When (WIB)"), 20, Kind.MOMENT),
    Column(_("File"), 30, Kind.TEXT),
    Column(_("Row"), 8, Kind.COUNT),
    Column(_("Account"), 18, Kind.TEXT),
    Column(_("Request id"), 36, Kind.TEXT),
)


@dataclass(frozen=True, slots=True)
class OrderWords:
    """What a workbook for people is written with.

    :param reasons: why an order stands as it does, by its reason's code; others are said as recorded.
    """

    wording: Wording
    states: Mapping[OrderState, str]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OrderExports(Service):
    """Writes orders to files, and records that."""

    def export(
        self, which: OrderFilter, file_format: TableFormat, person: Person, words: OrderWords | None = None
    ) -> IO[bytes]:
        """The orders of a filter as a file, which the caller closes. Memory holds a few of them at a time.

        CSV of one batch has the separator of its submitted file.

        :param words: a workbook with them is for people: in their language, amounts are numbers. CSV, and a
            workbook without them, is for programs: every cell is text, the same in every language.
        :raises RightMissingError: the person may not see customers' numbers.
        :raises ListingRefusedError: more than :data:`MAXIMUM_ORDERS` match, or it filters by a client number.
        :raises BatchNotFoundError: there is no such batch.
        """
        person.require(Right.VIEW_NUMBERS)
        if which.client_number is not None:
            # Searches by number are recorded; an export is none.
            raise ListingRefusedError("client number: found one; expected another filter for a file")
        if which.account is not None:
            which = replace(which, account=self.account_of(which.account))
        delimiter = "," if which.batch_id is None else self._delimiter(which.batch_id)
        taken: Counter[str] = Counter()

        def rows() -> Iterator[OrderRow]:
            for found in self._found(which):
                taken[found.order.account] += 1
                yield order_row(found, with_number=True)

        with ExitStack() as on_error:
            file = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))
            if file_format is TableFormat.XLSX:
                with tempfile.TemporaryDirectory(prefix="sat-orders-") as folder:
                    if words is None:
                        TABLE.write_workbook(file, map(_texts, rows()), folder)
                    else:
                        lines = (_cells(row, words) for row in rows())
                        write_one_sheet(file, _("Orders"), _COLUMNS, lines, words.wording, folder)
            else:
                TABLE.write_csv(file, map(_texts, rows()), delimiter)
            file.seek(0)
            self._record(which, file_format, taken, person)
            on_error.pop_all()
            return file

    def _record(
        self, which: OrderFilter, file_format: TableFormat, taken: Mapping[str, int], person: Person
    ) -> None:
        for account, number in taken.items():
            exported = OrdersExported(
                account=account,
                content=ExportedContent.ORDERS,
                batch_id=which.batch_id,
                criteria=_criteria(which),
                file_format=file_format.value,
                rows=number,
            )
            record_export(self.installation, exported, person)

    def _delimiter(self, batch_id: str) -> str:
        return delimiter_of(self.installation.submissions(), load_batch(self.store, batch_id))

    def _found(self, which: OrderFilter) -> Iterator[FoundOrder]:
        lists = OrderLists(self.database)
        after: OrderPlace | ChangePlace | None = None
        number = 0
        while True:
            if which.is_narrow:
                assert after is None or isinstance(after, OrderPlace)
                page = lists.orders(which, OrderSort.ROW, after, READ_AT_ONCE)
            else:
                assert after is None or isinstance(after, ChangePlace)
                page = lists.orders_changed(which, after, READ_AT_ONCE)
            number += len(page.orders)
            if number > MAXIMUM_ORDERS:
                raise ListingRefusedError(
                    f"orders: found more than {MAXIMUM_ORDERS:,}; expected fewer: narrow the filter, or take "
                    "the result file of a batch"
                )
            yield from page.orders
            after = page.following
            if after is None:
                return


def record_export(installation: Installation, exported: OrdersExported, person: Person) -> None:
    """Record that a person takes orders of an account as a file."""
    store = installation.store()
    handler = handler_on(store)
    handler.apply_to_account(exported.account, Record(exported), person.by("export"))


def _criteria(which: OrderFilter) -> dict[str, str]:
    """The filter without the batch, as texts."""
    members = {
        "account": which.account,
        "states": None if which.states is None else " ".join(state.value for state in which.states),
        "product_code": which.product_code,
        "reason_code": which.reason_code,
        "least_rupiah": which.least_rupiah,
        "most_rupiah": which.most_rupiah,
        "text": which.text,
    }
    return {name: str(value) for name, value in members.items() if value is not None}


def _cells(row: OrderRow, words: OrderWords) -> tuple[Cell, ...]:
    return (
        row.order_id,
        row.product_code,
        row.client_number,
        words.states[row.state],
        words.reasons.get(row.reason_code or "") or row.reason,
        row.amount_rupiah,
        row.quote_rupiah,
        row.charged_rupiah,
        local_time(row.changed_at),
        row.file_name,
        row.row_number,
        row.account,
        row.request_id,
    )


def _texts(row: OrderRow) -> list[str]:
    cells = (
        row.order_id,
        row.row_number,
        row.file_name,
        row.product_code,
        row.client_number,
        row.state.value,
        row.reason_code,
        row.reason,
        row.amount_rupiah,
        row.quote_rupiah,
        row.charged_rupiah,
        row.changed_at.isoformat(),
        row.account,
        row.request_id,
    )
    return ["" if cell is None else str(cell) for cell in cells]
