"""Products that cannot be read are neither changed nor gone, and people are told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.prices import SnapshotOutcome
from sat_hook.protocol.exchange import WireResponse
from stack.databases import ApplicationDatabase
from tests.price_lists import by_code, document
from tests.price_shop import LIST, Shop


@pytest.fixture
def shop(database: ApplicationDatabase) -> Iterator[Shop]:
    """An empty history, and twenty products."""
    made = Shop(database)
    yield made
    made.writer.close()


def list_with(shop: Shop, **odd: object) -> WireResponse:
    """The list as it is, but for prices of products that are written like this."""
    lines = json.loads(document(shop.sat.products))
    for product in lines["data"]:
        if product["id"] in odd:
            product["attributes"]["price"] = odd[product["id"]]
    return WireResponse(200, {}, json.dumps(lines).encode())


def test_an_unreadable_product_stays_as_it_was_and_the_others_go_on(shop: Shop) -> None:
    """It is not delisted and keeps its price; another one gets its new price; there is one alert."""
    shop.snapshot()
    shop.change("product-03", price_rupiah=4_100)
    for _ in range(2):
        shop.sat.trouble[len(shop.sat.questions)] = list_with(shop, **{"product-07": "8.000"})
        report = shop.snapshot()
        assert report.snapshot.outcome is SnapshotOutcome.COMPLETE
        assert (report.snapshot.missing, report.snapshot.unconfirmed) == (0, 1)
    expected = by_code(*LIST)
    expected["product-03"] = expected["product-03"]._replace(price_rupiah=4_100)
    assert shop.listed() == expected
    told = [a for a in shop.alerts.unannounced(10) if a.kind is AlertKind.PRODUCT_UNREADABLE]
    assert [alert.text for alert in told] == ["1 products: product-07"]


def test_a_product_that_was_never_read_appears_when_it_can_be(shop: Shop) -> None:
    """Until then nothing is known of it."""
    shop.sat.trouble[0] = list_with(shop, **{"product-07": True})
    assert len(shop.snapshot().changes) == len(LIST) - 1
    (change,) = shop.snapshot().changes
    assert change.code == "product-07"


def test_a_list_without_a_readable_product_is_not_believed(shop: Shop) -> None:
    """Nothing is gone, nothing is changed."""
    shop.snapshot()
    shop.sat.trouble[len(shop.sat.questions)] = list_with(shop, **{line.code: "1.000" for line in LIST})
    report = shop.snapshot()
    assert report.snapshot.outcome is SnapshotOutcome.SUSPECT
    assert shop.listed() == by_code(*LIST)
    (told,) = (a for a in shop.alerts.unannounced(10) if a.kind is AlertKind.PRODUCT_UNREADABLE)
    assert told.text.startswith("20 products: product-00, ")
    assert told.text.endswith("and 15 more")
