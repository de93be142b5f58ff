"""Every route by which a person acts: the act is an event with that person's name, and can be listed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from sat_hook.application.installation import SATConnection as BlockingSAT
from sat_hook.audit.actions import actions_since
from sat_hook.audit.exports import record_written, request_export
from sat_hook.commands.handler import standing_of
from sat_hook.domain import books_events
from sat_hook.domain import order_events as happened
from sat_hook.domain.books_commands import RecordClose
from sat_hook.domain.breaks import BreakCategory, BreakEvidence, BreakState, MatchKind
from sat_hook.domain.event_record import Event
from sat_hook.domain.export import ExportWritten
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.domain.identity import digest_of
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change, StatusEvidence
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.web.app import create_app
from sat_hook.web.dependencies import current_person
from stack.databases import ApplicationDatabase
from tests.orders import ACCOUNT, BATCH, BY_TEST, T0, ManualClock, change_of, received, stream_of, submitted
from tests.web_host import FakeAccounts, FakeHost, FakeUser

DAY = "2026-11-02"
REASON = {"reason": "as agreed with alice"}
ORDER = {number: stream_of(number).key for number in range(1, 10)}
QUOTED = happened.OrderQuoted(
    price_rupiah=52_000, source=happened.QuoteSource.CATALOGUE, admin_fee_rupiah=0, valid_until=T0
)
HELD = happened.OrderHeld(reason=happened.HoldReason.LIMIT, detail="")
INTENT = happened.CheckoutRequested(
    attempt=1, body="{}", price_rupiah=52_000, send_before=T0, settled_after=T0
)
LOST = happened.CheckoutUnknown(attempt=1, reason="timeout", code=None, http_status=None)
GIVEN_UP = happened.OrderEscalated(reason="nobody knows")


@dataclass
class Office:
    """The app with a log that has something to decide on, and its users."""

    app: FastAPI
    host: FakeHost
    store: PostgresEventStore
    export_id: str

    async def act(self, user: str, path: str, **more: Any) -> httpx.Response:
        """A request as ``user``."""
        self.host.users[user] = FakeUser(user)
        transport, token = httpx.ASGITransport(self.app), {"authorization": f"Bearer {user}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=token) as client:
            return await client.post(path, **more)


def break_of(name: str) -> books_events.BookedBreak:
    """An open break."""
    return books_events.BookedBreak(
        break_id=name, match=MatchKind.SETTLEMENT, category=BreakCategory.AMOUNT, subject="order",
        day=datetime.fromisoformat(DAY).date(), first_seen=datetime.fromisoformat(DAY).date(),
        request_id=None, order_id=None, what="amounts differ", ours="1", theirs="2", amount_rupiah=1,
        evidence=BreakEvidence(), state=BreakState.OPEN, reason=None, actor=None, decided_at=None,
        is_adjustment=False,
    )  # fmt: skip


BREAKS = {
    decision: f"K{letter * 15}"
    for decision, letter in zip(("explain", "resolve", "write-off"), "ABC", strict=True)
}


def sent_now(number: int, *events: Event) -> Change:
    """An order that was sent a moment ago: SAT still refuses its duplicate."""
    return Change.of_order(ORDER[number], None, events, datetime.now(UTC))


def fill(store: PostgresEventStore, folder: Path) -> str:
    """Held, escalated and succeeded orders, a closed day with breaks, a written pack; returns the export."""
    body = json.dumps({"data": {"type": "order", "id": ORDER[1], "attributes": {"status": "Success"}}})
    proof = StatusEvidence(digest_of(body.encode()), ORDER[1], body, "sig", "key", T0)
    end = happened.OrderSucceeded(
        evidence_digest=proof.digest, observed_at=T0, sales_price_rupiah=1, admin_fee_rupiah=0,
        partner_fee_rupiah=0, fulfilled_at=T0,
    )  # fmt: skip
    changes = [submitted(), change_of(None, 1, received(1), end, evidence=(proof,))]
    changes += [change_of(None, number, received(number), QUOTED, HELD) for number in (2, 3)]
    changes += [change_of(None, number, received(number), QUOTED) for number in (8, 9)]
    changes += [sent_now(number, received(number), QUOTED, INTENT, LOST, GIVEN_UP) for number in (4, 5, 6)]
    assert store.append(changes, BY_TEST, datetime.now(UTC)) == frozenset()
    day = datetime.fromisoformat(DAY).date()
    closed = books_events.DayClosed(
        account=ACCOUNT, day=day, cut_off_minutes=0, position=5, result_digest="0" * 64, orders=1,
        open_breaks=3, saldo=None, adjusted_days={},
    )  # fmt: skip
    breaks = books_events.BreaksRecorded(
        account=ACCOUNT, day=day, position=5, breaks=tuple(break_of(name) for name in BREAKS.values())
    )
    clock = ManualClock(datetime.now(UTC))
    BookKeeper(store, clock).post(ACCOUNT, RecordClose(closed, (breaks,)), BY_TEST)
    export = request_export(
        store, clock, recorded_from=clock.now() - timedelta(days=1), recorded_before=clock.now(),
        with_personal_data=False, reason="", provenance=BY_TEST,
    )  # fmt: skip
    pack = folder / "pack.zip"
    pack.write_bytes(b"a pack")
    written = ExportWritten(
        uri=pack.as_uri(), digest=digest_of(b"a pack"), size_bytes=6, events=1, first_checkpoint=1,
        last_checkpoint=1,
    )  # fmt: skip
    record_written(store, clock, export.export_id, written, BY_TEST)
    return export.export_id


class UnaskedSAT(BlockingSAT):
    """A connection that asks for no rules."""

    def asked_rules(self) -> AccountRules:
        """None."""
        return NO_RULES

    def test_connection(self) -> tuple[bool, str]:
        """SAT is not asked, and answers well."""
        return True, "SAT answered"

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def office(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Office]:
    """The real app; who the user is, and that they may, is its host's part."""
    store = PostgresEventStore(Database(database.writer_dsn))
    host = FakeHost(store=store, folder=tmp_path)
    host.accounts = FakeAccounts({"x": ACCOUNT}, {"x": UnaskedSAT()})
    yield Office(create_app(host), host, store, fill(store, tmp_path))
    store.database.close()


