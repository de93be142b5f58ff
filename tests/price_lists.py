"""Price lists for tests: products, and a SAT that lists exactly what it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime

from sat_hook.domain.ports import Clock
from sat_hook.domain.prices import ListedProduct
from sat_hook.protocol.calls import Call, Reply, T, read_reply
from sat_hook.protocol.exchange import TransportFault, WireResponse

NOT_FOUND = json.dumps({"errors": [{"code": "P04", "detail": "Product not found", "status": "400"}]}).encode()


def product(code: str = "25k-xl", price_rupiah: int | None = 25_100, **more: object) -> ListedProduct:
    """One line of a price list."""
    line = ListedProduct(code, f"Name of {code}", price_rupiah, False, 1, "XL", "Pulsa")
    return line._replace(**more)


def by_code(*products: ListedProduct) -> dict[str, ListedProduct]:
    """A whole price list."""
    return {line.code: line for line in products}


def document(products: Iterable[ListedProduct]) -> bytes:
    """A price list as SAT sends it."""
    data = [
        {
            "type": "product",
            "id": line.code,
            "attributes": {
                "product_name": line.name,
                "price": line.price_rupiah,
                "is_inquiry": line.is_inquiry,
                "status": line.status,
                "operator_name": line.operator_name,
                "category_name": line.category_name,
            },
        }
        for line in products
    ]
    return json.dumps({"data": data}).encode()


class ListingSAT:
    """Lists what ``unfiltered`` holds; asked by name it knows all of ``products``.

    :ivar questions: the codes of each question; empty for the whole list.
    :ivar is_strict: whether one unknown code spoils a filter with P04.
    :ivar trouble: what answers instead, by question: the whole list is question 0.
    """

    def __init__(self, clock: Clock, *products: ListedProduct, is_strict: bool = False) -> None:
        self.clock = clock
        self.products = list(products)
        self.unfiltered: Callable[[ListedProduct], bool] = lambda line: True
        self.is_strict = is_strict
        self.questions: list[list[str]] = []
        self.trouble: dict[int, WireResponse | TransportFault] = {}

    def ask(self, call: Call[T]) -> Reply[T]:
        """The answer as a client reads it."""
        asked_at: datetime = self.clock.now()
        codes = [code for _, value in call.request.query for code in value.split(",")]
        self.questions.append(codes)
        reply = self.trouble.get(len(self.questions) - 1) or self._answer(codes)
        return read_reply(call, reply, asked_at)

    def _answer(self, codes: list[str]) -> WireResponse:
        known = {line.code for line in self.products}
        lines = [line for line in self.products if line.code in codes] if codes else self.products
        if not codes:
            lines = [line for line in lines if self.unfiltered(line)]
        if codes and (not lines or (self.is_strict and not set(codes) <= known)):
            return WireResponse(400, {}, NOT_FOUND)
        return WireResponse(200, {}, document(lines))
