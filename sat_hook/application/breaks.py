"""Breaks for people: lists, decisions about one, assignments, comments and files, and how old they are.

One break with its evidence is read by :mod:`sat_hook.application.break_evidence`, and many are decided by
:mod:`sat_hook.application.bulk_break_decisions`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import BinaryIO

from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_rows import (
    STANDING,
    Ageing,
    BreakPage,
    BreakQuery,
    BreakSort,
    ChosenBreaks,
    TrendDay,
    in_bands,
    row_of,
)
from sat_hook.application.errors import BreakNotFoundError, FileRefusedError
from sat_hook.application.pages import USUAL_PAGE, cursor_of, limited, list_name, place_in
from sat_hook.application.rights import BOOK_READERS, Person, Right
from sat_hook.application.service import Service
from sat_hook.commands.errors import OverrideRefusedError
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.books_commands import AssignBreaks, DecideBreaks
from sat_hook.domain.books_events import BreakCommented, BreakFileAttached, BreakFileTaken
from sat_hook.domain.business_day import business_day
from sat_hook.domain.decision import Record
from sat_hook.domain.identity import digest_of
from sat_hook.presentation.spreadsheet_cells import first_control
from sat_hook.reconciliation.model import AGE_BANDS
from sat_hook.store.breaks import (
    MAXIMUM_COUNTED,
    AgedAtClose,
    BreakFilter,
    BreakPlace,
    BreakTable,
    FoundBreak,
)

MAXIMUM_BREAKS = MAXIMUM_COUNTED
MAXIMUM_FILE_BYTES = 5 * 1024 * 1024
MAXIMUM_NAME_CHARACTERS = 120
MAXIMUM_ASSIGNEE_CHARACTERS = 200
SHOWN_UNDONE = 200
TREND_DAYS = 60


@dataclass(frozen=True, slots=True)
class Breaks(Service):
    """Breaks of all accounts."""

    def page(
        self,
        query: BreakQuery,
        person: Person,
        *,
        sort: BreakSort = BreakSort.AGE,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> BreakPage:
        """A page of breaks, the oldest or the largest first."""
        person.require(*BOOK_READERS)
        name = list_name("breaks", query, sort)
        after = place_in(name, cursor, BreakPlace)
        table, which, today = self._table(), self._filter(query), self._today()
        found, following = table.page(
            which, by_size=sort is BreakSort.SIZE, after=after, limit=limited(limit)
        )
        count, size = table.count(which)
        return BreakPage(
            tuple(row_of(one, today) for one in found),
            None if following is None else cursor_of(name, following),
            min(count, MAXIMUM_COUNTED),
            count > MAXIMUM_COUNTED,
            size,
        )

    def accounts(self, person: Person) -> list[str]:
        """The accounts that have books, by name."""
        person.require(*BOOK_READERS)
        return self.store.accounts_with_events()

    def assignees(self, person: Person) -> list[str]:
        """The users who look into breaks that have not ended."""
        person.require(*BOOK_READERS)
        return self._table().assignees()

    def ageing(self, person: Person, account: str | None = None) -> Ageing:
        """How old the open and explained breaks are, and the trend of the last closes."""
        person.require(*BOOK_READERS)
        named = None if account is None else self.account_of(account)
        table, today = self._table(), self._today()
        found = table.ages(named, STANDING)
        now = [((today - one.first_seen).days, one.breaks, one.size_rupiah) for one in found]
        closes: dict[date, list[AgedAtClose]] = defaultdict(list)
        for one in table.ages_by_close(named, today - timedelta(days=TREND_DAYS)):
            closes[one.closed_day].append(one)
        return Ageing(
            in_bands(now),
            tuple(
                TrendDay(day, in_bands([(one.age_days, one.breaks, one.size_rupiah) for one in ages]))
                for day, ages in closes.items()
            ),
        )

    def decide_one(self, act: BreakAct, break_id: str, reason: str, person: Person) -> None:
        """Decide one break that the person looks at.

        :raises BooksRefusedError: its state does not allow it.
        """
        person.require(Right.FINANCE)
        command = DecideBreaks((break_id,), act.state, checked_reason(reason))
        self.keeper.post(self.find(break_id).account, command, person.by(act.value))

    def assign(self, break_ids: Sequence[str], assignee: str, person: Person) -> int:
        """Give breaks to a user, or to no one; returns how many were not so already.

        :raises BreakNotFoundError: there is no such break.
        """
        person.require(Right.FINANCE)
        assignee = " ".join(assignee.split())
        if len(assignee) > MAXIMUM_ASSIGNEE_CHARACTERS or first_control(assignee):
            raise OverrideRefusedError("assignee: expected the name of a user, on one line")
        found, missing = self.chosen(ChosenBreaks(tuple(break_ids)))
        if missing:
            raise BreakNotFoundError(f"found no break {missing[0]}")
        by_account: dict[str, list[str]] = defaultdict(list)
        for one in found:
            by_account[one.account].append(one.break_id)
        keeper = self.keeper
        return sum(
            len(keeper.post(account, AssignBreaks(tuple(of_account), assignee), person.by("assign")))
            for account, of_account in by_account.items()
        )

    def comment(self, break_id: str, text: str, person: Person) -> None:
        """Write a note about a break, under the person's name."""
        person.require(*BOOK_READERS)
        account = self.find(break_id).account
        event = BreakCommented(account=account, break_id=break_id, note=checked_reason(text))
        self.keeper.post(account, Record(event), person.by("comment"))

    def attach(self, break_id: str, name: str, content: bytes, person: Person) -> str:
        """Attach a file to a break; returns its digest. The same bytes are attached once.

        :raises FileRefusedError: it is empty, too large, or has no usable name.
        """
        person.require(Right.FINANCE, Right.SIGN_OFF)
        name = " ".join(name.replace("\\", "/").rpartition("/")[2].split())
        if not 0 < len(name) <= MAXIMUM_NAME_CHARACTERS or not name.isprintable():
            raise FileRefusedError(
                f"file name: found {len(name)} characters; expected 1 to {MAXIMUM_NAME_CHARACTERS} that can "
                "be printed"
            )
        if not 0 < len(content) <= MAXIMUM_FILE_BYTES:
            raise FileRefusedError(
                f"{name}: found {len(content):,} bytes; expected 1 to {MAXIMUM_FILE_BYTES:,}"
            )
        account, digest = self.find(break_id).account, digest_of(content)
        uri = self.installation.results().write(f"breaks/{break_id}/{digest}", content)
        event = BreakFileAttached(
            account=account, break_id=break_id, name=name, uri=uri, digest=digest, size_bytes=len(content)
        )
        self.keeper.post(account, Record(event), person.by("attach"))
        return digest

    def attachment(self, break_id: str, digest: str, person: Person) -> tuple[str, BinaryIO]:
        """The name and the bytes of a file of this break, which the caller closes. It is opened first, then
        the download is recorded: such a file may hold a customer's data.

        :raises BreakNotFoundError: the break has no such file.
        :raises SpoolError: the stored bytes cannot be read; nothing is recorded.
        """
        person.require(*BOOK_READERS)
        found = self.find(break_id)
        for item in self._table().acts_about(self.keeper.stream(found.account), break_id):
            if isinstance(item.event, BreakFileAttached) and item.event.digest == digest:
                name, file = item.event.name, self.installation.results().open(item.event.uri)
                taken = BreakFileTaken(account=found.account, break_id=break_id, name=name, digest=digest)
                try:
                    self.keeper.post(found.account, Record(taken), person.by("take-file"))
                except BaseException:
                    file.close()
                    raise
                return name, file
        raise BreakNotFoundError(f"break {break_id}: found no file {digest[:16]}")

    def find(self, break_id: str) -> FoundBreak:
        """A break as it stands; the caller checks rights.

        :raises BreakNotFoundError: there is none.
        """
        found = self._table().named([break_id]).get(break_id)
        if found is None:
            raise BreakNotFoundError(f"found no break {break_id}")
        return found

    def chosen(self, chosen: ChosenBreaks) -> tuple[list[FoundBreak], list[str]]:
        """The chosen breaks in a fixed order, and the ids that no break has; the caller checks rights."""
        if (chosen.which is None) == (not chosen.break_ids):
            raise OverrideRefusedError("breaks: expected either ids or a filter")
        table = self._table()
        if chosen.which is not None:
            found, following = table.page(
                self._filter(chosen.which), by_size=False, after=None, limit=MAXIMUM_BREAKS
            )
            if following is not None:
                raise _too_many()
            return found, []
        if len(chosen.break_ids) > MAXIMUM_BREAKS:
            raise _too_many()
        ids = list(dict.fromkeys(chosen.break_ids))
        named = table.named(ids)
        return [named[key] for key in ids if key in named], [key for key in ids if key not in named]

    def _filter(self, query: BreakQuery) -> BreakFilter:
        since, until = _span_of(query.band, self._today())
        return BreakFilter(
            account=None if query.account is None else self.account_of(query.account),
            states=query.states,
            category=query.category,
            day=query.day,
            first_seen_from=since,
            first_seen_until=until,
            assignee=query.assignee,
        )

    def _table(self) -> BreakTable:
        table = BreakTable(self.database)
        table.catch_up()
        return table

    def _today(self) -> date:
        return business_day(self.store.database_time())


def _span_of(band: str | None, today: date) -> tuple[date | None, date | None]:
    """The first and the last day on which a break of an age band was first seen."""
    least = 0
    for most, name in AGE_BANDS:
        if name == band:
            since = None if most is None else today - timedelta(days=most)
            return since, today - timedelta(days=least) if least else None
        least = 0 if most is None else most + 1
    return None, None


def _too_many() -> OverrideRefusedError:
    return OverrideRefusedError(
        f"breaks: found more than {MAXIMUM_BREAKS:,}; expected fewer at once: narrow the filter"
    )