def routes(app: FastAPI) -> list[APIRoute]:
    """Everything that a program can send to the app for a person; pages call the same use cases."""
    found: list[APIRoute] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop(0)
        if isinstance(route, APIRoute):
            if route.include_in_schema:
                found.append(route)
        else:
            # Newer releases of FastAPI keep an included router as one entry.
            waiting += list(getattr(getattr(route, "original_router", None), "routes", []))
    return found


def acts_of(app: FastAPI) -> set[str]:
    """Every route that changes something; one for each word that its pattern allows."""
    acts = set()
    for route in routes(app):
        if "POST" not in route.methods:
            assert route.methods <= {"GET", "HEAD"}, route.path
            continue
        choices = {}
        for parameter in route.dependant.path_params:
            patterns = [str(getattr(item, "pattern", "") or "") for item in parameter.field_info.metadata]
            words = [found[1] for text in patterns if (found := re.fullmatch(r"\^\(([a-z|-]+)\)\$", text))]
            if words:
                choices[parameter.name] = words[0].split("|")
        path = route.path.removeprefix("/v1")
        for chosen in product(*choices.values()):
            made = path
            for name, word in zip(choices, chosen, strict=True):
                made = made.replace(f"{{{name}}}", word)
            acts.add(made)
    return acts


Request = Callable[[Office], tuple[str, dict[str, Any]]]


def plain(path: str, **more: Any) -> Request:
    """A request that needs nothing of the office."""
    return lambda _: (path, {"json": REASON, **more})


def answer_proposal(answer: str) -> Request:
    """A request about the rules that are proposed at that moment."""

    def make(office: Office) -> tuple[str, dict[str, Any]]:
        proposal = standing_of(office.store, ACCOUNT).rules.proposal
        assert proposal is not None
        return f"/accounts/x/rules/{proposal.number}/{answer}", {"json": REASON}

    return make


