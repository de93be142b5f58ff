"""The events of a batch that its guards and its approvers cause."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime

from sat_hook.domain.event_record import Event, Frozen, register
from sat_hook.domain.grouping import Rows


class GuardTally(Frozen):
    """The guards' result for a batch so far: orders admitted and their rupiah, orders held and why."""

    admitted: int
    admitted_rupiah: int
    held_as_duplicates: int
    held_over_limits: int


class ApprovalTerms(Frozen):
    """What a person is asked to approve. Exactly this is executed.

    ``digest`` is that of the submitted bytes. ``quotes_digest`` covers the request id, price and payload of
    every order to be sent; for a held order also the reason and the version since which it is held.
    ``orders`` and ``total_rupiah`` are their number and sum.
    """

    digest: str
    orders: int
    total_rupiah: int
    quotes_digest: str


class ApprovalRefusal(StrEnum):
    """Why an approval does not count."""

    OWN_BATCH = "own_batch"
    SIGNED_BEFORE = "signed_before"
    RIGHT_MISSING = "right_missing"
    TERMS_CHANGED = "terms_changed"
    NO_USER = "no_user"


@register
class BatchGuarded(Event):
    """The guards checked every order of the batch that can be sent."""

    tally: GuardTally


@register
class ApprovalRequested(Event):
    """The approval of ``persons`` different people was requested. It also releases ``held`` of the orders."""

    schema_version: ClassVar[int] = 2

    terms: ApprovalTerms
    held: int
    persons: int


@register
class OrdersLeftOut(Event):
    """An approver was shown ``shown`` and approves all of it but these rows; ``rest`` is what is left.

    The digest of ``rest`` covers what was shown and what was left out. The rows are then held. ``held_rows``
    were held for another reason and stay so, also those that an earlier approver left out. ``held`` of the
    rest are held.
    An order that the guards admitted after ``decided_at`` was held and released since.
    """

    approver: str
    shown: ApprovalTerms
    rest: ApprovalTerms
    rows: Rows
    held_rows: Rows
    held: int
    reason: str
    decided_at: AwareDatetime


@register
class ApprovalSigned(Event):
    """A person other than the maker signed what was asked for; ``persons`` must sign in all.

    :class:`BatchApproved` is the event of the last signature. It has this one, too, if its person gave a
    reason.
    """

    approver: str
    terms: ApprovalTerms
    persons: int
    reason: str | None


@register
class ApprovalRefused(Event):
    """An approval that does not count, and why; the event's actor gave it."""

    reason: ApprovalRefusal
    detail: str
    approver: str


@register
class BatchApproved(Event):
    """A person other than the maker approved the batch as it was shown, as the last who had to. Rupiah."""

    approver: str
    orders: int
    total_rupiah: int
    digest: str
    quotes_digest: str


@register
class ApprovalRejected(Event):
    """A person rejected the request: none of its orders is sent."""

    schema_version: ClassVar[int] = 2

    rejecter: str
    orders: int
    total_rupiah: int
    reason: str | None
