"""Ends are held against what SAT signed: a text that is forged, or about something else, is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sat_hook.audit import log_verification
from sat_hook.audit.checkpoint_verification import Start, Trust
from sat_hook.audit.findings import FindingKind
from sat_hook.audit.log_verification import Verification, verify_log
from sat_hook.audit.signed_statuses import SATKeys, withdrawn_from
from sat_hook.domain import order_events as happened
from sat_hook.domain.event_record import Event
from sat_hook.domain.identity import digest_of
from sat_hook.domain.order import Order
from sat_hook.protocol.errors import MalformedKeyError
from sat_hook.protocol.signing import Padding, Signer
from sat_hook.receiver.inbox import Inbox
from sat_hook.store.callbacks import Callback
from sat_hook.store.database import Database
from sat_hook.store.event_store import StatusEvidence
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import Found
from tests.keys import other_pair, sat_pair, signer_of
from tests.orders import BY_TEST, T0, change_of, received, stream_of

PRIVATE, PUBLIC = sat_pair()
OTHER_PRIVATE, OTHER_PUBLIC = other_pair()
SAT, OTHER = signer_of(PRIVATE), signer_of(OTHER_PRIVATE)
KEYS = SATKeys.from_pem([PUBLIC])
FINGERPRINT = KEYS.verifiers[0].fingerprints[0]
VALIDATED = happened.OrderValidated(is_inquiry=False, list_price_rupiah=52_000)


@dataclass
class Ledger:
    """Orders with ends, each resting on a text."""

    store: PostgresEventStore
    orders: dict[int, Order] = field(default_factory=dict)

    def end(self, number: int, kind: type[Event], text: str, signature: str, **members: Any) -> None:
        """Order ``number`` goes on with an event that rests on this text."""
        digest = digest_of(text.encode())
        values = {
            "evidence_digest": digest,
            "observed_at": T0,
            "sales_price_rupiah": 52_000,
            "admin_fee_rupiah": None,
            "partner_fee_rupiah": None,
            **_MEMBERS.get(kind, {}),
            **members,
        }
        event = kind.model_validate({name: values[name] for name in kind.model_fields if name in values})
        before = self.orders.get(number)
        begun = () if before is not None else (received(number), VALIDATED)
        proof = StatusEvidence(digest, stream_of(number).key, text, signature, "0" * 16, T0)
        change = change_of(before, number, *begun, event, evidence=(proof,))
        assert self.store.append([change], BY_TEST, T0) == frozenset()
        assert isinstance(change.after, Order)
        self.orders[number] = change.after

    def verify(self, keys: SATKeys | None = KEYS, **options: Any) -> tuple[Verification, Found]:
        """As an auditor who brings SAT's keys."""
        found = Found()
        return verify_log(self.store.database, found, Trust(sat_keys=keys), **options), found


_MEMBERS: dict[type[Event], dict[str, Any]] = {
    happened.OrderSucceeded: {"fulfilled_at": None},
    happened.OrderFailed: {"error_code": "S00", "error_detail": "x"},
    happened.OrderReversed: {"error_code": "S00", "error_detail": "x"},
    happened.OrderPending: {"reported_status": "Pending"},
    happened.EvidenceContradicted: {"reported_status": "Pending"},
    happened.StatusMismatched: {"reported_status": "Success", "members": ("client_number",)},
}


def text(number: int, status: str = "Success", **attributes: Any) -> str:
    """A status of order ``number`` as SAT writes it."""
    shown = {"status": status, "sales_price": 52_000, **attributes}
    return json.dumps({"data": {"type": "order", "id": stream_of(number).key, "attributes": shown}})


@pytest.fixture
def ledger(database: ApplicationDatabase) -> Iterator[Ledger]:
    """An empty log."""
    with closing(Database(database.writer_dsn)) as opened:
        yield Ledger(PostgresEventStore(opened))


