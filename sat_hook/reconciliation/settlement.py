"""Keeps the provider's settlement file under its digest, and reads it as a frame by an agreed mapping.

CSV, or a workbook (XLSX). Everything is read as text first. A row that cannot be read exactly is set aside
with the reason; nothing is repaired where money or identity could change.

The mapping is that of the folder, or one that people kept by name. A kept mapping fits by the titles of its
columns. When several fit and give different rows, none is chosen: amounts could be read in two ways, and a
person has to say which one is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import BinaryIO, Protocol

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.books_events import SettlementImported
from sat_hook.domain.identity import digest_of
from sat_hook.domain.partitions import WHOLE, Partition
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.presentation.hints import did_you_mean
from sat_hook.reconciliation.errors import MissingColumnsError, SettlementRefusedError
from sat_hook.reconciliation.settlement_csv import Chunk, csv_chunks, hint_at_encoding
from sat_hook.reconciliation.settlement_format import is_workbook
from sat_hook.reconciliation.settlement_header import hint_at_header
from sat_hook.reconciliation.settlement_reader import RowReader
from sat_hook.reconciliation.settlement_rows import SettlementNote, SettlementRows
from sat_hook.reconciliation.settlement_sheets import SheetReading

MAXIMUM_FILE_BYTES = 512 * 1024 * 1024
MAXIMUM_NAME_CHARACTERS = 200
MAXIMUM_MAPPING_CHARACTERS = 100_000
MAXIMUM_MAPPING_ERRORS = 5
MAXIMUM_SHOWN_CHARACTERS = 60


class Keep(Protocol):
    """Where files are kept; a spool fits."""

    def write(self, name: str, content: bytes) -> str:
        """Keep ``content``. Returns its URI."""

    def open(self, uri: str) -> BinaryIO:
        """Open the bytes at a URI."""


def mapping_from(text: str | bytes) -> SettlementMapping:
    """Read a mapping from its JSON.

    :raises SettlementRefusedError: naming each wrong member, what was found, and what is expected.
    """
    try:
        said = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise SettlementRefusedError("settlement mapping: found no UTF-8; expected a JSON object") from None
    if len(said) > MAXIMUM_MAPPING_CHARACTERS:
        raise SettlementRefusedError(
            f"settlement mapping: found {len(said):,} characters; expected at most "
            f"{MAXIMUM_MAPPING_CHARACTERS:,}"
        )
    try:
        return SettlementMapping.model_validate_json(said if said.strip() else "{}", strict=True)
    except ValidationError as error:
        wrong = [_said_of(item) for item in error.errors()[:MAXIMUM_MAPPING_ERRORS]]
        raise SettlementRefusedError(f"settlement mapping, {'; '.join(wrong)}") from None


def keep_settlement(
    keep: Keep,
    *,
    account: str,
    day: date,
    name: str,
    content: bytes,
    mapping: SettlementMapping,
    replaces_earlier: bool = False,
) -> SettlementImported:
    """Keep a file's bytes and describe them. The books decide whether it is new.

    :raises SettlementRefusedError: the file cannot be read by the mapping.
    """
    if not name.isprintable() or len(name) > MAXIMUM_NAME_CHARACTERS:
        raise SettlementRefusedError(
            f"a settlement file's name: found {len(name)} characters; expected at most "
            f"{MAXIMUM_NAME_CHARACTERS} that can be printed"
        )
    digest = digest_of(content)
    rows = read_settlement(content, name, mapping)
    suffix = name.rpartition(".")[2].lower()
    uri = keep.write(f"settlements/{digest}.{suffix}", content)
    return SettlementImported(
        account=account,
        day=day,
        name=name,
        uri=uri,
        digest=digest,
        size_bytes=len(content),
        rows=len(rows.frame),
        mapping=mapping,
        replaces_earlier=replaces_earlier,
    )


def load_settlement(keep: Keep, imported: SettlementImported, partition: Partition = WHOLE) -> SettlementRows:
    """Read an imported file again from its stored copy.

    :param partition: only its rows are kept.
    :raises SettlementRefusedError: its bytes have changed.
    """
    with keep.open(imported.uri) as file:
        content = file.read()
    if digest_of(content) != imported.digest:
        raise SettlementRefusedError(
            f"{imported.name}: found other bytes at {imported.uri}; expected digest {imported.digest}"
        )
    return read_settlement(content, imported.name, imported.mapping, partition)


def read_settlement(
    content: bytes, name: str, mapping: SettlementMapping, partition: Partition = WHOLE
) -> SettlementRows:
    """Read the rows of a file, or those of a partition.

    :raises SettlementRefusedError: it is not such a file, or lacks a column of the mapping.
    """
    _check_size(content, name)
    if is_workbook(content, name):
        sheet = SheetReading(content, name, mapping)
        return _read(RowReader(name, mapping, partition), mapping, sheet.chunks(), sheet.hint, sheet.notes)
    chunks = csv_chunks(content, name, mapping)
    return _read(
        RowReader(name, mapping, partition),
        mapping,
        chunks,
        lambda: hint_at_encoding(content, mapping),
        tuple,
    )


def has_columns(content: bytes, name: str, mapping: SettlementMapping) -> bool:
    """Whether a file has the columns of a mapping, by its header alone."""
    reader = RowReader(name, mapping)
    try:
        _check_size(content, name)
        is_sheet = is_workbook(content, name)
        chunks = (
            SheetReading(content, name, mapping).chunks() if is_sheet else csv_chunks(content, name, mapping)
        )
        for chunk in chunks:
            reader.add(chunk)
            return True
    except SettlementRefusedError:
        return False
    return False


def _check_size(content: bytes, name: str) -> None:
    if not content or len(content) > MAXIMUM_FILE_BYTES:
        raise SettlementRefusedError(
            f"{name}: found {len(content):,} bytes; expected 1 to {MAXIMUM_FILE_BYTES:,}"
        )


def _read(
    reader: RowReader,
    mapping: SettlementMapping,
    chunks: Iterator[Chunk],
    hint_at_columns: Callable[[], str],
    notes: Callable[[], tuple[SettlementNote, ...]],
) -> SettlementRows:
    try:
        for chunk in chunks:
            reader.add(chunk)
        return reader.done(notes())
    except MissingColumnsError as error:
        hint = hint_at_header(reader.first_rows, mapping) or hint_at_columns()
        raise MissingColumnsError(f"{error}{hint}") from None


def _said_of(error: ErrorDetails) -> str:
    """Return the message for one error in a mapping."""
    place = ".".join(str(part) for part in error["loc"])
    found = repr(error["input"])
    if len(found) > MAXIMUM_SHOWN_CHARACTERS:
        found = f"{found[:MAXIMUM_SHOWN_CHARACTERS]}…"
    match error["type"]:
        case "extra_forbidden":
            known = tuple(SettlementMapping.model_fields)
            found = f"found a member that no mapping has{did_you_mean(place, known)}"
            return f"{place}: {found}; expected one of {', '.join(known)}"
        case "json_invalid":
            return f"found {error['msg']}; expected a JSON object"
        case "value_error" if not place:
            return str(error["ctx"]["error"])
        case "value_error":
            return f"{place}: found {found}; {error['ctx']['error']}"
        case "greater_than_equal" | "less_than_equal":
            word = "least" if "ge" in error["ctx"] else "most"
            limit = error["ctx"].get("ge", error["ctx"].get("le"))
            return f"{place}: found {found}; expected at {word} {limit}"
        case "literal_error" | "enum":
            expected = str(error["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
            return f"{place}: found {found}; expected {expected}"
        case _:
            return f"{place or 'mapping'}: found {found}; expected: {error['msg']}"


def kept_mappings(books: AccountBooks) -> dict[str, SettlementMapping]:
    """The mappings that people kept, by name, the newest first."""
    return {name: books.mappings[name].event.mapping for name in reversed(list(books.mappings))}


@dataclass(frozen=True, slots=True)
class KnownMappings:
    """The mappings of an account.

    :param of_folder: the mapping that stands beside the files; None when there is none.
    :param kept: those kept by name, the newest first.
    """

    of_folder: SettlementMapping | None = None
    kept: Mapping[str, SettlementMapping] = field(default_factory=dict)

    def mapping_for(self, name: str, content: bytes) -> SettlementMapping:
        """The mapping of a file: that of the folder if it has the file's columns, else the kept one that has
        them, else that of the folder or the default one, which then says what is missing.

        :raises SettlementRefusedError: kept mappings read the file differently.
        """
        if self.of_folder is not None and has_columns(content, name, self.of_folder):
            return self.of_folder
        fitting = [known for known, mapping in self.kept.items() if has_columns(content, name, mapping)]
        if not fitting:
            return self.of_folder or SettlementMapping()
        newest, *others = fitting
        if not all(self._agree(name, content, newest, other) for other in others):
            raise SettlementRefusedError(
                f"{name}: found the kept mappings {', '.join(fitting)}, which read it differently; "
                "expected one: import the file in the console, or put the right mapping.json beside it"
            )
        return self.kept[newest]

    def _agree(self, name: str, content: bytes, one: str, other: str) -> bool:
        if self.kept[one] == self.kept[other]:
            return True
        first, second = (read_settlement(content, name, self.kept[known]) for known in (one, other))
        return first.frame.equals(second.frame)
