"""A text of SAT's is about the order that was sent, whatever form or mask its members have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_hook.domain.same_order import differing_members, is_same_number, is_same_product

SENT = "081234567890"


@pytest.mark.parametrize(
    "told",
    [
        "081234567890",
        " 0812 3456 7890 ",
        "0812-3456-7890",
        "+62 812-3456-7890",
        "6281234567890",
        "81234567890",
        "０８１２３４５６７８９０",
    ],
)
def test_another_form_of_the_number_is_the_same_number(told: str) -> None:
    """Country code, separators, wide digits, and the zeros that a JSON number loses make no other number."""
    assert is_same_number(SENT, told)


@pytest.mark.parametrize(
    "told",
    ["", "   ", "****", "XXXXXXXXXXXX", "0812****7890", "0812xxxx7890", "62812****890", "…7890", "0812…",
     "08*2345*7890", "••••••••7890", "0812X4567890"],
)  # fmt: skip
def test_a_number_that_is_absent_or_masked_is_not_compared(told: str) -> None:
    """What cannot be seen contradicts nothing."""
    assert is_same_number(SENT, told)


@pytest.mark.parametrize(
    "told",
    ["081234567891", "081299999999", "0812345678", "0813****7890", "0812****7891", "62813****890", "…7891",
     "XXXXXXXX0000", "08*2349*7890", "someone@example.com"],
)  # fmt: skip
def test_another_number_is_another_order(told: str) -> None:
    """Neither a form nor a mask explains the difference, so it is one; the visible ends of a mask count."""
    assert not is_same_number(SENT, told)


@pytest.mark.parametrize(
    ("sent", "told", "is_same"),
    [
        ("25k-xl", "25k-xl", True),
        ("25k-xl", " 25K-XL ", True),
        ("25k-xl", "", True),
        ("25k-xl", "25k-***", True),
        ("50k-simpati", "***", True),
        ("50k-simpati", "50k-XXXXXXX", True),
        ("25k-xl", "25k-xxl", False),
        ("50k-simpati", "25k-xl", False),
        ("50k-simpati", "25k-***", False),
        ("50k-simpati", "5k-simpati", False),
    ],
)
def test_products(sent: str, told: str, is_same: bool) -> None:
    """A product's code is compared but for case and blanks; the letter X alone masks nothing of a code."""
    assert is_same_product(sent, told) is is_same


@pytest.mark.parametrize("sent", ["player-XX12", "someone@example.com", "AXX9"])
def test_numbers_that_are_no_digits(sent: str) -> None:
    """An account name with the letter X in it is not taken for masked."""
    assert is_same_number(sent, sent.upper())
    assert not is_same_number(sent, f"{sent}0")


@given(st.text(alphabet="0123456789", min_size=9, max_size=14), st.data())
def test_any_mask_over_the_number_fits_it(number: str, data: st.DataObject) -> None:
    """Whichever digits are hidden, one by one, it is still the number; with another first digit it is not."""
    hidden = data.draw(st.sets(st.integers(0, len(number) - 1)))
    told = "".join("*" if place in hidden else digit for place, digit in enumerate(number))
    assert is_same_number(number, told)
    if 0 not in hidden and number[0] not in "06":
        other = "7" if number[0] == "9" else "9"
        assert not is_same_number(number, other + told[1:])


def test_the_differing_members_are_named() -> None:
    """By the names that SAT gives them, without their values."""
    assert differing_members("25k-xl", SENT, "25k-xl", SENT) == ()
    assert differing_members("25k-xl", SENT, "50k-simpati", "") == ("product_code",)
    assert differing_members("25k-xl", SENT, "", "0899") == ("client_number",)
    assert differing_members("25k-xl", SENT, "50k-simpati", "0899") == ("product_code", "client_number")
