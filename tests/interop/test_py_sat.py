"""py-sat-sdk, the vendor's own Python client, unchanged, against the sandbox in a process of its own.

What it cannot do is shown to be its own failure: the same bytes are right when read without it.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from queue import Queue

import pytest

from sandbox.testing import CLIENT_ID, CLIENT_SECRET, SandboxProcess
from tests.loopback import QuietHandler, http_server

with warnings.catch_warnings():
    # The SDK's own dependencies warn at import; nothing of ours does so below.
    warnings.simplefilter("ignore", DeprecationWarning)
    from py_sat import SATClient, SATClientConfig
    from py_sat.exceptions import GeneralException
    from py_sat.models import ErrorResponse, Field, InquiryRequest, OrderDetail, OrderRequest, ProductStatus

# dataclasses-json warns where the wire says null for a list that the SDK declares without null (protocol 11).
pytestmark = pytest.mark.filterwarnings("ignore:'NoneType' object value of non-optional type:RuntimeWarning")

POLLS = 4


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    """The sandbox in its default scenario."""
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def client(sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[SATClient]:
    """The SDK, configured as its README says."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # plain HTTP, as in the SDK's own tests
    config = SATClientConfig(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        private_key=sandbox.keys.client_private_pem.decode(),
        sat_public_key=sandbox.keys.sat_public_pem.decode(),
    )
    config = config.with_sat_base_url(sandbox.api_url).with_access_token_base_url(sandbox.token_url)
    made = SATClient(config)
    yield made
    made.get_http_client()._session.close()  # it has no close of its own
    made.get_http_client()._auth.close()


def poll(client: SATClient, request_id: str) -> OrderDetail:
    """The SDK's own tests' loop: a second, up to four times."""
    for _ in range(POLLS):
        time.sleep(1)
        detail = client.check_status(request_id)
        if detail.status != "Pending":
            break
    return detail


def test_ping(client: SATClient) -> None:
    """A playground that is well."""
    answer = client.ping()
    assert (answer.buildhash, answer.sandbox, answer.status) == ("b05b97a", True, "ok")


def test_account(client: SATClient) -> None:
    """Account 2203; its saldo is what the judge says."""
    account = client.account()
    assert account.is_success()
    assert account.id == 2203
    assert 0 < account.saldo <= 50_000_000


def test_product_list_by_code(client: SATClient) -> None:
    """One active product; an unknown one is P04."""
    listed = client.list_product("25k-xl")
    assert [(product.id, product.status) for product in listed.products] == [("25k-xl", ProductStatus.Active)]
    unknown = client.list_product("not-exists-product")
    assert isinstance(unknown, ErrorResponse)
    assert unknown.get_error_messages() == "400 - P04 - Product not found"


def test_prices_and_names_are_lost_by_the_sdk(client: SATClient) -> None:
    """Its known failure: it reads ``name`` and ``sales_price``; the wire has ``product_name``, ``price``."""
    listed = client.list_product("25k-xl")
    assert (listed.products[0].name, listed.products[0].sales_price) == ("", 0)
    (on_the_wire,) = listed.get_raw_response().json()["data"]
    assert on_the_wire["attributes"]["product_name"] == "XL 25,000"
    assert on_the_wire["attributes"]["price"] == 25_100


def test_status_3_fails_the_sdk_s_whole_list(client: SATClient, sandbox: SandboxProcess) -> None:
    """Its other known failure: one temporarily inactive product, and it shows none."""
    with pytest.raises(GeneralException, match="3 is not a valid ProductStatus"):
        client.list_product()
    with pytest.raises(GeneralException, match="3 is not a valid ProductStatus"):
        client.list_product("20k-axis")
    sandbox.set_faults({"list_inactive": False})
    assert len(client.list_product().products) > 3
    sandbox.set_faults({})


def test_inquiry(client: SATClient) -> None:
    """The ten-line bill, and the two refusals."""
    bill = client.inquiry(
        InquiryRequest(
            product_code="pln-postpaid",
            client_number="111111111111",
            fields=[Field(name="optional", value="optional")],
            downline_id="client-123",
        )
    )
    assert bill.is_success()
    assert (bill.base_price, bill.admin_fee, bill.sales_price) == (25_000, 2_500, 27_500)
    assert (bill.id, bill.meter_id, bill.client_name) == ("111111111111", "111111111111", "TOKOPXXXX UXX")
    assert len(bill.inquiry_result) == 10
    assert bill.fields == [Field(name="optional", value="optional")]
    broken = client.inquiry(InquiryRequest(product_code="speedy-indihome", client_number="102111496000"))
    assert broken.get_error_messages() == "500 - S00 - Internal Server Error"
    unknown = client.inquiry(InquiryRequest(product_code="not-found-product", client_number="2121212"))
    assert unknown.get_error_codes() == "P04"


