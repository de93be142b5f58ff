"""What the app does when its settings cannot be read, or an unexpected error occurs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import httpx
import pytest
from psycopg2.extensions import parse_dsn

from sat_hook.protocol.signing import Verifier
from sat_hook.receiver.app import SETTINGS_RETRY_SECONDS, Receiver, create_app
from sat_hook.receiver.errors import ReceiverSettingsError
from sat_hook.receiver.inbox import Inbox
from sat_hook.receiver.settings import ReceiverSettings
from tests.keys import sat_pair, signer_of

PRIVATE_PEM, PUBLIC_PEM = sat_pair()
BODY = b'{"data":{"id":"S1","attributes":{"status":"Success","voucher_code":"5196"}}}'
HEADERS = {"Content-Type": "application/json", "signature": signer_of(PRIVATE_PEM).sign(BODY)}


class Mounted:
    """An app whose server runs no lifespan, as when it is mounted in another."""

    def __init__(self, source: Callable[[], ReceiverSettings], clock: Callable[[], float]) -> None:
        self._app = create_app(source, monotonic=clock)

    def request(self, method: str, path: str) -> httpx.Response:
        """The answer to a request with a good callback in it."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
                return await client.request(method, path, content=BODY, headers=HEADERS)

        return asyncio.run(send())


def settings(dsn: str = "postgresql://receiver@127.0.0.1:1/none") -> ReceiverSettings:
    """One account."""
    return ReceiverSettings(dsn, {"demo": Verifier([PUBLIC_PEM])})


def test_without_settings_the_answer_is_503_and_they_are_tried_again_after_a_while() -> None:
    """A mounted receiver does not fail its host, and a flood of requests reads no file."""
    reads: list[float] = []
    now = [0.0]

    def source() -> ReceiverSettings:
        reads.append(now[0])
        raise ReceiverSettingsError("receiver.json: accounts: found nothing")

    client = Mounted(source, lambda: now[0])
    for seconds in (0.0, 1.0, SETTINGS_RETRY_SECONDS - 0.1, SETTINGS_RETRY_SECONDS):
        now[0] = seconds
        reply = client.request("POST", "/callbacks/demo")
        assert (reply.status_code, reply.json()) == (503, {"message": "UNAVAILABLE"})
    assert reads == [0.0, SETTINGS_RETRY_SECONDS]


def test_what_nobody_thought_of_is_503_and_its_words_stay_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error may quote the body: the log has its type, the sender has the constant."""

    async def explode(self: Inbox, callback: object, timeout_seconds: float) -> bool:
        raise KeyError("voucher 5196")

    monkeypatch.setattr(Inbox, "store", explode)
    reply = Mounted(settings, lambda: 0.0).request("POST", "/callbacks/demo")
    assert (reply.status_code, reply.json()) == (503, {"message": "UNAVAILABLE"})
    assert "KeyError" in caplog.text
    assert "5196" not in caplog.text


@pytest.mark.parametrize("silence", [None, "5000"])
def test_a_database_that_falls_silent_is_given_up(silence: str | None) -> None:
    """The network may swallow everything; a time that was set by hand is kept."""
    dsn = "postgresql://receiver@127.0.0.1:1/none" + (f"?tcp_user_timeout={silence}" if silence else "")
    receiver = Receiver(lambda: settings(dsn), lambda: 0.0)
    opened = receiver.open()
    assert parse_dsn(opened.inbox._table._database._dsn)["tcp_user_timeout"] == (silence or "20000")
    receiver.close()


def test_a_log_line_cannot_be_written_by_a_stranger(caplog: pytest.LogCaptureFixture) -> None:
    """The account of the path is shown with its newlines and colours spelled out, and not in full length."""
    client = Mounted(settings, lambda: 0.0)
    client.request("POST", "/callbacks/x%0A%1B[31mroot%E2%80%AE" + "y" * 500)
    [line] = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 300


def test_a_flood_of_one_kind_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With the number of those that were not logged; another kind has a line of its own."""
    now = [0.0]
    client = Mounted(settings, lambda: now[0])
    for _ in range(10):
        client.request("POST", "/callbacks/nobody")
    client.request("GET", "/callbacks/demo")
    now[0] = 60.0
    client.request("POST", "/callbacks/nobody")
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert [line.split(";")[0] for line in lines] == [
        "refused 1 request(s) with 400 (unknown_account)",
        "refused 1 request(s) with 405 (no_post)",
        "refused 10 request(s) with 400 (unknown_account)",
    ]
    assert hashlib.sha256(BODY).hexdigest() not in caplog.text
