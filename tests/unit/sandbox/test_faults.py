"""Every fault a fault file can name, one by one: what the partner sees, and what the judge knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from sandbox.calls import Operation
from sandbox.faults import AnyRule
from sandbox.scenario import FaultFileError, parse_scenario, read_scenario
from sandbox.wire import Manner
from sat_hook.protocol.errors import SignatureInvalidError, SignatureMissingError
from tests.unit.sandbox.partner import Partner, document, refusal

EXAMPLE = Path(__file__).parents[3] / "examples" / "faults.yaml"


def rules(*faults: dict) -> dict:
    """A scenario of these rules alone."""
    return {"faults": list(faults)}


@pytest.mark.parametrize("manner", ["reset", "silence"])
def test_request_lost(faulty, manner: str) -> None:
    """No answer comes and nothing was accepted; the second send gets through."""
    partner = faulty("request_lost", times=1, manner=manner)
    lost = partner.order("A1")
    assert (lost.reply, lost.loss) == (None, Manner(manner))
    assert partner.entry("A1")["lost"] == 1
    assert partner.saldo() == 50_000_000
    assert refusal(partner.ask("A1")) == (400, "P02")
    assert partner.order("A1").reply.status == 200


def test_response_lost_after_charging(faulty) -> None:
    """The order is charged; the sender learns of it by status, and by P03 when it sends again."""
    partner = faulty("response_lost", request_ids=["A1"], times=1)
    assert partner.order("A1").reply is None
    assert partner.entry("A1")["charged"] == 1
    assert partner.status("A1")["status"] == "Pending"
    assert refusal(partner.order("A1")) == (400, "P03")
    assert partner.order("A2").reply.status == 200


@pytest.mark.parametrize(
    "spread",
    [
        {"distribution": "fixed"},
        {"distribution": "uniform", "to_seconds": 4},
        {"distribution": "exponential"},
        {"distribution": "lognormal", "sigma": 0.5},
    ],
)
def test_delays_have_distributions(new_partner, spread: dict) -> None:
    """Of the reply, within the cap, and the same for the same seed."""

    def delays(seed: int) -> list[float]:
        rule = {"fault": "delay", "seconds": 2, "cap_seconds": 5, "operations": ["status"], **spread}
        partner = new_partner(rules(rule), seed=seed)
        return [partner.ask(f"A{number}").delay_seconds for number in range(20)]

    assert delays(1) == delays(1)
    assert all(0 < seconds <= 5 for seconds in delays(1))
    if spread["distribution"] == "fixed":
        assert set(delays(1)) == {2.0}
    else:
        assert len(set(delays(1))) > 10
        assert delays(1) != delays(2)


def test_delay_of_the_request_comes_before_anything_happens(faulty) -> None:
    """It is on its way; nothing is accepted until it is carried out."""
    partner = faulty("delay", side="request", seconds=3, operations=["checkout"])
    arrived = []
    carry_out = partner.judge.carry_out
    partner.judge.carry_out = lambda arrival: arrived.append(arrival) or carry_out(arrival)
    partner.order("A1")
    assert arrived[0].delay_seconds == 3


@pytest.mark.parametrize(("when", "charged"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("status", [403, 408, 429, 500, 502, 503])
def test_error_before_or_after_charging(new_partner, when: str, charged: int, status: int) -> None:
    """The same page either way: only the judge knows whether it charged."""
    rule = {"fault": "error", "when": when, "status": status, "body": "html", "operations": ["checkout"]}
    partner = new_partner(rules(rule))
    reply = partner.order("A1").reply
    assert (reply.status, reply.headers["content-type"].split(";")[0]) == (status, "text/html")
    assert partner.entry("A1")["charged"] == charged


def test_error_bodies(faulty) -> None:
    """SAT's own S00, foreign JSON, or nothing."""
    for body, content in (("json", {"message": "error"}), ("empty", None)):
        partner = faulty("error", body=body, operations=["account"])
        reply = partner.send("GET", "/api/v2/account").reply
        assert (json.loads(reply.body) if reply.body else None) == content
    partner = faulty("error", status=503, operations=["account"])
    assert refusal(partner.send("GET", "/api/v2/account")) == (503, "S00")


