"""Breaks: differences between our books and somebody else's, and what became of them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class BreakCategory(StrEnum):
    """What kind of difference it is."""

    TIMING = "timing"
    """Both sides have it or will have it, on different days."""
    EXISTENCE = "existence"
    """Only one side has it."""
    DUPLICATE = "duplicate"
    """A side has it more than once."""
    AMOUNT = "amount"
    STATUS = "status"
    ATTRIBUTE = "attribute"
    """Product or client number differ."""
    IDENTITY = "identity"
    """SAT signed a status with the order's id that is about another product or client number."""
    MATCHING = "matching"
    """It cannot be held against anything: unreadable, without an id, or without a signature."""
    FILE = "file"
    """A settlement file does not count, or somebody has to look at it before it is relied on."""
    CONTROL = "control"
    """Totals that must agree do not, or a link of the chain of days is missing."""


class MatchKind(StrEnum):
    """What our books were held against."""

    EVIDENCE = "evidence"
    """Signed statuses."""
    SETTLEMENT = "settlement"
    """The provider's settlement file."""
    SALDO = "saldo"
    """The deposit, between two observations."""
    CONTROL = "control"
    """The log itself, and the day before."""


class BreakState(StrEnum):
    """Where a break stands."""

    OPEN = "open"
    EXPLAINED = "explained"
    """A person said why; it stays in the books until evidence ends it."""
    RESOLVED = "resolved"
    """Evidence closed it (the actor is a service), or a person says that it is settled."""
    WRITTEN_OFF = "written_off"

    @property
    def is_final(self) -> bool:
        """True when it is not carried forward any more."""
        return self in (BreakState.RESOLVED, BreakState.WRITTEN_OFF)


class BreakEvidence(BaseModel):
    """Where to look: positions in the log, a row of a file, the digest of an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    positions: tuple[int, ...] = ()
    file_name: str | None = None
    file_digest: str | None = None
    file_rows: tuple[int, ...] = ()
    response_digest: str | None = None
