"""Thousands of malformed callbacks: only the listed answers, and no bad one is kept."""

from __future__ import annotations

import hashlib
import random
import re
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from sat_hook.protocol.errors import UnreadableReplyError
from sat_hook.protocol.messages import parse_order
from sat_hook.protocol.signing import Verifier
from sat_hook.receiver import connections, server
from sat_hook.receiver.responses import Answer, Refusal
from sat_hook.receiver.settings import Limits
from stack.databases import ApplicationDatabase
from tests.fuzzing import examples
from tests.integration.receiver.serving import PUBLIC_PEM, SIGNER, Served, order, serving, settings_for
from tests.integration.receiver.test_receiver import rows

PAGE = Path(__file__).parents[3] / "docs" / "receiver-openapi.yaml"
DESCRIPTION = schemathesis.openapi.from_dict(yaml.safe_load(PAGE.read_text("utf-8")))
RECEIVE = DESCRIPTION["/sat/callbacks/{account}"]["POST"]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
LISTED = {(answer.status, answer.body) for answer in Answer}
LENGTH = re.compile(rb"(?i)content-length: (\d+)")
BODY_BYTES = 8192
EXAMPLES = examples(40)
MUTANTS = examples(1000)
QUICKLY = 0.1
PRICES = (52_000, 52_000, 52_000.0, "52000", "52.000", -1, 10**20, None, True, [52_000], {"idr": 52_000})


PATIENT = Limits(bad_signatures_per_minute=100_000, body_bytes=BODY_BYTES)


@pytest.fixture(scope="module")
def served(module_database: ApplicationDatabase) -> Iterator[Served]:
    """A receiver that hears out every forgery."""
    with serving(settings_for(module_database.receiver_dsn, PATIENT)) as served:
        yield served


@pytest.fixture(scope="module")
def impatient(module_database: ApplicationDatabase) -> Iterator[Served]:
    """Another that ends every connection soon on which nothing happens."""
    with pytest.MonkeyPatch.context() as patience:
        patience.setattr(connections, "HEAD_SECONDS", QUICKLY)
        patience.setattr(server, "KEEP_ALIVE_SECONDS", QUICKLY)
        limits = PATIENT.model_copy(update={"body_seconds": QUICKLY})
        with serving(settings_for(module_database.receiver_dsn, limits)) as impatient:
            yield impatient


@pytest.fixture(scope="module")
def acknowledged() -> set[str]:
    """The digests of all bodies that were answered 200."""
    return set()


