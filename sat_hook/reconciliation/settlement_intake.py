"""Imports the provider's settlement files from a folder. A bad file affects only itself."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import psycopg2

from sat_hook.commands.errors import ContentionError
from sat_hook.domain import settlement_files
from sat_hook.domain.books import AccountBooks, PostedSettlement
from sat_hook.domain.books_commands import BooksCommand, ClearSettlement, ReplaceSettlements
from sat_hook.domain.books_events import SetAsideCause, SettlementImported, SettlementSetAside
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import digest_of
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import ReconciliationError, SettlementRefusedError
from sat_hook.reconciliation.settlement import (
    Keep,
    KnownMappings,
    keep_settlement,
    kept_mappings,
    load_settlement,
    mapping_from,
)
from sat_hook.reconciliation.settlement_import import rival_files
from sat_hook.reconciliation.settlement_names import (
    day_in_name,
    is_copy,
    is_correction,
    is_of_a_program,
    shown,
    why_unreadable,
)
from sat_hook.store.errors import SpoolError, StoreUnavailableError

MAPPING_FILE = "mapping.json"
FOLDER = "the folder of settlement files"
LOOKED_INTO_AGAIN = timedelta(days=35)
"""Files of this many days are read every night: size and time may not show that the bytes have changed."""
EMPTY_FOR = timedelta(hours=6)
"""A file that is still empty after this time is set aside; before, it may be on its way."""
MAXIMUM_REASON_CHARACTERS = 400
# These errors are not about one file: the whole step is tried again.
_NOT_OF_A_FILE = (StoreUnavailableError, psycopg2.Error, ContentionError, SpoolError)

_log = logging.getLogger(__name__)


class File(Protocol):
    """A file in a folder. A path of any object store fits."""

    @property
    def name(self) -> str:
        """Its name in the folder."""

    def stat(self) -> Any:
        """Return size and time, as far as its store knows them."""

    def read_bytes(self) -> bytes:
        """Return all its bytes."""

    def is_dir(self) -> bool:
        """Return whether it is a folder."""


class Folder(Protocol):
    """Where an account's files arrive."""

    def iterdir(self) -> Iterable[Any]:
        """Return the entries of the folder."""


@dataclass(slots=True)
class Arrivals:
    """The result of reading the folder on one night.

    :param aside: files newly set aside.
    """

    found: int = 0
    imported: int = 0
    aside: list[SettlementSetAside] = field(default_factory=list)


class _PassedOverError(Exception):
    """A file that is not ready, or does not come from the provider."""


