"""Codes that people meet in a result file are explained, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.pipeline import order_columns
from sat_hook.pipeline.cell_marks import MARKS
from sat_hook.pipeline.delivery import DELIVERY_COLUMNS
from sat_hook.pipeline.results import VERDICTS
from tests.docs.pages import CHECKOUT, first_codes, page, rows

RUN_A_BATCH = page("docs/run-a-batch.md")
PIPELINE = CHECKOUT / "sat_hook" / "pipeline"


def codes_in(module: str, callee: str, place: int = 0) -> set[str]:
    """The words that ``module`` gives to ``callee`` as code: literal, conditional, or in `code`."""
    tree = ast.parse((PIPELINE / f"{module}.py").read_text("utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == callee):
            continue
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        given = given or list(node.args[place : place + 1])
        for value in given:
            if isinstance(value, ast.Name) and value.id == "code":
                found |= set(assigned(tree, "code"))
            else:
                found |= set(words(value))
    return found


def words(node: ast.AST) -> Iterator[str]:
    """The string literals that an expression may become; conditions are not values."""
    if isinstance(node, ast.IfExp):
        yield from words(node.body)
        yield from words(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def assigned(tree: ast.AST, name: str) -> Iterator[str]:
    """The literals that are assigned to ``name`` anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            yield from words(node.value)


def test_every_reason_of_a_refused_row_is_explained() -> None:
    """The table of rows that never became an order equals the codes in the code."""
    in_code = (
        codes_in("order_file", "RowProblem")
        | codes_in("order_rows", "RowProblem")
        | codes_in("intake", "_refused", place=1)
        | codes_in("intake", "RowSetAside")
        | {mark.code for mark in MARKS.values()}
    )
    assert len(in_code) > 10
    assert first_codes(RUN_A_BATCH.section("Rows that never became an order")) == in_code


def test_every_reason_of_a_refused_file_is_explained() -> None:
    """Likewise for files and batches as a whole."""
    in_code = (
        codes_in("order_file", "OrderFileError")
        | codes_in("sheet_reading", "OrderFileError")
        | codes_in("workbook_orders", "OrderFileError")
        | codes_in("order_columns", "OrderFileError")
        | codes_in("csv_reader", "OrderFileError")
        | codes_in("intake", "OrderFileError")
        | codes_in("validation", "RefuseBatch")
    )
    assert first_codes(RUN_A_BATCH.section("Files that are no batch")) == in_code


def test_every_rejection_is_explained() -> None:
    """One row for each reason for which an order is never sent."""
    section = RUN_A_BATCH.section("Orders that were rejected before they were sent")
    assert first_codes(section) == {reason.value for reason in RejectionReason}


def test_every_hold_is_named() -> None:
    """Those in use in the table, those that are prepared below it."""
    section = RUN_A_BATCH.section("Orders that are held")
    assert set(re.findall(r"`([a-z_]+)`", section)) - {"sat_reason"} == {
        reason.value for reason in HoldReason
    }


def test_columns_and_aliases_are_those_of_the_reader() -> None:
    """The table of columns equals what the header is understood by."""
    documented = {}
    for cells in rows(RUN_A_BATCH.section("The file")):
        name = cells[0].strip("`")
        if name in order_columns.ALIASES:
            documented[name] = (cells[1] == "yes", tuple(re.findall(r"`([^`]+)`", cells[2])))
    assert documented == {
        name: (name in order_columns.REQUIRED, aliases) for name, aliases in order_columns.ALIASES.items()
    }


def test_notes_are_those_of_the_reader() -> None:
    """The titles that are known as the submitter's own are listed."""
    text = " ".join(RUN_A_BATCH.section("The file").split())
    listed = text.partition("Known as such are ")[2].partition(".")[0]
    assert tuple(re.findall(r"`([^`]+)`", listed)) == order_columns.NOTES


def test_columns_of_results_and_deliveries_are_named() -> None:
    """In the order in which they stand in the files."""
    text = RUN_A_BATCH.text.partition("## The file")[0]
    assert (
        tuple(cells[0].strip("`") for cells in rows(text) if cells[0].startswith("`sat_"))
        == order_columns.RESULT_COLUMNS
    )
    assert f"`{', '.join(DELIVERY_COLUMNS)}`" in " ".join(text.split())


def test_verdicts_are_the_words_of_the_result_file() -> None:
    """Every verdict that an order can have is quoted."""
    text = RUN_A_BATCH.text
    assert {verdict for verdict in VERDICTS.values() if f"`{verdict}`" not in text} == set()


def test_states_that_need_somebody_are_explained() -> None:
    """Everything between sending and the end has its row on the page about unknown orders."""
    section = page("docs/resolve-an-unknown-order.md").section("What the states mean")
    in_between = {state for state in OrderState if state.is_in_flight}
    assert first_codes(section) == {
        state.value for state in in_between | {OrderState.ESCALATED, OrderState.HELD}
    }


def test_every_kind_of_alert_is_explained() -> None:
    """What it means, and what to do."""
    assert first_codes(page("docs/after-the-end.md").section("People are told")) == set(AlertKind)
