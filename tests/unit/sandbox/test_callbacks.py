"""Callbacks: what is sent when, how often, and how the book keeps it (protocol section 9)."""

from __future__ import annotations

import json

import pytest

from sat_hook.protocol.errors import SignatureInvalidError, SignatureMissingError
from tests.unit.sandbox.partner import Partner

URL = "http://127.0.0.1:9/callback"


@pytest.fixture
def called(new_partner):
    """A partner with a callback URL and these rules."""
    return lambda *faults, **settings: new_partner({"faults": list(faults), **settings}, callback_url=URL)


def finish(partner: Partner, request_id: str = "A1") -> None:
    """An order that has just become final."""
    partner.order(request_id)
    partner.wait(4)


def test_callback_is_the_order_document_signed(called) -> None:
    """The same bytes as the status, and SAT's signature over them; the book keeps the answer."""
    partner = called()
    finish(partner)
    (callback,) = partner.deliver()
    partner.verifier.verify(callback.body, callback.signature)
    assert callback.body == partner.ask("A1").reply.body
    assert json.loads(callback.body)["data"]["id"] == "A1"
    (kept,) = partner.entry("A1")["callbacks"]
    assert (kept["label"], kept["status"], kept["attempt"], kept["answer"]) == ("genuine", "Success", 1, 200)
    partner.wait(100)
    assert partner.deliver() == []


def test_callback_bytes_are_what_py_sat_can_verify(called) -> None:
    """Python's own spacing, ASCII only: py_sat verifies what it has serialised again, not the raw bytes."""
    partner = called()
    finish(partner)
    (callback,) = partner.deliver()
    assert json.dumps(json.loads(callback.body)).encode() == callback.body


@pytest.mark.parametrize("style", ["compact", "compact_newline", "utf8"])
def test_other_spellings_of_the_same_document(called, style: str) -> None:
    """A receiver that verifies raw bytes does not care."""
    partner = called(json_style=style)
    finish(partner)
    (callback,) = partner.deliver()
    partner.verifier.verify(callback.body, callback.signature)
    assert b'": ' not in callback.body
    assert callback.body.endswith(b"\n") == (style == "compact_newline")


def test_failed_orders_call_back_too(called) -> None:
    """With the failed document."""
    partner = called({"fault": "fails"})
    finish(partner)
    (callback,) = partner.deliver()
    assert callback.status == "Failed"


def test_without_a_url_nobody_is_called(partner: Partner) -> None:
    """And nothing piles up."""
    finish(partner)
    assert partner.deliver() == []


def test_retries_until_200_with_doubled_waits(called) -> None:
    """500, a refused connection, then 200: three attempts."""
    partner = called(callbacks={"attempts": 5, "backoff_seconds": 1})
    finish(partner)
    assert len(partner.deliver(500)) == 1
    assert partner.deliver() == []
    partner.wait(1)
    assert len(partner.deliver("unreachable")) == 1
    partner.wait(1)
    assert partner.deliver() == []
    partner.wait(1)
    assert len(partner.deliver(200)) == 1
    answers = [callback["answer"] for callback in partner.entry("A1")["callbacks"]]
    assert answers == [500, "unreachable", 200]


def test_it_gives_up(called) -> None:
    """After so many attempts."""
    partner = called(callbacks={"attempts": 2, "backoff_seconds": 1})
    finish(partner)
    for _ in range(10):
        partner.deliver(503)
        partner.wait(10)
    assert len(partner.entry("A1")["callbacks"]) == 2


def test_dropped(called) -> None:
    """Never sent, and the book says so."""
    partner = called({"fault": "callback_dropped"})
    finish(partner)
    assert partner.deliver() == []
    assert [callback["answer"] for callback in partner.entry("A1")["callbacks"]] == ["dropped"]