#: Route → the request, and the events that it must leave. In this order, which some of them need.
ACTS: dict[str, tuple[Request, str]] = {
    "/batches": (
        plain("/batches?account=x", json=None, content=b"order_id,product_code,client_number\nA,b,0811\n"),
        "BatchSubmitted",
    ),
    "/batches/{batch_id}/deliver": (plain(f"/batches/{BATCH}/deliver"), "GoodsDelivered"),
    "/orders/{request_id}/resolve": (
        plain(f"/orders/{ORDER[4]}/resolve", json={**REASON, "as": "succeeded"}),
        "SucceededByOperator",
    ),
    "/orders/{request_id}/resolve?failed": (
        plain(f"/orders/{ORDER[5]}/resolve", json={**REASON, "as": "failed"}),
        "FailedByOperator",
    ),
    "/orders/{request_id}/resolve?resend": (
        plain(f"/orders/{ORDER[6]}/resolve", json={**REASON, "as": "resend"}),
        "ResendAllowedByOperator",
    ),
    "/orders/{request_id}/release": (plain(f"/orders/{ORDER[2]}/release"), "OrderReleased"),
    "/orders/{request_id}/cancel": (plain(f"/orders/{ORDER[3]}/cancel"), "OrderCancelled"),
    "/batches/{batch_id}/release": (plain(f"/batches/{BATCH}/release"), "OrderReleased"),
    "/batches/{batch_id}/cancel": (
        plain(f"/batches/{BATCH}/cancel", json={**REASON, "held_for": "limit"}),
        "OrderCancelled",
    ),
    "/orders/{request_id}/withdraw": (plain(f"/orders/{ORDER[8]}/withdraw"), "OrderWithdrawn"),
    "/batches/{batch_id}/withdraw": (
        plain(f"/batches/{BATCH}/withdraw"),
        "BatchWithdrawn BatchRefused OrderWithdrawn",
    ),
    "/orders/search": (plain("/orders/search", json={"client_number": "0812345"}), "ClientNumberSearched"),
    "/accounts/{account}/pause": (plain("/accounts/x/pause"), "AccountPaused"),
    "/accounts/{account}/resume": (plain("/accounts/x/resume"), "AccountResumed"),
    "/accounts/{account}/rules/proposals": (
        plain("/accounts/x/rules/proposals", json={**REASON, "changes": {"day_limit_orders": 9}}),
        "AccountRulesProposed",
    ),
    "/accounts/{account}/rules/{proposal}/decline": (answer_proposal("decline"), "AccountRulesDeclined"),
    "/accounts/{account}/rules/proposals?again": (
        plain("/accounts/x/rules/proposals", json={**REASON, "changes": {"day_limit_orders": 8}}),
        "AccountRulesProposed",
    ),
    "/accounts/{account}/rules/{proposal}/confirm": (answer_proposal("confirm"), "AccountRulesConfirmed"),
    "/books/{account}/top-ups": (
        plain(
            "/books/x/top-ups",
            json={
                **REASON,
                "amount_rupiah": 1,
                "reference": "bank 1",
                "credited_at": "2026-11-01T08:00:00+07:00",
            },
        ),
        "TopUpRecorded",
    ),
    **{
        f"/books/{{account}}/breaks/{{break_id}}/{decision}": (
            plain(f"/books/x/breaks/{name}/{decision}"),
            "BreakDecided",
        )
        for decision, name in BREAKS.items()
    },
    "/topups": (
        plain(
            "/topups?account=x",
            json={
                **REASON,
                "items": [
                    {"reference": "bank 2", "amount_rupiah": 5, "credited_at": "2026-11-01T08:00:00+07:00"}
                ],
            },
        ),
        "TopUpRecorded",
    ),
    "/settlements/mappings": (
        plain("/settlements/mappings?account=x", json={"name": "provider", "mapping": {}}),
        "SettlementMappingSaved",
    ),
    "/topups/reverse": (
        plain("/topups/reverse?account=x", json={**REASON, "reference": "bank 1"}),
        "TopUpReversed",
    ),
    "/breaks/assign": (
        plain("/breaks/assign", json={"break_ids": [BREAKS["explain"]], "assignee": "rudi"}),
        "BreakAssigned",
    ),
    "/breaks/{break_id}/comments": (plain(f"/breaks/{BREAKS['resolve']}/comments"), "BreakCommented"),
    "/breaks/{break_id}/files": (
        lambda _: (f"/breaks/{BREAKS['resolve']}/files?name=mail.eml", {"content": b"a mail"}),
        "BreakFileAttached",
    ),
    "/books/{account}/days/{day}/prepare": (plain(f"/books/x/days/{DAY}/prepare"), "DayPrepared"),
    "/books/{account}/days/{day}/certify": (plain(f"/books/x/days/{DAY}/certify"), "DayCertified"),
    "/exports": (
        plain(
            "/exports",
            json={
                "recorded_from": "2026-11-01T00:00:00+07:00",
                "recorded_before": "2026-11-02T00:00:00+07:00",
            },
        ),
        "ExportRequested",
    ),
    "/evidence-packs": (
        plain(
            "/evidence-packs",
            json={
                **REASON,
                "recorded_from": "2026-11-01T00:00:00+07:00",
                "recorded_before": "2026-11-02T00:00:00+07:00",
            },
        ),
        "ExportRequested",
    ),
    "/exports/{export_id}/pack": (
        lambda office: (f"/exports/{office.export_id}/pack", {}),
        "ExportHandedOut",
    ),
}


