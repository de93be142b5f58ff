"""The log as auditors read it: events by filter, one event with its proof, and who did what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sat_hook.application.errors import EventNotFoundError, ListingRefusedError
from sat_hook.application.order_details import HistoryEntry, history_of
from sat_hook.application.pages import USUAL_PAGE, Page, cursor_of, limited, list_name, place_in
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.audit.actions import TYPES_OF_TABLES, ActionKind, same_act
from sat_hook.audit.checkpoints import has_its_root
from sat_hook.domain.checkpoint import CheckpointText
from sat_hook.domain.errors import UnreadableCheckpointError
from sat_hook.domain.event_record import RecordedEvent, StreamId, StreamKind
from sat_hook.domain.event_types import TYPES_OF_STREAMS
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.people import USER_PREFIX, is_same_person, user_named
from sat_hook.store.account_lists import AccountLists
from sat_hook.store.checkpoints import CheckpointTable
from sat_hook.store.log_archives import LogArchives
from sat_hook.store.log_pages import LAST_POSITION, LogPages, LogSlice, Subject

MAXIMUM_LOOKED_AT = 5_000
"""Most events that a page looks at where no index serves its filter; the next page goes on from there."""
READ_AT_ONCE = 1_000
MAXIMUM_CHARACTERS = 20_000
"""Of an event with a longer text, which may have hundreds of breaks, a list has only the beginning."""

_KINDS_OF_IDS = {
    "S": StreamKind.ORDER,
    "B": StreamKind.BATCH,
    "A": StreamKind.ACCOUNT,
    "X": StreamKind.EXPORT,
    "U": StreamKind.USER,
    "L": StreamKind.LOG,
    "R": StreamKind.RIGHTS,
    "W": StreamKind.WEBHOOK,
}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which events. Members that are None, False or empty ask for nothing.

    :param stream: a stream, for example ``order/S…``, or the id of an order, a batch or an export.
    :param kind: the kind of stream.
    :param user: what this user did, in any spelling of the name.
    :param by_people: what any user did.
    :param account: by either of its names.
    :param since: recorded then or later; ``before`` is exclusive.
    """

    stream: str | None = None
    kind: StreamKind | None = None
    types: tuple[str, ...] = ()
    user: str | None = None
    by_people: bool = False
    account: str | None = None
    since: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """An event of the log, customers' data masked.

    :param subject: what its stream is about.
    :param is_whole: False when a list has only the beginning of its members.
    """

    entry: HistoryEntry
    stream: StreamId
    schema_version: int
    recorded_at: datetime
    subject: Subject
    is_whole: bool

    @property
    def user(self) -> str | None:
        """The user who did it; None for a service."""
        return user_named(self.entry.actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProof:
    """The checkpoint over an event.

    :param holds: whether the events that it covers have its root now. Its signature is checked by the
        verification, which has the keys.
    """

    text: CheckpointText
    key_id: str
    digest: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetails:
    """One event.

    :param is_intact: whether its digest is that of its contents.
    :param proof: None while no checkpoint covers it.
    """

    event: LogEntry
    is_intact: bool
    proof: EventProof | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a person did at once.

    :param event: the last event of it.
    :param times: how many events it is, for example one for each order that was released.
    """

    event: LogEntry
    times: int


@dataclass(frozen=True, slots=True)
class AuditLog(Service):
    """Reads the log.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right to audit,
    and those that take a cursor :class:`~sat_hook.application.errors.CursorError`.
    """

    def events(
        self, query: LogQuery, person: Person, *, cursor: str | None = None, limit: int = USUAL_PAGE
    ) -> Page[LogEntry]:
        """A page of events, the newest first. With an account it may be short while there is a next one.

        :raises ListingRefusedError: the stream is none.
        """
        person.require(Right.AUDIT)
        name, limit = list_name("log", query), limited(limit)
        before = _before(name, cursor)
        pages, account = self._pages(), self._account_of(query.account)
        which = self._slice(pages, query, account)
        if which is None:
            return Page((), None)
        # The newest events are usually about one account: those of the first read may be enough.
        wanted, looked = min(limit + 1, READ_AT_ONCE), 0
        chosen: list[RecordedEvent] = []
        while True:
            found = pages.newest(which, wanted, before)
            chosen += found if account is None else _about(account, pages, found)
            looked += len(found)
            following = None
            if len(chosen) > limit:
                following = chosen[limit - 1].position
            elif len(found) == wanted:
                before = found[-1].position
                if looked < MAXIMUM_LOOKED_AT:
                    wanted = READ_AT_ONCE
                    continue
                following = before
            rows = self._entries(pages, chosen[:limit])
            return Page(tuple(rows), None if following is None else cursor_of(name, (following,)))

    def event(self, position: int, person: Person) -> EventDetails:
        """One event, with the checkpoint over it.

        :raises EventNotFoundError: there is none at this position.
        :raises LogArchivedError: it is in an archive file only.
        """
        person.require(Right.AUDIT)
        pages = self._pages()
        recorded = pages.at(position)
        if recorded is None:
            LogArchives(self.database).require_positions(position, position)
            raise EventNotFoundError(f"event: found none at position {position}")
        (entry,) = self._entries(pages, [recorded], None)
        return EventDetails(
            event=entry,
            is_intact=recorded.computed_digest() == recorded.digest,
            proof=self._proof(position),
        )

    def acts(
        self,
        query: LogQuery,
        person: Person,
        *,
        table: ActionKind | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[Act]:
        """A page of what people did, the last first; what was done at once is one line.

        :param table: only the acts of this table of an evidence pack.
        """
        person.require(Right.AUDIT)
        types = query.types if table is None else TYPES_OF_TABLES[table]
        asked = LogQuery(user=query.user, types=types, by_people=True, since=query.since, before=query.before)
        name, limit = list_name("acts", asked), limited(limit)
        pages = self._pages()
        which = self._slice(pages, asked, None)
        if which is None:
            return Page((), None)
        last, following = _first_acts(_each(pages, which, _before(name, cursor)), limit)
        entries = self._entries(pages, [recorded for recorded, _ in last])
        acts = tuple(Act(event=entry, times=times) for entry, (_, times) in zip(entries, last, strict=True))
        return Page(acts, None if following is None else cursor_of(name, (following,)))

    def people(self, person: Person) -> tuple[str, ...]:
        """Everyone who ever did something, by name."""
        person.require(Right.AUDIT)
        return tuple(name for actor in self._pages().people() if (name := user_named(actor)))

    def accounts(self, person: Person) -> tuple[str, ...]:
        """Every account by its name in the log."""
        person.require(Right.AUDIT)
        return tuple(AccountLists(self.database).accounts())

    def _slice(self, pages: LogPages, query: LogQuery, account: str | None) -> LogSlice | None:
        """What is asked for; None when nothing can be so."""
        stream = None if query.stream is None else _stream_of(query.stream)
        types = query.types or None
        if account is not None and query.kind is StreamKind.ACCOUNT and stream is None:
            stream = StreamId(StreamKind.ACCOUNT, account_id_of(account))
        elif query.kind is not None:
            if stream is not None and stream.kind is not query.kind:
                return None
            of_kind = TYPES_OF_STREAMS[query.kind]
            types = of_kind if types is None else tuple(name for name in types if name in of_kind)
        actors = None
        if query.user is not None:
            wanted = f"{USER_PREFIX}{query.user}"
            actors = tuple(actor for actor in pages.people() if is_same_person(actor, wanted))
        if types == () or actors == ():
            return None
        return LogSlice(stream, types, query.by_people, actors, query.since, query.before)

    def _entries(
        self,
        pages: LogPages,
        found: Sequence[RecordedEvent],
        most_characters: int | None = MAXIMUM_CHARACTERS,
    ) -> list[LogEntry]:
        subjects = pages.subjects({recorded.stream for recorded in found}) if found else {}
        return [
            LogEntry(
                entry=entry,
                stream=recorded.stream,
                schema_version=recorded.schema_version,
                recorded_at=recorded.recorded_at,
                subject=subjects.get(recorded.stream, Subject()),
                is_whole=most_characters is None or len(recorded.data) <= most_characters,
            )
            for recorded, entry in zip(found, history_of(found, most_characters), strict=True)
        ]

    def _proof(self, position: int) -> EventProof | None:
        table = CheckpointTable(self.database)
        checkpoint = table.covering(position)
        if checkpoint is None:
            return None
        try:
            text = checkpoint.text
        except UnreadableCheckpointError:
            return None
        LogArchives(self.database).require_positions(text.first_position, text.last_position)
        return EventProof(
            text=text, key_id=checkpoint.key_id, digest=checkpoint.digest, holds=has_its_root(table, text)
        )

    def _account_of(self, named: str | None) -> str | None:
        return None if named is None else self.account_of(named)

    def _pages(self) -> LogPages:
        return LogPages(self.database)


def _about(account: str, pages: LogPages, found: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """The events about an account."""
    subjects = pages.subjects({recorded.stream for recorded in found}) if found else {}
    return [one for one in found if subjects.get(one.stream, Subject()).account == account]


def _before(name: str, cursor: str | None) -> int:
    (position,) = place_in(name, cursor, tuple[int]) or (LAST_POSITION,)
    return position


def _stream_of(text: str) -> StreamId:
    kind = _KINDS_OF_IDS.get(text[:1])
    try:
        return StreamId(kind, text) if kind is not None and "/" not in text else StreamId.parse(text)
    except ValueError:
        expected = ", ".join(f"{kind.value}/…" for kind in StreamKind)
        raise ListingRefusedError(f"stream: found {text!r}; expected {expected}, or an id") from None


def _each(pages: LogPages, which: LogSlice, before: int) -> Iterator[RecordedEvent]:
    """The events of a slice from a position down, up to the most that one page looks at."""
    looked = 0
    while looked < MAXIMUM_LOOKED_AT:
        found = pages.newest(which, READ_AT_ONCE, before)
        yield from found
        if len(found) < READ_AT_ONCE:
            return
        before, looked = found[-1].position, looked + len(found)


def _first_acts(
    events: Iterable[RecordedEvent], limit: int
) -> tuple[list[tuple[RecordedEvent, int]], int | None]:
    """The first acts with their number of events, and the position from which the next page goes on."""
    acts: list[tuple[RecordedEvent, int]] = []
    position, looked = None, 0
    for _, together in groupby(events, key=same_act):
        if len(acts) == limit:
            return acts, position
        act = list(together)
        acts.append((act[0], len(act)))
        position, looked = act[-1].position, looked + len(act)
    return acts, position if looked >= MAXIMUM_LOOKED_AT else None
