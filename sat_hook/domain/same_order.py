"""Checks that a message from SAT is about the order that was sent: its product and client number. Pure.

SAT may write a phone number in another form (``+62 812-…`` for ``0812…``), may put separators into any
number, and may mask it. Only a difference that none of these explains counts, because a false alarm stops a
paid order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from sat_hook.domain.client_numbers import is_phone_number

PRODUCT_CODE = "product_code"
CLIENT_NUMBER = "client_number"

# In an all-digit text any mark masks; a text that may contain the letter X needs a run of marks.
_DIGITS_MASK = re.compile(r"[*•●∙·○■█×∗#?_x]+")
_TEXT_MASK = re.compile(r"[*•●#]+|x{3,}")
# Several in a row mask something; a single one only separates.
_DOTS = re.compile(r"[.\-\u2010-\u2015]{2,}")
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015./()]+")
_COUNTRY = "62"


def differing_members(
    sent_product: str, sent_number: str, told_product: str, told_number: str
) -> tuple[str, ...]:
    """The members that differ from what was sent; empty when nothing can be compared."""
    differing = []
    if not is_same_product(sent_product, told_product):
        differing.append(PRODUCT_CODE)
    if not is_same_number(sent_number, told_number, sent_product):
        differing.append(CLIENT_NUMBER)
    return tuple(differing)


def mismatch_in_words(members: Iterable[str]) -> str:
    """Describe how a status differs from its order, without SAT's values."""
    differing = " and ".join(f"another {member.replace('_', ' ')}" for member in members)
    return f"SAT signed a status with this request id that is about {differing}"


def is_same_product(sent: str, told: str) -> bool:
    """True unless ``told`` names another product. An absent or masked code is not compared."""
    if told == sent:
        return True
    ours, theirs = _plain(sent), _plain(told)
    return not theirs or ours == theirs or _fits_mask(theirs, _TEXT_MASK, ours)


def is_same_number(sent: str, told: str, product_code: str = "") -> bool:
    """True unless ``told`` names another client number.

    An absent or fully masked number is not compared; a partly masked one is compared by its visible digits.
    Country code and leading zeros may differ in phone numbers only.
    """
    if told == sent:
        return True
    ours, theirs = _plain(sent), _plain(told)
    if not theirs or ours == theirs:
        return True
    if not ours.isdigit():
        return _fits_mask(theirs, _TEXT_MASK, ours)
    bare = _SEPARATORS.sub("", _DOTS.sub("*", theirs))
    forms = {ours}
    if is_phone_number(product_code, ours):
        bare = bare.removeprefix("+")
        national = _national(ours)
        if bare.isdigit() and _national(bare) == national:
            return True
        forms |= {national, f"0{national}", f"{_COUNTRY}{national}"}
    return bare in forms or any(_fits_mask(bare, _DIGITS_MASK, form) for form in forms)


def _plain(text: str) -> str:
    """The text without case, width, surrounding blanks and invisible characters."""
    # NFKC turns an ellipsis, which is a mask, into three full stops.
    folded = unicodedata.normalize("NFKC", text.replace("…", "*")).strip().casefold()
    return "".join(sign for sign in folded if unicodedata.category(sign) != "Cf")


def _national(phone: str) -> str:
    """A phone number without country code and leading zeros, which JSON numbers lose."""
    digits = phone.lstrip("0")
    mobile = digits.removeprefix(_COUNTRY).lstrip("0")
    return mobile if mobile.startswith("8") else digits


def _fits_mask(theirs: str, mask: re.Pattern[str], ours: str) -> bool:
    """Whether ``theirs`` is masked and its visible characters appear in ours, in order.

    If the lengths agree, each masked character stands for one of ours; otherwise a mask may stand for any
    number of them.
    """
    hidden = {place for run in mask.finditer(theirs) for place in range(*run.span())}
    if not hidden:
        return False
    if len(ours) == len(theirs):
        return all(ours[place] == theirs[place] for place in range(len(ours)) if place not in hidden)
    first, *between, last = mask.split(theirs)
    begin, end = len(first), len(ours) - len(last)
    if begin > end or not ours.startswith(first) or not ours.endswith(last):
        return False
    for shown in between:
        begin = ours.find(shown, begin, end)
        if begin < 0:
            return False
        begin += len(shown)
    return True
