"""The pages of an audit: the log, one event, who did what, and who has which right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, StringConstraints

from sat_hook.application.audit_log import AuditLog, LogEntry, LogQuery
from sat_hook.application.rights import Right
from sat_hook.audit.actions import ActionKind
from sat_hook.domain.business_day import midnight
from sat_hook.domain.console_users import UserRightsSeen
from sat_hook.domain.event_record import StreamKind
from sat_hook.domain.event_types import TYPES_OF_STREAMS
from sat_hook.domain.rights_seen import HolderChange, HolderKind, RightsSeen
from sat_hook.web.console import code_words, event_words
from sat_hook.web.console.language import marked as _
from sat_hook.web.console.site import Site, SiteDep
from sat_hook.web.dependencies import AuditLogDep, ChosenDay, RightsInForceDep, from_address

router = APIRouter(prefix="/audit")

_Text = Annotated[str, StringConstraints(max_length=128)]


def _known_kind(kind: object) -> object:
    return kind if kind in list(StreamKind) else None


RIGHTS: Mapping[Right, str] = {
    Right.VIEW: _("see batches, orders, deposits, prices and accounts"),
    Right.VIEW_NUMBERS: _("see customers' numbers, and search by them"),
    Right.SUBMIT: _("submit files of orders, and withdraw them"),
    Right.APPROVE: _("approve batches of other people"),
    Right.DECIDE: _("release, cancel and resolve orders"),
    Right.DELIVER: _("take out vouchers and serials"),
    Right.PAUSE: _("pause and resume accounts"),
    Right.FINANCE: _("record top-ups, decide breaks, choose settlement files"),
    Right.SIGN_OFF: _("prepare and certify days"),
    Right.AUDIT: _("read the log, and export evidence"),
    Right.PROPOSE_RULES: _("propose rules of accounts"),
    Right.CONFIRM_RULES: _("confirm rules that another person proposed"),
    Right.WEBHOOKS: _("say which other systems are told of events"),
}
"""What each right allows."""


class LogChoice(BaseModel):
    """The filter of the log, as it is in the address."""

    stream: Annotated[_Text, StringConstraints(strip_whitespace=True)] = ""
    kind: Annotated[StreamKind | None, BeforeValidator(_known_kind)] = None
    type: _Text = ""
    user: Annotated[_Text, AfterValidator(lambda user: "" if user.isspace() else user)] = ""
    by_people: bool = False
    account: _Text = ""
    since: ChosenDay = None
    until: ChosenDay = None

    def query(self) -> LogQuery:
        return LogQuery(
            stream=self.stream or None,
            kind=self.kind,
            types=(self.type,) if self.type else (),
            user=self.user or None,
            by_people=self.by_people,
            account=self.account or None,
            since=None if self.since is None else midnight(self.since),
            before=None if self.until is None else midnight(self.until + timedelta(days=1)),
        )

    @property
    def address(self) -> dict[str, object]:
        """The filter as the query of an address."""
        return {
            "stream": self.stream,
            "kind": "" if self.kind is None else self.kind.value,
            "type": self.type,
            "user": self.user,
            "by_people": "true" if self.by_people else "",
            "account": self.account,
            "since": self.since or "",
            "until": self.until or "",
        }


LogChoiceDep = Annotated[LogChoice, Depends(from_address(LogChoice))]


@router.get("")
def list_events(site: SiteDep, log: AuditLogDep, choice: LogChoiceDep, cursor: str | None = None) -> Response:
    """The log, the newest event first."""
    found = log.events(choice.query(), site.person, cursor=cursor)
    return site.page(
        "audit_log",
        rows=[(entry, event_words.sentence_of(entry.entry, site.wording)) for entry in found.items],
        older=site.url("/audit", **choice.address, cursor=found.next) if found.next else "",
        choice=choice,
        is_filtered=any(choice.address.values()),
        people=log.people(site.person),
        accounts=log.accounts(site.person),
        streams=event_words.STREAMS,
        types=_types(site, choice.kind),
    )


@router.get("/events/{position}")
def event(position: Annotated[int, Path(ge=1, lt=2**63)], site: SiteDep, log: AuditLogDep) -> Response:
    """One event. Its address never changes, so it can be kept in a letter."""
    details = log.event(position, site.person)
    entry = details.event
    return site.page(
        "audit_event",
        details=details,
        entry=entry,
        said=event_words.sentence_of(entry.entry, site.wording),
        members=list(event_words.members_of(entry.entry, site.wording)),
        way=code_words.way_of(entry.entry.cause, site.wording),
        about=_about(entry),
        link=str(site.request.url.replace(query="", fragment="")),
    )


@router.get("/acts")
def list_acts(
    site: SiteDep,
    log: AuditLogDep,
    choice: LogChoiceDep,
    table: Annotated[str, Query(max_length=20)] = "",
    cursor: str | None = None,
) -> Response:
    """Who did what, the last act first."""
    return acts_page(site, log, choice.query(), choice, path="/audit/acts", table=table, cursor=cursor)


@router.get("/rights")
def list_rights(site: SiteDep, holders: RightsInForceDep, cursor: str | None = None) -> Response:
    """Every right, what it allows, who has it, and what was seen to change."""
    changes = holders.changes(site.person, cursor=cursor)
    return site.page(
        "audit_rights",
        shown=holders.shown(site.person),
        words=RIGHTS,
        changes=[(change, _given_and_taken(change.event)) for change in changes.items],
        sources=code_words.RIGHTS_SOURCES,
        older=site.url("/audit/rights", cursor=changes.next) if changes.next else "",
    )


_Shares = list[tuple[str, list[str], list[str]]]
"""Rights, each with users and roles; both are empty where the user is named otherwise."""


def _given_and_taken(event: RightsSeen | UserRightsSeen) -> tuple[_Shares, _Shares]:
    if isinstance(event, UserRightsSeen):
        given, taken = event.given_rights, event.taken_rights
        return [(right, [], []) for right in given], [(right, [], []) for right in taken]
    return _shares(event.holder_changes, is_given=True), _shares(event.holder_changes, is_given=False)


def _shares(changes: Iterable[HolderChange], *, is_given: bool) -> _Shares:
    shares: dict[str, dict[HolderKind, list[str]]] = {}
    for one in changes:
        if one.is_given is is_given:
            shares.setdefault(one.right, {"user": [], "role": []})[one.holder_kind].append(one.holder)
    return [(right, of["user"], of["role"]) for right, of in shares.items()]


def acts_page(
    site: Site,
    log: AuditLog,
    query: LogQuery,
    choice: LogChoice,
    *,
    path: str,
    table: str = "",
    cursor: str | None = None,
) -> Response:
    """A page of people's acts."""
    kind = ActionKind(table) if table in list(ActionKind) else None
    found = log.acts(query, site.person, table=kind, cursor=cursor)
    chosen = {"user": choice.user, "table": table, "since": choice.since or "", "until": choice.until or ""}
    return site.page(
        "audit_acts",
        rows=[
            (
                act,
                event_words.sentence_of(act.event.entry, site.wording),
                code_words.way_of(act.event.entry.cause, site.wording),
            )
            for act in found.items
        ],
        older=site.url(path, **chosen, cursor=found.next) if found.next else "",
        place=path,
        chosen=chosen,
        people=log.people(site.person),
        tables=event_words.TABLES,
    )


def _types(site: Site, kind: StreamKind | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """The types of events by kind of stream, each with what it says."""
    return [
        (
            title,
            sorted(
                ((name, event_words.type_text(name, site.wording)) for name in TYPES_OF_STREAMS[of]),
                key=lambda pair: pair[1].casefold(),
            ),
        )
        for of, title in event_words.STREAMS.items()
        if kind in (None, of)
    ]


def _about(entry: LogEntry) -> str:
    """The page of what an event is about; empty where there is none."""
    match entry.stream.kind:
        case StreamKind.ORDER:
            return f"/orders/{entry.stream.key}"
        case StreamKind.BATCH:
            return f"/batches/{entry.stream.key}"
        case StreamKind.ACCOUNT if entry.subject.account is not None:
            return f"/accounts/{entry.subject.account}"
        case StreamKind.EXPORT:
            return f"/audit/packs/{entry.stream.key}"
        case StreamKind.LOG:
            return "/audit/verification"
        case StreamKind.RIGHTS:
            return "/audit/rights"
        case _:
            return ""
