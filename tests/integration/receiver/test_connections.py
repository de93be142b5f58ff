"""Senders that are slow, endless, many or no HTTP at all: raw sockets against a receiver that runs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from sat_hook.receiver import connections
from sat_hook.receiver.connections import HEAD_BYTES
from sat_hook.receiver.responses import Refusal
from sat_hook.receiver.settings import Limits
from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import SIGNER, Served, order, serving, settings_for
from tests.integration.receiver.test_receiver import inbox_size, rows

QUICKLY = 0.3


@pytest.fixture(scope="module")
def served(module_database: ApplicationDatabase) -> Iterator[Served]:
    """A receiver whose patience is short, so that a test need not have more."""
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(connections, "HEAD_SECONDS", QUICKLY)
        limits = Limits(body_seconds=QUICKLY, body_bytes=4096, unverified_bytes=8192)
        with serving(settings_for(module_database.receiver_dsn, limits)) as served:
            yield served


def connect(served: Served) -> socket.socket:
    """A connection that gives up after some seconds."""
    host, port = served.base_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def answer(connection: socket.socket) -> tuple[int, object]:
    """Status and body of the answer, once the server has closed the connection or said all of it."""
    received = b""
    while not received.endswith(b"}"):
        part = connection.recv(65536)
        if not part:
            break
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def head(length: int | None, *more: str, path: str = "/sat/callbacks/demo") -> bytes:
    """The head of a callback."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *more]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def is_closed(connection: socket.socket, seconds: float = 60.0) -> bool:
    """Whether the server ends the connection within some seconds without another word."""
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def is_cut_off(connection: socket.socket, part: bytes, every_seconds: float) -> bool:
    """Whether the server ends a connection on which ``part`` is sent again and again, and nothing is read."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        try:
            connection.sendall(part)
        except ConnectionError:
            return True
        time.sleep(every_seconds)
    return False


def test_a_sender_that_says_nothing_is_shown_the_door(served: Served) -> None:
    """A thousand idle connections would be everybody's place."""
    with closing(connect(served)) as connection:
        assert is_closed(connection)


def test_a_head_that_drips_is_shown_the_door(served: Served) -> None:
    """Each byte is one more reason to wait, but the whole head has its time."""
    with closing(connect(served)) as connection:
        assert is_cut_off(connection, b"P", every_seconds=0.02)


def test_a_second_head_that_drips_is_shown_the_door_too(served: Served) -> None:
    """After a good callback as before it."""
    body = order("SDRIP")
    signed = head(len(body), f"signature: {SIGNER.sign(body)}") + body
    with closing(connect(served)) as connection:
        connection.sendall(signed)
        assert answer(connection) == (200, {"message": "OK"})
        assert is_cut_off(connection, b"P", every_seconds=0.02)


def test_a_body_that_drips_after_the_answer_ends_the_connection(served: Served) -> None:
    """The answer did not wait for the body; the connection does not wait for it either."""
    with closing(connect(served)) as connection:
        connection.sendall(head(4000).replace(b"application/json", b"text/plain"))
        assert answer(connection)[0] == 415
        assert is_cut_off(connection, b"x", every_seconds=0.02)


def test_a_body_that_drips_is_503_and_the_end(served: Served) -> None:
    """With a length and in chunks."""
    for request in (head(100) + b"{", head(None, "Transfer-Encoding: chunked") + b"1\r\n{\r\n"):
        with closing(connect(served)) as connection:
            connection.sendall(request)
            assert answer(connection) == (503, {"message": "UNAVAILABLE"})
            assert is_closed(connection)


def test_an_answer_that_nobody_fetches_does_not_hold_the_connection(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request with its answer has a time, too."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", QUICKLY)
    with serving(settings_for(database.receiver_dsn)) as served:
        for listener in served.server.servers[0].sockets:
            # Small buffers fill soon; accepted connections inherit them.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with closing(socket.socket()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.settimeout(60)
            connection.connect(served.server.servers[0].sockets[0].getsockname())
            refused = head(0).replace(b"application/json", b"text/plain")
            assert is_cut_off(connection, refused, every_seconds=0.0)


def test_a_chunked_callback_is_a_callback(served: Served, module_database: ApplicationDatabase) -> None:
    """The bytes count, not how they came."""
    body = order("SCHUNKED")
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (1, body[n : n + 1]) for n in range(len(body)))
    more = ("Transfer-Encoding: chunked", f"signature: {SIGNER.sign(body)}")
    with closing(connect(served)) as connection:
        connection.sendall(head(None, *more) + chunks + b"0\r\nTrailer: x\r\n\r\n")
        assert answer(connection) == (200, {"message": "OK"})
    kept = rows(
        module_database.owner_dsn, "SELECT body FROM sat.callback_inbox WHERE request_id = 'SCHUNKED'"
    )
    assert [bytes(row[0]) for row in kept] == [body]


def test_chunks_without_end_are_413(served: Served) -> None:
    """Reading stops at the limit."""
    with closing(connect(served)) as connection:
        connection.sendall(head(None, "Transfer-Encoding: chunked") + b"1000\r\n" + b"x" * 4096 + b"\r\n")
        connection.sendall(b"1\r\nx\r\n")
        assert answer(connection) == (413, {"message": "BODY_TOO_LARGE"})
        assert is_closed(connection)


