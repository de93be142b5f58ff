"""One decision about many breaks: shown first, made once, part by part, and told account by account."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable

import pytest

from sat_hook.application import bulk_break_decisions
from sat_hook.application.break_acts import BreakAct
from sat_hook.application.break_rows import BreakPreview, BreakQuery, ChosenBreaks
from sat_hook.application.breaks import Breaks
from sat_hook.application.bulk_break_decisions import BulkBreakDecisions
from sat_hook.application.bulk_decisions import BulkDecisions
from sat_hook.application.decision_worker import DecisionWorker, decide_next_part
from sat_hook.application.errors import BreaksChangedError, DecisionNotFoundError, RightMissingError
from sat_hook.commands.errors import OverrideRefusedError, ReasonRefusedError
from sat_hook.domain.books_commands import BooksCommand, DecideBreaks
from sat_hook.domain.books_events import BreakDecided
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.event_record import Event, Provenance
from sat_hook.reconciliation.bookkeeper import BookKeeper
from sat_hook.reconciliation.errors import BooksRefusedError
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.postgres import PostgresEventStore
from tests.integration.listings.test_bulk_decisions import IdleWorker
from tests.integration.reconciliation.planting import CLOSES
from tests.integration.reconciliation.test_breaks import AUDITOR, FINA, FIRST, VIEWER, booked, record_close
from tests.orders import ManualClock
from tests.web_host import FakeAccounts, FakeHost

WHY = "asked for a corrected file"
NUMBERS = itertools.count(1)
RUDI = Provenance("user:rudi", "plugin:resolve")


class TwoAccounts(FakeHost):
    """A log with three breaks of each of two accounts, which are the test's own."""

    def __init__(self, store: PostgresEventStore) -> None:
        super().__init__(store=store)
        number = next(NUMBERS)
        self.east, self.west = f"east{number}", f"west{number}"
        self.accounts = FakeAccounts({account: account for account in (self.east, self.west)})
        for account in (self.east, self.west):
            breaks = (booked(name, FIRST, FIRST) for name in names(account))
            record_close(keeper_of(store), account, FIRST, breaks)

    @property
    def all(self) -> ChosenBreaks:
        """The breaks of both."""
        return ChosenBreaks((*names(self.east), *names(self.west)))

    @property
    def every_decision(self) -> list[str]:
        """The breaks of every decision in the accounts' streams, in order."""
        keeper = keeper_of(self.store())
        recorded = [*keeper.recorded(self.east), *keeper.recorded(self.west)]
        return [item.event.break_id for item in recorded if isinstance(item.event, BreakDecided)]


def names(account: str) -> tuple[str, str, str]:
    """The ids of an account's three breaks."""
    first, second, third = (
        f"K{base64.b32encode(account.encode()).decode().strip('='):A<14}{last}" for last in "ABC"
    )
    return first, second, third


@pytest.fixture
def host(store: PostgresEventStore) -> TwoAccounts:
    """Six breaks, of which none is decided."""
    return TwoAccounts(store)


def keeper_of(store: PostgresEventStore) -> BookKeeper:
    """The books, for what happens beside a decision."""
    return BookKeeper(store, ManualClock(CLOSES))


def bulk_on(host: TwoAccounts) -> BulkBreakDecisions:
    """The use case, whose process carries out nothing by itself."""
    return BulkBreakDecisions(host, IdleWorker(host))


def carry_on(host: TwoAccounts) -> bool:
    """Decide one part, as any process may."""
    return decide_next_part(host.store(), host.settings().recovery)