def test_checkout_and_status_of_a_success(client: SATClient, sandbox: SandboxProcess) -> None:
    """Pending, then Success within the SDK's four polls, with a signature it can verify; charged once."""
    request = OrderRequest(
        id="PYSATOK1", product_code="speedy-indihome", client_number="123451111", amount=3500
    )
    pending = client.checkout(request)
    assert (pending.id, pending.status, pending.partner_fee) == ("PYSATOK1", "Pending", 2_000)
    done = poll(client, "PYSATOK1")
    assert (done.status, done.serial_number, done.sales_price) == ("Success", "174298636", 3_500)
    assert datetime.now(UTC) - done.fulfilled_at < timedelta(seconds=60)
    duplicate = client.checkout(request)
    assert duplicate.get_error_messages() == "400 - P03 - Duplicate Request ID, please check your system"
    entry = sandbox.request("PYSATOK1")
    assert (entry["posted"], entry["charged"], entry["net_rupiah"]) == (2, 1, 3_500)


def test_checkout_and_status_of_a_failure(client: SATClient, sandbox: SandboxProcess) -> None:
    """Failed with S02 and the checkout's subset; refunded."""
    fields = [Field(name="optional", value="optional")]
    request = OrderRequest(
        id="PYSATNO1", product_code="pln-postpaid", client_number="2121212", amount=12500, fields=fields
    )
    assert client.checkout(request).status == "Pending"
    assert poll(client, "PYSATNO1") == OrderDetail(
        id="PYSATNO1",
        client_number="2121212",
        fields=fields,
        partner_fee=1_000,
        product_code="pln-postpaid",
        sales_price=12_500,
        status="Failed",
        error_code="S02",
        error_detail="Product is not available",
    )
    assert sandbox.request("PYSATNO1")["net_rupiah"] == 0


def test_prepaid_order_without_an_amount(client: SATClient, sandbox: SandboxProcess) -> None:
    """The SDK sends 0.0 for no amount; the catalogue price is charged."""
    request = OrderRequest(id="PYSATPRE1", product_code="50k-simpati", client_number="081211311111")
    assert client.checkout(request).sales_price == 52_000
    assert sandbox.request("PYSATPRE1")["charged_rupiah"] == 52_000


def test_refused_checkouts_and_unknown_ids(client: SATClient) -> None:
    """P04 and P02 as the SDK spells them."""
    request = OrderRequest(id="PYSATNO2", product_code="non-exist-product", client_number="102111496000")
    assert client.checkout(request).get_error_codes() == "P04"
    assert client.check_status("PYSATNEVER").get_error_messages() == "400 - P02 - Transaction is not found"


def test_callback(client: SATClient, sandbox: SandboxProcess) -> None:
    """The SDK's handler accepts the callback of a server process, as its own sample receiver would."""
    handled: Queue[OrderDetail] = Queue()
    with callback_receiver(lambda data, headers: client.handle_callback(data, headers, handled.put)) as url:
        sandbox.set_callback_url(url)
        client.checkout(
            OrderRequest(id="PYSATCB1", product_code="pln-prepaid-token-100k", client_number="102111106111")
        )
        detail = handled.get(timeout=60)
        while detail.id != "PYSATCB1":  # an earlier test's order may end only now
            detail = handled.get(timeout=60)
        sandbox.wait_until(lambda ledger: ledger["requests"]["PYSATCB1"]["callbacks"])
        sandbox.set_callback_url(None)
    assert (detail.id, detail.status, detail.sales_price) == ("PYSATCB1", "Success", 102_500)
    assert detail.voucher_code == "5196 1584 0828 2085 4701"
    assert [callback["answer"] for callback in sandbox.request("PYSATCB1")["callbacks"]] == [200]


def test_compact_callbacks_fail_the_sdk(client: SATClient, sandbox: SandboxProcess) -> None:
    """Its failure too: it verifies what it has serialised again, so a valid signature is refused."""
    refused: Queue[str] = Queue()

    def handle(data: dict, headers: dict) -> None:
        try:
            client.handle_callback(data, headers, lambda detail: None)
        except Exception as error:
            refused.put(type(error).__name__)
            raise

    with callback_receiver(handle) as url:
        sandbox.set_faults({"json_style": "compact", "callbacks": {"attempts": 1}})
        sandbox.set_callback_url(url)
        client.checkout(OrderRequest(id="PYSATCB2", product_code="t25k", client_number="081211311111"))
        assert refused.get(timeout=60) == "UnauthenticatedException"
        sandbox.set_callback_url(None)
        sandbox.set_faults({})


@contextmanager
def callback_receiver(handle: Callable[[dict, dict], None]) -> Iterator[str]:
    """A small HTTP server that hands each callback to a handler; 200 if it returns, 400 if it raises."""

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            try:
                handle(json.loads(self.body()), dict(self.headers))
            except Exception:
                self.reply(400)
            else:
                self.reply(200)

    with http_server(Handler) as url:
        yield f"{url}/callback"
