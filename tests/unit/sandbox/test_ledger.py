"""The judge's book: counts, rupiah, conservation, the dedup horizon, and the journal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.deposit import ConservationError, Deposit, Movement
from sandbox.journal import FileJournal, JournalError
from sandbox.keys import KeyPairs
from tests.unit.sandbox.partner import Partner, refusal


def test_view_of_one_order(partner: Partner) -> None:
    """Posted, accepted, charged, refunded, in counts and rupiah; and how often its status was asked."""
    partner.ask("A1")
    partner.order("A1", "pln-postpaid", "2121212", amount=12_500, downline_id="shop-7")
    partner.order("A1", "pln-postpaid", "2121212", amount=12_500, downline_id="shop-7")
    partner.wait(4)
    partner.status("A1")
    entry = partner.entry("A1")
    assert (entry["product_code"], entry["client_number"], entry["reference"]) == (
        "pln-postpaid",
        "2121212",
        "shop-7",
    )
    assert (entry["posted"], entry["accepted"], entry["duplicates"], entry["refused"]) == (
        2,
        1,
        1,
        {"P03": 1},
    )
    assert (entry["charged"], entry["charged_rupiah"]) == (1, 12_500)
    assert (entry["refunded"], entry["refunded_rupiah"], entry["net_rupiah"]) == (1, 12_500, 0)
    assert (entry["status"], entry["error_code"], entry["asked"]) == ("Failed", "S02", {"answered": 1})


def test_one_business_order_under_two_request_ids_shows(partner: Partner) -> None:
    """Same product, number and reference: no request id is charged twice, the business order is."""
    reference = [{"name": "reference", "value": "INV-1"}]
    partner.order("A1", fields=reference)
    partner.order("A2", fields=reference)
    partner.order("A3")
    paid = {tuple(order["request_ids"]): order["paid"] for order in partner.ledger()["business_orders"]}
    assert paid == {("A1", "A2"): 2, ("A3",): 1}
    assert partner.ledger()["totals"]["double_charged"] == 0


def test_blind_resending_beyond_the_horizon_is_caught_charging_twice(new_partner) -> None:
    """Within so many seconds a resend is P03; later it is a new order."""
    partner = new_partner({"dedup_horizon": {"seconds": 60}})
    partner.order("A1")
    partner.wait(59)
    assert refusal(partner.order("A1")) == (400, "P03")
    partner.wait(2)
    assert partner.order("A1").reply.status == 200
    entry = partner.entry("A1")
    assert (entry["charged"], entry["double_charged"], entry["net_rupiah"]) == (2, True, 104_000)
    assert partner.ledger()["totals"]["double_charged"] == 1


def test_horizon_by_number_of_orders(new_partner) -> None:
    """An id is forgotten once so many later orders were accepted."""
    partner = new_partner({"dedup_horizon": {"orders": 2}})
    for request_id in ("A1", "A2"):
        partner.order(request_id)
    assert refusal(partner.order("A1")) == (400, "P03")
    partner.order("A3")
    assert partner.order("A1").reply.status == 200


def test_default_horizon_never_ends(partner: Partner) -> None:
    """Nothing is known of one, so by default there is none."""
    partner.order("A1")
    partner.wait(400 * 86_400)
    partner.bearer = "Bearer " + partner.token()["access_token"]
    assert refusal(partner.order("A1")) == (400, "P03")


def test_a_refused_order_may_be_sent_again(partner: Partner) -> None:
    """A rejection does not use up the id (a guess)."""
    partner.order("A1", "pln-postpaid", "53")
    assert partner.order("A1", "pln-postpaid", "53", amount=20_000).reply.status == 200


def test_deposit_refuses_to_lose_money() -> None:
    """A balance changed behind its back stops everything."""
    deposit = Deposit(100, 0.0)
    deposit.balance_rupiah += 1
    with pytest.raises(ConservationError):
        deposit.move(Movement.TOP_UP, 1, 0.0)
    with pytest.raises(ConservationError):
        Deposit(100, 0.0).move(Movement.CHARGE, -1, 0.0)


def test_audit_compares_deposit_and_orders(partner: Partner) -> None:
    """An order's charge that the deposit never saw is found."""
    partner.order("A1")
    partner.world.ledger.entries["A1"].orders[0].charged_rupiah -= 1
    with pytest.raises(ConservationError):
        partner.world.ledger.audit()


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["order", "bill", "fail", "resend", "wait", "top_up", "spend", "ask"]),
        st.integers(1, 12),
    ),
    max_size=40,
)
WILD = {
    "deposit_rupiah": 400_000,
    "dedup_horizon": {"seconds": 8},
    "faults": [
        {"fault": "response_lost", "rate": 0.2},
        {"fault": "request_lost", "rate": 0.1},
        {"fault": "late_arrival", "rate": 0.2, "until": "resend"},
        {"fault": "failed_then_success", "rate": 0.2},
        {"fault": "success_then_reversed", "rate": 0.2},
        {"fault": "delayed_refund", "rate": 0.3, "after_seconds": 1},
        {"fault": "foreign_spend", "rate": 0.2, "rupiah": 1_000},
        {"fault": "price_change", "rate": 0.3, "change_percent": 5, "times": 100},
    ],
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS, st.integers(0, 1_000))
def test_no_history_loses_a_rupiah(keys: KeyPairs, actions: list[tuple[str, int]], seed: int) -> None:
    """Whatever happens under every money fault at once, the book adds up."""
    partner = Partner(keys, WILD, seed=seed)
    for action, number in actions:
        if action in ("order", "resend"):
            partner.order(f"A{number}")
        elif action == "bill":
            partner.order(f"B{number}", "pln-postpaid", f"53{number}", amount=10_000 + number)
        elif action == "fail":
            partner.order(f"C{number}", "pln-postpaid", "2121212", amount=10_000)
        elif action == "wait":
            partner.wait(number)
        elif action == "top_up":
            partner.judge.top_up(number * 1_000)
        elif action == "spend":
            partner.judge.spend_elsewhere(number)
        else:
            partner.ask(f"A{number}")
    ledger = partner.ledger()
    deposit = ledger["deposit"]
    assert deposit["now_rupiah"] == (
        deposit["opening_rupiah"]
        + deposit["topped_up_rupiah"]
        - deposit["foreign_spend_rupiah"]
        - ledger["totals"]["net_rupiah"]
    )