def test_duplicated(called) -> None:
    """Two more of the same bytes."""
    partner = called({"fault": "callback_duplicated", "copies": 2, "gap_seconds": 5})
    finish(partner)
    first = partner.deliver()
    partner.wait(5)
    second = partner.deliver()
    partner.wait(5)
    third = partner.deliver()
    assert [len(first), len(second), len(third)] == [1, 1, 1]
    assert len({callback.body for callback in first + second + third}) == 1


def test_delayed(called) -> None:
    """The status is final long before its callback comes."""
    partner = called({"fault": "callback_delayed", "seconds": 30})
    finish(partner)
    assert partner.status("A1")["status"] == "Success"
    assert partner.deliver() == []
    partner.wait(30)
    assert len(partner.deliver()) == 1


def test_reordered_within_one_order(called) -> None:
    """Success then Failed, told the other way round."""
    partner = called(
        {"fault": "success_then_reversed", "after_seconds": 2},
        {"fault": "callback_reordered", "limit": 1, "hold_seconds": 60},
    )
    partner.order("A1")
    partner.wait(10)
    told = partner.deliver()
    partner.wait(1)
    told += partner.deliver()
    assert [callback.status for callback in told] == ["Failed", "Success"]


def test_reordered_without_another_is_only_late(called) -> None:
    """It is not held for ever."""
    partner = called({"fault": "callback_reordered", "hold_seconds": 60})
    finish(partner)
    assert partner.deliver() == []
    partner.wait(60)
    assert partner.deliver() == []
    partner.wait(1)
    partner.deliver()
    assert [callback["answer"] for callback in partner.entry("A1")["callbacks"]] == [200]


@pytest.mark.parametrize(
    ("manner", "problem"),
    [
        ("stranger", SignatureInvalidError),
        ("unsigned", SignatureMissingError),
        ("tampered", SignatureInvalidError),
    ],
)
def test_forged(called, manner: str, problem: type[Exception]) -> None:
    """Success claimed for a failed order, once, without a signature that fits; the genuine one comes too."""
    partner = called({"fault": "fails"}, {"fault": "callback_forged", "manner": manner})
    finish(partner)
    forged, genuine = partner.deliver(400)
    assert (forged.label, genuine.label) == ("forged", "genuine")
    assert json.loads(forged.body)["data"]["attributes"]["status"] == "Success"
    with pytest.raises(problem):
        partner.verifier.verify(forged.body, forged.signature)
    partner.verifier.verify(genuine.body, genuine.signature)
    partner.wait(100)
    assert [callback.label for callback in partner.deliver()] == ["genuine"]


def test_misdirected(called) -> None:
    """Signed, with the order's id, about another client number."""
    partner = called({"fault": "callback_misdirected", "manner": "other_number"})
    finish(partner)
    (callback,) = partner.deliver()
    partner.verifier.verify(callback.body, callback.signature)
    told = json.loads(callback.body)["data"]
    sent = partner.status(told["id"])
    assert told["attributes"]["client_number"] != sent["client_number"]
    assert told["attributes"]["product_code"] == sent["product_code"]


def test_before_the_checkout_s_own_response(called) -> None:
    """The reply still says Pending and waits for the callback to be answered."""
    partner = called({"fault": "callback_before_response"})
    outcome = partner.order("A1")
    assert outcome.after_callback_of == "A1"
    assert json.loads(outcome.reply.body)["data"]["attributes"]["status"] == "Pending"
    (callback,) = partner.deliver()
    assert callback.status == "Success"


def test_untold_ends_are_told_after_a_restart(new_partner, tmp_path) -> None:
    """A server killed before its callback was answered sends it when it is back."""
    first = new_partner(callback_url=URL, journal=tmp_path / "journal.jsonl")
    finish(first, "A1")
    finish(first, "A2")
    first.deliver(200)
    first.order("A3")
    finish(first, "A4")
    first.deliver("unreachable")
    first.world.journal.close()
    second = new_partner(callback_url=URL, journal=tmp_path / "journal.jsonl", clock=first.clock)
    assert {callback.request_id for callback in second.deliver()} == {"A3", "A4"}
