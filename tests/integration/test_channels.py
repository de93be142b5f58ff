"""Channels that people choose, against servers on loopback: mail, Slack and Telegram as they speak.

An alert is told only when a channel took it; until then it is tried again, and then no more.
"""

from __future__ import annotations

import json
import socket
import socketserver
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from http.server import ThreadingHTTPServer
from importlib.util import find_spec
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.notifications import Choice
from sat_hook.hooks import telegram
from sat_hook.store.notifications import NotificationBook
from tests.integration.test_alerts import Kept, kept, tell_users
from tests.loopback import QuietHandler, serving

__all__ = ["kept"]

TOKEN = "123456:not-a-real-token"
KIND = AlertKind.ORDER_ESCALATED
TEXT = "Order <S1> & others: 1 > 0"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
STALLED = "stalled"
TOOK = "took it"

Answer = tuple[int, bytes] | str


@dataclass
class Web:
    """An HTTP server that keeps what it is sent, and answers as it is told to."""

    answer: Answer = (200, b"{}")
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Listen while the block lasts."""
        web = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                web.told.append((self.path, json.loads(self.body())))
                if web.answer == STALLED:
                    time.sleep(1.5)
                    return
                self.reply(*web.answer, Content_Type="application/json")  # type: ignore[arg-type]

        with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
            self.port = server.server_port
            yield


@dataclass
class Mailbox:
    """A mail server that takes messages, or refuses them at a step."""

    refuses: str = ""
    told: list[Message] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Listen while the block lasts."""
        box = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                if box.refuses == STALLED:
                    time.sleep(1.5)
                    return
                self.wfile.write(b"220 loopback\r\n")
                while line := self.rfile.readline():
                    step = line.split()[0].upper().decode() if line.split() else ""
                    if step == box.refuses:
                        self.wfile.write(b"550 no such user here\r\n")
                    elif step == "DATA":
                        self.wfile.write(b"354 go on\r\n")
                        content = b"".join(iter(self.rfile.readline, b".\r\n"))
                        if box.refuses == "END":
                            self.wfile.write(b"451 try again later\r\n")
                            continue
                        box.told.append(message_from_bytes(content))
                        self.wfile.write(b"250 taken\r\n")
                    else:
                        self.wfile.write(b"221 bye\r\n" if step == "QUIT" else b"250 ok\r\n")
                    if step == "QUIT":
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        with serving(Server(("127.0.0.1", 0), Handler)) as server:
            self.port = server.server_address[1]
            yield


@dataclass
class Line:
    """A user who is told by one channel."""

    kept: Kept
    choice: Choice

    def alert(self, number: int = 1) -> None:
        """Something happens."""
        now = datetime.now(UTC)
        self.kept.application.alerts.add([Alert(f"escalated/{number}", KIND, "demo", TEXT, now)])

    def waiting(self) -> int:
        """Alerts that the channel did not take yet."""
        return len(NotificationBook(self.kept.application.database).to_tell(self.choice, LONG_AGO, 10))

    def is_told(self) -> bool:
        """Whether people were told of the first one."""
        page = NotificationBook(self.kept.application.database).page(None, None, 10, only_open=False)
        return page[-1].told.was_told


@pytest.fixture
def line(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Line]:
    """A channel with this notifier and these connections."""

    def made(address: str, notifier: str, kwargs: dict[str, Any], **connections: dict[str, Any]) -> Line:
        for name, connection in connections.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
        channel = {"notifier": notifier, "kwargs": kwargs, "address_pattern": ".+"}
        monkeypatch.setenv("AIRFLOW_VAR_SAT_CHANNELS", json.dumps({"channel": channel}))
        choice = Choice("rosa", "channel", address, frozenset({KIND}), is_digest=False, changed_at=LONG_AGO)
        NotificationBook(kept.application.database).keep(choice)
        return Line(kept, choice)

    return made


def fails_then_tells(line: Line, told: Callable[[], int], failures: dict[str, Callable[[], None]]) -> None:
    """With each failure the alert waits and the task is red; then it is told once, and no more."""
    line.alert()
    *troubles, mended = failures.items()
    for name, prepare in troubles:
        prepare()
        with pytest.raises(AirflowFailException, match="1 alerts were not told") as caught:
            tell_users()
        assert TOKEN not in str(caught.value), name
        assert (line.waiting(), line.is_told()) == (1, False), name
    before = told()
    mended[1]()
    assert tell_users() == {"told": 1, "messages": 1}
    assert tell_users() == {"told": 0, "messages": 0}
    assert (told() - before, line.waiting(), line.is_told()) == (1, 0, True)


def answers(web: Web, *given: tuple[str, Answer]) -> dict[str, Callable[[], None]]:
    """Failures of a web server, one after the other; the last one is none."""
    return {name: lambda answer=answer: setattr(web, "answer", answer) for name, answer in given}  # type: ignore[misc]