@dataclass(frozen=True, slots=True)
class Intake:
    """Imports files for one account's books.

    :param day: the WIB day of the run; how far back unchanged files are read again counts from it.
    """

    keeper: BookKeeper
    keep: Keep
    account: str
    day: date
    provenance: Provenance

    def take_in(self, folder: Folder) -> Arrivals:
        """Import the files that have arrived. A file that cannot be used is set aside, and the others
        continue.

        :raises StoreUnavailableError: the database is unavailable.
        :raises SpoolError: files cannot be stored.
        """
        arrivals = Arrivals()
        try:
            there = list(folder.iterdir())
        except Exception as error:
            # An object store has errors of its own.
            self._set_aside(arrivals, FOLDER, f"found {type(error).__name__}; expected a list of its files")
            return arrivals
        files = [path for path in there if path.name != MAPPING_FILE and not _is_passed_over(path)]
        arrivals.found = len(files)
        mappings = self._mappings(arrivals, [path for path in there if path.name == MAPPING_FILE])
        # A replacement comes after the file it replaces, and a copy after its original, even in one night.
        for path in sorted(files, key=lambda path: (is_correction(path.name), is_copy(path.name), path.name)):
            self._one(arrivals, path, mappings)
        self._clear_what_is_gone({shown(path.name) for path in files}, has_mapping=mappings is not None)
        return arrivals

    def _mappings(self, arrivals: Arrivals, described: Sequence[File]) -> KnownMappings | None:
        """Return the mappings that may read the files; None while that of the folder cannot be read."""
        kept = kept_mappings(self.keeper.books(self.account))
        try:
            return KnownMappings(mapping_from(described[0].read_bytes()) if described else None, kept)
        except SettlementRefusedError as error:
            reason = str(error)
        except Exception as error:
            reason = f"{MAPPING_FILE}: found {type(error).__name__} when reading it; expected JSON in UTF-8"
        self._set_aside(arrivals, MAPPING_FILE, f"{reason}; no new file is taken in meanwhile")
        return None

    def _one(self, arrivals: Arrivals, path: File, mappings: KnownMappings | None) -> None:
        name = shown(path.name)
        day = day_in_name(path.name)
        digest = ""
        if (why := why_unreadable(path.name)) is not None:
            self._set_aside(arrivals, name, f"{name}: {why}", day)
            return
        if day is None:
            self._set_aside(arrivals, name, f"{name}: found no single day in the name; expected YYYY-MM-DD")
            return
        try:
            books = self.keeper.books(self.account)
            known = [item for item in books.settlements if item.event.name == path.name]
            aside = books.set_aside.get(name)
            is_lost = bool(known) and books.is_lost(known[-1].event)
            if known and not is_lost:
                content = self._changed(path, day, known[-1])
                if content is None:
                    if aside is not None:
                        self._clear(name, "the file is as it was taken in")
                    return
            else:
                content = _whole(path)
            digest = digest_of(content)
            if mappings is None or digest in books.not_chosen.get(day, ()):
                return
            if not is_correction(path.name) and any(
                item.event.digest == digest and item.event.name != path.name
                for item in books.settlements
                if item.event.day == day
            ):
                _log.info("%s is passed over: another file of %s has the same bytes", name, day)
                return
            mapping = mappings.mapping_for(path.name, content)
            self._take_in(arrivals, books, path.name, day, content, mapping, known)
        except _PassedOverError as why:
            if self._came_long_ago(path):
                self._set_aside(arrivals, name, f"{name}: {why}, and came more than {EMPTY_FOR} ago", day)
            else:
                _log.warning("%s is passed over: %s; it may still be on its way", name, why)
        except _NOT_OF_A_FILE:
            raise
        except ReconciliationError as error:
            if error.is_worth_a_retry:
                raise
            self._set_aside(arrivals, name, str(error), day, digest)
        except Exception as error:
            # A library may fail at a file with an unexpected error, whose text may quote a cell.
            reason = f"{name}: found {type(error).__name__} when reading it; expected a CSV or XLSX file"
            self._set_aside(arrivals, name, reason, day, digest)

    def _came_long_ago(self, path: File) -> bool:
        _, changed_at = seen_from_outside(path)
        return changed_at is not None and self.keeper.clock.now() - changed_at > EMPTY_FOR

    def _take_in(
        self,
        arrivals: Arrivals,
        books: AccountBooks,
        name: str,
        day: date,
        content: bytes,
        mapping: SettlementMapping,
        known: Sequence[PostedSettlement],
    ) -> None:
        is_alone = {item.event.name for item in books.registered_of(day)} <= {name}
        event = keep_settlement(
            self.keep,
            account=self.account,
            day=day,
            name=name,
            content=content,
            mapping=mapping,
            replaces_earlier=bool(known and is_alone) or is_correction(name),
        )
        is_no_question = known and (is_alone or known[-1].event.digest == event.digest)
        rivals = (
            []
            if is_no_question
            else rival_files(
                books, self.keep, day, name, event.digest, lambda: load_settlement(self.keep, event)
            )
        )
        if rivals and settlement_files.is_chosen(books, event):
            digests = tuple(item.event.digest for item in rivals)
            command: BooksCommand = ReplaceSettlements(event, digests)
        elif rivals:
            self._ask(arrivals, event, rivals)
            return
        else:
            command = Record(event)
        if self.keeper.post(self.account, command, self.provenance):
            _log.info("%s: %s rows for %s.", name, f"{event.rows:,}", day)
            arrivals.imported += 1

    def _ask(self, arrivals: Arrivals, event: SettlementImported, rivals: Sequence[PostedSettlement]) -> None:
        """Let a person choose."""
        counts = ", ".join(f"{item.event.name} ({item.event.digest[:8]})" for item in rivals)
        asked = SettlementSetAside(
            account=self.account,
            day=event.day,
            name=event.name,
            digest=event.digest,
            cause=SetAsideCause.UNDECIDED,
            reason=f"{event.name} ({event.digest[:8]}); until a person chooses, {counts} counts",
            rivals=tuple(item.event.digest for item in rivals),
        )
        self._post_aside(arrivals, asked)

    def _changed(self, path: File, day: date, known: PostedSettlement) -> bytes | None:
        """Return the bytes of a file, unless they are those last imported under its name."""
        size, changed_at = seen_from_outside(path)
        is_old = day < self.day - LOOKED_INTO_AGAIN
        has_its_size = size == known.event.size_bytes
        if is_old and has_its_size and changed_at is not None and changed_at < known.posted.at:
            return None
        content = _whole(path)
        return None if digest_of(content) == known.event.digest else content

    def _set_aside(
        self, arrivals: Arrivals, name: str, reason: str, day: date | None = None, digest: str = ""
    ) -> None:
        event = SettlementSetAside(
            account=self.account,
            day=day or self.day,
            name=name,
            digest=digest,
            cause=SetAsideCause.UNUSABLE,
            reason=reason[:MAXIMUM_REASON_CHARACTERS],
            rivals=(),
        )
        self._post_aside(arrivals, event)

    def _post_aside(self, arrivals: Arrivals, event: SettlementSetAside) -> None:
        _log.warning("%s does not count: %s", event.name, event.reason)
        if self.keeper.post(self.account, Record(event), self.provenance):
            arrivals.aside.append(event)

    def _clear(self, name: str, reason: str) -> None:
        self.keeper.post(self.account, ClearSettlement(name, reason), self.provenance)

    def _clear_what_is_gone(self, there: set[str], *, has_mapping: bool) -> None:
        """Clear set-aside files that are gone and need no person. A file whose stored copy is lost is another
        case.
        """
        books = self.keeper.books(self.account)
        registered = {item.event.digest for item in books.settlements}
        for name, item in books.set_aside.items():
            if name == FOLDER or (name == MAPPING_FILE and has_mapping):
                self._clear(name, "it can be read")
            elif name not in there | {MAPPING_FILE} and item.event.digest not in registered:
                self._clear(name, "the file is gone from its folder")


