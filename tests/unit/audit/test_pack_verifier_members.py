"""The script of an evidence pack and the pipeline agree which statuses are about another order."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sat_hook.audit.pack_verifier import same_number, same_product
from sat_hook.domain.same_order import is_same_number, is_same_product
from tests.fuzzing import examples

PRODUCTS = (
    "25k-xl",
    "25K-XL",
    "pln-prepaid-token-50k",
    "PLN-postpaid",
    "pdam-x",
    "pasca-telkomsel",
    "test-1",
    "",
)
NUMBERS = st.one_of(
    st.from_regex(r"\A(0|62|062|)8[1-9][0-9]{6,10}\Z"),
    st.from_regex(r"\A[0-9]{4,14}\Z"),
    st.just("player-XX12"),
)
SIGNS = "0123456789*xX•?_.-… +()/·\u200b\u00a0８"


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """A number that was sent and what SAT makes of it, or something near it."""
    sent = draw(NUMBERS)
    told = draw(st.sampled_from((sent, sent.lstrip("0"), f"62{sent.lstrip('0')}", f"0{sent}", f"+{sent}")))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(told)))
        width = draw(st.integers(0, 4))
        told = told[:place] + draw(st.text(SIGNS, max_size=4)) + told[place + width :]
    return sent, told


@given(st.sampled_from(PRODUCTS), pairs())
@settings(max_examples=examples(150), deadline=None)
def test_of_client_numbers(product: str, pair: tuple[str, str]) -> None:
    """Whatever the product, the form and the mask."""
    sent, told = pair
    assert same_number(product, sent, told) == is_same_number(sent, told, product), (product, sent, told)


@given(st.sampled_from(PRODUCTS), st.text("25kKlx-*X• …", max_size=8))
@example("25k-xl", "25kxl")
@settings(max_examples=examples(100), deadline=None)
def test_of_product_codes(sent: str, told: str) -> None:
    """A separator more or less makes another product."""
    assert same_product(sent, told) == is_same_product(sent, told)
