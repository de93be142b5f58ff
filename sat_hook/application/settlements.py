"""Settlement files for people: which count and why others do not, uploads, mappings kept by name, imports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sat_hook.application.errors import FileRefusedError, RivalFilesError, UploadNotFoundError
from sat_hook.application.pages import USUAL_PAGE, Page, limited, list_name, page_of, place_in
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.books import AccountBooks
from sat_hook.domain.books_events import SetAsideCause, SettlementImported, SettlementMappingSaved
from sat_hook.domain.decision import Record
from sat_hook.domain.identity import digest_of, upload_id_of
from sat_hook.domain.people import user_named
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement_names import day_in_name, is_of_a_program, why_unreadable
from sat_hook.store.settlement_uploads import ListedUpload, SettlementUploadTable, StoredUpload

if TYPE_CHECKING:
    from sat_hook.reconciliation.settlement_preview import SettlementPreview

MAXIMUM_UPLOAD_BYTES = 20 * 1024 * 1024
"""Larger files go into the folder of the account's settlement files."""
MAXIMUM_UPLOADS = 20
KEPT_HOURS = 24
TRIED_MAPPINGS = 10


class FileStanding(StrEnum):
    """Whether a settlement file counts."""

    COUNTS = "counts"
    REPLACED = "replaced"
    """A later file of its day replaced it."""
    LOST = "lost"
    """Its stored bytes can no longer be read."""
    UNUSABLE = "unusable"
    UNDECIDED = "undecided"
    """It has the orders of another file: a person must choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """A settlement file.

    :param rows: None for a file that was not read.
    :param why: why it does not count; empty for one that does.
    :param brought_by: the user who imported it, or the service.
    """

    account: str
    day: date
    name: str
    digest: str
    standing: FileStanding
    rows: int | None
    size_bytes: int | None
    at: datetime
    brought_by: str
    why: str
    position: int


@dataclass(frozen=True, slots=True)
class KeptMapping:
    """A mapping that was kept by its name."""

    account: str
    name: str
    mapping: SettlementMapping
    saved_by: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload as its mapping reads it.

    :param day: the day in its name; None when there is none, or more than one.
    :param rivals: files of the day that count and have the same orders: this one can only replace them.
    """

    upload_id: str
    account: str
    name: str
    size_bytes: int
    mapping: SettlementMapping
    day: date | None
    preview: SettlementPreview
    rivals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlements(Service):
    """The settlement files of all accounts.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right for it, and
    those with an upload :class:`~sat_hook.application.errors.UploadNotFoundError` for any other owner's.
    """

    def accounts(self, person: Person) -> list[str]:
        """The accounts that may have settlement files, by name."""
        person.require(*BOOK_READERS)
        known = self.store.accounts_with_events()
        return sorted({*known, *self.installation.accounts.by_connection().values()})

    def page(
        self,
        person: Person,
        *,
        account: str | None = None,
        day: date | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[FileRow]:
        """A page of files, the newest day first: those that count, and those that do not, with the reason."""
        person.require(*BOOK_READERS)
        name, limit = list_name("settlements", account, day), limited(limit)
        place = place_in(name, cursor, tuple[str, int])
        store = self.store
        accounts = store.accounts_with_events() if account is None else [self.account_of(account)]
        keeper = self.keeper
        rows = [row for one in accounts for row in _files_of(keeper.books_without_breaks(one))]
        rows = [row for row in rows if day is None or row.day == day]
        rows.sort(key=_place, reverse=True)
        found = [row for row in rows if place is None or _place(row) < place]
        return page_of(name, found, limit, _place)

    def uploads(self, person: Person) -> list[ListedUpload]:
        """The person's own uploads, the newest first."""
        person.require(Right.FINANCE)
        return self._uploads.of_owner(person.name)

    def upload(self, named: str, name: str, content: bytes, person: Person) -> str:
        """Keep a file to look at it; returns its id. Nothing counts yet. Of the known mappings the first one
        that reads the file is taken.

        :raises FileRefusedError: it is empty, too large, or not named like a settlement file.
        """
        person.require(Right.FINANCE)
        name = " ".join(name.replace("\\", "/").rpartition("/")[2].split())
        if not 0 < len(content) <= MAXIMUM_UPLOAD_BYTES:
            raise FileRefusedError(
                f"{name}: found {len(content):,} bytes; expected 1 to {MAXIMUM_UPLOAD_BYTES:,}"
            )
        why = "found a program's own file" if is_of_a_program(name) else why_unreadable(name)
        if why is not None:
            raise FileRefusedError(f"{name}: {why}")
        account = self.account_of(named)
        mapping = self._mapping_for(account, name, content)
        now = self.store.database_time()
        upload_id = upload_id_of(person.name, digest_of(content), now.isoformat())
        self._uploads.discard_old(KEPT_HOURS)
        is_kept = self._uploads.add(
            upload_id,
            person.name,
            account=account,
            name=name,
            content=content,
            mapping=mapping,
            most=MAXIMUM_UPLOADS,
        )
        if not is_kept:
            raise FileRefusedError(
                f"{name}: found {MAXIMUM_UPLOADS} uploads of yours; expected fewer: import or discard one"
            )
        return upload_id

    def look(self, upload_id: str, person: Person, mapping: SettlementMapping | None = None) -> Upload:
        """An upload as its mapping, or another one, reads it. Changes nothing."""
        stored = self._load(upload_id, person)
        # pandas is loaded by the first file, not with the server.
        from sat_hook.reconciliation.settlement_preview import preview_settlement

        read, day = replace(stored, mapping=mapping or stored.mapping), day_in_name(stored.name)
        preview = preview_settlement(read.content, read.name, read.mapping)
        rivals = () if day is None or preview.problem else self._rivals(read, day)
        size = len(read.content)
        return Upload(upload_id, read.account, read.name, size, read.mapping, day, preview, rivals)

    def read_by(self, upload_id: str, mapping: SettlementMapping, person: Person) -> None:
        """Read an upload by another mapping from now on."""
        self._load(upload_id, person)
        self._uploads.set_mapping(upload_id, person.name, mapping)

    def discard(self, upload_id: str, person: Person) -> None:
        self._load(upload_id, person)
        self._uploads.discard(upload_id, person.name)

    def import_upload(
        self, upload_id: str, day: date | None, person: Person, *, replaces: bool = False
    ) -> SettlementImported:
        """Let an upload count for its day from the next close on, and delete it.

        :param day: where its name has none.
        :param replaces: it replaces the files of its day that have the same orders.
        :raises SettlementRefusedError: it cannot be read, or has no single day.
        :raises RivalFilesError: other files have the same orders, and it does not replace them.
        """
        stored = self._load(upload_id, person)
        from sat_hook.reconciliation.settlement_import import import_file

        of_name = day_in_name(stored.name)
        if of_name is None and day is None:
            raise SettlementRefusedError(f"{stored.name}: found no single day in the name; choose the day")
        if of_name is not None and day not in (None, of_name):
            raise SettlementRefusedError(f"{stored.name}: found {day}; expected {of_name}, as in the name")
        chosen = of_name or day
        assert chosen is not None
        if not replaces and (rivals := self._rivals(stored, chosen)):
            raise RivalFilesError(
                f"{stored.name}: found the same orders in {', '.join(rivals)}, which counts for {chosen}; "
                "expected that one of them replaces the other"
            )
        by = person.by("import-settlement")
        event = import_file(self.keeper, self.installation.results(), stored, chosen, by)
        self._uploads.discard(upload_id, person.name)
        return event

    def mappings(self, person: Person, account: str | None = None) -> list[KeptMapping]:
        person.require(*BOOK_READERS)
        keeper = self.keeper
        accounts = self.accounts(person) if account is None else [self.account_of(account)]
        return [kept for one in accounts for kept in _mappings_of(one, keeper.books_without_breaks(one))]

    def save_mapping(self, named: str, name: str, mapping: SettlementMapping, person: Person) -> bool:
        """Keep a mapping by its name; False when it is kept so already."""
        person.require(Right.FINANCE)
        account = self.account_of(named)
        event = SettlementMappingSaved(account=account, name=" ".join(name.split()), mapping=mapping)
        return bool(self.keeper.post(account, Record(event), person.by("save-mapping")))

    def _mapping_for(self, account: str, name: str, content: bytes) -> SettlementMapping:
        """The first of the known mappings that reads a file; the default one with the file's delimiter."""
        from sat_hook.reconciliation.settlement import kept_mappings
        from sat_hook.reconciliation.settlement_preview import guessed_delimiter, preview_settlement

        books = self.keeper.books_without_breaks(account)
        known = list(kept_mappings(books).values())
        imported = (item.event.mapping for item in reversed(books.settlements))
        known += [mapping for mapping in imported if not mapping.reads_as_before]
        default = SettlementMapping(delimiter=guessed_delimiter(content))
        tried = list(dict.fromkeys(one.model_dump_json() for one in (*known[:TRIED_MAPPINGS], default)))
        for one in map(SettlementMapping.model_validate_json, tried):
            if not preview_settlement(content, name, one).problem:
                return one
        return default

    def _rivals(self, stored: StoredUpload, day: date) -> tuple[str, ...]:
        from sat_hook.reconciliation.settlement_import import rivals_of_upload

        books = self.keeper.books_without_breaks(stored.account)
        return rivals_of_upload(books, self.installation.results(), stored, day)

    def _load(self, upload_id: str, person: Person) -> StoredUpload:
        person.require(Right.FINANCE)
        stored = self._uploads.load(upload_id, person.name)
        if stored is None:
            raise UploadNotFoundError(f"there is no upload {upload_id} of user {person.name!r}")
        return stored

    @property
    def _uploads(self) -> SettlementUploadTable:
        return SettlementUploadTable(self.database)


def _files_of(books: AccountBooks) -> Iterator[FileRow]:
    counting = {
        id(item) for day in {one.event.day for one in books.settlements} for item in books.registered_of(day)
    }
    for item in books.settlements:
        event = item.event
        if id(item) not in counting:
            standing, why = FileStanding.REPLACED, ""
        elif books.is_lost(event):
            standing, why = FileStanding.LOST, books.set_aside[event.name].event.reason
        else:
            standing, why = FileStanding.COUNTS, ""
        yield FileRow(
            account=books.account,
            day=event.day,
            name=event.name,
            digest=event.digest,
            standing=standing,
            rows=event.rows,
            size_bytes=event.size_bytes,
            at=item.posted.at,
            brought_by=user_named(item.posted.actor) or item.posted.actor,
            why=why,
            position=item.posted.position,
        )
    for aside in books.set_aside.values():
        is_undecided = aside.event.cause is SetAsideCause.UNDECIDED
        yield FileRow(
            account=books.account,
            day=aside.event.day,
            name=aside.event.name,
            digest=aside.event.digest,
            standing=FileStanding.UNDECIDED if is_undecided else FileStanding.UNUSABLE,
            rows=None,
            size_bytes=None,
            at=aside.posted.at,
            brought_by=user_named(aside.posted.actor) or aside.posted.actor,
            why=aside.event.reason,
            position=aside.posted.position,
        )


def _mappings_of(account: str, books: AccountBooks) -> Iterator[KeptMapping]:
    for name, entry in sorted(books.mappings.items()):
        by = user_named(entry.posted.actor) or entry.posted.actor
        yield KeptMapping(account, name, entry.event.mapping, by, entry.posted.at)


def _place(row: FileRow) -> tuple[str, int]:
    return row.day.isoformat(), row.position
