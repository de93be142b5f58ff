"""What is submitted, what comes back: nothing is claimed that did not happen, nothing runs, nothing leaks."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import BinaryIO

import pytest

from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.handler import OrderCommandRequest
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.batch import BatchState
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order_commands import Cancel, Hold
from sat_hook.domain.order_events import HoldReason
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.intake import ROWS_A_RUN, take_in
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.pipeline.results import render_results, write_results
from sat_hook.store.as_of import as_of_now
from sat_hook.store.errors import SpoolError, StoreRefusedError
from sat_hook.store.spool import LocalSpool
from tests.orders import ACCOUNT, BY_TEST
from tests.pipeline import Line

HEADER = "order_id,product_code,client_number"


def results_of(line: Line, batch_id: str) -> list[list[str]]:
    """The rows of the batch's result file, header included."""
    content = render_results(as_of_now(line.store), line.spool, batch_id).content
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
    # What the column is called is the file's own affair: the sentence does without.
    assert "orders.csv row 2: found order id 'INV-1', which stands for another order" in first[6]


def test_a_repeat_of_the_registered_order_is_known(line: Line) -> None:
    """Behind a row that was refused, a row that equals the order elsewhere is shown with that order."""
    first = "INV-1,50k-simpati,081211000001\n"
    known = taken_in(line, f"{HEADER}\n{first}")
    batch_id = taken_in(line, f"{HEADER}\nINV-1,50k-simpati,081299999999\n{first}{first}")
    _, refused, *repeats = results_of(line, batch_id)
    assert refused[5] == "order_id_reused"
    assert [row[3] for row in repeats] == ["already submitted: not sent yet"] * 2
    assert [row[5] for row in repeats] == ["already_submitted"] * 2
    assert all(known in row[6] for row in repeats)


def test_no_cell_of_the_results_runs_as_a_formula(line: Line) -> None:
    """Free text of good and bad rows and the file's own name are text for a spreadsheet."""
    batch_id = taken_in(
        line,
        f"{HEADER},note:x,field:y,downline_id\n"
        "INV-1,50k-simpati,081211000001,=HYPERLINK(1),@SUM(1),-1+1\n"
        ",50k-simpati,081211000002, =A1,+1,\n",
        name="=HYPERLINK(1).csv",
    )
    _, good, bad = results_of(line, batch_id)
    assert good[3:6] == ["'=HYPERLINK(1)", "'@SUM(1)", "'-1+1"]
    assert bad[3:5] == ["' =A1", "'+1"]
    assert not [cell for row in (good, bad) for cell in row if cell.strip()[:1] in tuple("=+-@")]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_no_cell_runs_where_a_spreadsheet_splits_elsewhere(line: Line, mark: str) -> None:
    """Excel splits a .csv at the separator of its region: behind each of them a formula is text."""
    batch_id = taken_in(
        line,
        f"{HEADER},note:x\n"
        'INV-1,50k-simpati,081211000001,"a;=HYPERLINK(""http://evil"";""x"")"\n'
        "INV-2,50k-simpati,+62818,a\t=1+1|=2\n",
    )
    text = render_results(as_of_now(line.store), line.spool, batch_id).content.decode("utf-8-sig")
    for row in csv.reader(io.StringIO(text), delimiter=mark):
        assert not [cell for cell in row if cell.lstrip(' "')[:1] in tuple("=+-@")]


def test_a_result_file_can_be_submitted_again(line: Line) -> None:
    """Its columns are passed over and appear once, apostrophes that it added are gone, orders are known."""
    header = f"{HEADER},note:x,field:y,downline_id"
    first = taken_in(line, f"{header}\nINV-1,50k-simpati,081211000001,=1,a;=2,-3\n,25k-xl,+62818,'=,@a,\n")
    content = render_results(as_of_now(line.store), line.spool, first).content
    again = line.submit(content, name="orders.results.csv").batch_id
    line.take_in(again)
    titles, known, refused = results_of(line, again)
    assert titles == results_of(line, first)[0]
    assert known[:6] == results_of(line, first)[1][:6]
    assert known[titles.index("sat_reason")] == "already_submitted"
    assert refused[:6] == results_of(line, first)[2][:6]
    assert refused[titles.index("sat_reason")] == "missing_order_id"


def test_an_order_that_ended_unpaid_needs_a_new_id(line: Line) -> None:
    """Its row in a result file that is submitted again says so; one that still runs does not.

    One that was rejected before it was sent is looked at again under its id.
    """
    cancelled = "INV-2,50k-simpati,081211000002\n"
    rows = f"INV-1,50k-simpati,081211000001\n{cancelled}INV-3,no-such-product,081211000003\n"
    first = taken_in(line, f"{HEADER}\n{rows}")
    request_id = request_id_of(ACCOUNT, "INV-2")
    line.quote(first)
    hold = OrderCommandRequest(request_id, Hold(HoldReason.LIMIT, "too much"))
    line.handler.apply([hold], BY_TEST)
    line.handler.apply([OrderCommandRequest(request_id, Cancel("not this month"))], BY_TEST)
    content = render_results(as_of_now(line.store), line.spool, first).content
    again = line.submit(content, name="orders.results.csv").batch_id
    line.take_in(again)
    titles, running, ended, rejected = results_of(line, again)
    message = titles.index("sat_message")
    assert "new order id" not in running[message]
    assert "it is cancelled: to pay it after all, give it a new order id" in ended[message]
    assert rejected[titles.index("sat_verdict")] == "not sent"
    assert rejected[titles.index("sat_reason")] == "unknown_product"


