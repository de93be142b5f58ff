"""The events of an order in people's words."""

from __future__ import annotations

from datetime import UTC, datetime
from inspect import getmembers, isclass
from typing import Any

import pytest

from sat_hook.application.order_details import HistoryEntry
from sat_hook.domain import order_events
from sat_hook.domain.event_record import Event
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.web.console.language import Language, Wording
from sat_hook.web.console.order_acts import acts_of
from sat_hook.web.console.order_history import EVENTS, moments_of
from sat_hook.web.console.words import REJECTIONS

INDONESIAN, ENGLISH = Wording(Language.INDONESIAN), Wording(Language.ENGLISH)
BASES = {Event, order_events.HoldingEvent, order_events.SentOrderEvent, order_events.SignedStatus}


def entry(kind: str, **parameters: Any) -> HistoryEntry:
    """An event of a history."""
    at = datetime(2026, 11, 30, 5, tzinfo=UTC)
    return HistoryEntry(
        position=7,
        version=1,
        kind=kind,
        at=at,
        actor="user:rosa",
        cause="",
        parameters=parameters,
        digest="d",
    )


def test_every_type_of_event_has_words() -> None:
    """Those of an order, and none that does not exist; every reason for a rejection, too."""
    types = {
        kind.__name__
        for _, kind in getmembers(order_events, isclass)
        if issubclass(kind, Event) and kind not in BASES
    }
    assert set(EVENTS) == types
    assert set(REJECTIONS) == set(RejectionReason)


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_a_member_in_a_sentence_is_one_of_the_event(kind: str) -> None:
    """So no sentence ends in a dash."""
    members = dict.fromkeys(getattr(order_events, kind).model_fields, 1)
    texts = {"reason": "why", "valid_until": "2026-11-30T13:00:00+00:00", "members": ["product_code"]}
    for wording in (ENGLISH, INDONESIAN):
        (moment,) = moments_of([entry(kind, **{**members, **texts})], wording)
        assert "–" not in moment.words
        assert "%(" not in moment.words


def test_amounts_times_and_reasons_are_said_as_the_language_does() -> None:
    """In the sentence, with the person who did it."""
    quoted = entry("OrderQuoted", price_rupiah=52_000, valid_until="2026-11-30T13:00:00+00:00")
    facts = {"limit": "order_rupiah", "found": 1_500_000, "most": 1_000_000}
    held = entry("OrderHeld", reason=HoldReason.LIMIT.value, detail="found 1500000 rupiah", facts=facts)
    one, other = moments_of([quoted, held], INDONESIAN)
    assert one.words == "Diberi harga Rp\u00a052.000, berlaku sampai 30 Nov 2026 20:00\u00a0WIB"
    assert (other.words, other.detail, other.user) == (
        "Ditahan: melebihi batas",
        "Rp\u00a01.500.000 untuk satu pesanan; batasnya Rp\u00a01.000.000",
        "rosa",
    )


def test_what_a_hold_rests_on_is_said_in_the_language_and_its_english_words_are_not() -> None:
    """A hold of an earlier release has no facts: its English words are in the event, a click away."""
    rupiah = {"found": 60_000, "most": 52_000}
    earlier = {"earlier_request_id": f"S{'A' * 31}", "earlier_order_id": "N-1", "earlier_row": 2, "days": 7}
    for reason, facts, said in (
        (HoldReason.PRICE_ABOVE_QUOTE, rupiah, "Rp\u00a060,000 instead of Rp\u00a052,000"),
        (HoldReason.BUSINESS_DUPLICATE, earlier, "like order N-1, row 2, within 7 days"),
        (
            HoldReason.LIMIT,
            {"limit": "day_orders", "found": 1_001, "most": 1_000},
            "order 1,001 of the day; ",
        ),
        (HoldReason.LEFT_OUT, {"approver": "carl"}, "by carl"),
        (HoldReason.LIMIT, None, ""),
    ):
        known = {} if facts is None else {"facts": facts}
        held = entry("OrderHeld", reason=reason.value, detail="found 1; expected 2", **known)
        (moment,) = moments_of([held], ENGLISH)
        assert moment.detail.startswith(said), reason
        assert "expected" not in moment.detail
        assert moment.words.startswith("Held: ")


def test_the_words_of_sat_are_quoted() -> None:
    """They are SAT's, in whatever language."""
    failed = entry("OrderFailed", error_code="S02", error_detail="Produk tidak tersedia")
    (moment,) = moments_of([failed], ENGLISH)
    assert moment.detail == "SAT says: “Produk tidak tersedia”"


def test_an_event_that_cannot_be_read_has_its_place() -> None:
    """A damaged one has no members; one of a later release has its name."""
    damaged, later = moments_of([entry("OrderQuoted"), entry("OrderTeleported", far=True)], ENGLISH)
    assert damaged.words == "Priced at –, valid until –"
    assert later.words == "OrderTeleported"


@pytest.mark.parametrize("state", list(OrderState))
def test_what_ends_an_order_unsent_is_offered_before_it_is_sent_only(state: OrderState) -> None:
    """And SAT is only asked about an order that it may know."""
    paths = {act.path for act in acts_of(state)}
    assert ("recheck" in paths) is not state.was_never_sent
    assert ("withdraw" in paths) is (state in (OrderState.RECEIVED, OrderState.QUOTED, OrderState.HELD))
    assert ("resolve" in paths) is (state is OrderState.ESCALATED)