def test_telegram_tells_what_it_took(line: Callable[..., Line]) -> None:
    """Refusals, errors, answers that are none and timeouts leave the alert untold; the token stays secret."""
    web = Web()
    with web.open():
        connection = {
            "conn_type": "http",
            "password": TOKEN,
            "extra": {"base_url": f"http://127.0.0.1:{web.port}"},
        }
        kwargs = {"telegram_conn_id": "bot", "chat_id": "{{ user.address }}", "timeout_seconds": 0.3}
        rosa = line("-1001", "sat_hook.hooks.telegram.TelegramNotifier", kwargs, bot=connection)
        fails_then_tells(
            rosa,
            lambda: len(web.told),
            answers(
                web,
                ("refused", (400, b'{"ok":false,"error_code":400,"description":"chat not found"}')),
                ("too many", (429, b'{"ok":false,"error_code":429,"parameters":{"retry_after":5}}')),
                ("no token", (401, b'{"ok":false,"error_code":401}')),
                ("ok without ok", (200, b'{"ok":false}')),
                ("moved", (302, b"")),
                ("no answer", (502, b"<html>Bad gateway</html>")),
                ("not even one", (200, b"[]")),
                ("late", STALLED),
                (TOOK, (200, b'{"ok":true,"result":{"message_id":7}}')),
            ),
        )
        path, body = web.told[-1]
        assert path == f"/bot{TOKEN}/sendMessage"
        assert (body["chat_id"], TEXT in body["text"], "parse_mode" in body) == ("-1001", True, False)


def test_a_long_message_is_cut_for_telegram(line: Callable[..., Line]) -> None:
    """Telegram refuses longer ones, and then no one would ever be told."""
    web = Web(answer=(200, b'{"ok":true}'))
    with web.open():
        extra = {"base_url": f"http://127.0.0.1:{web.port}/"}
        connection = {"conn_type": "http", "password": TOKEN, "host": "-7", "extra": extra}
        kwargs = {"telegram_conn_id": "bot", "text": "{{ 'x' * 5000 }}"}
        line("unused", "sat_hook.hooks.telegram.TelegramNotifier", kwargs, bot=connection).alert()
        assert tell_users() == {"told": 1, "messages": 1}
    assert (len(web.told[0][1]["text"]), web.told[0][1]["chat_id"]) == (telegram.MAXIMUM_CHARACTERS, "-7")


def test_mail_is_told_when_its_server_took_it(line: Callable[..., Line]) -> None:
    """Airflow's own notifier: refused at any step, unreachable or stalled is not told."""
    box = Mailbox()
    with socket.socket() as closed, box.open():
        closed.bind(("127.0.0.1", 0))
        connection: dict[str, Any] = {
            "conn_type": "smtp",
            "host": "127.0.0.1",
            "port": box.port,
            "extra": {
                "from_email": "sat@example.com",
                "disable_ssl": True,
                "disable_tls": True,
                "timeout": 1,
                "retry_limit": 1,
            },
        }
        kwargs = {
            "to": "{{ user.address }}",
            "subject": "{{ alert.subject }}",
            "html_content": "<pre>{{ alert.text | e }}</pre>",
        }
        notifier = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
        rosa = line("rosa@example.com", notifier, kwargs, smtp_default=connection)
        steps = ("RCPT", "MAIL", "DATA", "END", STALLED, "")
        failures = {step: lambda step=step: setattr(box, "refuses", step) for step in steps}  # type: ignore[misc]
        fails_then_tells(rosa, lambda: len(box.told), failures)
    (mail,) = box.told
    assert (mail["To"], mail["From"]) == ("rosa@example.com", "sat@example.com")
    (part,) = (one for one in mail.walk() if one.get_content_type() == "text/html")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    assert "Order &lt;S1&gt; &amp; others" in content.decode()


@pytest.mark.skipif(
    find_spec("airflow.providers.slack") is None, reason="the provider for Slack is not installed"
)
def test_slack_is_told_when_it_says_ok(line: Callable[..., Line]) -> None:
    """The provider's own notifier: Slack answers 200 also when it refuses."""
    web = Web()
    with web.open():
        extra = {"base_url": f"http://127.0.0.1:{web.port}/api/", "timeout": 1}
        connection = {"conn_type": "slack", "password": "xoxb-not-real", "extra": extra}
        kwargs = {"slack_conn_id": "slack", "channel": "{{ user.address }}", "text": "{{ alert.text }}"}
        notifier = "airflow.providers.slack.notifications.slack.SlackNotifier"
        rosa = line("@rosa", notifier, kwargs, slack=connection)
        fails_then_tells(
            rosa,
            lambda: len(web.told),
            answers(
                web,
                ("refused", (200, b'{"ok":false,"error":"channel_not_found"}')),
                ("too many", (429, b'{"ok":false,"error":"ratelimited"}')),
                ("away", (503, b"<html>")),
                ("late", STALLED),
                (TOOK, (200, b'{"ok":true,"ts":"1"}')),
            ),
        )
    path, body = web.told[-1]
    assert (path, body["channel"], TEXT in body["text"]) == ("/api/chat.postMessage", "@rosa", True)
