"""How many connections there may be, and whose; nothing is remembered of those that have left."""

from __future__ import annotations

from sat_hook.receiver.connections import Doorkeeper


def test_who_left_is_forgotten() -> None:
    """A flood from many addresses leaves no memory of itself."""
    door = Doorkeeper(limit=10, limit_per_source=1, is_known=lambda _: False, tell=print)
    for last in range(100):
        assert door.admits(f"198.51.100.{last}")
        door.leaves(f"198.51.100.{last}")
    assert not door._held


def test_a_stranger_has_few_and_all_together_have_a_number() -> None:
    """Known addresses have no number of their own, but count like everybody."""
    door = Doorkeeper(limit=3, limit_per_source=1, is_known=lambda source: source == "sat", tell=print)
    assert [door.admits("stranger"), door.admits("stranger")] == [True, False]
    assert [door.admits("sat"), door.admits("sat"), door.admits("sat")] == [True, True, False]
    door.leaves("stranger")
    assert door.admits("sat")
