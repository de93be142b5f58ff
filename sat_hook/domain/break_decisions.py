"""The rules for what people do about breaks: decisions, assignments, comments, attached files. Pure."""

from __future__ import annotations

from sat_hook.domain import books_commands as asked
from sat_hook.domain import books_events as happened
from sat_hook.domain.books import AccountBooks
from sat_hook.domain.breaks import BreakState
from sat_hook.domain.decision import Decision, Refusal, RefusalReason, refuse

MAXIMUM_BREAKS_AT_ONCE = 10_000
MAXIMUM_COMMENTS_OF_A_BREAK = 500
MAXIMUM_FILES_OF_A_BREAK = 20


def decide_breaks(books: AccountBooks, command: asked.DecideBreaks) -> Decision:
    """Explain, resolve or write off breaks. One that may not be decided refuses all of them."""
    if refusal := _refused_number(command.break_ids):
        return refusal
    known = books.newest_breaks()
    events = []
    for break_id in dict.fromkeys(command.break_ids):
        found = known.get(break_id)
        refusal = refused(break_id, None if found is None else books.standing_of(*found), command.state)
        if refusal is None:
            events.append(
                happened.BreakDecided(
                    account=books.account, break_id=break_id, state=command.state, reason=command.reason
                )
            )
        elif refusal.reason is not RefusalReason.ALREADY_SO:
            return refusal
    return tuple(events) or refuse(RefusalReason.ALREADY_SO, command.state.value)


def refused(break_id: str, standing: BreakState | None, state: BreakState) -> Refusal | None:
    """Why a break may not be given a state; None when it may.

    :param standing: its present state; None when there is no such break.
    """
    if standing is None:
        return _wrong(f"found no break {break_id}")
    if standing is state:
        return refuse(RefusalReason.ALREADY_SO, state.value)
    if standing.is_final or state is BreakState.OPEN:
        return _has_ended(break_id, standing)
    return None


def assign_breaks(books: AccountBooks, command: asked.AssignBreaks) -> Decision:
    """Assign breaks to a user, or to no one. A break that ended needs no one."""
    if refusal := _refused_number(command.break_ids):
        return refusal
    known = books.newest_breaks()
    events = []
    for break_id in dict.fromkeys(command.break_ids):
        found = known.get(break_id)
        if found is None:
            return _wrong(f"found no break {break_id} of account {books.account!r}")
        if books.assignees.get(break_id, "") == command.assignee:
            continue
        standing = books.standing_of(*found)
        if command.assignee and standing.is_final:
            return _has_ended(break_id, standing)
        events.append(
            happened.BreakAssigned(account=books.account, break_id=break_id, assignee=command.assignee)
        )
    return tuple(events) or refuse(RefusalReason.ALREADY_SO, command.assignee)


def comment(books: AccountBooks, event: happened.BreakCommented) -> Decision:
    """Record a comment about a break, also about one that has ended."""
    if books.find_break(event.break_id) is None:
        return _wrong(f"found no break {event.break_id} of account {books.account!r}")
    if books.comments[event.break_id] >= MAXIMUM_COMMENTS_OF_A_BREAK:
        return _wrong(f"break {event.break_id}: found {MAXIMUM_COMMENTS_OF_A_BREAK} comments; expected fewer")
    return (event,)


def attach(books: AccountBooks, event: happened.BreakFileAttached) -> Decision:
    """Record a file that belongs to a break; the same bytes count once."""
    if books.find_break(event.break_id) is None:
        return _wrong(f"found no break {event.break_id} of account {books.account!r}")
    there = books.attached.get(event.break_id, ())
    if any(known.digest == event.digest for known in there):
        return refuse(RefusalReason.ALREADY_SO, event.name)
    if len(there) >= MAXIMUM_FILES_OF_A_BREAK:
        return _wrong(f"break {event.break_id}: found {MAXIMUM_FILES_OF_A_BREAK} files; expected fewer")
    return (event,)


def take_file(books: AccountBooks, event: happened.BreakFileTaken) -> Decision:
    """Record that the actor takes an attached file, each time."""
    there = books.attached.get(event.break_id, ())
    if not any(known.digest == event.digest for known in there):
        return _wrong(f"break {event.break_id}: found no file {event.digest[:16]}")
    return (event,)


def _refused_number(break_ids: tuple[str, ...]) -> Refusal | None:
    if 0 < len(break_ids) <= MAXIMUM_BREAKS_AT_ONCE:
        return None
    return _wrong(f"breaks: found {len(break_ids):,}; expected 1 to {MAXIMUM_BREAKS_AT_ONCE:,}")


def _has_ended(break_id: str, standing: BreakState) -> Refusal:
    return _wrong(f"break {break_id}: found it {standing.value}; expected one that is open or explained")


def _wrong(detail: str) -> Refusal:
    return refuse(RefusalReason.WRONG_STATE, detail)
