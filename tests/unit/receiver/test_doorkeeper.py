"""How many connections there may be, and whose; nothing is remembered of those that have left."""

from __future__ import annotations

from sat_hook.receiver.connections import Doorkeeper

SAT = "203.0.113.9"


def test_who_left_is_forgotten() -> None:
    """A flood from many addresses leaves no memory of itself."""
    door = Doorkeeper(limit=10, limit_per_source=1, is_known=lambda _: False, tell=print)
    for last in range(100):
        assert door.admits(f"198.51.100.{last}")
        door.leaves(f"198.51.100.{last}")
    assert not door._held


def test_a_stranger_has_few_and_all_together_have_a_number() -> None:
    """Known addresses have no number of their own, but count like everybody."""
    door = Doorkeeper(limit=3, limit_per_source=1, is_known=lambda source: source == SAT, tell=print)
    assert [door.admits("198.51.100.1"), door.admits("198.51.100.1")] == [True, False]
    assert [door.admits(SAT), door.admits(SAT), door.admits(SAT)] == [True, True, False]
    door.leaves("198.51.100.1")
    assert door.admits(SAT)


def test_strangers_leave_room_for_those_who_are_expected() -> None:
    """However many addresses they have."""
    door = Doorkeeper(limit=8, limit_per_source=5, is_known=lambda source: source == SAT, tell=print)
    assert sum(door.admits(f"198.51.100.{last}") for last in range(20)) == 6
    assert [door.admits(SAT), door.admits(SAT), door.admits(SAT)] == [True, True, False]


def test_the_neighbours_of_an_ipv6_address_are_one_sender() -> None:
    """Who has one of them has all of them."""
    door = Doorkeeper(limit=100, limit_per_source=2, is_known=lambda _: False, tell=print)
    assert [door.admits(f"2001:db8::{last}") for last in (1, 2, 3)] == [True, True, False]
    assert door.admits("2001:db8:0:1::1")
    door.leaves("2001:db8::2")
    assert door.admits("2001:db8::4")