def test_unauthorized_mid_run(faulty) -> None:
    """One 401 with a good token; and one that takes every token with it."""
    partner = faulty("unauthorized", operations=["account"], skip=1, limit=1)
    answers = [partner.send("GET", "/api/v2/account").reply.status for _ in range(3)]
    assert answers == [200, 401, 200]
    partner = faulty("unauthorized", revoke=True, limit=1)
    assert [partner.order("A1").reply.status for _ in range(2)] == [401, 401]
    partner.bearer = "Bearer " + partner.token()["access_token"]
    assert partner.order("A1").reply.status == 200


def test_token_expiry(faulty) -> None:
    """A token that lives three seconds says so, and is refused afterwards."""
    partner = faulty("token_expiry", lifetime_seconds=3, limit=1)
    partner.wait(3)
    assert refusal(partner.send("GET", "/api/v2/account")) == (401, "P90")
    assert partner.token()["expires_in"] == 3_600


@pytest.mark.parametrize(
    ("manner", "status"),
    [
        ("truncated", 200),
        ("no_data", 200),
        ("other_id", 200),
        ("other_product", 200),
        ("other_number", 200),
        ("unknown_status", 200),
        ("not_json", 200),
        ("accepted_202", 202),
        ("redirect", 302),
    ],
)
def test_garbled_reply(faulty, manner: str, status: int) -> None:
    """The order is charged, and its answer is of no use."""
    partner = faulty("garbled_reply", manner=manner, operations=["checkout"])
    reply = partner.order("A1").reply
    assert reply.status == status
    assert partner.entry("A1")["charged"] == 1
    if manner == "other_id":
        assert json.loads(reply.body)["data"]["id"] == "XA1"
    if manner in ("other_product", "other_number"):
        told = json.loads(reply.body)["data"]
        sent = partner.status("A1")
        names = {"product_code", "client_number"}
        assert told["id"] == "A1"
        assert [name for name in names if told["attributes"][name] != sent[name]] == [
            "product_code" if manner == "other_product" else "client_number"
        ]
    if manner == "unknown_status":
        assert json.loads(reply.body)["data"]["attributes"]["status"] == "Processing"
    if manner == "redirect":
        assert reply.headers["location"] == "/api/v2/order/A1"


def test_garbled_status_is_signed_as_garbled(faulty) -> None:
    """A status of another id with a signature that fits: only comparing the id helps."""
    partner = faulty("garbled_reply", manner="other_id", operations=["status"])
    partner.order("A1")
    assert partner.status("A1")["status"] == "Pending"
    assert document(partner.ask("A1"))["data"]["id"] == "XA1"


def test_a_status_about_something_else_is_signed(faulty) -> None:
    """The right id and a signature that fits: only comparing product and number helps."""
    partner = faulty("garbled_reply", manner="other_number", operations=["status"], times=1)
    partner.order("A1")
    wrong, right = partner.status("A1"), partner.status("A1")
    assert wrong["client_number"] != right["client_number"]
    assert wrong["product_code"] == right["product_code"]


def test_a_stale_failure(faulty) -> None:
    """Once a signed Failed for an order that has succeeded; the book and the next answer say Success."""
    partner = faulty("stale_failure")
    partner.order("A1")
    assert partner.status("A1")["status"] == "Pending"
    partner.wait(100)
    assert [partner.status("A1")["status"] for _ in range(3)] == ["Failed", "Success", "Success"]
    assert partner.entry("A1")["status"] == "Success"


@pytest.mark.parametrize(
    ("manner", "price"),
    [
        ("text", lambda rupiah: f"{rupiah}.0"),
        ("unreadable", lambda rupiah: f"{rupiah:,}.-"),
        ("negative", lambda rupiah: -1 - rupiah),
        ("absurd", lambda rupiah: 2**40 + rupiah),
    ],
)
def test_amounts_in_other_types(faulty, manner: str, price) -> None:
    """Replies and signed statuses write the price like this; the deposit is charged what it costs."""
    partner = faulty("other_types", manner=manner)
    reply = json.loads(partner.order("A1").reply.body)["data"]["attributes"]
    charged = partner.entry("A1")["charged_rupiah"]
    assert reply["sales_price"] == partner.status("A1")["sales_price"] == price(charged)
    assert partner.entry("A1")["charged"] == 1


def test_other_types_of_some_products_of_the_list(new_partner) -> None:
    """Only those that are named are written so; flags are 0 and 1."""
    listed = {"fault": "other_types", "operations": ["products"], "listed": ["25k-*"]}
    partner = new_partner(rules(listed))
    products = {
        p["id"]: p["attributes"] for p in document(partner.send("GET", "/api/v2/product-list"))["data"]
    }
    assert products["25k-xl"]["price"].endswith(".0")
    assert products["25k-xl"]["is_inquiry"] == 0
    assert products["25k-xl"]["status"] == "1"
    assert isinstance(products["50k-simpati"]["price"], int)


