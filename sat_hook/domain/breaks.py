"""Breaks: differences between our books and another party's, and how they were settled."""

from __future__ import annotations

from enum import StrEnum

from sat_hook.domain.event_record import Frozen


class BreakCategory(StrEnum):
    """What kind of difference it is."""

    TIMING = "timing"
    """Both sides have it, or will have it, on different days."""
    EXISTENCE = "existence"
    """Only one side has it."""
    DUPLICATE = "duplicate"
    """One side has it more than once."""
    AMOUNT = "amount"
    STATUS = "status"
    ATTRIBUTE = "attribute"
    """Product or client number differ."""
    IDENTITY = "identity"
    """SAT signed a status with the order's id but another product or client number."""
    MATCHING = "matching"
    """It cannot be matched: unreadable, without an id, or without a signature."""
    FILE = "file"
    """A settlement file does not count, or a person must check it first."""
    CONTROL = "control"
    """Totals that must agree do not, or a day is missing from the sequence of days."""


class MatchKind(StrEnum):
    """What our books were matched against."""

    EVIDENCE = "evidence"
    """Signed statuses."""
    SETTLEMENT = "settlement"
    """The provider's settlement file."""
    SALDO = "saldo"
    """The deposit, between two observations."""
    CONTROL = "control"
    """The log itself, and the day before."""


class BreakState(StrEnum):
    """The state of a break."""

    OPEN = "open"
    EXPLAINED = "explained"
    """A person gave the cause; it stays in the books until evidence ends it."""
    RESOLVED = "resolved"
    """Evidence closed it (the actor is a service), or a person marked it settled."""
    WRITTEN_OFF = "written_off"

    @property
    def is_final(self) -> bool:
        """True when it is no longer carried forward."""
        return self in (BreakState.RESOLVED, BreakState.WRITTEN_OFF)


class BreakEvidence(Frozen):
    """Where to look: positions in the log, a row of a file, the digest of an answer."""

    positions: tuple[int, ...] = ()
    file_name: str | None = None
    file_digest: str | None = None
    file_rows: tuple[int, ...] = ()
    response_digest: str | None = None
