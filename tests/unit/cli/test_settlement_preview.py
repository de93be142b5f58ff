"""``sat reconcile preview``: what a person sees of a settlement file before it counts."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest
from rich.console import Console

from sat_hook.cli import settlement_preview
from tests.unit.cli.running import Run

ORDER = "SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2"
CSV = (
    "ID;Nilai;Status;Nomor\n"
    f"{ORDER};Rp 52.000;Success;081234567890\n"
    f"{ORDER};Rp 10.000;Retur;081234567890\n"
    "081234567891;Rp 1,5;Success;081234567892\n"
    "TOTAL;Rp 42.000;;\n"
)
MAPPING = (
    '{"request_id": "ID", "amount_rupiah": "Nilai", "status": "Status", "client_number": "Nomor",'
    ' "delimiter": ";", "prefix": "Rp", "thousands": ".", "refund_words": ["retur"]}'
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with its mapping beside it."""
    (tmp_path / "mapping.json").write_text(MAPPING)
    path = tmp_path / "settlement-2026-11-22.csv"
    path.write_text(CSV)
    return path


def test_a_preview_shows_how_a_file_would_be_read(run: Run, file: Path) -> None:
    """Rows, sums, what is set aside and why; customers' numbers are masked. Trouble is exit code 1."""
    ran = run("reconcile", "preview", str(file))
    assert ran.code == 1
    words = " ".join(ran.out.split())
    for text in (
        "rows 3: 2 can be matched, 1 set aside",
        "sales, succeeded 1 of Rp 52,000",
        "refunds 1 of Rp -10,000",
        "charged Rp 42,000",
        f"2 sale Rp 52,000 succeeded {ORDER} 0812******90",
        f"3 refund Rp -10,000 succeeded {ORDER}",
        "4 no usable request id 12 characters, digits 'Rp 1,5' 'Success'",
        "row 5 is a total or footer of Rp42,000",
        "Nothing was recorded",
    ):
        assert text in words, text
    for number in ("081234567890", "081234567891", "081234567892"):
        assert number not in ran.out


def test_a_number_or_name_in_another_column_is_not_shown(run: Run, tmp_path: Path) -> None:
    """A column slipped: in the product of a good row, in the id of one that is set aside."""
    (tmp_path / "mapping.json").write_text('{"product_code": "produk"}')
    (tmp_path / "s.csv").write_text(
        f"request_id,amount,status,produk\n{ORDER},1,Success,081234567890\nBUDI-081234567891,x,Success,a\n"
    )
    ran = run("reconcile", "preview", "s.csv")
    words = " ".join(ran.out.split())
    assert f"{ORDER} 12 characters, digits" in words
    assert "no whole amount 17 characters, letters, digits and dashes" in words
    assert "08123456789" not in ran.out


def test_a_workbook_is_shown_likewise(run: Run, tmp_path: Path) -> None:
    """By the default mapping; when all can be matched the exit code is 0."""
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in (["request_id", "amount", "status"], [ORDER, 52_000, "Success"]):
        book.active.append(line)
    book.save(tmp_path / "s.xlsx")
    ran = run("reconcile", "preview", "s.xlsx")
    assert ran.code == 0
    assert f"2  sale  Rp 52,000  succeeded  {ORDER}" in ran.out
    assert "the default one" in ran.out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere.csv"], "nowhere.csv: found no such file or directory; expected a file that can be read"),
        (
            ["settlement-2026-11-22.csv", "--mapping", "wrong.json"],
            "settlement mapping, amout: found a member",
        ),
        (["headless.csv"], "headless.csv: found the columns (12 characters, digits)"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(run: Run, file: Path, arguments: list[str], text: str) -> None:
    """Of the file or the mapping: exit code 2, and no traceback."""
    (file.parent / "wrong.json").write_text('{"amout": "x"}')
    (file.parent / "headless.csv").write_text("081234567890;1;Success;x\n")
    ran = run("reconcile", "preview", *arguments)
    assert ran.code == 2
    assert text in ran.err
    assert "081234567890" not in ran.err + ran.out


def test_many_rows_that_are_set_aside_are_shown_in_part(run: Run, tmp_path: Path) -> None:
    """The first ones and their number; all of them when asked."""
    (tmp_path / "s.csv").write_text("request_id,amount,status\n" + f"{ORDER},x,Success\n" * 300)
    assert "The first 50 of 300 rows; all of them: --all" in run("reconcile", "preview", "s.csv").out
    assert "301  no whole amount" in run("reconcile", "preview", "s.csv", "--all").out


def test_a_preview_keeps_every_value_at_80_columns(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are stacked; no amount and no id is cut."""
    monkeypatch.setattr(
        settlement_preview,
        "console",
        lambda: Console(width=80, force_terminal=True, no_color=True, soft_wrap=True),
    )
    out = run("reconcile", "preview", file.name).out
    assert ORDER in out
    assert "Rp 52,000" in out
    assert all(len(line) <= 110 for line in out.splitlines())