@pytest.mark.parametrize("manner", ["stranger", "other_body", "garbage", "missing"])
def test_bad_signature_on_a_status(faulty, manner: str) -> None:
    """The body is right and proves nothing."""
    partner = faulty("bad_signature", manner=manner, times=1)
    partner.order("A1")
    with pytest.raises(SignatureMissingError if manner == "missing" else SignatureInvalidError):
        partner.status("A1")
    assert partner.status("A1")["status"] == "Pending"


def test_late_arrival_after_p02(faulty) -> None:
    """The status says P02, and only then the request arrives and charges."""
    partner = faulty("late_arrival", until="p02")
    assert partner.order("A1").reply is None
    assert refusal(partner.ask("A1")) == (400, "P02")
    assert partner.status("A1")["status"] == "Pending"
    assert (partner.entry("A1")["posted"], partner.entry("A1")["charged"]) == (1, 1)


@pytest.mark.parametrize(("horizon", "charged"), [(None, 1), (0, 2)])
def test_late_arrival_after_a_resend(new_partner, horizon: float | None, charged: int) -> None:
    """The first transmission arrives after the second: a duplicate, or beyond the horizon a second charge."""
    scenario = rules({"fault": "late_arrival", "until": "resend"})
    partner = new_partner({**scenario, "dedup_horizon": {"seconds": horizon}})
    assert partner.order("A1").reply is None
    assert partner.order("A1").reply.status == 200
    assert (partner.entry("A1")["posted"], partner.entry("A1")["charged"]) == (2, charged)


def test_late_arrival_after_seconds(faulty) -> None:
    """By itself, without any request."""
    partner = faulty("late_arrival", until="seconds", seconds=9)
    partner.order("A1")
    partner.wait(8)
    assert partner.entry("A1")["charged"] == 0
    partner.wait(1)
    assert partner.entry("A1")["charged"] == 1


@pytest.mark.parametrize("first_send", ["p03", "reset", "silence"])
def test_p03_for_a_request_it_lost(faulty, first_send: str) -> None:
    """Every send says duplicate, every status says not found, and nothing was ever charged."""
    partner = faulty("p03_for_lost", first_send=first_send, request_ids=["A1"])
    first = partner.order("A1")
    assert first.reply is None if first_send != "p03" else refusal(first) == (400, "P03")
    for _ in range(2):
        assert refusal(partner.order("A1")) == (400, "P03")
        assert refusal(partner.ask("A1")) == (400, "P02")
    assert partner.entry("A1")["charged"] == 0


def test_p02_though_charged(faulty) -> None:
    """For the first ten seconds an accepted order is not found."""
    partner = faulty("p02_though_charged", for_seconds=10)
    partner.order("A1")
    assert refusal(partner.ask("A1")) == (400, "P02")
    assert partner.entry("A1")["charged"] == 1
    partner.wait(10)
    assert partner.status("A1")["status"] == "Success"


def test_rejection_on_resend_of_a_charged_order(faulty) -> None:
    """P04 for an order that is charged: who believes it loses the order."""
    partner = faulty("reject_resend")
    partner.order("A1")
    assert refusal(partner.order("A1")) == (400, "P04")
    assert partner.entry("A1")["net_rupiah"] == 52_000


def test_forgotten_id(faulty) -> None:
    """A resend is a new order, and charges again."""
    partner = faulty("forgotten_id", request_ids=["A1"])
    partner.order("A1")
    assert partner.order("A1").reply.status == 200
    assert partner.entry("A1")["charged"] == 2


def test_stuck_pending(faulty) -> None:
    """It stays so for a week."""
    partner = faulty("stuck_pending", request_ids=["A*"])
    partner.order("A1")
    partner.wait(7 * 86_400)
    partner.bearer = "Bearer " + partner.token()["access_token"]
    assert partner.status("A1")["status"] == "Pending"


def test_failed_late(faulty) -> None:
    """Pending for a minute, then Failed with the code of the rule."""
    partner = faulty("fails", after_seconds=60, code="U00", detail="Wrong number")
    partner.order("A1")
    partner.wait(59)
    assert partner.status("A1")["status"] == "Pending"
    partner.wait(1)
    failed = partner.status("A1")
    assert (failed["status"], failed["error_code"], failed["error_detail"]) == (
        "Failed",
        "U00",
        "Wrong number",
    )
    assert partner.saldo() == 50_000_000