ACTS["/webhooks"] = (
    plain(
        "/webhooks",
        json={
            **REASON,
            "name": "erp",
            "url": "https://erp.example.com/sat",
            "connection": "erp_webhook",
            "topics": ["order.ended"],
        },
    ),
    "WebhookSet",
)
ACTS["/webhooks/{name}/remove"] = (plain("/webhooks/erp/remove"), "WebhookRemoved")


#: Requests with a body that record nothing, or whose event is told by a test of their own.
ELSEWHERE = {
    "/batches/check",  # looks only
    # Decisions about many orders and questions to SAT: tests/integration/web/test_order_pages.py
    "/decisions",
    "/decisions/preview",
    "/orders/{request_id}/recheck",
    # A draft is no record; its submission is: tests/integration/pipeline/test_drafts.py
    "/drafts",
    "/drafts/again",
    "/drafts/paste",
    *(
        f"/drafts/{{draft_id}}/{act}"
        for act in ("discard", "columns", "cells", "set-aside", "restore", "options", "check", "submit")
    ),
    "/column-mappings/delete",
    # A user's own choice is no record; an alert must be there: tests/integration/test_notifications.py
    "/notifications",
    "/alerts/acknowledge",
    # Runs of Airflow: tests/integration/web/test_batch_starts.py
    "/batches/{batch_id}/run",
    "/batches/{batch_id}/start",
    "/dags/{dag}/runs",
    "/batches/{batch_id}/cancel-start",
    "/accounts/{account}/test",  # asks SAT, and records nothing
    # Its run records what it verified: tests/integration/audit/test_audit_operators.py
    "/verifications",
    # Their batch must wait for an approval: tests/integration/listings/test_approvals.py
    "/approvals/approve",
    "/approvals/{batch_id}/cost",
    "/approvals/{batch_id}/approve",
    "/approvals/{batch_id}/reject",
    # Its preview has the digest: tests/integration/reconciliation/test_breaks.py
    "/breaks/preview",
    "/topups/statement",  # looks only
    # An upload is no record; its import is: tests/integration/reconciliation/test_settlement_uploads.py
    "/settlements/uploads",
    *(f"/settlements/uploads/{{upload_id}}/{act}" for act in ("mapping", "import", "discard")),
    "/breaks/decide",
    "/books/{account}/days/{day}/settlement",  # needs two files: tests/integration/reconciliation
    "/days/{account}/{day}/close",  # starts a run: tests/integration/reconciliation/test_days.py
    "/webhooks/{name}/resend",  # needs messages: tests/integration/test_webhooks.py
    # Bound to what was seen: tests/integration/reconciliation/test_day_reports.py
    "/days/{account}/sign",
}


