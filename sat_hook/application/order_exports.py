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
from sat_hook.domain.decision import Record
from sat_hook.pipeline.delivery import delimiter_of
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


@dataclass(frozen=True, slots=True)
class OrderExports(Service):
    """Writes orders to files, and records that."""

    def export(self, which: OrderFilter, file_format: TableFormat, person: Person) -> IO[bytes]:
        """The orders of a filter as a file, which the caller closes. Memory holds a few of them at a time.

        CSV of one batch has the separator of its submitted file.

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

        def rows() -> Iterator[list[str]]:
            for found in self._found(which):
                taken[found.order.account] += 1
                yield _cells(order_row(found, with_number=True))

        with ExitStack() as on_error:
            file = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))
            if file_format is TableFormat.XLSX:
                with tempfile.TemporaryDirectory(prefix="sat-orders-") as folder:
                    TABLE.write_workbook(file, rows(), folder)
            else:
                TABLE.write_csv(file, rows(), delimiter)
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


def _cells(row: OrderRow) -> list[str]:
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
