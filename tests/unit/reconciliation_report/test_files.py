"""The CSV files of a closed day, and the folder that a report makes."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sat_hook.reconciliation import breaks_file
from sat_hook.reconciliation.breaks_file import BREAK_COLUMNS, render_breaks, write_orders
from sat_hook.reconciliation.day_orders import DayOrders, PartInMemory
from sat_hook.reconciliation.model import ORDER_COLUMNS, DayClose
from sat_hook.reconciliation.report import write_groups, write_report
from tests.reconciliation_days import DIGEST, closed_day


@pytest.fixture(scope="module")
def close() -> DayClose:
    """A day."""
    return closed_day(120)


def rows_of(content: bytes) -> list[dict[str, str]]:
    """The rows as a program reads them that knows CSV."""
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_breaks_have_a_line_each(close: DayClose) -> None:
    """Every break with its category, age, amount, evidence and decision; moments in WIB."""
    rows = rows_of(render_breaks(close))
    assert list(rows[0]) == list(BREAK_COLUMNS)
    assert [row["break_id"] for row in rows] == [item.break_id for item in close.breaks]
    assert [int(row["amount_rupiah"]) for row in rows] == [item.amount_rupiah for item in close.breaks]
    by_id = {row["break_id"]: row for row in rows}
    found = by_id["KDDDDDDDDDDDDDDD"]
    assert found["state"] == "written_off"
    assert found["carried_on"] == "no"
    assert found["age_band"] == "8-30 days"
    assert found["decided_at_wib"] == "2026-11-23 03:00:00"
    assert found["log_positions"] == "123"
    assert found["file_rows"] == "20"
    assert found["response_digest"] == DIGEST


def test_text_is_neutral_and_amounts_are_numbers(close: DayClose) -> None:
    """What begins like a formula gets an apostrophe; a negative amount stays a number."""
    evil = replace(close.breaks[0], what="=1+1", ours="-5", reason="\tx", actor="@me", amount_rupiah=-7)
    row = rows_of(render_breaks(replace(close, breaks=(evil,))))[0]
    assert (row["what"], row["ours"], row["reason"], row["decided_by"]) == ("'=1+1", "'-5", "'\tx", "'@me")
    assert row["amount_rupiah"] == "-7"
    assert row["size_rupiah"] == "7"


def test_orders_are_written_as_they_are(close: DayClose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Part by part or at once: the same bytes, and the totals of the frame."""
    orders = close.orders.frame.copy()
    orders.loc[1, "order_id"] = "=cmd()"
    orders.loc[2, "order_id"] = 'a "quoted", name\r\nin two lines'
    whole, parts = io.BytesIO(), io.BytesIO()
    write_orders(orders, whole)
    monkeypatch.setattr(breaks_file, "_ORDERS_AT_A_TIME", 7)
    write_orders(orders, parts)
    assert whole.getvalue() == parts.getvalue()
    rows = rows_of(whole.getvalue())
    assert len(rows) == len(orders)
    assert rows[1]["order_id"] == "'=cmd()"
    assert rows[2]["order_id"] == orders.loc[2, "order_id"]
    told = io.StringIO(newline="")
    csv.writer(told, lineterminator="\r\n").writerows(zip(*breaks_file.order_columns(orders), strict=True))
    assert whole.getvalue().decode("utf-8").partition("\r\n")[2] == told.getvalue()
    frame = pd.read_csv(io.BytesIO(whole.getvalue()))
    for name, kind in ORDER_COLUMNS.items():
        if kind.startswith("int"):
            assert frame[name].tolist() == orders[name].tolist(), name
    sent = orders["sent_at"].dt.tz_convert("Asia/Jakarta").dt.strftime("%Y-%m-%d %H:%M:%S")
    assert [row["sent_at_wib"] for row in rows] == sent.tolist()
    assert [row["ended_at_wib"] == "" for row in rows] == orders["ended_at"].isna().tolist()
    assert {row["is_sent_in_day"] for row in rows} == {"yes"}


def test_a_report_is_seven_files(close: DayClose, tmp_path: Path) -> None:
    """Workbooks, PDFs, breaks, orders and figures, with their digests; the same again in another folder."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    files = write_report(close, first)
    assert [file.name for file in files] == [
        "reconciliation-demo-2026-11-22.xlsx",
        "reconciliation-demo-2026-11-22-id.xlsx",
        "reconciliation-demo-2026-11-22-id.pdf",
        "reconciliation-demo-2026-11-22-en.pdf",
        "reconciliation-demo-2026-11-22-breaks.csv",
        "reconciliation-demo-2026-11-22-orders.csv",
        "reconciliation-demo-2026-11-22-figures.json",
    ]
    assert len(rows_of(files[5].path.read_bytes())) == 120
    for file in files:
        content = file.path.read_bytes()
        assert (file.size_bytes, file.digest) == (len(content), hashlib.sha256(content).hexdigest())
    again = write_report(closed_day(120), second)
    assert [file.digest for file in again] == [file.digest for file in files]


def test_an_account_does_not_lead_out_of_the_folder(close: DayClose, tmp_path: Path) -> None:
    """An account's name is part of a file's name, and nothing else."""
    for file in write_report(replace(close, account="../../etc/x y"), tmp_path):
        assert file.path.parent == tmp_path
        assert file.path.exists()
        assert file.name.startswith("reconciliation-_etc_x_y-")


def test_partitions_without_orders_add_nothing(close: DayClose, tmp_path: Path) -> None:
    """Alone or among others: the same rows and groups."""
    frame = close.orders.frame.assign(breaks=0)
    rest = frame.iloc[70:].reset_index(drop=True)
    parts = [PartInMemory(part) for part in (frame.head(0), frame.head(70), frame.head(0), rest)]
    whole, divided, empty = tmp_path / "whole", tmp_path / "divided", tmp_path / "empty"
    groups = write_groups(DayOrders((PartInMemory(frame),)), whole)
    assert write_groups(DayOrders(tuple(parts)), divided) == groups
    assert divided.read_bytes() == whole.read_bytes()
    assert write_groups(DayOrders((parts[0], parts[2])), empty) == []
    assert empty.read_bytes() == whole.read_bytes().splitlines(keepends=True)[0]
