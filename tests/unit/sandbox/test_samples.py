"""Sample numbers and product codes: each row of the protocol's section 10 that names an answer."""

from __future__ import annotations

import pytest

from sandbox.catalogue import OWN_PRODUCTS, SAMPLE_PRODUCTS
from sandbox.samples import MAXIMUM_BILL_RUPIAH, MINIMUM_BILL_RUPIAH
from tests.unit.sandbox.partner import Partner, document, refusal

LAST_POLL_SECONDS = 4.0


def test_ping_needs_no_token_and_names_the_playground(partner: Partner) -> None:
    """Build hash, sandbox flag and status, as plain JSON."""
    outcome = partner.send("GET", "/api/ping", headers={"authorization": ""})
    assert document(outcome) == {"buildhash": "b05b97a", "sandbox": True, "status": "ok"}


def test_account_2203_holds_fifty_million(partner: Partner) -> None:
    """The id is a decimal string, the saldo a whole number of rupiah."""
    data = document(partner.send("GET", "/api/v2/account"))["data"]
    assert data == {"type": "account", "id": "2203", "attributes": {"saldo": 50_000_000}}


@pytest.mark.parametrize("number", ["2121212", "111111111111"])
def test_pln_bill_has_ten_lines_with_repeated_names(partner: Partner, number: str) -> None:
    """27,500 rupiah; "Nama" and "NAMA", "Total Bayar" and "TOTAL BAYAR" are lines of their own."""
    fields = [{"name": "optional", "value": "optional"}]
    data = document(partner.inquire("pln-postpaid", number, fields=fields, downline_id="client-123"))["data"]
    bill = data["attributes"]
    assert (data["type"], data["id"]) == ("inquiry", number)
    assert (bill["base_price"], bill["admin_fee"], bill["sales_price"]) == (25_000, 2_500, 27_500)
    assert bill["client_name"] == "TOKOPXXXX UXX"
    assert bill["fields"] == fields
    assert [line["name"] for line in bill["inquiry_result"]] == [
        "ID Pelanggan",
        "Nama",
        "Total Bayar",
        "IDPEL",
        "NAMA",
        "TOTAL TAGIHAN",
        "BL/TH",
        "RP TAG PLN",
        "ADMIN BANK",
        "TOTAL BAYAR",
    ]
    assert bill["inquiry_result"][2]["value"] == "Rp 27.500"


@pytest.mark.parametrize(
    ("product", "number", "expected_rupiah"),
    [
        ("pdam-jabar-kota-cirebon", "0811111111", 51_750),
        ("pasca-telkomsel", "081222308111", 102_000),
        ("speedy-indihome", "123451111", 3_500),
        ("kta-bank-dbs", "7", 4_797_124),
        ("pln-prepaid-token-50k-sat", "102111106111", 52_500),
    ],
)
def test_other_bills(partner: Partner, product: str, number: str, expected_rupiah: int) -> None:
    """The sales price is base plus admin fee."""
    bill = document(partner.inquire(product, number))["data"]["attributes"]
    assert bill["sales_price"] == bill["base_price"] + bill["admin_fee"] == expected_rupiah


def test_bill_of_any_other_number_is_plausible_and_always_the_same(partner: Partner, new_partner) -> None:
    """20,000 to 150,000 rupiah plus the admin fee, foretold by the number whatever the seed."""
    other = new_partner(seed=99)
    for number in range(50):
        bill = document(partner.inquire("pln-postpaid", f"5300{number}"))["data"]["attributes"]
        again = document(other.inquire("pln-postpaid", f"5300{number}"))["data"]["attributes"]
        assert bill == again
        assert MINIMUM_BILL_RUPIAH <= bill["base_price"] <= MAXIMUM_BILL_RUPIAH


def test_inquiry_of_the_broken_number_is_s00(partner: Partner) -> None:
    """102111496000 breaks the inquiry."""
    assert refusal(partner.inquire("speedy-indihome", "102111496000")) == (500, "S00")


def test_unknown_product_is_p04_everywhere(partner: Partner) -> None:
    """Inquiry, checkout and product list."""
    assert refusal(partner.inquire("not-found-product", "2121212")) == (400, "P04")
    assert refusal(partner.order("A1", "non-exist-product", "102111496000")) == (400, "P04")
    listed = partner.send("GET", "/api/v2/product-list", query="product_code=not-exists-product")
    assert refusal(listed) == (400, "P04")
    assert partner.entry("A1")["charged"] == 0


def test_pln_order_fails_with_s02_and_is_refunded(partner: Partner) -> None:
    """Pending 12,500 (the amount sent, not the bill), fee 1,000; then Failed, with the checkout's subset."""
    fields = [{"name": "optional", "value": "optional"}]
    pending = document(partner.order("A1", "pln-postpaid", "2121212", amount=12_500, fields=fields))["data"]
    assert (pending["type"], pending["id"]) == ("order", "A1")
    assert pending["attributes"] == {
        "client_number": "2121212",
        "error_code": "",
        "error_detail": "",
        "fields": fields,
        "fulfilled_at": None,
        "partner_fee": 1_000,
        "product_code": "pln-postpaid",
        "sales_price": 12_500,
        "serial_number": "",
        "status": "Pending",
    }
    assert partner.saldo() == 50_000_000 - 12_500
    partner.wait(LAST_POLL_SECONDS)
    failed = partner.status("A1")
    assert set(failed) == set(pending["attributes"])
    assert (failed["status"], failed["error_code"]) == ("Failed", "S02")
    assert failed["error_detail"] == "Product is not available"
    assert partner.saldo() == 50_000_000


