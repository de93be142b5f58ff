"""Settlement files that people bring: looked at, read by a mapping, imported; odd ones are not."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta

import pytest
import xlsxwriter

from sat_hook.application.errors import (
    FileRefusedError,
    RightMissingError,
    RivalFilesError,
    UploadNotFoundError,
)
from sat_hook.application.rights import Person, Right
from sat_hook.application.settlements import MAXIMUM_UPLOAD_BYTES, MAXIMUM_UPLOADS, FileStanding, Settlements
from sat_hook.domain.masking import masked_number
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import BooksRefusedError, SettlementRefusedError
from tests.integration.reconciliation.planting import CLOSES, DAY, PRICE, SECOND, Planted
from tests.integration.reconciliation.test_breaks import host_of

FINA = Person("fina", frozenset({Right.FINANCE}))
OTHER = Person("rudi", frozenset({Right.FINANCE}))
AUDITOR = Person("adi", frozenset({Right.AUDIT}))
NAME = f"settlement-{DAY.day}.csv"
THEIRS = SettlementMapping(
    request_id="ID Transaksi",
    amount_rupiah="Nilai",
    status="Status",
    client_number="No Pelanggan",
    statuses={"BERHASIL": "succeeded"},
    header_row=3,
    delimiter=";",
    thousands=".",
    decimal=",",
    prefix="Rp",
)


def theirs(day: Planted, *names: str, rupiah: str = "Rp 52.000,00") -> bytes:
    """A file as the provider writes it."""
    rows = "".join(f"{day.request_id(name)};{rupiah};BERHASIL;{day.number(name)}\n" for name in names)
    return f"PT Contoh;;;\n;;;\nID Transaksi;Nilai;Status;No Pelanggan\n{rows}".encode()


def test_a_mapping_is_built_with_the_rows_live_and_the_file_imported(day: Planted) -> None:
    """The default does not fit and says why; the built one does, counts from the next close, and is kept."""
    settlements = Settlements(host_of(day))
    content = theirs(day, "good-1", "good-2", "good-3")
    upload_id = settlements.upload(day.account, NAME, content, FINA)
    first = settlements.look(upload_id, FINA)
    assert (first.mapping.delimiter, first.day) == (";", DAY.day)
    assert "found the columns" in first.preview.problem
    assert [row.cells[0] for row in first.preview.rows][:3] == ["PT Contoh", "", "ID Transaksi"]
    live = settlements.look(upload_id, FINA, THEIRS)
    assert live.preview.problem == ""
    assert (live.preview.kept, live.preview.aside, live.preview.charged_rupiah) == (3, 0, 3 * PRICE)
    assert live.preview.columns == ("ID Transaksi", "Nilai", "Status", "No Pelanggan")
    row = live.preview.rows[3]
    assert (row.number, row.kind, row.status, row.rupiah) == (4, "sale", "succeeded", PRICE)
    assert row.cells == (
        day.request_id("good-1"),
        "Rp 52.000,00",
        "BERHASIL",
        masked_number(day.number("good-1")),
    )
    assert settlements.look(upload_id, FINA).mapping == first.mapping
    settlements.read_by(upload_id, THEIRS, FINA)
    assert settlements.save_mapping(day.account, "provider", THEIRS, FINA)
    assert not settlements.save_mapping(day.account, "provider", THEIRS, FINA)
    event = settlements.import_upload(upload_id, None, FINA)
    assert (event.day, event.rows, event.mapping) == (DAY.day, 3, THEIRS)
    with pytest.raises(UploadNotFoundError):
        settlements.look(upload_id, FINA)
    day.observe(CLOSES + SECOND)
    assert day.close().close.breaks == ()
    second = settlements.upload(day.account, f"later-{DAY.day}.csv", theirs(day, "x"), FINA)
    assert settlements.look(second, FINA).mapping == THEIRS
    (kept,) = settlements.mappings(AUDITOR, day.account)
    assert (kept.name, kept.mapping, kept.saved_by) == ("provider", THEIRS, "fina")


def test_a_file_with_the_orders_of_another_can_only_replace_it(day: Planted) -> None:
    """The person must say so; then one counts, and the list says what became of the other."""
    settlements = Settlements(host_of(day))
    day.settle(*day.usual_rows(), name=NAME)
    (first,) = day.keeper.books(day.account).settlements
    with day.spool.open(first.event.uri) as file:
        content = file.read()
    again = settlements.upload(day.account, f"export {DAY.day}.csv", content + b"\n", FINA)
    upload = settlements.look(again, FINA)
    assert (upload.preview.problem, upload.rivals) == ("", (NAME,))
    with pytest.raises(RivalFilesError, match="found the same orders"):
        settlements.import_upload(again, None, FINA)
    settlements.import_upload(again, None, FINA, replaces=True)
    standing = {row.name: row.standing for row in settlements.page(AUDITOR, account=day.account).items}
    assert standing == {NAME: FileStanding.REPLACED, f"export {DAY.day}.csv": FileStanding.COUNTS}
    same = settlements.upload(day.account, f"export {DAY.day}.csv", content + b"\n", FINA)
    with pytest.raises(BooksRefusedError):
        settlements.import_upload(same, None, FINA)


def test_files_that_do_not_count_say_why(day: Planted) -> None:
    """Set aside by the nightly step; filtered by day, in pages."""
    settlements = Settlements(host_of(day))
    day.settle(*day.usual_rows(), name=NAME)
    day.set_aside("settlement-2026-11-03.xlsx", "found a web page", day=DAY.day + timedelta(days=1))
    bad, good = settlements.page(FINA, account=day.account).items
    assert (bad.standing, bad.why, bad.rows) == (
        FileStanding.UNUSABLE,
        "settlement-2026-11-03.xlsx: found a web page",
        None,
    )
    assert (good.standing, good.why, good.rows) == (FileStanding.COUNTS, "", 3)
    assert settlements.page(FINA, account=day.account, day=DAY.day).items == (good,)
    first = settlements.page(FINA, account=day.account, limit=1)
    assert settlements.page(FINA, account=day.account, limit=1, cursor=first.next).items == (good,)


def bomb() -> bytes:
    """A workbook of which a small part unpacks to gigabytes."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        book.add_worksheet().write(0, 0, "request_id")
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(out.getvalue())) as source, zipfile.ZipFile(packed, "w", 8) as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(b"</sheetData>", b" " * 400_000_000 + b"</sheetData>")
            target.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        (NAME, lambda: b"PK\x03\x04 torn", "cut or damaged"),
        (NAME, lambda: bytes(range(256)) * 3, "found"),
        (NAME, lambda: b"%PDF-1.7", "a PDF document"),
        (f"{DAY.day}.xlsx", lambda: b"request_id,amount\n1,2\n", "found text"),
        (f"{DAY.day}.xlsx", bomb, "expected"),
        (NAME, lambda: b"<html><table>", "a web page"),
    ],
    ids=["torn zip", "binary", "pdf", "csv as xlsx", "zip bomb", "html"],
)
def test_an_odd_file_is_looked_at_and_never_imported(
    day: Planted, name: str, content: Callable[[], bytes], found: str
) -> None:
    """The preview says what was found; an import is refused with the same words, and nothing counts."""
    settlements = Settlements(host_of(day))
    upload_id = settlements.upload(day.account, name, content(), FINA)
    problem = settlements.look(upload_id, FINA).preview.problem
    assert found in problem
    with pytest.raises(SettlementRefusedError):
        settlements.import_upload(upload_id, None, FINA)
    assert settlements.page(FINA, account=day.account).items == ()
    settlements.discard(upload_id, FINA)