GOOD: dict[str, tuple[type[Event], dict[str, Any], dict[str, Any]]] = {
    "an end": (happened.OrderSucceeded, {}, {}),
    "another end": (happened.OrderFailed, {"status": "Failed"}, {}),
    "no end": (happened.OrderPending, {"status": "Pending"}, {}),
    "an unknown word": (
        happened.OrderPending,
        {"status": "Queu\ted"},
        {"reported_status": "Queu ed"},
    ),
    "product and number": (
        happened.OrderSucceeded,
        {"product_code": "50K-SIMPATI", "client_number": "+62 812-1000-001"},
        {},
    ),
    "a masked number": (happened.OrderSucceeded, {"client_number": "0812*****01"}, {}),
    "a price as text": (happened.OrderSucceeded, {"sales_price": "52000"}, {}),
    "an amount that is none": (
        happened.OrderSucceeded,
        {"sales_price": -5},
        {"sales_price_rupiah": None},
    ),
    "an old event with an amount that is none": (
        happened.OrderSucceeded,
        {"sales_price": 10**13},
        {"sales_price_rupiah": 10**13},
    ),
    "about another number, recorded as such": (
        happened.StatusMismatched,
        {"client_number": "081399999999"},
        {},
    ),
    "evidence that came too late": (happened.EvidenceContradicted, {"status": "Pending"}, {}),
}


@pytest.mark.parametrize(("kind", "told", "members"), GOOD.values(), ids=GOOD.keys())
def test_what_sat_signed_is_proven(
    ledger: Ledger, kind: type[Event], told: dict[str, Any], members: dict[str, Any]
) -> None:
    """Every event that rests on a signed text agrees with it."""
    body = text(1, **told)
    ledger.end(1, kind, body, SAT.sign(body.encode()), **members)
    verified, found = ledger.verify()
    assert (found.findings, verified.statuses_checked) == ([], 1)


BAD: dict[str, tuple[type[Event], dict[str, Any], dict[str, Any]]] = {
    "another end": (happened.OrderSucceeded, {"status": "Failed"}, {}),
    "no end": (happened.OrderFailed, {"status": "Pending"}, {}),
    "an end for none": (happened.OrderPending, {"status": "Success"}, {"reported_status": "Success"}),
    "another word": (happened.OrderPending, {"status": "Queued"}, {}),
    "another amount": (happened.OrderSucceeded, {"sales_price": 9}, {}),
    "an amount that is not told": (happened.OrderSucceeded, {"sales_price": None}, {}),
    "another fee": (happened.OrderSucceeded, {}, {"admin_fee_rupiah": 1}),
    "another product": (happened.OrderSucceeded, {"product_code": "100k-xl"}, {}),
    "another number": (happened.OrderSucceeded, {"client_number": "081399999999"}, {}),
    "another masked number": (happened.OrderSucceeded, {"client_number": "0813****99"}, {}),
    "a mismatch that is none": (happened.StatusMismatched, {}, {}),
    "a text that is no status": (happened.OrderSucceeded, {"status": None}, {}),
}


@pytest.mark.parametrize(("kind", "told", "members"), BAD.values(), ids=BAD.keys())
def test_an_end_that_says_otherwise_than_its_text_is_found(
    ledger: Ledger, kind: type[Event], told: dict[str, Any], members: dict[str, Any]
) -> None:
    """A genuine signature over something else proves nothing."""
    body = text(1, **told)
    ledger.end(1, kind, body, SAT.sign(body.encode()), **members)
    _, found = ledger.verify()
    assert [place for place in found.places if place[0] is FindingKind.EVIDENCE_CONTRADICTS]
    assert "08121" not in str(found.findings)


FORGED: dict[str, Callable[[str], str]] = {
    "no signature": lambda _: "bm8gc2lnbmF0dXJl",
    "another key's": lambda body: OTHER.sign(body.encode()),
    "over another text": lambda body: SAT.sign(body.encode() + b" "),
    "no base64": lambda _: "\u00e9",
}


@pytest.mark.parametrize("sign", FORGED.values(), ids=FORGED.keys())
def test_an_end_that_sat_never_signed_is_found(ledger: Ledger, sign: Callable[[str], str]) -> None:
    """A role that may append can write such an end; digests, checkpoints and projections fit it."""
    for number in (1, 2):
        body = text(number)
        ledger.end(
            number, happened.OrderSucceeded, body, SAT.sign(body.encode()) if number == 1 else sign(body)
        )
    _, found = ledger.verify()
    assert found.places == [(FindingKind.EVIDENCE_SIGNATURE, str(stream_of(2)), 3)]
    # Without SAT's keys this cannot be known, and the result says so.
    verified, found = ledger.verify(None)
    assert (found.findings, verified.statuses_checked) == ([], None)


def test_a_genuine_status_of_another_order_is_found(ledger: Ledger) -> None:
    """Kept under this order's id, too."""
    body = text(2)
    ledger.end(1, happened.OrderSucceeded, body, SAT.sign(body.encode()))
    _, found = ledger.verify()
    assert FindingKind.EVIDENCE_CONTRADICTS in {finding.kind for finding in found.findings}


