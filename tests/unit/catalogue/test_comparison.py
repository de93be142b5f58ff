"""Two price lists compared, over generated ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.catalogue.price_list import after_changes, compare, missing_from
from sat_hook.domain.prices import (
    ChangeKind,
    KnownProduct,
    ListedProduct,
    ProductChange,
    changes_digest,
    percent_text,
    state_digest,
)
from tests.price_lists import by_code, product

CODES = st.sampled_from([f"product-{number}" for number in range(8)])
PRICES = st.one_of(st.none(), st.sampled_from([0, 1, 369, 25_100, 4_797_124]))


@st.composite
def lines(draw: st.DrawFn) -> ListedProduct:
    """Any line of a price list, from few values, so that lists often agree."""
    return ListedProduct(
        draw(CODES),
        draw(st.sampled_from(["", "XL 25,000", "Telkom"])),
        draw(PRICES),
        draw(st.booleans()),
        draw(st.sampled_from([1, 2, 3, 0, 77])),
        draw(st.sampled_from(["", "XL"])),
        draw(st.sampled_from(["", "Pulsa"])),
    )


lists = st.lists(lines(), max_size=8).map(lambda found: by_code(*found))


@st.composite
def known_lists(draw: st.DrawFn) -> dict[str, KnownProduct]:
    """What was ever listed, some of it no more."""
    return {code: KnownProduct(line, draw(st.booleans())) for code, line in draw(lists).items()}


def listed_of(known: dict[str, KnownProduct]) -> dict[str, ListedProduct]:
    """What of it is listed."""
    return {code: entry.product for code, entry in known.items() if entry.is_listed}


@settings(deadline=None)
@given(known_lists(), lists)
def test_changes_lead_from_one_list_to_the_next(
    known: dict[str, KnownProduct], listed: dict[str, ListedProduct]
) -> None:
    """When all that is missing is gone, the changes are exactly the way from the old list to the new one."""
    gone = missing_from(known, listed)
    changes = compare(known, listed, gone)
    assert after_changes(known, changes) == listed
    codes = [change.code for change in changes]
    assert codes == sorted(set(codes)), "one change a product, by code"
    now = {code: KnownProduct(line, True) for code, line in listed.items()}
    assert compare(now, listed, []) == []


@settings(deadline=None)
@given(known_lists(), lists, st.sets(CODES))
def test_what_is_not_known_to_be_gone_stays_as_it_was(
    known: dict[str, KnownProduct], listed: dict[str, ListedProduct], asked: set[str]
) -> None:
    """A shorter list by itself never makes a product disappear."""
    gone = asked - listed.keys()
    changes = compare(known, listed, gone)
    after = after_changes(known, changes)
    for code, line in listed_of(known).items():
        if code not in listed and code not in gone:
            assert after[code] == line
    vanished = {change.code for change in changes if change.kind is ChangeKind.DISAPPEARED}
    assert vanished == gone & listed_of(known).keys()


@settings(deadline=None)
@given(known_lists(), lists)
def test_kinds_say_what_happened(known: dict[str, KnownProduct], listed: dict[str, ListedProduct]) -> None:
    """New, back, other, gone: by what was known before, with before and after."""
    for change in compare(known, listed, missing_from(known, listed)):
        before = known.get(change.code)
        assert change.before == (before.product if before else None)
        assert change.after == listed.get(change.code)
        wanted = {
            ChangeKind.APPEARED: before is None,
            ChangeKind.RETURNED: before is not None and not before.is_listed,
            ChangeKind.CHANGED: before is not None and before.is_listed and change.after is not None,
            ChangeKind.DISAPPEARED: change.after is None,
        }
        assert wanted[change.kind]
        assert (change.kind is ChangeKind.CHANGED) <= bool(change.attributes)


@settings(deadline=None)
@given(lists, st.randoms())
def test_digests_know_no_order(listed: dict[str, ListedProduct], chance: object) -> None:
    """The order in which SAT lists is nothing; every value is something."""
    shuffled = list(listed.values())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert state_digest(shuffled) == state_digest(listed.values())
    for line in shuffled:
        others = [other for other in shuffled if other is not line]
        assert state_digest(others) != state_digest(shuffled)
        assert state_digest([*others, line._replace(status=line.status + 1)]) != state_digest(shuffled)
        other_price = None if line.price_rupiah == 0 else 0
        assert state_digest([*others, line._replace(price_rupiah=other_price)]) != state_digest(shuffled)
    changes = compare({}, listed, [])
    assert (changes_digest(changes) == changes_digest([])) == (not changes)


def test_a_product_is_not_listed_and_gone_at_once() -> None:
    """Saying both is a defect."""
    with pytest.raises(ValueError, match="at once"):
        compare({}, by_code(product("a")), ["a"])


@pytest.mark.parametrize(
    ("before", "after", "percent", "is_jump"),
    [
        (100_000, 110_000, 10, True),
        (100_000, 109_999, 10, False),
        (100_000, 90_000, 10, True),
        (100_000, 90_001, 10, False),
        (0, 100, 10, True),
        (None, 100, 10, True),
        (100, None, 10, True),
        (100, 0, 1_000, True),
        (None, 0, 10, False),
        (3, 4, 34, False),
        (3, 4, 33, True),
    ],
)
def test_a_jump_is_a_move_of_so_many_percent(
    before: int | None, after: int | None, percent: int, is_jump: bool
) -> None:
    """In whole rupiah, without a float; from or to nothing always is one."""
    change = ProductChange(ChangeKind.CHANGED, product("a", before), product("a", after))
    assert change.is_jump(percent) is is_jump
    back = ProductChange(ChangeKind.RETURNED, product("a", before), product("a", after))
    assert back.is_jump(percent) is is_jump, "a product that comes back dearer has jumped, too"


def test_without_two_prices_nothing_jumped() -> None:
    """A new product, one that is gone, one whose name changed."""
    line = product("a", 100)
    assert not ProductChange(ChangeKind.APPEARED, None, line).is_jump(1)
    assert not ProductChange(ChangeKind.DISAPPEARED, line, None).is_jump(1)
    assert not ProductChange(ChangeKind.CHANGED, line, line._replace(name="b")).is_jump(1)


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100_000, 112_500, "+12.5 %"),
        (100_000, 99_950, "−0.1 %"),
        (3, 4, "+33.3 %"),
        (3, 5, "+66.7 %"),
        (1, 1_001, "+100,000.0 %"),
        (0, 5, "new price"),
        (None, 5, "new price"),
        (5, None, "no price"),
        (5, 5, "+0.0 %"),
    ],
)
def test_percentages_are_rounded_for_people(before: int | None, after: int | None, text: str) -> None:
    """To a tenth, half away from zero."""
    assert percent_text(before, after) == text