def begun(host: TwoAccounts, preview: BreakPreview, chosen: ChosenBreaks | None = None) -> str:
    """Decide what the preview showed."""
    return bulk_on(host).begin(preview.act, chosen or host.all, preview.digest, WHY, FINA)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each break is a part of its own."""
    monkeypatch.setattr(bulk_break_decisions, "BREAKS_A_PART", 1)


def on_post(monkeypatch: pytest.MonkeyPatch, happen: Callable[[str], None], *, after: bool = False) -> None:
    """Something happens once, before or after breaks are decided in an account."""
    real, times = BookKeeper.post, iter([True])

    def post(
        keeper: BookKeeper, account: str, command: BooksCommand, provenance: Provenance
    ) -> tuple[Event, ...]:
        is_it = isinstance(command, DecideBreaks) and provenance != RUDI and next(times, False)
        if is_it and not after:
            happen(account)
        events = real(keeper, account, command, provenance)
        if is_it and after:
            happen(account)
        return events

    monkeypatch.setattr(BookKeeper, "post", post)


def fail(_: str) -> None:
    """The database goes away."""
    raise StoreUnavailableError("gone")


@pytest.mark.usefixtures("one_by_one")
def test_a_decision_goes_on_part_by_part_and_tells_each_account(host: TwoAccounts) -> None:
    """How far it is can be seen at each step. Every break is decided once, under the person's name."""
    decision_id = begun(host, bulk_on(host).preview(BreakAct.EXPLAIN, host.all, FINA))
    steps = []
    while carry_on(host):
        found = bulk_on(host).find(decision_id, FINA)
        steps.append([(one.account, one.done, one.waiting) for one in found.accounts])
    assert steps[0] == [(host.east, 1, 2), (host.west, 0, 3)]
    assert steps[3:] == [[(host.east, 3, 0), (host.west, number, 3 - number)] for number in (1, 2, 3)]
    standing = bulk_on(host).find(decision_id, AUDITOR).standing
    assert (standing.chosen, standing.done, standing.done_rupiah) == (6, 6, 30)
    assert standing.ended_at is not None
    rows = [
        row
        for account in (host.east, host.west)
        for row in Breaks(host).page(BreakQuery(account=account), FINA).items
    ]
    assert {(row.state, row.reason, row.decided_by) for row in rows} == {(BreakState.EXPLAINED, WHY, "fina")}
    assert host.every_decision == [*host.all.break_ids]


