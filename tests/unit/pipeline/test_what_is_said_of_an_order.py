"""What logs and other tasks are told of an order holds no customer's number, however SAT writes it."""

from __future__ import annotations

import json

import pytest

from sat_hook.domain.event_record import Event
from sat_hook.domain.order import Order, evolve
from sat_hook.domain.order_events import HoldReason, OrderFailed, OrderHeld, OrderReceived
from sat_hook.pipeline.execution import reason_for_log
from sat_hook.pipeline.single_order import reason_of, standing
from sat_hook.protocol.calls import error_of_reply
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.protocol.outcomes import classify_checkout
from tests.integration.store.test_rechecks import signed
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


@pytest.mark.parametrize(
    "words",
    [
        "Pelanggan a.n. Budi Santoso tidak aktif",
        "Nama: Budi Santoso, tidak aktif",
        "BUDI SANTOSO tidak aktif",
        "atas nama BUDI SANTOSO tidak aktif",
    ],
)
def test_a_name_is_hidden_where_sat_writes_one(words: str) -> None:
    """In capitals, or after a word that announces it."""
    reason = reason_of(order_of(signed(OrderFailed, error_code="S02", error_detail=words)))
    assert reason is not None
    assert "santoso" not in reason.lower()
    assert "tidak aktif" in reason


@pytest.mark.parametrize(("code", "said"), [("P99", "P99"), (NUMBER, "an unusual code")])
def test_a_task_that_stops_says_why_without_what_sat_wrote(code: str, said: str) -> None:
    """The code, if it is one: SAT's words may hold the customer's number and name."""
    entry = {"code": code, "detail": f"Pelanggan {NUMBER} a.n. BUDI SANTOSO: saldo tidak cukup"}
    reply = WireResponse(400, {}, json.dumps({"errors": [{**entry, "status": "400"}]}).encode())
    assert reason_for_log(classify_checkout(reply, stream_of(1).key)) == f"unlisted_code {said}"
    assert str(error_of_reply(reply)) == f"SAT answered HTTP 400 with {said}"


def test_trouble_of_the_network_is_said_in_full() -> None:
    """Those words are our own."""
    fault = TransportFault(FaultKind.TIMEOUT, sent=True, detail="no answer in 20 seconds")
    said = reason_for_log(classify_checkout(fault, stream_of(1).key))
    assert said == "timeout no answer in 20 seconds"
