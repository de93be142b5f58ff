"""The receiver over real HTTP on real PostgreSQL: what it stores, and every way it refuses."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_network
from threading import Event
from typing import Any

import pytest

from sat_hook.protocol.signing import Signer, Verifier
from sat_hook.receiver import refusal_counts
from sat_hook.receiver.app import create_app
from sat_hook.receiver.responses import Refusal
from sat_hook.receiver.settings import Limits
from sat_hook.store.callbacks import CallbackTable
from sat_hook.store.database import Database
from sat_hook.store.errors import StoreUnavailableError
from stack.databases import ApplicationDatabase
from tests.integration.receiver.serving import (
    OTHER_PRIVATE_PEM,
    OTHER_PUBLIC_PEM,
    PUBLIC_PEM,
    SIGNER,
    Served,
    order,
    serving,
    settings_for,
)
from tests.sql import execute

STRANGER = Signer(OTHER_PRIVATE_PEM)


def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a query, in a connection of its own."""
    return execute(dsn, statement)


def inbox_size(database: ApplicationDatabase) -> int:
    """How many callbacks are kept."""
    return int(rows(database.owner_dsn, "SELECT count(*) FROM sat.callback_inbox")[0][0])


@pytest.fixture(scope="module")
def refusing(module_database: ApplicationDatabase) -> Iterator[Served]:
    """A receiver that the tests of refusals share; they leave nothing in it."""
    with serving(settings_for(module_database.receiver_dsn)) as served:
        yield served


def test_a_callback_is_kept_as_it_came(served: Served, database: ApplicationDatabase) -> None:
    """Raw bytes, digest, signature and key; queued for a status check; answered 200 after the commit."""
    body = order("SREQUEST1", voucher_code="5196 1584", note="é\n") + b"\n"
    reply = served.post(body)
    assert (reply.status_code, reply.json()) == (200, {"message": "OK"})
    [row] = rows(
        database.owner_dsn,
        "SELECT account, request_id, digest, body, signature, key_fingerprint, content_type, remote_address "
        "FROM sat.callback_inbox",
    )
    account, request_id, digest, stored, signature, fingerprint, content_type, remote = row
    verifier = Verifier([PUBLIC_PEM])
    assert (account, request_id, content_type) == ("demo", "SREQUEST1", "application/vnd.api+json")
    assert bytes(stored) == body
    assert digest == hashlib.sha256(body).hexdigest()
    assert verifier.verify(bytes(stored), signature) == fingerprint
    assert remote == "127.0.0.1"
    assert rows(database.owner_dsn, "SELECT account, request_id FROM sat.callback_queue") == [
        ("demo", "SREQUEST1")
    ]


def counted(database: ApplicationDatabase) -> list[tuple[Any, ...]]:
    """The counts of refused callbacks."""
    return rows(
        database.owner_dsn,
        "SELECT account, reason, sum(refused)::integer FROM sat.callback_refusals "
        "WHERE hour > now() - interval '1 day' GROUP BY 1, 2 ORDER BY 1, 2",
    )


def until(is_so: Callable[[], bool]) -> None:
    """Wait for it, at most 30 seconds."""
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_refused_callbacks_are_counted_by_account_and_reason(database: ApplicationDatabase) -> None:
    """Requests to unknown accounts share one name. What waits is written when the receiver ends."""
    with serving(settings_for(database.receiver_dsn)) as served:
        for _ in range(2):
            assert served.post(order(), signer=STRANGER).status_code == 400
        assert served.post(b'{"data": {}}').status_code == 400
        for account in ("nobody", "no one", "x" * 5_000):
            assert served.post(order(), account=account).status_code == 400
        served.post(order("SREQUEST1"))
    assert counted(database) == [
        ("", "unknown_account", 3),
        ("demo", "bad_signature", 2),
        ("demo", "no_order", 1),
    ]