def test_same_request_id_twice_is_p03(partner: Partner) -> None:
    """The second one is refused and charges nothing."""
    assert partner.order("A1", "pln-postpaid", "2121212", amount=12_500).reply.status == 200
    assert refusal(partner.order("A1", "pln-postpaid", "2121212", amount=12_500)) == (400, "P03")
    entry = partner.entry("A1")
    assert (entry["posted"], entry["charged"], entry["duplicates"]) == (2, 1, 1)


def test_indihome_order_succeeds_within_four_polls(partner: Partner) -> None:
    """Any number ending in 1111: fee 2,000, serial 174298636, fulfilled just now, in UTC with Z."""
    pending = document(partner.order("A1", "speedy-indihome", "987651111", amount=3_500))["data"][
        "attributes"
    ]
    assert (pending["status"], pending["partner_fee"]) == ("Pending", 2_000)
    assert partner.status("A1")["status"] == "Pending"
    partner.wait(LAST_POLL_SECONDS)
    done = partner.status("A1")
    assert (done["status"], done["serial_number"], done["admin_fee"]) == ("Success", "174298636", 2_500)
    assert done["client_name"] == "Tokopedia User Default"
    assert done["fulfilled_at"].endswith("Z")
    assert done["voucher_code"] == ""


def test_pdam_order(partner: Partner) -> None:
    """Pending with fee 100, then Success with serial 123412341234."""
    pending = document(partner.order("A1", "pdam-jabar-kota-cirebon", "0811111111", amount=51_750))
    assert pending["data"]["attributes"]["partner_fee"] == 100
    partner.wait(LAST_POLL_SECONDS)
    assert partner.status("A1")["serial_number"] == "123412341234"


def test_simpati_order_without_amount_costs_the_catalogue_price(partner: Partner) -> None:
    """52,000 rupiah, fee 0, serial TLKM0305956071."""
    pending = document(partner.order("A1", "50k-simpati", "081211311111"))["data"]["attributes"]
    assert (pending["sales_price"], pending["partner_fee"]) == (52_000, 0)
    partner.wait(LAST_POLL_SECONDS)
    assert partner.status("A1")["serial_number"] == "TLKM0305956071"


def test_pln_token_order_delivers_the_sample_voucher(partner: Partner) -> None:
    """102,500 rupiah; voucher and serial of the sample callback."""
    partner.order("A1", "pln-prepaid-token-100k", "102111106111")
    partner.wait(LAST_POLL_SECONDS)
    done = partner.status("A1")
    assert done["sales_price"] == 102_500
    assert done["voucher_code"] == "5196 1584 0828 2085 4701"
    assert done["serial_number"] == "5196 15840828 2085 4701"


def test_amount_of_a_fixed_price_order_is_ignored(partner: Partner) -> None:
    """The catalogue says what it costs, whatever was sent."""
    assert document(partner.order("A1", amount=1))["data"]["attributes"]["sales_price"] == 52_000


def test_never_sent_id_is_p02(partner: Partner) -> None:
    """The status of an id that was never posted."""
    assert refusal(partner.ask("NEVER1")) == (400, "P02")


def test_price_list_has_every_sample_code_in_the_vendors_spelling(partner: Partner) -> None:
    """``product_name`` and ``price``; statuses 1, 2 and 3; one empty name; prices of 0."""
    listed = {
        product["id"]: product["attributes"]
        for product in document(partner.send("GET", "/api/v2/product-list"))["data"]
    }
    assert set(listed) == {product.code for product in (*SAMPLE_PRODUCTS, *OWN_PRODUCTS)}
    assert listed["25k-xl"] == {
        "is_inquiry": False,
        "price": 25_100,
        "product_name": "XL 25,000",
        "status": 1,
    }
    assert listed["kta-bank-dbs"]["price"] == 4_797_124
    assert listed["test2"]["product_name"] == ""
    assert {attributes["status"] for attributes in listed.values()} == {1, 2, 3}


def test_filter_of_one_code_gives_exactly_one(partner: Partner) -> None:
    """25k-xl, active."""
    (product,) = document(partner.send("GET", "/api/v2/product-list", query="product_code=25k-xl"))["data"]
    assert (product["id"], product["attributes"]["status"]) == ("25k-xl", 1)


def test_products_of_our_own(partner: Partner) -> None:
    """Status 2 and a withdrawn product are P04; status 3 is accepted and fails with S02."""
    assert refusal(partner.order("A1", "100k-indosat")) == (400, "P04")
    assert refusal(partner.order("A2", "voucher-game-50k")) == (400, "P04")
    assert partner.order("A3", "20k-axis").reply.status == 200
    partner.wait(LAST_POLL_SECONDS)
    assert partner.status("A3")["error_code"] == "S02"
    assert partner.ledger()["deposit"]["now_rupiah"] == 50_000_000


def test_orders_without_enough_deposit_are_refused(new_partner) -> None:
    """Refused with a code of our own choosing, and nothing is charged until the deposit is topped up."""
    partner = new_partner({"deposit_rupiah": 60_000})
    assert partner.order("A1").reply.status == 200
    assert refusal(partner.order("A2")) == (400, "P98")
    partner.judge.top_up(50_000)
    assert partner.order("A2").reply.status == 200
    assert partner.saldo() == 60_000 + 50_000 - 2 * 52_000
