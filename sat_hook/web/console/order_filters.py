"""The filter and the columns of a table of orders: read from an address, written back into links."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from sat_hook.domain.order import OrderState
from sat_hook.store.order_lists import OrderFilter, OrderSort
from sat_hook.web.console.language import marked as _
from sat_hook.web.dependencies import from_address

MAXIMUM_TEXT = 128


class OrderColumn(StrEnum):
    """A column of a table of orders. The order's own id is always there."""

    PRODUCT = "product"
    NUMBER = "number"
    STATE = "state"
    REASON = "reason"
    AMOUNT = "amount"
    QUOTED = "quoted"
    CHARGED = "charged"
    CHANGED = "changed"
    FILE = "file"
    ACCOUNT = "account"


COLUMNS: Mapping[OrderColumn, str] = {
    OrderColumn.PRODUCT: _("Product"),
    OrderColumn.NUMBER: _("Number"),
    OrderColumn.STATE: _("State"),
    OrderColumn.REASON: _("Reason"),
    OrderColumn.AMOUNT: _("Amount"),
    OrderColumn.QUOTED: _("Quoted"),
    OrderColumn.CHARGED: _("Charged"),
    OrderColumn.CHANGED: _("Last change"),
    OrderColumn.FILE: _("File"),
    OrderColumn.ACCOUNT: _("Account"),
}
"""Their titles."""

USUAL_COLUMNS = (
    OrderColumn.PRODUCT,
    OrderColumn.NUMBER,
    OrderColumn.STATE,
    OrderColumn.AMOUNT,
    OrderColumn.CHANGED,
)
RUPIAH_COLUMNS = frozenset({OrderColumn.AMOUNT, OrderColumn.QUOTED, OrderColumn.CHARGED})
SORTS: Mapping[OrderColumn, OrderSort] = {
    OrderColumn.PRODUCT: OrderSort.PRODUCT,
    OrderColumn.STATE: OrderSort.STATE,
    OrderColumn.AMOUNT: OrderSort.AMOUNT,
    OrderColumn.CHANGED: OrderSort.CHANGED,
}
"""The columns that a table can be sorted by."""


def _digits(text: object) -> object:
    return text.replace(".", "").replace(",", "") or None if isinstance(text, str) else text


_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAXIMUM_TEXT)]
_Rupiah = Annotated[Annotated[int, Field(ge=0, lt=10**20)] | None, BeforeValidator(_digits)]


class OrderChoice(BaseModel):
    """What a person chose to see of a table of orders.

    :param columns: empty for :data:`USUAL_COLUMNS`.
    """

    model_config = ConfigDict(frozen=True)

    states: tuple[OrderState, ...] = Field((), alias="state")
    product: _Text = ""
    reason: _Text = ""
    text: _Text = ""
    account: _Text = ""
    least: _Rupiah = None
    most: _Rupiah = None
    sort: OrderSort | None = None
    descending: bool = False
    columns: tuple[OrderColumn, ...] = Field((), alias="column", max_length=2 * len(OrderColumn))
    cursor: str | None = None

    @property
    def shown(self) -> tuple[OrderColumn, ...]:
        """The columns that the table has, in their usual order."""
        return tuple(column for column in OrderColumn if column in (self.columns or USUAL_COLUMNS))

    def filter(self, batch_id: str | None = None) -> OrderFilter:
        return OrderFilter(
            batch_id=batch_id,
            account=self.account or None,
            states=self.states or None,
            product_code=self.product or None,
            reason_code=self.reason or None,
            least_rupiah=self.least,
            most_rupiah=self.most,
            text=self.text or None,
        )

    @property
    def query(self) -> dict[str, object]:
        """The choice as the query of an address, without the cursor: the first page."""
        return {
            "state": [state.value for state in self.states] or None,
            "product": self.product,
            "reason": self.reason,
            "text": self.text,
            "account": self.account,
            "least": self.least,
            "most": self.most,
            **self.layout,
        }

    @property
    def layout(self) -> dict[str, object]:
        """The part of the query that leaves no order out."""
        return {
            "sort": None if self.sort is None else self.sort.value,
            "descending": "true" if self.descending else None,
            "column": None if set(self.shown) == set(USUAL_COLUMNS) else [one.value for one in self.shown],
        }

    @property
    def is_filtered(self) -> bool:
        """Whether some orders are left out."""
        return any(value for name, value in self.query.items() if name not in self.layout)

    def sorted_by(self, sort: OrderSort) -> dict[str, object]:
        """The query that sorts in this way, the other way round when it is sorted so already."""
        turns = self.sort is sort and not self.descending
        return {**self.query, "sort": sort.value, "descending": "true" if turns else None}


OrderChoiceDep = Annotated[OrderChoice, Depends(from_address(OrderChoice))]
