"""Whether a text of SAT's is about the order that was sent: its product and its client number. Pure.

SAT may write a number in a form of its own (``+62 812-…`` for ``0812…``), and may mask it. Only a difference
that no form and no mask explains is one: a wrong alarm stops an order that is paid.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

PRODUCT_CODE = "product_code"
CLIENT_NUMBER = "client_number"

_MASKS = "*•●#"
_MASKED = re.compile(rf"[{_MASKS}]+|x{{3,}}")
# Digits alone hide behind any number of X; a text that may hold the letter needs a run of them.
_MASKED_DIGITS = re.compile(rf"[{_MASKS}x]+")
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015./()]+")
_COUNTRY = "62"
_LEAST_WITH_COUNTRY = 10


def differing_members(
    sent_product: str, sent_number: str, told_product: str, told_number: str
) -> tuple[str, ...]:
    """The members that name something else than what was sent; none where nothing can be compared."""
    differing = []
    if not is_same_product(sent_product, told_product):
        differing.append(PRODUCT_CODE)
    if not is_same_number(sent_number, told_number):
        differing.append(CLIENT_NUMBER)
    return tuple(differing)


def mismatch_in_words(members: Iterable[str]) -> str:
    """What a status that is not about its order is about; no value of SAT's."""
    differing = " and ".join(f"another {member.replace('_', ' ')}" for member in members)
    return f"SAT signed a status with this request id that is about {differing}"


def is_same_product(sent: str, told: str) -> bool:
    """True unless ``told`` names another product. A code that is absent or masked is not compared."""
    ours, theirs = _plain(sent), _plain(told)
    if not theirs or ours == theirs:
        return True
    return _MASKED.search(theirs) is not None and _fits_mask(theirs, _MASKED, (ours,))


def is_same_number(sent: str, told: str) -> bool:
    """True unless ``told`` names another client number, in whatever form.

    A number that is absent or wholly masked is not compared; of a masked one, the ends that can be seen are.
    """
    ours, theirs = (_SEPARATORS.sub("", _plain(text)).removeprefix("+") for text in (sent, told))
    if not theirs or ours == theirs or _national(ours) == _national(theirs):
        return True
    mask = _MASKED_DIGITS if ours.isdigit() else _MASKED
    if mask.search(theirs) is None:
        return False
    return _fits_mask(theirs, mask, (ours, _national(ours), _COUNTRY + _national(ours)))


def _plain(text: str) -> str:
    # An ellipsis is a mask; its compatibility form is three full stops, which separate digits.
    return unicodedata.normalize("NFKC", text.replace("…", "*")).strip().casefold()


def _national(number: str) -> str:
    """The number without country code and leading zeros: JSON numbers lose them."""
    if not number.isdigit():
        return number
    has_country = number.startswith(_COUNTRY) and len(number) >= _LEAST_WITH_COUNTRY
    return number.removeprefix(_COUNTRY) if has_country else number.lstrip("0")


def _fits_mask(theirs: str, mask: re.Pattern[str], forms: tuple[str, ...]) -> bool:
    """Whether one of our forms shows what is left visible before and after the mask.

    What is visible between two masks is compared where the lengths agree: a mask may stand for any number of
    characters.
    """
    first, *between, last = mask.split(theirs)
    hidden = {place for run in mask.finditer(theirs) for place in range(*run.span())}
    for form in forms:
        if not (form.startswith(first) and form.endswith(last)):
            continue
        if not any(between) or len(form) != len(theirs):
            return True
        if all(form[place] == theirs[place] for place in range(len(form)) if place not in hidden):
            return True
    return False
