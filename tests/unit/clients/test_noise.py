"""Whatever bytes come through the socket, both clients end in a typed error or an outcome."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sat_hook.protocol.errors import SATError
from sat_hook.protocol.messages import OrderRequest, encode_order
from sat_hook.protocol.outcomes import CheckoutVerdict, StatusVerdict
from tests.fuzzing import examples
from tests.scripted_sat import Received, ScriptedSAT, http_answer

BODY = encode_order(OrderRequest(request_id="R1", product_code="p", client_number="1"))

STATUS_LINE = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad", b"HTTP/1.0 200", b"HTTP/1.1 100 Continue", b"HTTP/9 x", b"\xff"]
)
HEADER = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: five",
        b"Content-Length: 99999999999",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br, deflate",
        b"Signature: \xff\xfe",
        b"Set-Cookie: a=b",
        b"Location: http://[::1",
        b"no colon at all",
        b": nameless",
        b"X: " + b"y" * 70_000,
    ]
)
RESPONSE = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda line, headers, body: b"\r\n".join([line, *headers, b"", body]),
        STATUS_LINE,
        st.lists(HEADER, max_size=4),
        st.binary(max_size=60) | st.just(b"5\r\nhello\r\n0\r\n\r\n") | st.just(b"zz\r\n"),
    ),
    st.builds(http_answer, st.integers(100, 999), st.binary(max_size=60)),
)


@settings(
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(RESPONSE)
def test_noise_on_the_wire_crashes_the_client(client: Any, sat: ScriptedSAT, response: bytes) -> None:
    """The order that met it is UNKNOWN, never "not sent"; the status is unreadable; questions are typed."""

    async def answer_and_hang_up(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()
        writer.close()

    for path in ("/v2/order", "/v2/order/R1", "/v2/account"):
        sat.script[path] = answer_and_hang_up
    assert client.place_order(BODY, "R1", None).verdict is CheckoutVerdict.UNKNOWN
    assert client.ask_status("R1").verdict is StatusVerdict.UNREADABLE
    try:
        client.account()
    except SATError as error:
        repr(error)
    else:
        raise AssertionError("noise was read as an account")
