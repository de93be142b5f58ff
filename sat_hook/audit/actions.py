"""Finds what people did: every act of a person is an event whose actor is an Airflow user."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import datetime
from enum import StrEnum

from sat_hook.domain.books_events import BooksEvent
from sat_hook.domain.event_record import RecordedEvent, registered_events, utc_text
from sat_hook.domain.people import USER_PREFIX, is_same_person
from sat_hook.store import log
from sat_hook.store.database import Database

ACTION_COLUMNS = ("position", "recorded_at", "actor", "cause", "stream", "version", "type", "data")


class ActionKind(StrEnum):
    """The tables of an evidence pack; each act of a person is in exactly one of them."""

    APPROVALS = "approvals"
    OVERRIDES = "overrides"
    RECONCILIATIONS = "reconciliations"
    DELIVERIES = "deliveries"
    EXPORTS = "exports"
    ACTIONS = "actions"


TYPES: dict[ActionKind, tuple[str, ...]] = {
    ActionKind.APPROVALS: (
        "ApprovalRequested",
        "ApprovalRefused",
        "ApprovalRejected",
        "ApprovalSigned",
        "BatchApproved",
        "OrderApproved",
        "OrdersLeftOut",
    ),
    ActionKind.OVERRIDES: (
        "AccountPaused",
        "AccountResumed",
        "BatchWithdrawn",
        "FailedByOperator",
        "OrderCancelled",
        "OrderReleased",
        "OrderWithdrawn",
        "ResendAllowedByOperator",
        "SucceededByOperator",
    ),
    ActionKind.RECONCILIATIONS: tuple(
        sorted({name for (name, _), kind in registered_events().items() if issubclass(kind, BooksEvent)})
    ),
    ActionKind.DELIVERIES: ("GoodsDelivered",),
    ActionKind.EXPORTS: ("ExportHandedOut", "ExportRequested", "ExportWritten", "OrdersExported"),
}
"""The table of each event type, for any actor. :attr:`ActionKind.ACTIONS` holds all other acts of people."""

TYPES_OF_OTHER_TABLES = tuple(sorted(name for names in TYPES.values() for name in names))

TYPES_OF_TABLES: dict[ActionKind, tuple[str, ...]] = {
    **TYPES,
    ActionKind.ACTIONS: tuple(sorted({name for name, _ in registered_events()} - {*TYPES_OF_OTHER_TABLES})),
}
"""The types of every table; those of :attr:`ActionKind.ACTIONS` are all others."""


ACCESS_TYPES = (
    "BreakFileTaken",
    "ClientNumberSearched",
    "ConsoleSignedIn",
    "ExportHandedOut",
    "ExportRequested",
    "GoodsDelivered",
    "OrdersExported",
)
"""Sign-ins to the console, and what personal data or goods left it for a person."""


def action_cells(recorded: RecordedEvent, data: str) -> tuple[object, ...]:
    """The cells under :data:`ACTION_COLUMNS`."""
    return (
        recorded.position,
        utc_text(recorded.recorded_at),
        recorded.provenance.actor,
        recorded.provenance.cause,
        str(recorded.stream),
        recorded.version,
        recorded.type_name,
        data,
    )


def same_act(recorded: RecordedEvent) -> Hashable:
    """A key that is the same for neighbouring events of one act, which may be one for each of many orders."""
    return recorded.provenance, recorded.type_name, recorded.occurred_at


def actions_since(database: Database, since: datetime, user: str | None = None) -> Iterator[RecordedEvent]:
    """What people did since a moment, oldest first, page by page.

    :param user: only acts of this Airflow user, in any spelling of the name.
    :raises StoreUnavailableError: the database gave up.
    """
    for recorded in log.actions_since(database, since):
        if user is None or is_same_person(recorded.provenance.actor, f"{USER_PREFIX}{user}"):
            yield recorded
