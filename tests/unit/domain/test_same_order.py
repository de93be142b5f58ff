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
        "006281234567890",
        "+62 (0)812-3456-7890",
        "０８１２３４５６７８９０",
        "0812\u200b3456\u00a07890",
    ],
)
def test_another_form_of_the_number_is_the_same_number(told: str) -> None:
    """Country code, separators, wide digits, and the zeros that a JSON number loses make no other number."""
    assert is_same_number(SENT, told)


@pytest.mark.parametrize(
    "told",
    ["", "   ", "****", "XXXXXXXXXXXX", "0812****7890", "0812xxxx7890", "62812****890", "…7890", "0812…",
     "08*2345*7890", "••••••••7890", "0812X4567890", "0812????7890", "0812____7890", "0812----7890",
     "0812...7890", "08×2345×7890", "0812*", "*7890", "08*5*9*"],
)  # fmt: skip
def test_a_number_that_is_absent_or_masked_is_not_compared(told: str) -> None:
    """What cannot be seen contradicts nothing."""
    assert is_same_number(SENT, told)


@pytest.mark.parametrize(
    "told",
    ["081234567891", "081299999999", "0812345678", "0813****7890", "0812****7891", "62813****890", "…7891",
     "XXXXXXXX0000", "08*2349*7890", "someone@example.com", "0812345678*567890", "08*7890*5*", "08*6*5*",
     "0812????7891", "+1 812 3456 7890"],
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


@pytest.mark.parametrize(
    ("product", "sent", "told"),
    [
        ("pln-prepaid-token-50k", "01234567890", "1234567890"),
        ("pln-prepaid-token-50k", "12345678901", "012345678901"),
        ("pln-prepaid-token-50k", "62812345678", "0812345678"),
        ("pln-prepaid-token-50k", "62812345678", "812345678"),
        ("pln-prepaid-token-50k", "081234567890", "6281234567890"),
        ("pln-postpaid", "081234567890", "81234567890"),
        ("PDAM-Jabar-Kota-Cirebon", "0811111111", "62811111111"),
        ("bpjs-kesehatan", "0001234567890", "1234567890"),
        ("test-1", "0012345678", "12345678"),
        ("test-1", "6212345678", "12345678"),
        ("test-1", "12345678", "012****8"),
    ],
)
def test_zeros_and_country_code_make_the_number_of_a_meter_another_one(
    product: str, sent: str, told: str
) -> None:
    """Only phone numbers have such forms: by the product, or by their own form where it does not tell."""
    assert differing_members(product, sent, product, told) == ("client_number",)
    assert differing_members(product, sent, product, sent) == ()


@pytest.mark.parametrize("product", ["25k-xl", "pasca-telkomsel", "kode-voucher-google-100k"])
def test_a_phone_number_keeps_its_forms(product: str) -> None:
    """Where the product sells to phones, or does not tell, and the number is that of a phone."""
    for told in ("6281234567890", "81234567890", "+62 812 3456 7890", "62812*****90"):
        assert differing_members(product, SENT, product, told) == (), told


@pytest.mark.parametrize("told", ["5321-1000-0123", "5321 1000 0123", "532110****23", "XXXXXXXX0123"])
def test_separators_and_masks_are_a_matter_of_form_in_every_number(told: str) -> None:
    """A bill's number printed in groups, or masked, is the bill's number."""
    assert differing_members("pln-postpaid", "532110000123", "pln-postpaid", told) == ()


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
