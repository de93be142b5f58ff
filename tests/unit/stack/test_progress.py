"""Progress as people see it: on a terminal, and in a log."""

from __future__ import annotations

import io

from rich.console import Console

from stack.progress import BAR_WIDTH, BatchProgress, ProgressDisplay, _bar


def test_without_a_terminal_it_prints_a_line_when_something_changed() -> None:
    """A log gets sentences and no bars, and none twice."""
    out = io.StringIO()
    batch = BatchProgress("orders.csv", rows=200)
    with ProgressDisplay(Console(file=out, width=200), [batch]) as display:
        display.update()
        batch.stage, batch.counts = "completed", {"succeeded": 190, "failed": 10}
    lines = out.getvalue().splitlines()
    assert [line.split("s  ", 1)[1] for line in lines] == [
        "orders.csv: waiting, 200 rows",
        "orders.csv: completed, 190 succeeded, 10 failed",
    ]


def test_the_bar_is_as_long_as_all_rows_together() -> None:
    """Whatever the counts are, shares are rounded so that the sum fits."""
    for counts in ({}, {"succeeded": 1}, {"succeeded": 67, "failed": 66, "pending": 67}, {"new state": 5}):
        assert len(_bar(BatchProgress("b", rows=200, counts=counts))) == BAR_WIDTH


def test_a_finished_batch_has_no_waiting_rows() -> None:
    """The bar is full when every row has its end."""
    bar = _bar(BatchProgress("b", rows=3, counts={"succeeded": 1, "rejected": 1, "set aside": 1}))
    assert "·" not in bar.plain


def test_on_a_terminal_it_draws_bars() -> None:
    """Names, stages and counts stand beside them."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with ProgressDisplay(console, [BatchProgress("orders.csv", 10, "completed", {"succeeded": 10})]):
        pass
    assert "█" * BAR_WIDTH in out.getvalue()
    assert "10 succeeded" in out.getvalue()
