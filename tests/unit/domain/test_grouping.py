"""Groups of things."""

from __future__ import annotations

import pytest

from sat_hook.domain.grouping import ORDERS_A_COMMIT, grouped


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_nothing_is_lost_between_groups(count: int) -> None:
    """Each thing is in one group, in order; only the last group may be smaller, and none is empty."""
    groups = list(grouped(range(count), 3))
    assert [item for group in groups for item in group] == list(range(count))
    assert all(len(group) == 3 for group in groups[:-1])
    assert all(groups)


def test_a_group_is_read_when_it_is_asked_for() -> None:
    """Orders whose state changes with the first group are not read before it is committed."""
    read: list[int] = []
    groups = grouped(read.append(number) or number for number in range(ORDERS_A_COMMIT + 1))  # type: ignore[func-returns-value]
    assert len(next(groups)) == len(read) == ORDERS_A_COMMIT
