"""What is submitted, what comes back: nothing is claimed that did not happen, nothing runs, nothing leaks."""

from __future__ import annotations

import csv
import io

from sat_hook.pipeline.results import render_results
from tests.pipeline import Line

HEADER = "order_id,product_code,client_number"


def results_of(line: Line, batch_id: str) -> list[list[str]]:
    """The rows of the batch's result file, header included."""
    content = render_results(line.store, line.spool, batch_id).content
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def taken_in(line: Line, content: str, name: str = "orders.csv") -> str:
    """A batch whose rows were read."""
    batch_id = line.submit(content.encode(), name=name).batch_id
    line.take_in(batch_id)
    return batch_id


def test_a_repeat_of_a_refused_row_is_refused_as_well(line: Line) -> None:
    """A row whose id stands for another order elsewhere is never reported with that order's fate."""
    taken_in(line, f"{HEADER}\nINV-1,50k-simpati,081211000001\n")
    other = "INV-1,50k-simpati,081299999999\n"
    batch_id = taken_in(line, f"{HEADER}\n{other}{other}")
    _, first, repeat = results_of(line, batch_id)
    assert [row[3:6] for row in (first, repeat)] == [["not sent", "refused", "order_id_reused"]] * 2


def test_a_repeat_of_the_registered_order_is_known(line: Line) -> None:
    """Behind a row that was refused, a row that equals the order elsewhere is shown with that order."""
    first = "INV-1,50k-simpati,081211000001\n"
    known = taken_in(line, f"{HEADER}\n{first}")
    batch_id = taken_in(line, f"{HEADER}\nINV-1,50k-simpati,081299999999\n{first}{first}")
    _, refused, *repeats = results_of(line, batch_id)
    assert refused[5] == "order_id_reused"
    assert [row[3] for row in repeats] == ["already submitted: not sent yet"] * 2
    assert all(known in row[6] for row in repeats)