def test_a_restarted_server_remembers(new_partner, tmp_path: Path) -> None:
    """Orders, their stories, prices and the deposit come back from the journal; tokens do not."""
    scenario = {"faults": [{"fault": "price_change", "change_rupiah": 1_000, "products": ["50k-simpati"]}]}
    first = new_partner(scenario, journal=tmp_path / "journal.jsonl")
    first.order("A1")
    first.order("A2", "pln-postpaid", "2121212", amount=12_500)
    first.wait(0.4)
    first.judge.top_up(7)
    before = first.ledger()
    first.world.journal.close()
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"kind":"accep')

    second = new_partner(scenario, journal=tmp_path / "journal.jsonl", clock=first.clock)
    assert refusal(second.send("GET", "/api/v2/account", headers={"authorization": first.bearer}))[0] == 401
    after = second.ledger()
    assert (after["deposit"], after["requests"]) == (before["deposit"], before["requests"])
    assert refusal(second.order("A1")) == (400, "P03")
    assert second.status("A1")["sales_price"] == 53_000
    second.wait(4)
    assert second.status("A1")["status"] == "Success"
    assert second.status("A2")["status"] == "Failed"
    third = new_partner(scenario, journal=tmp_path / "copy.jsonl", clock=first.clock)
    assert third.saldo() == 50_000_000


def test_a_journal_belongs_to_one_server(tmp_path: Path) -> None:
    """Two servers on one file would each believe half of it."""
    journal = FileJournal(tmp_path / "journal.jsonl")
    with pytest.raises(JournalError, match="in use"):
        FileJournal(tmp_path / "journal.jsonl")
    journal.close()


def test_a_damaged_journal_is_refused(new_partner, tmp_path: Path) -> None:
    """A broken line in the middle is named; only the last one may be torn."""
    path = tmp_path / "journal.jsonl"
    path.write_text("nonsense\n" + json.dumps({"kind": "opened", "at": 0, "rupiah": 1}) + "\n")
    with pytest.raises(JournalError, match="line 1"):
        new_partner(journal=path)
