"""What logs and other tasks are told of an order holds no customer's number, however SAT writes it."""

from __future__ import annotations

import pytest

from sat_hook.domain.event import Event
from sat_hook.domain.order import Order, evolve
from sat_hook.domain.order_events import HoldReason, OrderFailed, OrderHeld, OrderReceived
from sat_hook.pipeline.single_order import reason_of, standing
from tests.integration.store.test_final_watch import signed
from tests.orders import T0, received, stream_of

NUMBER = "081211311111"


def order_of(event: Event) -> Order:
    """An order of a customer to which this happened."""
    order = None
    taken: OrderReceived = received(1).model_copy(update={"client_number": NUMBER})
    for each in (taken, event):
        order = evolve(order, stream_of(1).key, each, T0)
    assert order is not None
    return order


@pytest.mark.parametrize(
    "written", [NUMBER, "6281211311111", "+62 812-1131-1111", "0812 1131 1111", "(0812) 1131/1111"]
)
def test_a_number_is_hidden_in_whatever_form_sat_writes_it(written: str) -> None:
    """In the reason that is logged and handed on between tasks."""
    order = order_of(signed(OrderFailed, error_code="S02", error_detail=f"Nomor {written} tidak aktif"))
    for text in (reason_of(order), str(standing(order))):
        assert text is not None
        assert "1131" not in text
        assert "tidak aktif" in text


def test_what_we_say_ourselves_stays_readable() -> None:
    """Dates and amounts are no customers."""
    detail = f"{NUMBER} had the same on 2026-11-22 for 12500000 rupiah"
    order = order_of(OrderHeld(reason=HoldReason.BUSINESS_DUPLICATE, detail=detail))
    assert reason_of(order) == "*** had the same on 2026-11-22 for 12500000 rupiah"
