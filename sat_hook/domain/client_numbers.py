"""Client numbers: their shape by product, and which of them are phone numbers. Pure.

A phone number has several forms (``0812…``, ``62812…``, ``+62 812-…``). A meter or customer number has only
one: with a leading zero, or with ``62`` in front, it is another customer's number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

MAXIMUM_SHAPES_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class NumberShape:
    """The shape of the client numbers of some products."""

    product_pattern: str
    number_pattern: re.Pattern[str]
    expected: str
    is_phone: bool

    def fits(self, number: str) -> bool:
        """Whether ``number`` has this shape."""
        return self.number_pattern.fullmatch(number) is not None


# The first match counts. The patterns describe a biller's numbers; they do not check that one exists.
NUMBER_SHAPES: tuple[NumberShape, ...] = (
    NumberShape(
        "pln-prepaid*", re.compile(r"[0-9]{11,12}"), "a PLN meter number of 11 or 12 digits", is_phone=False
    ),
    *(
        NumberShape(
            pattern,
            re.compile(r"0[1-9][0-9]{7,12}"),
            "a mobile number beginning with a single 0 (a spreadsheet drops leading zeros)",
            is_phone=True,
        )
        for pattern in ("*-simpati", "*-xl", "*-three", "*-indosat", "*-axis", "*-telkomsel", "*-smartfren")
    ),
)
NO_PHONE_PRODUCTS = ("pln-*", "pdam-*", "bpjs-*", "pgn-*", "pbb-*", "samsat-*", "speedy-*", "kta-*")
"""Products whose client number is never a phone number: bills of meters, customers, taxes and loans."""

_MOBILE = re.compile(r"(?:0|62)8[1-9][0-9]{6,10}")


@lru_cache(MAXIMUM_SHAPES_KEPT)
def number_shape_of(product_code: str) -> NumberShape | None:
    """The shape of a product's client numbers; None when unknown."""
    return next((shape for shape in NUMBER_SHAPES if fnmatchcase(product_code, shape.product_pattern)), None)


def is_phone_number(product_code: str, number: str) -> bool:
    """Whether ``number`` is a phone number: by its product, or by its form if the product does not tell.

    :param number: the digits that were sent.
    """
    shape = number_shape_of(product_code)
    if shape is not None:
        return shape.is_phone
    if any(fnmatchcase(product_code.casefold(), pattern) for pattern in NO_PHONE_PRODUCTS):
        return False
    return _MOBILE.fullmatch(number) is not None
