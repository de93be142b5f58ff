"""What a price list may be, and how SAT is asked for products that are not on it."""

from __future__ import annotations

import json

import pytest

from sat_hook.catalogue import absence_check, price_list
from sat_hook.catalogue.absence_check import confirm
from sat_hook.catalogue.errors import PriceListRefusedError
from sat_hook.catalogue.price_list import price_list_of
from sat_hook.protocol.errors import SATError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.protocol.messages import Product, parse_products
from tests.orders import ManualClock
from tests.price_lists import ListingSAT, document, product


def test_every_member_of_a_product_is_kept() -> None:
    """Also an unknown status, and a product without a price."""
    lines = [product("a", None, status=77, name=""), product("b", 0, is_inquiry=True, status=3)]
    read = price_list_of(parse_products(document(lines)))
    assert list(read.products.values()) == lines
    assert [line.status_text for line in lines] == ["unknown status 77", "temporarily inactive"]


def test_a_product_that_is_listed_twice() -> None:
    """Alike, it counts once; not alike, it is unknown which line counts."""
    twice = parse_products(document([product("a"), product("a"), product("b", 1), product("b", 2)]))
    read = price_list_of(twice)
    assert set(read.products) == {"a"}
    assert read.contradictory == {"b"}


@pytest.mark.parametrize(
    "member",
    [{"code": "c" * 257}, {"code": "c", "name": "n" * 1001}, {"code": "c", "status": 10**16}],
)
def test_a_product_beyond_the_limits_is_set_aside(member: dict[str, object]) -> None:
    """The text says what was found, and the rest of the list counts."""
    odd = Product(**{"price": 1, **member})  # type: ignore[arg-type]
    read = price_list_of([odd, Product(code="a", price=1)])
    assert set(read.products) == {"a"}
    ((code, reason),) = read.unreadable.items()
    assert code in ("c", "")
    assert "found" in reason


def test_a_product_that_cannot_be_read_is_not_on_the_list_and_not_off_it() -> None:
    """It is named with its reason; another line about it does not count either."""
    odd = {"id": "b", "attributes": {"price": "12.500", "status": 1}}
    lines = json.loads(document([product("a"), product("b")]))["data"]
    read = price_list_of(parse_products(json.dumps({"data": [odd, *lines, "noise"]}).encode()))
    assert set(read.products) == {"a"}
    assert set(read.unreadable) == {"b", ""}
    assert not read.contradictory


def test_an_unreadable_answer_about_a_product_does_not_say_that_it_is_gone() -> None:
    """Asked by name, it stays as it was."""
    sat = ListingSAT(ManualClock(), product("other"))
    odd = {"id": "a", "attributes": {"price": [], "status": 1}}
    sat.trouble[0] = WireResponse(200, {}, json.dumps({"data": [odd]}).encode())
    sat.trouble[1] = WireResponse(200, {}, json.dumps({"data": [{"attributes": {}}]}).encode())
    for _ in range(2):
        found = confirm(sat, ["a"])
        assert (found.unconfirmed, found.gone, found.listed) == ({"a"}, set(), {})


def test_too_many_products_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list without end is no price list."""
    monkeypatch.setattr(price_list, "MAXIMUM_PRODUCTS", 2)
    with pytest.raises(PriceListRefusedError, match="more than 2"):
        price_list_of([Product(code=str(number)) for number in range(3)])


@pytest.mark.parametrize("is_strict", [False, True])
def test_missing_products_are_found_or_gone(is_strict: bool) -> None:
    """However SAT answers a filter of known and unknown codes."""
    kept = [product(f"kept-{number}", status=2) for number in range(60)]
    sat = ListingSAT(ManualClock(), *kept, is_strict=is_strict)
    gone = [f"gone-{number}" for number in range(5)]
    found = confirm(sat, sorted([line.code for line in kept] + gone))
    assert found.gone == set(gone)
    assert found.listed == {line.code: line for line in kept}
    assert found.unconfirmed == set()
    assert max(map(len, sat.questions)) <= absence_check.CODES_PER_QUESTION


def test_what_the_filter_cannot_ask_for_stays_unconfirmed() -> None:
    """A comma separates codes."""
    sat = ListingSAT(ManualClock(), product("a"))
    found = confirm(sat, ["a,b", " c", "a"])
    assert found.unconfirmed == {"a,b", " c"}
    assert set(found.listed) == {"a"}


def test_a_filter_that_is_not_heeded_proves_nothing() -> None:
    """An answer with other products is not an answer about these."""
    sat = ListingSAT(ManualClock())
    sat.trouble[0] = WireResponse(200, {}, document([product("other")]))
    assert confirm(sat, ["a", "b"]).unconfirmed == {"a", "b"}


def test_an_empty_answer_proves_nothing() -> None:
    """Only P04 says that a product is gone: an answer without it may have been cut short."""
    sat = ListingSAT(ManualClock(), product("a"), product("b"))
    sat.trouble[0] = sat.trouble[1] = WireResponse(200, {}, b'{"data": []}')
    found = confirm(sat, ["a", "b"])
    assert (found.gone, found.unconfirmed, set(found.listed)) == (set(), {"a"}, {"b"})


def test_the_number_of_questions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left then is unconfirmed."""
    monkeypatch.setattr(absence_check, "MAXIMUM_QUESTIONS", 3)
    sat = ListingSAT(ManualClock(), is_strict=True)
    found = confirm(sat, [f"gone-{number:03}" for number in range(8)])
    assert len(sat.questions) == 3
    assert len(found.gone) + len(found.unconfirmed) == 8
    assert len(found.unconfirmed) >= 6


@pytest.mark.parametrize(
    "trouble",
    [
        TransportFault(FaultKind.TIMEOUT, True, "no answer"),
        WireResponse(500, {}, b'{"errors":[{"code":"S00","detail":"","status":"500"}]}'),
        WireResponse(400, {}, b'{"errors":[{"code":"P04"},{"code":"P99"}]}'),
        WireResponse(404, {}, b"<html>nothing here</html>"),
    ],
)
def test_trouble_confirms_nothing(trouble: WireResponse | TransportFault) -> None:
    """Only P04 alone says that a product is gone."""
    sat = ListingSAT(ManualClock())
    sat.trouble[0] = trouble
    with pytest.raises(SATError):
        confirm(sat, ["a"])