class _ShiftySpool:
    """A spool whose file becomes another one, or goes, after it was first read."""

    def __init__(self, content: bytes, later: bytes | None) -> None:
        self._content, self._later = content, later
        self.opened = 0

    def open(self, uri: str) -> BinaryIO:
        self.opened += 1
        if self.opened > 1 and self._later is None:
            raise SpoolError(f"{uri} is gone")
        return io.BytesIO(self._content if self.opened == 1 else self._later or b"")

    def write(self, name: str, content: bytes) -> str:
        raise SpoolError(f"{name} is not written ({len(content)} bytes)")


@pytest.mark.parametrize("is_swapped", [True, False])
def test_intake_reads_the_bytes_that_it_hashed(line: Line, is_swapped: bool) -> None:
    """A write into the spool during intake changes no order: the file is opened once."""
    content = f"{HEADER}\nINV-1,50k-simpati,081211000001\n".encode()
    other = content.replace(b"081211000001", b"081299999999")
    batch_id = line.submit(content).batch_id
    spool = _ShiftySpool(content, other if is_swapped else None)
    take_in(line.handler, spool, batch_id, BY_TEST)
    line.take_in(batch_id)
    line.quote(batch_id)
    assert spool.opened == 1
    assert [order.client_number for order in line.orders(batch_id).values()] == ["081211000001"]


def test_every_row_of_a_long_file_has_its_order(line: Line) -> None:
    """Rows are taken in by runs, and none is lost between two of them."""
    rows = 2 * ROWS_A_RUN + 3
    content = "".join(f"INV-{n},50k-simpati,08121{n:07d}\n" for n in range(rows))
    batch_id = line.submit(f"{HEADER}\n{content}".encode()).batch_id
    assert take_in(line.handler, line.spool, batch_id, BY_TEST).batch.orders == rows
    assert [order.row_number for order in line.orders(batch_id).values()] == list(range(2, rows + 2))


def test_a_file_that_grew_in_the_spool_is_not_read_whole(line: Line) -> None:
    """What was submitted has a size: one byte more is another file."""
    content = f"{HEADER}\nINV-1,50k-simpati,081211000001\n".encode()
    batch_id = line.submit(content).batch_id
    with pytest.raises(SpoolError, match="found bytes with digest"):
        take_in(line.handler, _ShiftySpool(content + b"\n" * 1000, None), batch_id, BY_TEST)


def test_the_reason_of_a_refused_file_is_no_formula(line: Line) -> None:
    """The file's name begins the message."""
    batch_id = line.submit(b"a,b\n1,2\n", name="=HYPERLINK(1).csv").batch_id
    take_in(line.handler, line.spool, batch_id, BY_TEST)
    assert results_of(line, batch_id)[1][2].startswith("'=HYPERLINK(1).csv")


@pytest.mark.parametrize("stem", ["x" * 240, "\u00e9" * 120], ids=["ASCII", "two bytes each"])
def test_a_long_file_name_still_has_results(line: Line, stem: str) -> None:
    """The name of the results is cut to what a file system takes, between characters."""
    batch_id = taken_in(line, f"{HEADER}\nINV-1,50k-simpati,081211000001\n", name=f"{stem}.csv")
    file = write_results(line.handler, line.spool, line.spool, batch_id, BY_TEST)
    assert file.name.endswith(".results.csv")
    assert len(file.name.encode()) <= 112


def test_what_a_disk_refuses_is_trouble_of_the_spool(tmp_path: Path) -> None:
    """A name that is too long is an error that the steps know."""
    with pytest.raises(SpoolError, match="cannot be written"):
        LocalSpool(tmp_path).write("x" * 300, b"")


def test_names_with_control_characters_are_refused(line: Line) -> None:
    """File name, reference and reason: what was found is named in ASCII, nothing reaches the database."""
    content = f"{HEADER}\nINV-1,50k-simpati,081211000001\n".encode()
    for bad in ("a\x00b", "a\x85b", "a\ud800b"):
        with pytest.raises(SubmissionRefusedError, match="found '"):
            line.submit(content, name=bad + ".csv")
        with pytest.raises(SubmissionRefusedError, match="found '"):
            line.submit(content, reference=bad)
    with pytest.raises(OverrideRefusedError, match="found '"):
        checked_reason("because\x00of it")


def test_a_title_with_a_nul_refuses_the_file(line: Line) -> None:
    """It is refused before the first order, and the refusal can be recorded."""
    batch_id = line.submit(f"{HEADER},field:a\x00b\nINV-1,50k-simpati,081211000001,x\n".encode()).batch_id
    batch = take_in(line.handler, line.spool, batch_id, BY_TEST).batch
    assert (batch.state, batch.refusal_code) == (BatchState.REFUSED, "bad_title")


def test_a_value_that_the_database_refuses_is_not_quoted(line: Line) -> None:
    """PostgreSQL's words quote the value; ours have the code, and the connection is usable after it."""
    with (
        pytest.raises(StoreRefusedError, match="22P02") as caught,
        line.store.database.transaction() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT %s::int", ("secret",))
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_refusal_for_a_bad_row_shows_no_number(line: Line) -> None:
    """The reason goes into the log and into the failed task; the cell is the submitter's to see alone."""
    batch_id = line.submit(f"{HEADER}\nA,50k-simpati,0812 1100 0001\n".encode()).batch_id
    batch = take_in(line.handler, line.spool, batch_id, BY_TEST, BadRowsPolicy.REFUSE).batch
    assert "1100" not in (batch.refusal_message or "")
    assert "14 characters, digits and spaces" in (batch.refusal_message or "")