def test_every_route_is_here(office: Office) -> None:
    """A new route by which people act must be listed here with the event it leaves."""
    assert acts_of(office.app) - ELSEWHERE == {name.partition("?")[0] for name in ACTS}


def test_every_route_asks_who_it_is_and_whether_they_may(office: Office) -> None:
    """The user is a dependency of each act, never a word of the request (law 13)."""
    for route in routes(office.app):
        if "POST" in route.methods and route.path.removeprefix("/v1") != "/batches/check":
            assert current_person in {dependant.call for dependant in route.dependant.dependencies}, (
                route.path
            )


PARTS = {
    "batch_id": BATCH,
    "request_id": ORDER[1],
    "account": "sat_default",
    "proposal": "1",
    "day": DAY,
    "break_id": BREAKS["explain"],
    "export_id": f"X{'A' * 25}",
    "digest": "0" * 64,
    "draft_id": f"D{'A' * 25}",
    "upload_id": f"U{'A' * 25}",
    "kind": "pdf",
    "position": "1",
}
"""Path parameters; the others name a decision."""

ANY_BODY = {
    **REASON,
    "act": "withdraw",
    "batch_id": BATCH,
    "digest": "0" * 64,
    "request_ids": [ORDER[1]],
    "as": "failed",
    "file": "file:///settlement.csv",
    "changes": {},
    "amount_rupiah": 1,
    "reference": "top-up",
    "credited_at": "2026-11-02T00:00:00Z",
    "recorded_from": "2026-11-02T00:00:00Z",
    "recorded_before": "2026-11-03T00:00:00Z",
    "version": 1,
    "columns": [],
    "edits": [],
    "rows": [],
    "options": {},
    "name": "a mapping",
    "terms_digest": "2:shown",
    "decision": "explain",
    "break_ids": [BREAKS["explain"]],
    "assignee": "rudi",
    "days": [{"day": DAY, "result_digest": "0" * 64, "seen_position": 1}],
    "items": [{"reference": "b", "amount_rupiah": 1, "credited_at": "2026-11-01T08:00:00+07:00"}],
    "client_number": "081200000001",
    "shown": [],
    "channel": "mail",
    "kinds": [],
    "keys": ["a/1"],
}


async def test_every_act_is_an_event_with_the_persons_name(office: Office) -> None:
    """One after the other, each as another user; `sat audit actions` then lists who did what."""
    before = datetime.now(UTC) - timedelta(minutes=1)
    expected = []
    # What is held as a batch is decided before the single orders of it are, and the batch withdrawn at last.
    order = sorted(
        ACTS,
        key=lambda name: (
            name == "/batches/{batch_id}/withdraw",
            "/release" in name or "/cancel" in name,
            name.startswith("/batches"),
        ),
    )
    for number, name in enumerate(order):
        request, event = ACTS[name]
        if name in ("/batches/{batch_id}/release", "/batches/{batch_id}/cancel"):
            anew = 20 + number
            office.store.append([change_of(None, anew, received(anew), QUOTED, HELD)], BY_TEST, T0)
        path, more = request(office)
        user = f"person{number}"
        reply = await office.act(user, f"/v1{path}", **more)
        assert reply.status_code == 200, (name, reply.text)
        expected += [(f"user:{user}", name) for name in event.split()]
    acts = list(actions_since(office.store.database, before))
    # An act upon several orders is one event for each of them.
    assert list(dict.fromkeys((act.provenance.actor, act.type_name) for act in acts)) == expected
    assert all(act.provenance.cause.startswith("plugin:") for act in acts)
    [only] = actions_since(office.store.database, before, user="person3")
    assert only.provenance.actor == "user:person3"
    assert list(actions_since(office.store.database, datetime.now(UTC) + timedelta(minutes=1))) == []