def test_an_account_that_fails_is_told_and_the_others_are_recorded(
    host: TwoAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result says what was recorded where, what was not and why. A new decision takes the rest."""

    def refuse(account: str) -> None:
        raise ZeroDivisionError(account)

    on_post(monkeypatch, refuse)
    decision_id = begun(host, bulk_on(host).preview(BreakAct.EXPLAIN, host.all, FINA))
    while carry_on(host):
        pass
    found = bulk_on(host).find(decision_id, FINA)
    assert [(one.account, one.done, one.undone, one.waiting) for one in found.accounts] == [
        (host.east, 0, 3, 0),
        (host.west, 3, 0, 0),
    ]
    assert {(one.account, one.code) for one in found.undone} == {(host.east, "failed")}
    assert "the server's log" in found.undone[0].text
    rest = bulk_on(host).preview(BreakAct.EXPLAIN, host.all, FINA)
    assert (rest.breaks, rest.accounts, rest.undone_count) == (3, (host.east,), 3)


@pytest.mark.parametrize("is_recorded", [False, True])
def test_another_process_goes_on_and_decides_nothing_twice(
    host: TwoAccounts, monkeypatch: pytest.MonkeyPatch, is_recorded: bool
) -> None:
    """Whether or not the breaks were decided before the process ended, each is decided once and counted."""
    on_post(monkeypatch, fail, after=is_recorded)
    decision_id = begun(host, bulk_on(host).preview(BreakAct.RESOLVE, host.all, FINA))
    with pytest.raises(StoreUnavailableError):
        carry_on(host)
    assert bulk_on(host).find(decision_id, FINA).standing.looked_at == 0
    while carry_on(host):
        pass
    found = bulk_on(host).find(decision_id, FINA)
    assert (found.standing.done, found.undone) == (6, ())
    assert host.every_decision == [*host.all.break_ids]


def test_a_break_that_another_person_ends_meanwhile_costs_itself(
    host: TwoAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the very moment of the append, too: the others of its part are decided."""
    east, west = names(host.east), names(host.west)

    def resolve(break_id: str) -> None:
        account = host.east if break_id in east else host.west
        command = DecideBreaks((break_id,), BreakState.RESOLVED, "by another")
        keeper_of(host.store()).post(account, command, RUDI)

    on_post(monkeypatch, lambda _: resolve(east[1]))
    decision_id = begun(host, bulk_on(host).preview(BreakAct.WRITE_OFF, host.all, FINA))
    resolve(west[0])
    while carry_on(host):
        pass
    found = bulk_on(host).find(decision_id, FINA)
    assert (found.standing.done, found.standing.undone_by_code) == (4, {"wrong_state": 2})
    assert {one.break_id for one in found.undone} == {east[1], west[0]}
    assert sorted(host.every_decision) == sorted(host.all.break_ids)


def test_a_decision_is_shown_first_and_made_once(host: TwoAccounts) -> None:
    """The digest binds it. Sent again it is one; later it is refused, because the breaks have changed."""
    bulk = bulk_on(host)
    preview = bulk.preview(BreakAct.EXPLAIN, host.all, FINA)
    assert (preview.breaks, preview.size_rupiah, preview.accounts) == (6, 30, (host.east, host.west))
    with pytest.raises(ReasonRefusedError):
        bulk.begin(BreakAct.EXPLAIN, host.all, preview.digest, " ", FINA)
    Breaks(host).comment(names(host.east)[0], "the provider was asked", FINA)
    decision_id = begun(host, preview)
    assert begun(host, preview) == decision_id
    while carry_on(host):
        pass
    with pytest.raises(BreaksChangedError):
        begun(host, preview)
    Breaks(host).decide_one(BreakAct.WRITE_OFF, names(host.east)[0], "too small to chase", FINA)
    with pytest.raises(BooksRefusedError):
        Breaks(host).decide_one(BreakAct.RESOLVE, names(host.east)[0], "after all", FINA)
    chosen = ChosenBreaks((*names(host.east), "K" + "A" * 15))
    mixed = bulk.preview(BreakAct.RESOLVE, chosen, FINA)
    assert (mixed.breaks, sorted(one.code for one in mixed.undone)) == (2, ["not_found", "wrong_state"])
    second = begun(host, mixed, chosen)
    while carry_on(host):
        pass
    found = bulk.find(second, FINA)
    assert (found.standing.done, found.undone) == (2, mixed.undone)
    assert [one.standing.decision_id for one in bulk.newest(FINA)[:2]] == [second, decision_id]
    with pytest.raises(OverrideRefusedError):
        bulk.preview(BreakAct.RESOLVE, ChosenBreaks(), FINA)


def test_the_server_carries_it_out_alone_and_only_readers_of_the_books_see_it(host: TwoAccounts) -> None:
    """Its thread goes on to the end. A decision about orders is never found among those about breaks."""
    preview = bulk_on(host).preview(BreakAct.EXPLAIN, host.all, FINA)
    bulk = BulkBreakDecisions(host, DecisionWorker(host))
    decision_id = begun(host, preview)
    assert bulk.find(decision_id, FINA, wait_seconds=30).standing.done == 6
    for who in (VIEWER, AUDITOR):
        with pytest.raises(RightMissingError):
            bulk.preview(BreakAct.EXPLAIN, host.all, who)
        with pytest.raises(RightMissingError):
            bulk.begin(BreakAct.EXPLAIN, host.all, preview.digest, WHY, who)
    with pytest.raises(RightMissingError):
        bulk.find(decision_id, VIEWER)
    with pytest.raises(RightMissingError):
        bulk.newest(VIEWER)
    with pytest.raises(DecisionNotFoundError):
        BulkDecisions(host, bulk.worker).find(decision_id, FINA)
