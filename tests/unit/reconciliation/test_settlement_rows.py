"""What the rows of a settlement file are: sales, refunds, totals, and what is set aside."""

from __future__ import annotations

import pytest

from sat_hook.domain.settlement_mapping import RowKind, SettlementMapping
from sat_hook.reconciliation import settlement_csv
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import read_settlement
from sat_hook.reconciliation.settlement_rows import SettlementRows, TotalRow

HEADER = "request_id,amount,status\n"


def read(text: str | bytes, name: str = "s.csv", **members: object) -> SettlementRows:
    """A file read by the default mapping, but for some members."""
    content = text if isinstance(text, bytes) else text.encode("utf-8")
    return read_settlement(content, name, SettlementMapping.model_validate(members))


def orders(rows: SettlementRows) -> list[tuple[object, ...]]:
    """Row, id, rupiah and kind of each row about an order."""
    return list(rows.frame[["file_row", "request_id", "rupiah", "kind"]].itertuples(index=False, name=None))


def doubts(rows: SettlementRows) -> list[str]:
    """What a person has to look at."""
    return [note.text for note in rows.notes if note.is_doubt]


@pytest.mark.parametrize("refund", ["-52000,Refund", "52000,Refund", "52000,refunded", "-52000,Failed"])
def test_a_refund_takes_back_whatever_its_sign(refund: str) -> None:
    """By its word or by its amount; that its sale failed does not make the refund fail."""
    frame = read(f"{HEADER}S1,52000,Success\nS1,{refund}\n").frame
    assert frame[["rupiah", "kind", "status"]].values.tolist() == [
        [52_000, RowKind.SALE, "succeeded"],
        [-52_000, RowKind.REFUND, "succeeded"],
    ]


@pytest.mark.parametrize(
    "footer",
    [
        "TOTAL,104000,",
        "Grand Total:,104000,",
        "total (2 transaksi),104000,",
        ",104000,",
        "TOTAL,104000,Success",
    ],
)
def test_a_total_is_no_order(footer: str) -> None:
    """It is known by its word, with a status or without; the sum of the day stays what it is."""
    first = "Jumlah" if footer.startswith(",") else ""
    rows = read(f"no,{HEADER}1,S1,52000,Success\n2,S2,52000,Success\n{first},{footer}\n")
    assert [row[1] for row in orders(rows)] == ["S1", "S2"]
    assert rows.totals == (TotalRow(4, 104_000),)
    assert not doubts(rows)
    assert "the rows above agree" in rows.notes[0].text


def test_a_total_without_a_status_column_is_no_order() -> None:
    """Else the day would count twice."""
    rows = read("request_id,amount\nS1,52000\nS2,52000\nTOTAL,104000\n", status=None)
    assert int(rows.frame["rupiah"].sum()) == 104_000
    assert rows.totals == (TotalRow(4, 104_000),)


@pytest.mark.parametrize(
    "label",
    [
        "Sub-total",
        "SUBTOTAL",
        "Grandtotal",
        "Grand-Total:",
        "Total.",
        "totals",
        "Total. 2 transaksi",
        "Rekap",
        "Rekapitulasi",
        "Jumlah :",
        "Jumlah\uff1a",
        "Jml.",
        "*** TOTAL ***",
        "= Total",
        "sub_total",
    ],
)
def test_a_total_is_known_however_it_is_written(label: str) -> None:
    """With hyphens, points, stars, in one word or two; where no status could say that it is an order."""
    rows = read(f"request_id,amount\nS1,52000\nS2,52000\n{label},104000\n", status=None)
    assert [row[1] for row in orders(rows)] == ["S1", "S2"]
    assert rows.totals == (TotalRow(4, 104_000),)


def test_a_total_beside_a_count_is_a_total() -> None:
    """The number of rows stands where the request ids stand. With a status it is an order."""
    text = "no,request_id,amount\n1,S1,52000\n2,S2,52000\nTOTAL,2,104000\n"
    assert read(text, status=None).totals == (TotalRow(4, 104_000),)
    rows = read("produk,request_id,amount,status\nTotal,7001,52000,Success\n")
    assert [row[1] for row in orders(rows)] == ["7001"]


