"""The filter of a table of orders: read from an address, written back into links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from sat_hook.domain.order import OrderState
from sat_hook.store.order_lists import OrderFilter, OrderSort

MAXIMUM_TEXT = 128

_Text = Annotated[str, Query(max_length=MAXIMUM_TEXT)]


@dataclass(frozen=True, slots=True)
class OrderChoice:
    """What a person chose to see of a table of orders."""

    states: tuple[OrderState, ...] = ()
    product: str = ""
    reason: str = ""
    text: str = ""
    account: str = ""
    least: int | None = None
    most: int | None = None
    sort: OrderSort | None = None
    descending: bool = False
    cursor: str | None = None

    def filter(self, batch_id: str | None = None) -> OrderFilter:
        """The orders that are meant."""
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
            "sort": None if self.sort is None else self.sort.value,
            "descending": "true" if self.descending else None,
        }

    @property
    def is_filtered(self) -> bool:
        """Whether some orders are left out."""
        return any(value for name, value in self.query.items() if name not in ("sort", "descending"))

    def sorted_by(self, column: str) -> dict[str, object]:
        """The query that sorts by a column, the other way round when it is sorted by it already."""
        turns = self.sort is not None and self.sort.value == column and not self.descending
        return {**self.query, "sort": column, "descending": "true" if turns else None}


def order_choice(
    state: Annotated[list[OrderState] | None, Query()] = None,
    product: _Text = "",
    reason: _Text = "",
    text: _Text = "",
    account: _Text = "",
    least: Annotated[str, Query(pattern=r"^[0-9.,]{0,20}$")] = "",
    most: Annotated[str, Query(pattern=r"^[0-9.,]{0,20}$")] = "",
    sort: OrderSort | None = None,
    descending: bool = False,
    cursor: str | None = None,
) -> OrderChoice:
    """Read the choice from an address."""
    return OrderChoice(
        tuple(state or ()),
        product.strip(),
        reason.strip(),
        text.strip(),
        account.strip(),
        _rupiah(least),
        _rupiah(most),
        sort,
        descending,
        cursor,
    )


OrderChoiceDep = Annotated[OrderChoice, Depends(order_choice)]


def _rupiah(text: str) -> int | None:
    digits = text.replace(".", "").replace(",", "")
    return int(digits) if digits else None
