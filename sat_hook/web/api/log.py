"""Routes of the log: events by filter, one event with its proof, who did what, and who has which right."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BeforeValidator

from sat_hook.application.audit_log import LogQuery
from sat_hook.application.pages import USUAL_PAGE
from sat_hook.application.rights import Right
from sat_hook.application.rights_in_force import HoldersRow
from sat_hook.audit.actions import ActionKind
from sat_hook.domain.business_day import midnight
from sat_hook.domain.event_record import StreamKind
from sat_hook.web.api.models import Cursor, Document, Limit, Page, Text, at, route
from sat_hook.web.dependencies import AccountQuery, AuditLogDep, CurrentPerson, DayQuery, RightsInForceDep

router = APIRouter(tags=["audit"])

MAXIMUM_TYPES = 100


class Event(Document):
    """An event of the log, customers' data masked. ``user`` is null for what a service did.

    ``is_whole`` is false when a list has only the beginning of the members, because the text is very long:
    get the event by its position for all of them.
    """

    position: int = at("entry", "position")
    stream: Annotated[str, BeforeValidator(str)]
    version: int = at("entry", "version")
    type: str = at("entry", "kind")
    schema_version: int
    occurred_at: datetime = at("entry", "at")
    recorded_at: datetime
    user: str | None
    actor: str = at("entry", "actor")
    cause: str = at("entry", "cause")
    digest: str = at("entry", "digest")
    account: str | None = at("subject", "account")
    batch_id: str | None = at("subject", "batch_id")
    order_id: str | None = at("subject", "order_id")
    members: dict[str, Any] = at("entry", "parameters")
    is_whole: bool


class Checkpoint(Document):
    """The signed checkpoint over an event. ``holds``: the events that it covers have its root now."""

    number: int = at("text", "number")
    first_position: int = at("text", "first_position")
    last_position: int = at("text", "last_position")
    made_at: datetime = at("text", "made_at")
    key_id: str
    digest: str
    holds: bool


class ProvenEvent(Event):
    """One event. ``is_intact``: its digest fits; ``checkpoint`` is null while none covers it."""

    is_intact: bool
    checkpoint: Checkpoint | None


class PersonsAct(Document):
    """What a person did at once: the last of its events, and how many there are."""

    event: Event
    times: int


class Holders(Document, of=HoldersRow):
    """Who has a right: users by name, and everyone with one of the roles."""


class RightsShown(Document):
    """All rights. ``source``: the file, the defaults, or Airflow's auth manager, which names no holders."""

    source: str
    rights: tuple[Holders, ...]


def _query(
    stream: Annotated[Text, Query(description="a stream like `order/S…`, or the id of its subject")] = None,
    kind: StreamKind | None = None,
    type: Annotated[list[str] | None, Query(max_length=MAXIMUM_TYPES)] = None,
    user: Annotated[Text, Query(description="what this user did")] = None,
    by_people: Annotated[bool, Query(description="what any user did")] = False,
    account: AccountQuery = None,
    first_day: Annotated[DayQuery, Query(description="recorded on this day (WIB) or later")] = None,
    last_day: Annotated[DayQuery, Query(description="recorded on this day (WIB) or earlier")] = None,
) -> LogQuery:
    return LogQuery(
        stream=stream,
        kind=kind,
        types=tuple(type or ()),
        user=user,
        by_people=by_people,
        account=account,
        since=None if first_day is None else midnight(first_day),
        before=None if last_day is None else midnight(last_day + timedelta(days=1)),
    )


_Query = Annotated[LogQuery, Depends(_query)]


@router.get("/log", **route(Right.AUDIT))
def list_events(
    person: CurrentPerson, log: AuditLogDep, query: _Query, cursor: Cursor = None, limit: Limit = USUAL_PAGE
) -> Page[Event]:
    """List events of the log, the newest first. By account a page may be short and still have a `next`."""
    found = log.events(query, person, cursor=cursor, limit=limit)
    return Page[Event].model_validate(found)


@router.get("/log/acts", **route(Right.AUDIT))
def list_acts(
    person: CurrentPerson,
    log: AuditLogDep,
    query: _Query,
    table: ActionKind | None = None,
    cursor: Cursor = None,
    limit: Limit = USUAL_PAGE,
) -> Page[PersonsAct]:
    """List what people did, the last first, by `user`, `table`, `type` and day. A bulk act is one item."""
    found = log.acts(query, person, table=table, cursor=cursor, limit=limit)
    return Page[PersonsAct].model_validate(found)


@router.get("/log/{position}", **route(Right.AUDIT))
def show_event(
    position: Annotated[int, Path(ge=1, lt=2**63)], person: CurrentPerson, log: AuditLogDep
) -> ProvenEvent:
    """Return one event with the checkpoint over it. Its address never changes."""
    details = log.event(position, person)
    event = dict(Event.model_validate(details.event))
    return ProvenEvent.model_validate({**event, "is_intact": details.is_intact, "checkpoint": details.proof})


@router.get("/rights", **route(Right.AUDIT))
def list_rights(person: CurrentPerson, holders: RightsInForceDep) -> RightsShown:
    """Return every right and who has it."""
    return RightsShown.model_validate(holders.shown(person))