@pytest.mark.parametrize("label", ["Saldo", "Keterangan", "Biaya", "Catatan."])
def test_a_word_is_no_order_where_no_status_says_so(label: str) -> None:
    """It costs its row, and is not counted as succeeded; with a status it may be an id."""
    rows = read(f"request_id,amount\nS1,52000\n{label},104000\n", status=None)
    assert rows.kept["request_id"].tolist() == ["S1"]
    assert rows.set_aside["trouble"].tolist() == ["no usable request id"]
    assert len(read(f"{HEADER}{label},104000,Success\n").kept) == 1


@pytest.mark.parametrize("word", ["-", " ", "...", "_"])
def test_a_footer_word_of_marks_alone_is_that_word(word: str) -> None:
    """And not the end of every id."""
    rows = read(f"{HEADER}S,1,Success\ns1,1,Success\n", footer_words=[word])
    assert len(rows.kept) == 2


@pytest.mark.parametrize("number", ["081234567890", "6281234567890", "+6281234567890", "81234567890"])
def test_a_customers_number_is_no_request_id(number: str) -> None:
    """A column slipped: it would stand as an order's id in every report."""
    assert read(f"{HEADER}{number},52000,Success\n").set_aside["trouble"].tolist() == ["no usable request id"]


def test_a_total_that_disagrees_is_a_doubt() -> None:
    """Rows may be missing. Several that disagree are one doubt."""
    rows = read(f"{HEADER}S1,52000,Success\nTOTAL,52001,\nS2,1,Success\nTOTAL,9,\n")
    (text,) = doubts(rows)
    assert text.startswith("row 3 is a total or footer of Rp52,001; the rows above it add up to Rp52,000")


@pytest.mark.parametrize("request_id", ["TOTAL-123", "Totalindo1", "Sumatra", "TOTALS"])
def test_an_id_that_begins_like_a_total_is_an_id(request_id: str) -> None:
    """A word ends where it ends."""
    rows = read(f"{HEADER}{request_id},52000,Success\n")
    assert [row[1] for row in orders(rows)] == [request_id]
    assert rows.totals == ()


def test_a_footer_is_left_out_by_its_place() -> None:
    """Its rows are counted from the last one with anything in it. What reads as an order stays, in doubt."""
    text = f"{HEADER}S1,52000,Success\nS2,1,Success\ndibuat oleh sistem,,\n\n"
    rows = read(text, footer_rows=1)
    assert [row[1] for row in orders(rows)] == ["S1", "S2"]
    assert not doubts(rows)
    rows = read(text, footer_rows=2)
    assert [row[1] for row in orders(rows)] == ["S1", "S2"]
    assert doubts(rows) == [
        "row 3: reads as an order among the last rows that the mapping calls a footer; kept"
    ]


PRIVATE = "SAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2,52000,Success,081234567890,BUDI CONTOH\n"


