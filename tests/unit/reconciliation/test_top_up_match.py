"""Top-ups and rises of the deposit: which belong together, whatever else happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sat_hook.reconciliation.top_up_match import ON_ITS_WAY, Rise, match_rises

NOON = datetime(2026, 11, 22, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Movement:
    """A top-up."""

    rupiah: int
    credited_at: datetime


def rise(rupiah: int, hours: float = 1.0) -> Rise:
    """A rise that was seen some hours after noon, an hour after the look before."""
    return Rise(rupiah, NOON + (hours - 1) * HOUR, NOON + hours * HOUR)


def test_the_amount_and_then_the_time_decide() -> None:
    """Of two that fit, the one of exactly the amount; of two such, the nearer one."""
    exact, larger = Movement(500, NOON), Movement(700, NOON + 0.9 * HOUR)
    assert match_rises([larger, exact], [rise(500)]) == {1: rise(500)}
    assert match_rises([exact, Movement(500, NOON + 0.5 * HOUR)], [rise(500)]) == {1: rise(500)}


def test_orders_may_hide_a_part_of_a_rise_but_nothing_adds_to_it() -> None:
    """A rise is the least that came: a smaller top-up did not make it."""
    assert match_rises([Movement(700, NOON)], [rise(500)]) == {0: rise(500)}
    assert match_rises([Movement(499, NOON)], [rise(500)]) == {}


def test_a_transfer_takes_its_time_and_none_comes_before_it_is_sent() -> None:
    """A day at most; a top-up after the look is not in it."""
    assert match_rises([Movement(500, NOON - ON_ITS_WAY + HOUR)], [rise(500)]) != {}
    assert match_rises([Movement(500, NOON - ON_ITS_WAY)], [rise(500)]) == {}
    assert match_rises([Movement(500, NOON + 2 * HOUR)], [rise(500)]) == {}


MOVEMENTS = st.lists(
    st.builds(Movement, st.integers(1, 5), st.integers(-30, 30).map(lambda hours: NOON + hours * HOUR)),
    max_size=6,
)
RISES = st.lists(st.builds(rise, st.integers(1, 5), st.integers(-30, 30)), max_size=6, unique=True)


@given(MOVEMENTS, RISES)
def test_each_rise_belongs_to_one_movement_that_can_have_made_it(
    movements: list[Movement], rises: list[Rise]
) -> None:
    """Whatever was recorded and seen."""
    matched = match_rises(movements, rises)
    assert len(set(matched.values())) == len(matched)
    for place, seen in matched.items():
        assert seen in rises
        assert movements[place].rupiah >= seen.rupiah
        assert seen.since - ON_ITS_WAY < movements[place].credited_at <= seen.observed_at