def test_success_then_reversed(faulty) -> None:
    """Success, and later Failed with a refund."""
    partner = faulty("success_then_reversed", after_seconds=20)
    partner.order("A1")
    partner.wait(4)
    assert partner.status("A1")["status"] == "Success"
    partner.wait(20)
    assert partner.status("A1")["status"] == "Failed"
    assert partner.entry("A1")["net_rupiah"] == 0


def test_failed_then_success(new_partner) -> None:
    """Failed with a refund, and later Success: the refund is taken back, even below zero."""
    partner = new_partner(
        {"deposit_rupiah": 52_000, **rules({"fault": "failed_then_success", "after_seconds": 20})}
    )
    partner.order("A1")
    partner.wait(4)
    assert (partner.status("A1")["status"], partner.saldo()) == ("Failed", 52_000)
    partner.judge.spend_elsewhere(52_000)
    partner.wait(20)
    assert (partner.status("A1")["status"], partner.saldo()) == ("Success", -52_000)
    assert partner.entry("A1")["reclaimed"] == 1


def test_delayed_refund(new_partner) -> None:
    """Failed at once, money back only later."""
    partner = new_partner(rules({"fault": "fails"}, {"fault": "delayed_refund", "after_seconds": 30}))
    partner.order("A1")
    partner.wait(4)
    assert (partner.status("A1")["status"], partner.saldo()) == ("Failed", 50_000_000 - 52_000)
    partner.wait(30)
    assert partner.saldo() == 50_000_000


def test_no_refund_is_taken_back_that_was_never_given(new_partner) -> None:
    """Failed, then Success before the late refund: the one charge stands."""
    partner = new_partner(
        rules(
            {"fault": "failed_then_success", "after_seconds": 5},
            {"fault": "delayed_refund", "after_seconds": 60},
        )
    )
    partner.order("A1")
    partner.wait(100)
    entry = partner.entry("A1")
    assert (entry["status"], entry["refunded"], entry["net_rupiah"]) == ("Success", 0, 52_000)


def test_price_change_after_the_quote(faulty) -> None:
    """The inquiry is answered with the old bill, the next one with the new."""
    partner = faulty("price_change", moment="quote", change_rupiah=500)
    sold = [
        document(partner.inquire("pln-postpaid", "2121212"))["data"]["attributes"]["sales_price"]
        for _ in range(3)
    ]
    assert sold == [27_500, 28_000, 28_000]


@pytest.mark.parametrize(
    ("at_checkout", "charged"), [("charge_sent", 27_500), ("charge_changed", 28_000), ("refuse", None)]
)
def test_price_change_between_inquiry_and_checkout(faulty, at_checkout: str, charged: int | None) -> None:
    """The amount sent is no longer the bill: charged as sent, as it stands, or refused."""
    partner = faulty("price_change", change_rupiah=500, at_checkout=at_checkout)
    outcome = partner.order("A1", "pln-postpaid", "111111111111", amount=27_500)
    if charged is None:
        assert refusal(outcome) == (400, "P94")
    else:
        assert document(outcome)["data"]["attributes"]["sales_price"] == charged


def test_catalogue_price_change(faulty) -> None:
    """The order is charged the new price, and the list shows it from then on."""
    partner = faulty("price_change", change_percent=10, products=["50k-simpati"])
    assert document(partner.order("A1"))["data"]["attributes"]["sales_price"] == 57_200
    assert document(partner.order("A2"))["data"]["attributes"]["sales_price"] == 57_200
    (listed,) = document(partner.send("GET", "/api/v2/product-list", query="product_code=50k-simpati"))[
        "data"
    ]
    assert listed["attributes"]["price"] == 57_200


def test_product_going_inactive(faulty) -> None:
    """Listed active, then gone: before the checkout, or after the list was read."""
    partner = faulty("product_inactive", products=["50k-simpati"], skip=1)
    assert partner.order("A1").reply.status == 200
    assert refusal(partner.order("A2")) == (400, "P04")
    partner = faulty("product_inactive", moment="quote", products=["t25k"], status=3)
    listed = [
        document(partner.send("GET", "/api/v2/product-list", query="product_code=t25k")) for _ in range(2)
    ]
    assert [listing["data"][0]["attributes"]["status"] for listing in listed] == [1, 3]