def test_counts_are_written_from_time_to_time_and_wait_for_the_database(
    database: ApplicationDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal is answered at once. A count that could not be written is added to the next ones."""
    monkeypatch.setattr(refusal_counts, "WRITE_EVERY_SECONDS", 0.02)
    real, failed = CallbackTable.count_refused, Event()

    def count(table: CallbackTable, counts: refusal_counts.Counts) -> None:
        if not failed.is_set():
            failed.set()
            raise StoreUnavailableError("gone")
        real(table, counts)

    monkeypatch.setattr(CallbackTable, "count_refused", count)
    with serving(settings_for(database.receiver_dsn)) as served:
        assert served.post(order(), signer=STRANGER).status_code == 400
        assert failed.wait(30)
        assert served.post(order(), signer=STRANGER).status_code == 400
        until(lambda: counted(database) == [("demo", "bad_signature", 2)])


def test_a_flood_of_refusals_stays_bounded(database: ApplicationDatabase) -> None:
    """An hour takes a bounded number of rows, and old hours go. What has a row is counted on."""
    with closing(Database(database.receiver_dsn, "tests")) as own:
        table = CallbackTable(own)
        for part in range(4):
            table.count_refused({(f"account {part * 700 + number}", "no_order"): 1 for number in range(700)})
        table.count_refused({("account 0", "no_order"): 5, ("account 9999", "no_order"): 5})
        kept = counted(database)
        assert (len(kept), kept[0]) == (2_100, ("account 0", "no_order", 6))
        execute(database.owner_dsn, "UPDATE sat.callback_refusals SET hour = hour - interval '31 days'")
        table.count_refused({("demo", "no_order"): 1})
    assert rows(database.owner_dsn, "SELECT account FROM sat.callback_refusals") == [("demo",)]


def test_no_order_and_no_event_is_touched(served: Served, database: ApplicationDatabase) -> None:
    """Evidence, not truth: the receiver stores and wakes, and that is all."""
    served.post(order())
    assert rows(database.owner_dsn, "SELECT count(*) FROM sat.events")[0][0] == 0
    assert rows(database.owner_dsn, "SELECT count(*) FROM sat.orders")[0][0] == 0


def test_a_repetition_is_counted_and_answered_200(served: Served, database: ApplicationDatabase) -> None:
    """The sender may repeat for ever; the evidence stays one row."""
    body = order()
    assert [served.post(body).status_code for _ in range(3)] == [200, 200, 200]
    assert inbox_size(database) == 1
    assert rows(database.owner_dsn, "SELECT repeats FROM sat.callback_repeats") == [(2,)]
    assert rows(database.owner_dsn, "SELECT count(*) FROM sat.callback_queue") == [(1,)]
    assert served.receiver.tally.repeated == 2


def test_any_current_key_of_the_account_will_do(database: ApplicationDatabase) -> None:
    """During a rotation both keys are trusted."""
    verifiers = {"demo": Verifier([PUBLIC_PEM, OTHER_PUBLIC_PEM])}
    with serving(settings_for(database.receiver_dsn, verifiers=verifiers)) as served:
        assert served.post(order("S1")).status_code == 200
        assert served.post(order("S2"), signer=STRANGER).status_code == 200


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/vnd.api+json; charset=utf-8", "Application/JSON"]
)
def test_both_content_types_are_taken(served: Served, content_type: str) -> None:
    """With parameters and in any case."""
    assert served.post(order(), headers={"Content-Type": content_type}).status_code == 200


def refusal(served: Served, expected: tuple[int, str], **request: Any) -> None:
    """Send what is to be refused and check the constant answer."""
    body = request.pop("body", order())
    reply = served.post(body, **request)
    assert (reply.status_code, reply.json()) == (expected[0], {"message": expected[1]})
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "request_",
    [
        {"signer": None},
        {"signer": None, "headers": {"signature": ""}},
        {"signer": None, "headers": {"signature": "not base64 at all"}},
        {"signer": None, "headers": {"signature": "A" * 10_000}},
        {"signer": STRANGER},
        {"headers": {"signature": SIGNER.sign(order("SANOTHER"))}},
        {"account": "other"},
        {"body": b"", "signer": None},
    ],
    ids=["missing", "empty", "not base64", "endless", "stranger", "other bytes", "other account", "no body"],
)
def test_a_bad_signature_is_400(
    refusing: Served, module_database: ApplicationDatabase, request_: dict[str, Any]
) -> None:
    """One answer for all of them, whatever is wrong; nothing is kept."""
    refusal(refusing, (400, "INVALID_SIGNATURE"), **request_)
    assert inbox_size(module_database) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'{"data": null}',
        b'{"data": {"type": "order", "attributes": {"status": "Success"}}}',
        b'{"data": {"type": "order", "id": "", "attributes": {"status": "Success"}}}',
        b'{"data": {"type": "inquiry", "id": "1", "attributes": {"status": "Success"}}}',
        order("S" * 5000),
        order("S\x00"),
        b"[" * 100_000,
        b'\xff\xfe{"data": {}}',
    ],
    ids=["empty", "no json", "list", "null", "no id", "empty id", "type", "long id", "nul", "deep", "bytes"],
)
def test_a_signed_body_that_is_no_order_is_400(
    refusing: Served, module_database: ApplicationDatabase, body: bytes
) -> None:
    """The signature is right, the payload is not; it is refused before it reaches the database."""
    refusal(refusing, (400, "INVALID_PAYLOAD"), body=body)
    assert inbox_size(module_database) == 0


@pytest.mark.parametrize(
    "account",
    ["nobody", "", "demo/", "Demo", "demo%2f..%2fother", "demo%00", "de%0Amo", "demo%0A", "%ff", "x" * 4000],
)
def test_an_account_that_is_not_there_has_no_key(refusing: Served, account: str) -> None:
    """One constant answer, that of a bad signature, so accounts cannot be guessed."""
    refusal(refusing, (400, "INVALID_SIGNATURE"), account=account)
    refusal(refusing, (415, "UNSUPPORTED_MEDIA_TYPE"), account=account, headers={"Content-Type": "text/html"})
    refusal(refusing, (413, "BODY_TOO_LARGE"), account=account, body=b"x" * 300_000, signer=None)


def test_what_is_no_callback_path_is_404(refusing: Served) -> None:
    """Also for POST; no redirect for a slash too few."""
    for path in ("/", "/docs", "/openapi.json", "/sat", "/sat/callbacks", "/sat//callbacks/demo"):
        for method in ("GET", "POST"):
            reply = refusing.session.request(method, refusing.base_url + path, timeout=30)
            assert (reply.status_code, reply.json()) == (404, {"message": "NOT_FOUND"})


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POSTS"])
def test_other_methods_are_405(refusing: Served, method: str) -> None:
    """POST only."""
    reply = refusing.session.request(method, refusing.url(), timeout=30)
    assert (reply.status_code, reply.json()) == (405, {"message": "METHOD_NOT_ALLOWED"})
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": None},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_another_content_type_is_415(refusing: Served, headers: dict[str, Any]) -> None:
    """Only JSON as it is: an encoded body would not be the bytes that were signed."""
    refusal(refusing, (415, "UNSUPPORTED_MEDIA_TYPE"), headers=headers)


def test_a_large_body_is_413_declared_or_streamed(database: ApplicationDatabase) -> None:
    """With a length the body is not even read; without one, reading stops at the limit."""
    with serving(settings_for(database.receiver_dsn, Limits(body_bytes=2048))) as served:
        refusal(served, (413, "BODY_TOO_LARGE"), body=order(note="x" * 4096))
        chunks = (b"x" * 1024 for _ in range(64))
        reply = served.session.post(
            served.url(), data=chunks, headers={"Content-Type": "application/json"}, timeout=10
        )
        assert (reply.status_code, reply.json()) == (413, {"message": "BODY_TOO_LARGE"})
        assert served.post(order(note="x" * 1024)).status_code == 200


def test_a_body_that_never_ends_is_503(database: ApplicationDatabase) -> None:
    """A connection cannot be held open by sending nothing."""
    with serving(settings_for(database.receiver_dsn, Limits(body_seconds=0.2))) as served:
        host, port = served.base_url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = "POST /sat/callbacks/demo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert connection.recv(1000).startswith(b"HTTP/1.1 503 ")


def test_a_source_with_many_bad_signatures_is_429(database: ApplicationDatabase) -> None:
    """For the rest of its minute it is not even listened to."""
    with serving(settings_for(database.receiver_dsn, Limits(bad_signatures_per_minute=2))) as served:
        for _ in range(2):
            refusal(served, (400, "INVALID_SIGNATURE"), signer=STRANGER)
        refusal(served, (429, "TOO_MANY_BAD_SIGNATURES"), signer=STRANGER)
        reply = served.post(order())
        assert reply.status_code == 429
        assert reply.headers["retry-after"] == "60"


def test_looking_for_accounts_is_a_bad_signature_like_any_other(database: ApplicationDatabase) -> None:
    """A sender that tries names is limited, and the log says so."""
    with serving(settings_for(database.receiver_dsn, Limits(bad_signatures_per_minute=2))) as served:
        for name in ("a", "b"):
            refusal(served, (400, "INVALID_SIGNATURE"), account=name)
        refusal(served, (429, "TOO_MANY_BAD_SIGNATURES"), account="c")
        assert served.receiver.tally.refusals == {
            Refusal.UNKNOWN_ACCOUNT: 2,
            Refusal.TOO_MANY_BAD_SIGNATURES: 1,
        }


def test_a_source_on_the_allow_list_is_always_heard_out(database: ApplicationDatabase) -> None:
    """A sender that shares SAT's address cannot silence SAT with forgeries."""
    settings = settings_for(
        database.receiver_dsn,
        Limits(bad_signatures_per_minute=1),
        allowed_sources=(ip_network("127.0.0.0/8"),),
    )
    with serving(settings) as served:
        refusal(served, (400, "INVALID_SIGNATURE"), signer=STRANGER)
        refusal(served, (429, "TOO_MANY_BAD_SIGNATURES"), signer=STRANGER)
        assert served.post(order()).status_code == 200


def test_a_source_off_the_allow_list_is_refused(database: ApplicationDatabase) -> None:
    """A valid signature does not help, and a stranger's X-Forwarded-For neither."""
    settings = settings_for(database.receiver_dsn, allowed_sources=(ip_network("203.0.113.0/24"),))
    with serving(settings) as served:
        refusal(served, (400, "INVALID_SIGNATURE"))
        refusal(served, (400, "INVALID_SIGNATURE"), headers={"X-Forwarded-For": "203.0.113.9"})


def test_a_trusted_proxy_speaks_for_the_source(database: ApplicationDatabase) -> None:
    """Behind the proxy the list is about the sender; a proxy that says nothing is refused."""
    settings = settings_for(
        database.receiver_dsn,
        allowed_sources=(ip_network("203.0.113.0/24"),),
        trusted_proxies=(ip_network("127.0.0.0/8"),),
    )
    with serving(settings) as served:
        assert served.post(order(), headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 200
        refusal(served, (400, "INVALID_SIGNATURE"), headers={"X-Forwarded-For": "198.51.100.7"})
        refusal(served, (400, "INVALID_SIGNATURE"))
    assert rows(database.owner_dsn, "SELECT remote_address FROM sat.callback_inbox") == [("203.0.113.9",)]


def test_the_receivers_role_can_do_its_one_act_and_nothing_else(database: ApplicationDatabase) -> None:
    """No table, no column, no sequence; of the functions those two that keep and wake."""
    relations = "SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'sat'::regnamespace"
    tables = f"{relations} AND c.relkind IN ('r', 'v')"
    privileges = "SELECT, INSERT, UPDATE, REFERENCES"
    assert rows(
        database.receiver_dsn,
        f"SELECT count(*), bool_or(has_any_column_privilege(oid, '{privileges}')),"
        f" bool_or(has_table_privilege(oid, '{privileges}, DELETE, TRUNCATE, TRIGGER')) FROM ({tables}) AS t",
    )[0][1:] == (False, False)
    executable = rows(
        database.receiver_dsn,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'sat'::regnamespace"
        " AND has_function_privilege(oid, 'EXECUTE') AND prorettype <> 'trigger'::regtype ORDER BY 1",
    )
    assert executable == [
        ("callback_channel",),
        ("callback_payloads",),
        ("count_refused_callbacks",),
        ("receive_callback",),
    ]
    assert rows(
        database.receiver_dsn,
        "SELECT has_schema_privilege('sat', 'CREATE'), has_schema_privilege('public', 'CREATE')",
    ) == [(False, False)]


def test_nothing_is_opened_before_it_is_needed() -> None:
    """Making the app reads no settings; the first request does."""

    def explode() -> Any:
        raise AssertionError("settings were read when the app was made")

    create_app(explode)
