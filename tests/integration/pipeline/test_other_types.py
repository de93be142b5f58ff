"""A SAT that writes numbers in another JSON type, or amounts that are none, from order to closed day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.alerting import collect_alerts
from sat_hook.pipeline.errors import ChargedAboveQuoteError
from sat_hook.pipeline.limits import AlertingLimits
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.protocol.exchange import WireResponse
from sat_hook.protocol.outcomes import classify_status
from sat_hook.protocol.signing import Signer
from sat_hook.store.alerts import AlertBook
from stack.databases import ApplicationDatabase
from tests.integration.reconciliation.planting import Planted
from tests.orders import ACCOUNT, BY_TEST, ManualClock
from tests.pipeline import Line, line_of

HEADER = "order_id,product_code,client_number\n"
QUICK = {"min_seconds": 0.05, "max_seconds": 0.1}


def rows(product: str, *numbers: int) -> bytes:
    """An order file of prepaid orders."""
    return (HEADER + "".join(f"{product}-{n},{product},08181234567{n}\n" for n in numbers)).encode()


@contextmanager
def line_with(database: ApplicationDatabase, folder: Path, *faults: dict[str, object]) -> Iterator[Line]:
    """A line whose SAT has these faults."""
    with line_of(database.writer_dsn, folder, {"faults": list(faults), "fulfilment": QUICK}) as line:
        yield line


def alerts(line: Line) -> dict[AlertKind, list[str]]:
    """What people are told, by kind."""
    book = AlertBook(line.store.database)
    collect_alerts(line.store, book, AlertingLimits())
    told: dict[AlertKind, list[str]] = {}
    for alert in book.unannounced(100):
        told.setdefault(alert.kind, []).append(alert.text)
    return told


def test_numbers_as_text_everywhere_change_nothing(database: ApplicationDatabase, tmp_path: Path) -> None:
    """Saldo, prices, flags, bills, replies and signed statuses as text: every order is paid at its price."""
    with line_with(database, tmp_path, {"fault": "other_types"}) as line:
        bill = b"bill-1,pln-postpaid,5312345678\n"
        orders = line.orders(line.run(rows("25k-xl", 1, 2) + bill))
        assert {order.state for order in orders.values()} == {OrderState.SUCCEEDED}
        assert all(order.charged_rupiah == order.quote_rupiah for order in orders.values())
        assert orders["bill-1"].is_inquiry
        assert alerts(line) == {}
        assert line.server.ledger()["totals"]["double_charged"] == 0


@pytest.mark.parametrize("manner", ["unreadable", "negative"])
def test_amounts_that_are_none_end_their_orders(
    database: ApplicationDatabase, tmp_path: Path, manner: str
) -> None:
    """A signed Success with such amounts ends the order; its charge is unknown, told, and not in the file."""
    fault = {"fault": "other_types", "manner": manner, "operations": ["checkout", "status"]}
    with line_with(database, tmp_path, fault) as line:
        batch_id = line.run(rows("25k-xl", 1))
        (order,) = line.orders(batch_id).values()
        assert order.state is OrderState.SUCCEEDED
        assert order.charged_rupiah is None
        told = alerts(line)
        assert set(told) == {AlertKind.AMOUNT_UNKNOWN}
        assert any("signed sales_price is no amount" in text for text in told[AlertKind.AMOUNT_UNKNOWN])
        _, file = line.finish(batch_id)
        (verdict,) = file.content.decode("utf-8-sig").splitlines()[1:]
        assert f",paid,succeeded,,,{order.request_id},{order.quote_rupiah},," in verdict


def test_an_absurd_charge_stops_the_chunk(database: ApplicationDatabase, tmp_path: Path) -> None:
    """It is above every quote, though it counts in no sum."""
    fault = {"fault": "other_types", "manner": "absurd", "operations": ["checkout"]}
    with line_with(database, tmp_path, fault) as line:
        batch_id = line.quoted(rows("25k-xl", *range(1, 10)))
        line.execution = type(line.execution)(in_flight=2)
        with pytest.raises(ChargedAboveQuoteError):
            line.execute(batch_id)
        # An order whose intent was committed when the chunk stopped is not sent: it is quoted again.
        sent = [order for order in line.orders(batch_id).values() if order.state is not OrderState.QUOTED]
        assert 1 <= len(sent) <= 4
        assert all(order.charged_rupiah is None and order.unknown_amounts for order in sent)


def test_one_unreadable_product_costs_only_its_own_rows(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """Rows that use it have a reason of their own; a batch that does not is paid."""
    fault = {
        "fault": "other_types",
        "manner": "unreadable",
        "operations": ["products"],
        "listed": ["50k-simpati"],
    }
    with line_with(database, tmp_path, fault) as line:
        content = rows("25k-xl", 1) + b"odd,50k-simpati,081234567890\n"
        orders = line.orders(line.run(content))
        assert orders["25k-xl-1"].state is OrderState.SUCCEEDED
        assert (orders["odd"].state, orders["odd"].reason_code) == (OrderState.REJECTED, "unreadable_product")
        assert "price" in (orders["odd"].reason_detail or "")


SIGNED = {
    "price as text": {"sales_price": "25100", "partner_fee": "0.0"},
    "negative fee": {"sales_price": 25_100, "partner_fee": -100},
    "beyond forty bits": {"sales_price": 25_100 + 2**40, "partner_fee": 0},
    "negative price": {"sales_price": -1, "partner_fee": 0},
    "thousand marks": {"sales_price": "25.100", "admin_fee": True},
    "objects": {"sales_price": {"idr": 25_100}, "serial_number": {"sn": "X"}, "fields": "none"},
    "beyond thirty digits": {"sales_price": 10**40},
    "plain": {"sales_price": 25_100, "partner_fee": 1_000},
}
READ = {"price as text", "plain"}


def test_a_day_with_amounts_that_are_none_closes_with_breaks(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """No sum wraps, each such order is a break that names its members, and the controls agree."""
    with line_with(database, tmp_path, {"fault": "stuck_pending"}) as line:
        names = dict(enumerate(SIGNED))
        batch_id = line.quoted(rows("25k-xl", *names))
        line.execute(batch_id)
        sent = {names[int(key[-1])]: order for key, order in line.orders(batch_id).items()}
        for name, order in sent.items():
            _end(line, order, SIGNED[name])
        ended = {names[int(key[-1])]: order for key, order in line.orders(batch_id).items()}
        assert {order.state for order in ended.values()} == {OrderState.SUCCEEDED}

        day = BusinessDay.of(datetime.now(UTC))
        books = Planted(line.store, tmp_path / "kept", ACCOUNT, ManualClock(day.closes_at.astimezone(UTC)))
        close = books.close(day).close
        by_order = close.orders.frame.set_index("request_id")
        for name, order in sent.items():
            row = by_order.loc[order.request_id]
            assert row["charged_rupiah"] == 25_100, name
            assert row["partner_fee_rupiah"] == (1_000 if name == "plain" else 0), name
        found = {b.request_id: b.theirs for b in close.breaks if "no amount of money" in b.what}
        assert found.keys() == {sent[name].request_id for name in SIGNED.keys() - READ}
        assert found[sent["negative fee"].request_id] == "partner_fee"
        assert found[sent["thousand marks"].request_id] == "sales_price, admin_fee"
        assert all(control.agrees for control in close.controls)


def _end(line: Line, order: Order, amounts: dict[str, object]) -> None:
    """SAT signs a Success with these members."""
    assert line.settings.verifier is not None
    attributes = {"status": "Success", **amounts}
    body = json.dumps({"data": {"type": "order", "id": order.request_id, "attributes": attributes}}).encode()
    signature = Signer(line.server.keys.sat_private_pem).sign(body)
    outcome = classify_status(
        WireResponse(200, {"signature": signature}, body), order.request_id, line.settings.verifier
    )
    ask = status_command(order.request_id, outcome, datetime.now(UTC))
    assert ask is not None
    assert line.handler.apply([ask], BY_TEST)[order.request_id].is_accepted


def test_a_product_that_cannot_be_read_is_listed_with_its_reason(
    database: ApplicationDatabase, tmp_path: Path
) -> None:
    """The client returns it, so that it does not count as gone."""
    fault = {"fault": "other_types", "manner": "unreadable", "listed": ["25k-xl"]}
    with line_with(database, tmp_path, fault) as line:
        products = {product.code: product for product in line.products()}
        assert products["25k-xl"].unreadable
        assert not products["50k-simpati"].unreadable
