"""The mapping that reads a provider's settlement file, as finance agrees it with the provider. Pure."""

from __future__ import annotations

import codecs
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from sat_hook.domain.event_record import Frozen

MAXIMUM_WORD_CHARACTERS = 200
MAXIMUM_WORDS = 200
MAXIMUM_HEADER_ROW = 100
MAXIMUM_FOOTER_ROWS = 100


class RowKind(StrEnum):
    """The kind of a row of a settlement file."""

    SALE = "sale"
    REFUND = "refund"
    TOTAL = "total"
    UNKNOWN = "unknown"


class NegativeForm(StrEnum):
    """How a file writes a negative amount."""

    LEADING_MINUS = "leading-minus"
    UNICODE_MINUS = "unicode-minus"
    TRAILING_MINUS = "trailing-minus"
    PARENTHESES = "parentheses"


class DateOrder(StrEnum):
    """The order of year, month and day in a file."""

    YEAR_FIRST = "year-first"
    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


class ClientNumberForm(StrEnum):
    """How a file writes client numbers: as sent, or in another form of the same number."""

    EXACT = "exact"
    NORMALISED = "normalised"


Status = Literal["succeeded", "failed", "pending"]
Word = Annotated[str, Field(min_length=1, max_length=MAXIMUM_WORD_CHARACTERS)]
Words = Annotated[tuple[Word, ...], Field(max_length=MAXIMUM_WORDS)]
Affix = Annotated[str, Field(max_length=20)]

STATUS_WORDS: dict[str, Status] = {"Success": "succeeded", "Failed": "failed", "Pending": "pending"}
REFUND_WORDS = ("Refund", "Refunded", "Reversal", "Reversed", "Pengembalian", "Dikembalikan")
FOOTER_WORDS = (
    "Total",
    "Grand Total",
    "Sub Total",
    "Jumlah",
    "Jml",
    "Sum",
    "Summary",
    "Rekap",
    "Rekapitulasi",
    "Ringkasan",
)


class SettlementMapping(Frozen):
    """The columns of a settlement file, and how its cells are written.

    :param kind: the column that says whether a row is a sale or a refund, if ``status`` does not.
    :param moment: the column with the time of the order; read by ``date_order``, in the time zone
        ``utc_offset_hours`` east of UTC (7 is WIB).
    :param statuses: the file's words for ``succeeded``, ``failed`` and ``pending``.
    :param refund_words: words of the columns ``status`` and ``kind`` that mark a refund, in any case.
    :param negative_is_refund: a negative amount is a refund; otherwise it is kept as a sale with its sign.
    :param footer_words: a row whose first cell or request id is one of these words, or begins with one, is a
        total; case and punctuation are ignored.
    :param footer_rows: how many rows at the end of the file are not orders.
    :param thousands: the thousands separator in amounts, if any.
    :param decimal: the decimal separator; by default a point or a comma that is not ``thousands``.
    :param prefix: an optional prefix of amounts, for example ``Rp``.
    :param suffix: an optional suffix of amounts, for example ``,-``.
    :param negatives: the forms of a negative amount.
    :param client_numbers: ``normalised`` reads 62812… and 812… as 0812…, with any separators.
    :param mask_marks: characters that mask digits; a masked number is compared by its visible digits.
    :param sheet: the sheet of a workbook; the first one by default.
    :param header_row: the row with the column names, counted from 1.
    """

    reads_as_before: ClassVar[bool] = False
    """True in earlier mapping shapes: files are read, and breaks worded, as when they were signed."""

    request_id: Word = "request_id"
    amount_rupiah: Word = "amount"
    status: Word | None = "status"
    product_code: Word | None = None
    client_number: Word | None = None
    kind: Word | None = None
    moment: Word | None = None
    statuses: dict[str, Status] = Field(
        default_factory=lambda: dict(STATUS_WORDS),
        max_length=MAXIMUM_WORDS,
    )
    refund_words: Words = REFUND_WORDS
    negative_is_refund: bool = True
    footer_words: Words = FOOTER_WORDS
    footer_rows: int = Field(default=0, ge=0, le=MAXIMUM_FOOTER_ROWS)
    thousands: str = ""
    decimal: str = ""
    prefix: Affix = ""
    suffix: Affix = ""
    negatives: tuple[NegativeForm, ...] = (NegativeForm.LEADING_MINUS, NegativeForm.UNICODE_MINUS)
    date_order: DateOrder = DateOrder.YEAR_FIRST
    utc_offset_hours: int = Field(default=7, ge=-12, le=14)
    client_numbers: ClientNumberForm = ClientNumberForm.EXACT
    mask_marks: Annotated[str, Field(max_length=10)] = "*•"
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    sheet: str | None = None
    header_row: int = Field(default=1, ge=1, le=MAXIMUM_HEADER_ROW)

    @field_validator("thousands", "decimal")
    @classmethod
    def _one_mark(cls, mark: str) -> str:
        if len(mark) > 1 or mark.isalnum() or mark in ("-", "+", "(", ")"):
            raise ValueError("expected one mark or none, for example '.' or ','")
        return mark

    @field_validator("prefix", "suffix")
    @classmethod
    def _no_digits(cls, affix: str) -> str:
        if any(mark.isdigit() for mark in affix) or affix.strip() in ("-", "+", "(", ")"):
            raise ValueError("expected a word without digits, for example 'Rp', and no sign")
        return affix.strip()

    @field_validator("delimiter")
    @classmethod
    def _one_delimiter(cls, delimiter: str) -> str:
        if len(delimiter) != 1 or delimiter in '"\r\n\0':
            raise ValueError("expected one mark, for example ';'")
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
            "1".encode(encoding)
        except (LookupError, ValueError):
            raise ValueError("expected the encoding of a text, for example utf-8-sig or cp1252") from None
        return encoding

    @field_validator("mask_marks")
    @classmethod
    def _no_digit_masks(cls, marks: str) -> str:
        if any(mark.isdigit() for mark in marks):
            raise ValueError("expected marks that are no digits, for example '*'")
        return marks

    @model_validator(mode="after")
    def _one_meaning_each(self) -> SettlementMapping:
        if self.decimal and self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands: found {self.decimal!r} for both; expected two marks")
        columns = [self.request_id, self.amount_rupiah, self.status, self.product_code, self.client_number]
        named = [column for column in (*columns, self.moment) if column is not None]
        twice = {column for column in named if named.count(column) > 1}
        if twice:
            raise ValueError(f"columns: found {', '.join(sorted(twice))!r} twice; expected one meaning each")
        return self
