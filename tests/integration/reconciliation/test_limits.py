"""What goes wrong ten thousand times is a line each, and one line for the rest; and the rest is carried."""

from __future__ import annotations

from pathlib import Path

import pytest

from sat_hook.domain.breaks import BreakState
from sat_hook.reconciliation import break_factory
from sat_hook.store.postgres import PostgresEventStore
from tests.integration.reconciliation.planting import CLOSES, NOON, PRICE, SECOND, Planted, described
from tests.integration.reconciliation.test_life_of_a_break import next_day


def test_more_than_fit_become_one_break_that_stays_until_the_day_agrees(
    store: PostgresEventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Number and sum are kept; evidence about single orders does not end it, closing the day again does."""
    monkeypatch.setattr(break_factory, "MAXIMUM_ITEMISED", 1)
    day = Planted(store, tmp_path, "many")
    day.ordinary_day()
    for name in ("x", "y", "z"):
        day.send(name, NOON)
        day.end(name, NOON + SECOND, kept=False)
    others = [day.settlement_row(name) for name in ("x", "y", "z")]
    day.settle(*others)
    day.observe(CLOSES + SECOND)
    found = {described(item) for item in day.close().close.breaks}
    assert ("evidence", "matching", None, -2 * PRICE) in found
    assert ("settlement", "existence", None, -2 * PRICE) in found
    assert len(found) == 4
    carried = [item for item in next_day(day).breaks if item.subject.startswith("rest:")]
    assert [item.state for item in carried] == [BreakState.OPEN] * 2
    assert all("2 more of the same" in item.what for item in carried)
    day.settle(*others, *day.usual_rows(), day.settlement_row("on its way"), replaces=True, name="c.csv")
    assert {item.match.value for item in day.close().close.breaks} == {"evidence"}