def test_a_length_of_any_size_is_413_at_once(served: Served) -> None:
    """Not one byte of the body is waited for."""
    for length in (4097, 10**18, 10**19):
        with closing(connect(served)) as connection:
            connection.sendall(head(length))
            assert answer(connection) == (413, {"message": "BODY_TOO_LARGE"})


def test_a_sender_that_leaves_is_no_trouble_of_ours(served: Served) -> None:
    """In the middle of a body: counted as what it is, and not answered."""
    refusals = served.receiver.tally.refusals
    before = refusals[Refusal.SENDER_LEFT], refusals[Refusal.UNEXPECTED]
    with closing(connect(served)) as connection:
        connection.sendall(head(100) + b"{")
        time.sleep(0.05)
    deadline = time.monotonic() + 60
    while refusals[Refusal.SENDER_LEFT] == before[0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert refusals[Refusal.UNEXPECTED] == before[1]


def test_bodies_of_strangers_share_a_bounded_memory(served: Served) -> None:
    """What is being read is limited in all; beyond it the sender tries again, and then there is room."""
    deadline = time.monotonic() + 60
    refused = False
    while not refused:  # the two are held for a moment only, and a newcomer may arrive later than that
        assert time.monotonic() < deadline, "there is room for newcomers"
        with ExitStack() as held:
            for _ in range(2):
                connection = held.enter_context(closing(connect(served)))
                connection.sendall(head(4096) + b"x" * 4000)
            for _ in range(5):  # until the receiver has read what the two sent
                with closing(connect(served)) as connection:
                    connection.sendall(head(1000) + b"x" * 1000)
                    refused = refused or answer(connection) == (503, {"message": "UNAVAILABLE"})
    deadline = time.monotonic() + 60
    while served.post(order("SROOM")).status_code != 200:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"hello\r\n\r\n",
        b"POST /sat/callbacks/\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
        b"POST /sat/callbacks/demo HTTP/1.1\r\n\r\n",
        b"POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * HEAD_BYTES,
        b"POST /" + b"x" * 4 * HEAD_BYTES,
    ],
    ids=["tls", "words", "path", "nul", "host", "minus", "lengths", "coding", "heads", "line"],
)
def test_what_is_no_http_is_400(served: Served, request_: bytes) -> None:
    """The constant answer of what makes no sense; nothing of it is echoed."""
    with closing(connect(served)) as connection:
        connection.sendall(request_)
        assert answer(connection) == (400, {"message": "INVALID_PAYLOAD"})


def test_a_chunk_that_is_none_ends_the_request(served: Served, module_database: ApplicationDatabase) -> None:
    """HTTP breaks off in the middle of a body: answered, closed, nothing kept."""
    before = inbox_size(module_database)
    with closing(connect(served)) as connection:
        connection.sendall(head(None, "Transfer-Encoding: chunked") + b"zz\r\nno chunk\r\n")
        assert answer(connection) == (400, {"message": "INVALID_PAYLOAD"})
        assert is_closed(connection)
    assert inbox_size(module_database) == before


def test_a_websocket_is_a_get_like_any_other(served: Served) -> None:
    """No other protocol is spoken here."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    assert served.session.get(served.url(), headers=upgrade, timeout=60).status_code == 405


def test_callbacks_in_one_piece_are_answered_one_by_one(served: Served) -> None:
    """A sender may write the next before it has read the answer."""
    bodies = [order(f"SPIPE{number}") for number in range(20)]
    pieces = [head(len(body), f"signature: {SIGNER.sign(body)}") + body for body in bodies]
    with closing(connect(served)) as connection:
        connection.sendall(b"".join(pieces))
        received = b""
        while received.count(b'{"message":"OK"}') < len(bodies):
            part = connection.recv(65536)
            assert part, received
            received += part


def test_connections_are_numbered_and_strangers_have_few(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the number the answer is 503 before a byte is read; a place that is left is free again."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 60.0)  # those that are held stay
    limits = Limits(open_connections=5, connections_per_source=3)
    with serving(settings_for(database.receiver_dsn, limits)) as served:
        with ExitStack() as held:
            for _ in range(3):
                held.enter_context(closing(connect(served)))
            with closing(connect(served)) as connection:
                assert answer(connection) == (503, {"message": "UNAVAILABLE"})
            # Linux has the whole of 127.0.0.0/8: another address is another sender.
            held.enter_context(closing(from_address(served, "127.0.0.2")))
            with closing(from_address(served, "127.0.0.3")) as connection:
                assert answer(connection) == (503, {"message": "UNAVAILABLE"})
        deadline = time.monotonic() + 60
        while served.post(order("SFREE")).status_code != 200:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("known_as", ["allowed_sources", "trusted_proxies"])
def test_whom_the_settings_name_is_no_stranger(database: ApplicationDatabase, known_as: str) -> None:
    """SAT and the proxy may have all the connections that there are."""
    from ipaddress import ip_network

    settings = settings_for(
        database.receiver_dsn,
        Limits(connections_per_source=1),
        **{known_as: (ip_network("127.0.0.1/32"),)},
    )
    with serving(settings) as served, ExitStack() as held:
        for _ in range(3):
            held.enter_context(closing(connect(served)))
        source = {"X-Forwarded-For": "127.0.0.1"} if known_as == "allowed_sources" else {}
        assert served.post(order("SKNOWN"), headers=source).status_code == 200


def from_address(served: Served, address: str) -> socket.socket:
    """A connection from another address of the loopback network."""
    host, port = served.base_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60, source_address=(address, 0))
