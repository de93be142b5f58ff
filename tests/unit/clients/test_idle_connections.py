"""Bytes on an idle connection answer no request: the order gets its own answer, on a new connection."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from sat_hook.protocol.messages import OrderRequest, encode_order
from sat_hook.protocol.outcomes import CheckoutVerdict
from tests.scripted_sat import (
    Handler,
    Received,
    ScriptedSAT,
    errors_answer,
    http_answer,
    json_answer,
    order_document,
    signed_answer,
)
from tests.unit.clients.conftest import MakeSettings

BODY = encode_order(OrderRequest(request_id="R1", product_code="p", client_number="0812"))
ACCOUNT = json_answer({"data": {"type": "account", "id": "1", "attributes": {"saldo": 1}}})
P04 = errors_answer("P04")

NOBODYS_ANSWERS = {
    "a definite rejection": P04,
    "a rejection whose body is not complete": P04[:-10],
    "half a status line": b"HTTP/1.1 400 Bad Re",
    "one byte": b"H",
    "an empty line": b"\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a farewell": http_answer(408, connection="close"),
    "an accepted order": json_answer(order_document("R1", "Failed", sales_price=1)),
    "two rejections": P04 * 2,
    "no HTTP at all": b"\x15\x03\x03\x00\x02",
    "more than a buffer holds": http_answer(400, b"x" * 300_000),
}


def answered_too_often(answer: bytes, surplus: bytes, sent: threading.Event) -> Handler:
    """Answers, and a moment later, when the connection is idle, says ``surplus``."""

    async def handle(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        await asyncio.sleep(0.15)
        writer.write(surplus)
        sent.set()

    return handle


@pytest.mark.parametrize("surplus", NOBODYS_ANSWERS.values(), ids=NOBODYS_ANSWERS.keys())
def test_surplus_bytes_on_an_idle_connection_answer_no_order(
    client: Any, sat: ScriptedSAT, surplus: bytes
) -> None:
    """The connection is left, and the order is sent once, on another one, with the answer that is its own."""
    sent = threading.Event()
    sat.script["/v2/account"] = answered_too_often(ACCOUNT, surplus, sent)
    sat.script["/v2/order"] = json_answer(order_document("R1", "Pending"))
    client.account()
    assert sent.wait(30)
    outcome = client.place_order(BODY, "R1", None)
    assert (outcome.verdict, outcome.reported_status) == (CheckoutVerdict.ACCEPTED, "Pending")
    assert len(sat.requests_to("/v2/order")) == 1
    assert sat.connections == 2


def test_a_second_answer_in_the_same_packet_answers_no_order(client: Any, sat: ScriptedSAT) -> None:
    """Two answers to one question at once: the second one is not kept for the order that comes next."""
    sat.script["/v2/account"] = ACCOUNT + P04
    sat.script["/v2/order"] = json_answer(order_document("R1", "Pending"))
    client.account()
    assert client.place_order(BODY, "R1", None).verdict is CheckoutVerdict.ACCEPTED
    assert len(sat.requests_to("/v2/order")) == 1


def test_a_surplus_status_is_not_another_orders_status(client: Any, sat: ScriptedSAT, keys: Any) -> None:
    """A status that SAT signed and said twice is no answer about the order that is asked about next."""
    sent = threading.Event()
    first = signed_answer(keys.sat, order_document("R1", "Success"))
    sat.script["/v2/order/R1"] = answered_too_often(first, first, sent)
    sat.script["/v2/order/R2"] = signed_answer(keys.sat, order_document("R2", "Pending"))
    assert client.ask_status("R1").detail.status == "Success"
    assert sent.wait(30)
    second = client.ask_status("R2").detail
    assert (second.request_id, second.status) == ("R2", "Pending")


def test_clean_connections_are_used_again(make_client: Any, settings: MakeSettings, sat: ScriptedSAT) -> None:
    """Connections on which nothing waits are kept: twenty orders in a row need one."""
    client = make_client(settings())
    sat.script["/v2/order"] = json_answer(order_document("R1", "Pending"))
    for _ in range(20):
        assert client.place_order(BODY, "R1", None).verdict is CheckoutVerdict.ACCEPTED
    assert sat.connections == 1