def test_either_padding_counts(ledger: Ledger) -> None:
    """What an account has agreed on with SAT is nothing that an auditor has to know."""
    for number, padding in enumerate(Padding, 1):
        body = text(number)
        ledger.end(number, happened.OrderSucceeded, body, Signer(PRIVATE, padding).sign(body.encode()))
    assert ledger.verify()[1].findings == []


def test_ends_by_people_need_no_text(ledger: Ledger) -> None:
    """They are events of their own, and say who decided."""
    change = change_of(None, 1, received(1), VALIDATED)
    ledger.store.append([change], BY_TEST, T0)
    after = change.after
    assert isinstance(after, Order)
    decided = happened.SucceededByOperator(reason="seen at the shop")
    ledger.store.append([change_of(after, 1, decided)], BY_TEST, T0)
    verified, found = ledger.verify()
    assert (found.findings, verified.statuses_checked) == ([], 0)


def test_a_withdrawn_key_lists_the_ends_that_rest_on_it_alone(ledger: Ledger) -> None:
    """From a time on it proves nothing; what it signed before, or another key signed too, stays proven."""
    both = [PUBLIC, OTHER_PUBLIC]
    for number in (1, 2, 3):
        body = text(number)
        ledger.end(number, happened.OrderSucceeded, body, SAT.sign(body.encode()))
    body = text(2, note="again")
    ledger.end(2, happened.ReversalDoubted, body, OTHER.sign(body.encode()))
    body = text(3, status="Failed")
    ledger.end(3, happened.OrderReversed, body, OTHER.sign(body.encode()))
    later = datetime.now(UTC) + timedelta(hours=1)
    assert ledger.verify(SATKeys.from_pem(both, {FINGERPRINT: later}))[1].findings == []
    earlier = withdrawn_from([f"{FINGERPRINT}=2020-01-01"])
    _, found = ledger.verify(SATKeys.from_pem(both, earlier))
    assert found.places == [(FindingKind.EVIDENCE_KEY_WITHDRAWN, str(stream_of(1)), 3)]


@pytest.mark.parametrize("words", ["", "abc", "abc=", "abc=yesterday", "=2026-11-01"])
def test_a_withdrawn_key_is_named_in_words_that_are_understood(words: str) -> None:
    """A key that is not among SAT's, or no time, is refused; nothing is left out silently."""
    if not words:
        assert withdrawn_from([words]) == {}
        return
    with pytest.raises(MalformedKeyError):
        SATKeys.from_pem([PUBLIC], withdrawn_from([words]))


def test_the_last_days_alone_know_what_was_sent(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, database: ApplicationDatabase
) -> None:
    """An order that began before them is held against its first event; many are looked up in groups."""
    monkeypatch.setattr(log_verification, "EVIDENCE_PER_LOOKUP", 2)
    for number in range(1, 6):
        change = change_of(None, number, received(number), VALIDATED)
        ledger.store.append([change], BY_TEST, T0)
        assert isinstance(change.after, Order)
        ledger.orders[number] = change.after
    last = ledger.store.close_position()
    for number in range(1, 6):
        body = text(number, client_number="081399999999" if number == 4 else f"08121{number:06d}")
        ledger.end(number, happened.OrderSucceeded, body, SAT.sign(body.encode()))
    monkeypatch.setattr(log_verification, "start_after", lambda *_: Start(1, last + 1, None))
    verified, found = ledger.verify(after_checkpoint=1)
    assert verified.statuses_checked == 5
    kinds = [place for place in found.places if place[0] is FindingKind.EVIDENCE_CONTRADICTS]
    assert kinds == [(FindingKind.EVIDENCE_CONTRADICTS, str(stream_of(4)), 3)]


async def test_callbacks_that_sat_never_signed_are_found(
    ledger: Ledger, database: ApplicationDatabase
) -> None:
    """The receiver's role could write one; trusted callbacks are verified again before they count."""
    inbox = Inbox(Database(database.receiver_dsn), waiting_limit=9, group_limit=9)
    for number, signer in enumerate((SAT, OTHER)):
        body = text(number).encode()
        callback = Callback(
            "demo", f"S{number}", digest_of(body), body, signer.sign(body), "k", "application/json", "::1"
        )
        await inbox.store(callback, 30)
    inbox.close()
    _, found = ledger.verify()
    assert found.places == [
        (FindingKind.EVIDENCE_SIGNATURE, f"callback_inbox/{digest_of(text(1).encode())}", None)
    ]