def expected(request: requests.PreparedRequest, is_signed: bool) -> Answer:
    """The one right answer, said once more in other words than the receiver's."""
    media_type = str(request.headers.get("Content-Type", "")).split(";")[0].strip().lower()
    if media_type not in ("application/vnd.api+json", "application/json"):
        return Answer.UNSUPPORTED_MEDIA_TYPE
    body = request.body or b""
    assert isinstance(body, bytes)
    if len(body) > BODY_BYTES:
        return Answer.BODY_TOO_LARGE
    if not is_signed:
        return Answer.INVALID_SIGNATURE
    try:
        return Answer.OK if len(parse_order(body).request_id) <= 64 else Answer.INVALID_PAYLOAD
    except UnreadableReplyError:
        return Answer.INVALID_PAYLOAD


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_described_and_undescribed_callbacks_are_answered_as_described(
    served: Served, acknowledged: set[str], mode: GenerationMode
) -> None:
    """Schemathesis makes what fits the description and what does not; half of it is properly signed."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(case=RECEIVE.as_strategy(generation_mode=mode), is_signed=st.booleans())
    def play(case: schemathesis.Case, is_signed: bool) -> None:
        request = prepared(served, case)
        if is_signed:
            request.url = served.url()
            request.headers["signature"] = SIGNER.sign(request.body or b"")
        reply = served.session.send(request, timeout=60)
        case.validate_response(reply, checks=CHECKS)
        right = expected(request, is_signed)
        assert (reply.status_code, reply.content) == (right.status, right.body)
        if right is Answer.OK:
            acknowledged.add(hashlib.sha256(request.body).hexdigest())

    play()


def prepared(served: Served, case: schemathesis.Case) -> requests.PreparedRequest:
    """The case as requests would send it, with its body as bytes."""
    told = case.as_transport_kwargs(base_url=served.base_url)
    known = {"method", "url", "headers", "data", "json", "params", "cookies", "files"}
    request = requests.Request(**{name: value for name, value in told.items() if name in known})
    ready = served.session.prepare_request(request)
    # Dots would be resolved on the way, and then it is another path.
    ready.url = f"{served.base_url}/sat/callbacks/{quote(str(case.path_parameters['account']), safe='%')}"
    if isinstance(ready.body, str):
        ready.body = ready.body.encode()
        ready.headers["Content-Length"] = str(len(ready.body))
    return ready


def mutants(chance: random.Random, count: int) -> Iterator[bytes]:
    """Good callbacks as bytes on the wire, each with something wrong, or by chance nothing."""
    pieces = [
        b"\r\n",
        b"\x00",
        b"\xff",
        b": ",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"X-Forwarded-For: 203.0.113.9\r\n",
        b"9" * 30,
        b"%00%2f..",
        b"A" * 3000,
        b"[" * 500,
        b'"\\u0000"',
        b'"\\ud800"',
        b"1e999",
        b"POST / HTTP/1.1\r\n\r\n",
    ]
    for number in range(count):
        price = chance.choice(PRICES)
        body = bytearray(order(f"SFUZZ{number % 50}", note="é" * chance.randrange(3), sales_price=price))
        if chance.random() < 0.5:
            mutate(body, chance, pieces)
        signature = SIGNER.sign(bytes(body)) if chance.random() < 0.5 else "A" * chance.randrange(400)
        head = (
            f"POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nsignature: {signature}\r\n\r\n"
        )
        request = bytearray(head.encode() + body)
        if chance.random() < 0.7:
            mutate(request, chance, pieces)
        yield bytes(request)


def mutate(text: bytearray, chance: random.Random, pieces: list[bytes]) -> None:
    """Some bytes are flipped, cut out, doubled, or others put in."""
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(text) + 1)
        until = at + chance.randrange(1, 20)
        match chance.randrange(4):
            case 0:
                text[at:until] = chance.randbytes(1)
            case 1:
                del text[at:until]
            case 2:
                text[at:at] = text[at:until]
            case 3:
                text[at:at] = chance.choice(pieces)


def exchange(served: Served, request: bytes) -> list[tuple[int, bytes]]:
    """Everything that the receiver says until it ends the connection."""
    host, port = served.base_url.removeprefix("http://").split(":")
    received = b""
    with closing(socket.create_connection((host, int(port)), timeout=60)) as connection:
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            pass
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        length = int(found.group(1)) if (found := LENGTH.search(head)) else 0
        answers.append((status, rest[:length]))
        received = rest[length:]
    return answers


def test_mutants_on_the_wire_are_answered_with_the_listed_or_not_at_all(impatient: Served) -> None:
    """Heads, lengths, codings and bodies torn apart: a constant, or the end of the connection."""
    chance = random.Random(20261123)
    seen: Counter[tuple[int, bytes]] = Counter()
    with ThreadPoolExecutor(24) as senders:
        for answers in senders.map(lambda request: exchange(impatient, request), mutants(chance, MUTANTS)):
            seen.update(answer for answer in answers if answer != (100, b""))
    assert seen.keys() <= LISTED
    told = {status for status, _ in seen}
    assert {200, 400, 415} <= told, "the mutants reach every part of the receiver"
    assert impatient.receiver.tally.refusals[Refusal.UNEXPECTED] == 0
    assert impatient.receiver.tally.refusals[Refusal.NO_HTTP]


def test_nothing_is_kept_but_what_was_signed_and_readable(
    served: Served, impatient: Served, module_database: ApplicationDatabase, acknowledged: set[str]
) -> None:
    """After all of the above, every row of the inbox proves itself, and every acknowledged body is there."""
    kept = rows(
        module_database.owner_dsn,
        "SELECT account, request_id, digest, body, signature FROM sat.callback_inbox",
    )
    verifier = Verifier([PUBLIC_PEM])
    for account, request_id, digest, body, signature in kept:
        assert account == "demo"
        assert hashlib.sha256(body).hexdigest() == digest
        verifier.verify(bytes(body), signature)
        assert parse_order(bytes(body)).request_id == request_id
    digests = {digest for _, _, digest, _, _ in kept}
    assert acknowledged
    assert acknowledged <= digests
    assert served.receiver.tally.kept + impatient.receiver.tally.kept == len(kept)


def test_every_listed_answer_is_described_and_no_other() -> None:
    """The description, the page and the code agree about what a callback may be answered."""
    document: dict[str, Any] = yaml.safe_load(PAGE.read_text("utf-8"))
    described = document["paths"]["/sat/callbacks/{account}"]["post"]["responses"]
    beside = {Answer.NOT_FOUND, Answer.METHOD_NOT_ALLOWED}
    assert set(described) == {str(answer.status) for answer in Answer if answer not in beside}
    page = (PAGE.parent / "receiver.md").read_text("utf-8")
    for answer in Answer:
        assert f"`{answer.value[1]}`" in page