@pytest.mark.parametrize(
    ("name", "size", "found"),
    [
        (NAME, 0, "found 0 bytes"),
        (NAME, MAXIMUM_UPLOAD_BYTES + 1, "bytes; expected 1 to"),
        (f"{NAME}.gz", 5, "packed or encrypted"),
        (f"{DAY.day}.pdf", 5, "found a name that ends otherwise"),
        (f".~lock.{NAME}", 5, "a program's own file"),
    ],
    ids=["empty", "large", "packed", "pdf", "lock"],
)
def test_what_is_no_settlement_file_is_not_kept(day: Planted, name: str, size: int, found: str) -> None:
    """Nothing is stored for it."""
    settlements = Settlements(host_of(day))
    with pytest.raises(FileRefusedError, match=found):
        settlements.upload(day.account, name, b"x" * size, FINA)
    assert [one for one in settlements.uploads(FINA) if one.account == day.account] == []


def test_an_upload_is_its_owners_alone(day: Planted) -> None:
    """Another person of finance does not find it by its id; so many are kept for one."""
    settlements = Settlements(host_of(day))
    upload_id = settlements.upload(day.account, NAME, b"a,b\n", OTHER)
    acts = (
        lambda: settlements.look(upload_id, FINA),
        lambda: settlements.read_by(upload_id, THEIRS, FINA),
        lambda: settlements.import_upload(upload_id, None, FINA),
        lambda: settlements.discard(upload_id, FINA),
    )
    for act in acts:
        with pytest.raises(UploadNotFoundError):
            act()
    for number in range(MAXIMUM_UPLOADS - 1):
        settlements.upload(day.account, NAME, f"{number}".encode(), OTHER)
    with pytest.raises(FileRefusedError, match="uploads of yours"):
        settlements.upload(day.account, NAME, b"one more", OTHER)
    for one in settlements.uploads(OTHER):
        settlements.discard(one.upload_id, OTHER)


def test_the_day_is_in_the_name_or_chosen(day: Planted) -> None:
    """Never both in disagreement, and never neither."""
    settlements = Settlements(host_of(day))
    content = b"request_id,amount,status\n" + day.request_id("good-1").encode() + b",52000,Success\n"
    other = DAY.day + timedelta(days=1)
    named = settlements.upload(day.account, NAME, content, FINA)
    with pytest.raises(SettlementRefusedError, match="as in the name"):
        settlements.import_upload(named, other, FINA)
    nameless = settlements.upload(day.account, "export.csv", content, FINA)
    with pytest.raises(SettlementRefusedError, match="no single day"):
        settlements.import_upload(nameless, None, FINA)
    assert settlements.import_upload(nameless, other, FINA).day == other
    settlements.discard(named, FINA)


def test_everything_needs_its_right(day: Planted) -> None:
    """Finance imports, audit reads, a viewer sees nothing."""
    settlements = Settlements(host_of(day))
    viewer = Person("vera", frozenset({Right.VIEW}))
    acts = (
        lambda who: settlements.upload(day.account, NAME, b"a", who),
        lambda who: settlements.look(f"U{'A' * 25}", who),
        lambda who: settlements.import_upload(f"U{'A' * 25}", None, who),
        lambda who: settlements.save_mapping(day.account, "x", THEIRS, who),
        settlements.uploads,
    )
    for act in acts:
        for who in (AUDITOR, viewer):
            with pytest.raises(RightMissingError):
                act(who)
    for reading in (settlements.page, settlements.mappings, settlements.accounts):
        reading(AUDITOR)
        with pytest.raises(RightMissingError):
            reading(viewer)
