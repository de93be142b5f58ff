"""Client numbers: what they look like for which products, and which of them are phone numbers. Pure.

A phone number has several forms (``0812…``, ``62812…``, ``+62 812-…``). The number of a meter or of a
customer has one: a leading zero, or ``62`` in front, makes it the number of somebody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class NumberShape:
    """What the client numbers of some products look like."""

    product_pattern: str
    number_pattern: str
    expected: str
    is_phone: bool

    def fits(self, number: str) -> bool:
        """Whether ``number`` looks like one."""
        return re.fullmatch(self.number_pattern, number) is not None


# First match counts. The patterns say what a biller's numbers look like, not whether one exists.
NUMBER_SHAPES: tuple[NumberShape, ...] = (
    NumberShape("pln-prepaid*", r"[0-9]{11,12}", "a PLN meter number of 11 or 12 digits", is_phone=False),
    *(
        NumberShape(
            pattern,
            r"0[1-9][0-9]{7,12}",
            "a mobile number beginning with a single 0 (a spreadsheet drops leading zeros)",
            is_phone=True,
        )
        for pattern in ("*-simpati", "*-xl", "*-three", "*-indosat", "*-axis", "*-telkomsel", "*-smartfren")
    ),
)
NO_PHONE_PRODUCTS = ("pln-*", "pdam-*", "bpjs-*", "pgn-*", "pbb-*", "samsat-*", "speedy-*", "kta-*")
"""Bills of meters, customers, taxes and loans, whatever their numbers look like."""

_MOBILE = re.compile(r"(?:0|62)8[1-9][0-9]{6,10}")


def number_shape_of(product_code: str) -> NumberShape | None:
    """What the client numbers of a product look like; None where nothing is known of them."""
    return next((shape for shape in NUMBER_SHAPES if fnmatchcase(product_code, shape.product_pattern)), None)


def is_phone_number(product_code: str, number: str) -> bool:
    """Whether ``number`` is that of a phone: by its product, or by its form where the product does not tell.

    :param number: the digits that were sent.
    """
    shape = number_shape_of(product_code)
    if shape is not None:
        return shape.is_phone
    if any(fnmatchcase(product_code.casefold(), pattern) for pattern in NO_PHONE_PRODUCTS):
        return False
    return _MOBILE.fullmatch(number) is not None