@pytest.mark.parametrize(
    "text", [PRIVATE, PRIVATE.replace(",", ";"), f"Laporan harian\n{PRIVATE}", f'"{PRIVATE}']
)
def test_a_file_without_a_header_never_prints_its_rows(text: str) -> None:
    """Its first row is a customer's: the error says shapes."""
    with pytest.raises(SettlementRefusedError, match=r"has the file a header\?$") as caught:
        read(text + PRIVATE)
    for private in ("SAAA", "52000", "0812", "BUDI", "CONTOH"):
        assert private not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Laporan\n22 Nov\nrequest_id,amount,status\n", r'; row 3 has them: "header_row": 3'),
        ("request_id;amount;status\n", r'another delimiter: "delimiter": ";"'),
        ("Laporan\nrequest_id\tamount\tstatus\n", r'"delimiter": "\\t", "header_row": 2'),
    ],
)
def test_a_header_that_stands_elsewhere_is_named(text: str, hint: str) -> None:
    """What to write into the mapping."""
    with pytest.raises(SettlementRefusedError, match=hint):
        read(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp500"])
def test_a_file_in_another_encoding_is_told_from_one_without_a_header(encoding: str) -> None:
    """What to write into the mapping; also where the mapping's own encoding says no place of the damage."""
    content = f"{HEADER}S1,52000,Success\n".encode(encoding)
    with pytest.raises(SettlementRefusedError, match=f'another encoding: "encoding": "{encoding}"$'):
        read(content)
    if encoding != "utf-16":
        with pytest.raises(SettlementRefusedError, match=rf'"encoding": "{encoding}"$') as caught:
            read(content, encoding="utf-16")
        assert "at bytes" not in str(caught.value)


def test_names_of_other_columns_are_said_in_the_words_of_headers() -> None:
    """A person sees which names the file has, and no word that could be a customer's."""
    with pytest.raises(
        SettlementRefusedError, match=r"found the columns No, ID Transaksi, \(4 characters, letters\)"
    ):
        read("No,ID Transaksi,Budi\n1,2,3\n")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_a_stray_quotation_mark_costs_its_row(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows behind it are read, wherever a chunk ends; a cell of several lines stays one."""
    monkeypatch.setattr(settlement_csv, "ROWS_OF_A_CHUNK", size)
    text = (
        'request_id,amount,status,alamat\nS1,1,Success,"Jl. A,\nJakarta"\nS2,"2,Success,x\nS3,3,Success,\n'
        'S4,4,Success,"y\nS5,5,Success,z\nS6,6,Success,"""q"""\nS7,"7,Success,'
    )
    rows = read(text)
    assert rows.kept["request_id"].tolist() == ["S1", "S3", "S5", "S6"]
    assert set(rows.set_aside["trouble"]) == {"a quotation mark without its partner"}
    assert rows.frame["file_row"].tolist() == list(range(2, 9))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_chunks_join_without_a_seam(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows, however many are read at a time."""
    monkeypatch.setattr(settlement_csv, "ROWS_OF_A_CHUNK", size)
    rows = read(f"{HEADER}S1,1,Success\n\nS2,2,Success\nTOTAL,3,\n")
    assert orders(rows) == [(2, "S1", 1, "sale"), (4, "S2", 2, "sale")]
    assert rows.totals == (TotalRow(5, 3),)


def test_a_cell_without_an_end_costs_its_row() -> None:
    """Not the thousands of rows that it would swallow."""
    good = "".join(f"S{number},1,Success\n" for number in range(20_000))
    rows = read(f'{HEADER}S,"1,Success\n{good}')
    assert len(rows.kept) == 20_000


def test_a_cell_that_is_too_long_is_called_so() -> None:
    """And not a quotation mark without its partner, which is another trouble."""
    rows = read(f"{HEADER}S1,{'9' * 140_000},Success\nS2,2,Success\n")
    assert rows.set_aside["trouble"].tolist() == ["a cell of more than 131,072 characters"]
    assert rows.kept["request_id"].tolist() == ["S2"]


@pytest.mark.parametrize("encoding", ["cp037", "cp500"])
def test_ends_of_lines_are_those_of_the_encoding(encoding: str) -> None:
    """EBCDIC has a byte of its own for them: a large file of it has lines, too."""
    row = f"S1,52000,Success,{1000 * 'x'}\n"
    content = f"{HEADER}{row * 2_500}".replace("status", "status,note")
    assert len(read(content.encode(encoding), encoding=encoding).kept) == 2_500
    with pytest.raises(SettlementRefusedError, match="the mapping's encoding, utf-8-sig"):
        read(content.encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_bytes_of_another_encoding_cost_their_row(encoding: str) -> None:
    """Where they matter; in a column that is not read they cost nothing."""
    content = b"request_id,amount,status,p,name\nS1,1,Success,a,caf\xe9\n"
    content += b"S2,2,Success,caf\xe9,x\nS\xe93,3,Success,a,x\n"
    rows = read(content, encoding=encoding, product_code="p")
    assert rows.frame["trouble"].tolist() == ["", "text that cannot be read", "no usable request id"]
    assert "".join(rows.frame["product_code"] + rows.frame["request_id"]).isascii()


def test_an_encoding_that_breaks_off_is_refused_with_its_place() -> None:
    """UTF-16 has no single bytes to set aside."""
    content = f"{HEADER}S1,1,Success\n".encode("utf-16")[:-1]
    with pytest.raises(SettlementRefusedError, match=r"no utf-16 text at line 2, byte 77"):
        read(content, encoding="utf-16")


def test_a_line_without_an_end_is_refused() -> None:
    """Before it is split into cells, which take more memory than its text."""
    with pytest.raises(SettlementRefusedError, match="found 1,048,576 bytes without the end of a line"):
        read(HEADER + "," * 3_000_000)


def test_sums_of_a_largest_file_fit() -> None:
    """The largest amounts of the most rows add up without an overflow."""
    rows = read(f"{HEADER}S1,{10**12},Success\nS2,{10**12 + 1},Success\n")
    assert rows.frame["trouble"].tolist() == ["", "an amount over Rp1,000,000,000,000"]
    assert 5_000_000 * 10**12 < 2**63
