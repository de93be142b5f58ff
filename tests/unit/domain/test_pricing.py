"""The rules that judge a row against the catalogue and a bill against the row."""

from __future__ import annotations

import pytest

from sat_hook.domain.order import Order
from sat_hook.domain.order_events import RejectionReason
from sat_hook.domain.pricing import CatalogueEntry, judge_bill, judge_row
from tests.unit.domain.situations import SITUATIONS

RECEIVED = next(s.order for s in SITUATIONS if s.name == "received")
assert RECEIVED is not None


def order(**changes: object) -> Order:
    """An order of a prepaid product, with changes."""
    return RECEIVED.model_copy(update={"client_number": "081234567890", **changes})


def entry(**changes: object) -> CatalogueEntry:
    """A listed product, with changes."""
    values = {
        "code": "50k-simpati",
        "price_rupiah": 52_000,
        "is_inquiry": False,
        "is_active": True,
        "status": 1,
        **changes,
    }
    return CatalogueEntry(**values)  # type: ignore[arg-type]


BILL = {"code": "pln-postpaid", "is_inquiry": True, "price_rupiah": 0}


@pytest.mark.parametrize(
    ("row", "listed", "reason"),
    [
        (order(), entry(), None),
        (order(), None, RejectionReason.UNKNOWN_PRODUCT),
        (order(), entry(is_active=False, status=2), RejectionReason.INACTIVE_PRODUCT),
        (order(), entry(is_active=False, status=9), RejectionReason.INACTIVE_PRODUCT),
        (order(client_number="81234567890"), entry(), RejectionReason.CLIENT_NUMBER_SHAPE),
        (order(), entry(price_rupiah=0), RejectionReason.NO_PRICE),
        (order(), entry(price_rupiah=None), RejectionReason.NO_PRICE),
        (order(), entry(price_rupiah=-5), RejectionReason.NO_PRICE),
        (order(), entry(price_rupiah=10**12 + 1), RejectionReason.NO_PRICE),
        (
            order(),
            entry(price_rupiah=None, is_active=False, status=0, unreadable="price: must be a whole number"),
            RejectionReason.UNREADABLE_PRODUCT,
        ),
        (order(amount_rupiah=52_000), entry(), RejectionReason.AMOUNT_NOT_ALLOWED),
        (order(max_rupiah=51_999), entry(), RejectionReason.ABOVE_MAXIMUM),
        (order(max_rupiah=52_000), entry(), None),
        (order(product_code="pln-postpaid", client_number="2121212"), entry(**BILL), None),
        (
            order(product_code="pln-prepaid-token-50k", client_number="123456789"),
            entry(code="pln-prepaid-token-50k"),
            RejectionReason.CLIENT_NUMBER_SHAPE,
        ),
    ],
)
def test_a_row_is_judged_by_the_catalogue(
    row: Order, listed: CatalogueEntry | None, reason: RejectionReason | None
) -> None:
    """Each rejection has its own reason and says what was found and expected."""
    rejection = judge_row(row, listed)
    assert (rejection.reason if rejection else None) == reason
    if rejection:
        assert "found" in rejection.detail or "without a price" in rejection.detail


@pytest.mark.parametrize(
    ("row", "sales_price", "base_price", "reason"),
    [
        (order(), 27_500, 25_000, None),
        (order(amount_rupiah=27_500), 27_500, 25_000, None),
        (order(amount_rupiah=25_000), 27_500, 25_000, None),
        (order(amount_rupiah=26_000), 27_500, 25_000, RejectionReason.AMOUNT_BOUNDS),
        (order(max_rupiah=27_499), 27_500, 25_000, RejectionReason.ABOVE_MAXIMUM),
        (order(max_rupiah=27_500), 27_500, None, None),
        (order(), 0, 0, RejectionReason.NO_PRICE),
    ],
)
def test_a_bill_is_judged_by_the_row(
    row: Order, sales_price: int, base_price: int | None, reason: RejectionReason | None
) -> None:
    """A bill that is not what the row says is never paid."""
    rejection = judge_bill(row, sales_price, base_price)
    assert (rejection.reason if rejection else None) == reason