def test_deposit_running_out(faulty) -> None:
    """After two orders another party has spent nearly all of it."""
    partner = faulty("deposit_runs_out", skip=2, leaving_rupiah=5)
    assert [partner.order(f"A{number}").reply.status for number in range(4)] == [200, 200, 400, 400]
    assert partner.saldo() == 5


def test_foreign_spend(faulty) -> None:
    """Never more than there is, and booked as what it is."""
    partner = faulty("foreign_spend", rupiah=100, to_rupiah=200, limit=2)
    for number in range(4):
        partner.order(f"A{number}")
    spent = partner.ledger()["deposit"]["foreign_spend_rupiah"]
    assert 200 <= spent <= 400
    assert partner.saldo() == 50_000_000 - 4 * 52_000 - spent


def test_stale_saldo(faulty) -> None:
    """The account shows what was there ten seconds ago."""
    partner = faulty("stale_saldo", lag_seconds=10)
    partner.wait(20)
    partner.order("A1")
    assert partner.saldo() == 50_000_000
    partner.wait(10)
    assert partner.saldo() == 50_000_000 - 52_000


def test_rates_are_about_right_and_tell_the_same_story_in_any_order(new_partner) -> None:
    """A third of the requests are lost; which ones is a matter of seed and id, not of who comes first."""

    def lost(ids: list[str], seed: int) -> set[str]:
        partner = new_partner(rules({"fault": "request_lost", "rate": 0.3}), seed=seed)
        return {request_id for request_id in ids if partner.order(request_id).reply is None}

    ids = [f"A{number}" for number in range(300)]
    assert lost(ids, 5) == lost(ids[::-1], 5) != lost(ids, 6)
    assert 60 < len(lost(ids, 5)) < 120


def test_rules_can_be_changed_while_running(partner: Partner) -> None:
    """Orders that are under way keep their story."""
    partner.order("A1")
    partner.world.change_scenario(parse_scenario("faults: [{fault: stuck_pending}]"))
    partner.order("A2")
    partner.wait(60)
    assert (partner.status("A1")["status"], partner.status("A2")["status"]) == ("Success", "Pending")


def test_window_of_a_rule(faulty) -> None:
    """Between five and ten seconds after the start."""
    partner = faulty("error", operations=["account"], from_seconds=5, until_seconds=10)
    statuses = []
    for _ in range(3):
        statuses.append(partner.send("GET", "/api/v2/account").reply.status)
        partner.wait(5)
    assert statuses == [200, 500, 200]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("faults: [{fault: respnse_lost}]", "faults.0"),
        ("faults: [{fault: delay}]", "faults.0.delay.seconds"),
        ("faults: [{fault: request_lost, rate: 2}]", "faults.0.request_lost.rate"),
        ("faults: [{fault: request_lost, ratio: 1}]", "faults.0.request_lost.ratio"),
        ("faults: [{fault: price_change}]", "change_rupiah"),
        ("faults: [{fault: stuck_pending, operations: [status]}]", "can only be checkout"),
        ("seeds: 1", "seeds"),
        ("- 1", "file"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_in_a_fault_file_are_named(text: str, place: str) -> None:
    """A typing error never passes for a quiet server."""
    with pytest.raises(FaultFileError, match=place):
        parse_scenario(text)


def test_example_file_shows_every_fault() -> None:
    """``examples/faults.yaml`` is read, and names each fault there is, each operation and each setting."""
    scenario = read_scenario(EXAMPLE)
    union = get_args(AnyRule)[0]
    known = {kind.model_fields["fault"].annotation.__args__[0] for kind in get_args(union)}
    assert {rule.fault for rule in scenario.faults} == known
    assert {operation for rule in scenario.faults for operation in rule.aims_at} == set(Operation)
    assert scenario.model_fields_set == set(type(scenario).model_fields)


def test_the_same_seed_tells_the_same_story(new_partner) -> None:
    """Every fault of the example file at once, twice: the two books are equal to the last answer."""

    def book(seed: int) -> dict:
        scenario = read_scenario(EXAMPLE).model_dump(mode="json", exclude={"seed"})
        partner = new_partner(scenario, seed=seed, callback_url="http://127.0.0.1:9/")
        for number in range(60):
            partner.order(f"A{number}")
            partner.ask(f"A{number // 2}")
            partner.order(f"A{number // 3}")
            partner.wait(1)
            partner.deliver()
        return partner.ledger()

    assert book(3) == book(3)
    assert book(3)["requests"] != book(4)["requests"]