def seen_from_outside(path: File) -> tuple[int | None, datetime | None]:
    """Return size and time of a file, as far as its store gives them reliably."""
    try:
        seen = path.stat()
        size, moment = seen.st_size, seen.st_mtime
    except Exception:
        # Stores give what they have. A missing or odd value only means that the bytes are read.
        return None, None
    known_size = size if isinstance(size, int) and size > 0 else None
    if isinstance(moment, datetime):
        # A moment without a zone may be any of 26 hours.
        return known_size, moment if moment.tzinfo is not None else None
    if isinstance(moment, (int, float)) and moment > 0:
        with suppress(ValueError, OverflowError, OSError):
            return known_size, datetime.fromtimestamp(moment, UTC)
    return known_size, None


def _is_passed_over(path: File) -> bool:
    """Whether it is a program's own file, or a folder. Only a name that no settlement file has is checked
    further.
    """
    name = shown(path.name)
    if is_of_a_program(path.name):
        _log.info("%s is passed over: it is a program's own, or still on its way", name)
        return True
    if why_unreadable(path.name) is None or not _is_folder(path):
        return False
    _log.info("%s is passed over: it is a folder; expected settlement files beside %s", name, MAPPING_FILE)
    return True


def _is_folder(path: File) -> bool:
    try:
        return path.is_dir()
    except Exception:
        # If this cannot be determined, a person is alerted.
        return False


def _whole(path: File) -> bytes:
    """Return all bytes of a file that is no longer being written.

    :raises _PassedOverError: it is empty, or its size changed while it was read.
    """
    before, _ = seen_from_outside(path)
    content = path.read_bytes()
    if not content:
        raise _PassedOverError("found no bytes; expected the rows of a day")
    after, _ = seen_from_outside(path)
    if any(size not in (None, len(content)) for size in (before, after)):
        raise _PassedOverError("found a size that changes; expected a file that is written to its end")
    return content
