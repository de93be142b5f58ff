"""What pages of breaks show: breaks in lists, how old they are, and the preview of a decision about many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from sat_hook.application.break_acts import BreakAct, UndoneBreak
from sat_hook.application.pages import Page
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.people import user_named
from sat_hook.reconciliation.model import AGE_BANDS
from sat_hook.store.breaks import FoundBreak

STANDING = (BreakState.OPEN, BreakState.EXPLAINED)


class BreakSort(StrEnum):
    """What a list of breaks is sorted by: the oldest or the largest first."""

    AGE = "age"
    SIZE = "size"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakQuery:
    """The breaks of a list. None selects all.

    :param account: either name.
    :param band: a name of :data:`~sat_hook.reconciliation.model.AGE_BANDS`: the age today.
    :param assignee: a user's name; empty: assigned to no one.
    """

    account: str | None = None
    states: tuple[BreakState, ...] | None = STANDING
    category: BreakCategory | None = None
    day: date | None = None
    band: str | None = None
    assignee: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakRow:
    """A break as a list shows it. Rupiah: theirs less ours.

    :param age_days: days since it was first seen, today.
    :param decided_by: the user who decided; None when evidence did, or no one.
    """

    break_id: str
    account: str
    day: date
    first_seen: date
    age_days: int
    category: BreakCategory
    match: str
    state: BreakState
    what: str
    ours: str
    theirs: str
    amount_rupiah: int
    request_id: str | None
    order_id: str | None
    is_adjustment: bool
    reason: str | None
    decided_by: str | None
    assignee: str
    comments: int
    files: int


@dataclass(frozen=True, slots=True)
class BreakPage(Page[BreakRow]):
    """A page of breaks.

    :param count: how many there are, up to :data:`MAXIMUM_COUNTED`; ``is_more`` when there are more.
    :param size_rupiah: the sum of their amounts without signs.
    """

    count: int = 0
    is_more: bool = False
    size_rupiah: int = 0


class AgeBand(NamedTuple):
    """Breaks of an age band."""

    name: str
    breaks: int
    size_rupiah: int


@dataclass(frozen=True, slots=True)
class TrendDay:
    """What the closes of a day carried forward, by age band."""

    day: date
    bands: tuple[AgeBand, ...]

    @property
    def breaks(self) -> int:
        return sum(band.breaks for band in self.bands)

    @property
    def size_rupiah(self) -> int:
        return sum(band.size_rupiah for band in self.bands)


@dataclass(frozen=True, slots=True)
class Ageing:
    """How old the standing breaks are today, and what the closes of the last days carried forward."""

    bands: tuple[AgeBand, ...]
    trend: tuple[TrendDay, ...]


@dataclass(frozen=True, slots=True)
class ChosenBreaks:
    """The breaks of a decision: by id, or by a filter."""

    break_ids: tuple[str, ...] = ()
    which: BreakQuery | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakPreview:
    """What a decision will do.

    :param digest: names exactly these breaks as they are; :meth:`BulkBreakDecisions.begin` repeats it.
    :param by_category: breaks and rupiah of those that will be decided, by category and present state.
    """

    act: BreakAct
    digest: str
    breaks: int
    amount_rupiah: int
    size_rupiah: int
    accounts: tuple[str, ...]
    by_category: dict[tuple[BreakCategory, BreakState], tuple[int, int]]
    undone: tuple[UndoneBreak, ...]
    undone_count: int


def row_of(found: FoundBreak, today: date) -> BreakRow:
    """A break as a list shows it."""
    booked = found.booked
    return BreakRow(
        break_id=found.break_id,
        account=found.account,
        day=booked.day,
        first_seen=booked.first_seen,
        age_days=max(0, (today - booked.first_seen).days),
        category=booked.category,
        match=booked.match.value,
        state=found.state,
        what=booked.what,
        ours=booked.ours,
        theirs=booked.theirs,
        amount_rupiah=booked.amount_rupiah,
        request_id=booked.request_id,
        order_id=booked.order_id,
        is_adjustment=booked.is_adjustment,
        reason=found.reason,
        decided_by=None if found.decided_by is None else user_named(found.decided_by),
        assignee=found.assignee,
        comments=found.comments,
        files=found.files,
    )


def age_band_of(age_days: int) -> str:
    """The name of the band of an age in days."""
    return next(name for most, name in AGE_BANDS if most is None or age_days <= most)


def in_bands(aged: Iterable[tuple[int, int, int]]) -> tuple[AgeBand, ...]:
    """Counts by age as counts by band; every band is there."""
    bands = {name: [0, 0] for _, name in AGE_BANDS}
    for age_days, breaks, size_rupiah in aged:
        counted = bands[age_band_of(age_days)]
        counted[0] += breaks
        counted[1] += size_rupiah
    return tuple(AgeBand(name, *counts) for name, counts in bands.items())
