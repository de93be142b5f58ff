"""The holders of rights as the installation reads them: each change that is seen is an event. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from sat_hook.domain.decision import Decider, Decision, RefusalReason, refuse
from sat_hook.domain.event_record import Event, Frozen, StreamKind, register

HolderKind = Literal["user", "role"]


class RightsSource(StrEnum):
    """Where the rights come from."""

    FILE = "file"
    DEFAULTS = "defaults"
    AUTH_MANAGER = "auth_manager"
    UNUSABLE = "unusable"
    """The file cannot be used, so no user has any right."""


class RightHolder(Frozen):
    """A user, or everyone with a role, who has a right."""

    right: str
    holder_kind: HolderKind
    holder: str


class HolderChange(RightHolder):
    """A right that was given, or taken away."""

    is_given: bool


@register
class RightsSeen(Event):
    """The installation read other holders of rights than those recorded last, or the first ones.

    :param source: where they come from.
    :param digest: SHA-256 of the holders, as they were read.
    :param holders: every holder of every right; empty where the source names none.
    :param holder_changes: what was given and taken since the event before.
    :param reason: why the file cannot be used; otherwise empty.
    """

    source: RightsSource
    digest: str
    holders: tuple[RightHolder, ...]
    holder_changes: tuple[HolderChange, ...]
    reason: str


class RightsStanding(Frozen):
    """The fold of the rights that were seen."""

    version: int = 0
    source: RightsSource | None = None
    digest: str = ""
    holders: tuple[RightHolder, ...] = ()


@dataclass(frozen=True, slots=True)
class SeeRights:
    """Record the holders that were read, unless they are those recorded last."""

    source: RightsSource
    holders: tuple[RightHolder, ...]
    reason: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of what was read."""
        holders = ([one.right, one.holder_kind, one.holder] for one in self.holders)
        parts = [self.source.value, self.reason, *holders]
        return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8")).hexdigest()


def holders_in(rights: Mapping[str, tuple[Iterable[str], Iterable[str]]]) -> tuple[RightHolder, ...]:
    """The holders of rights, sorted.

    :param rights: users and roles by right.
    """
    found = {
        (right, kind, holder)
        for right, (users, roles) in rights.items()
        for kind, several in (("role", roles), ("user", users))
        for holder in several
    }
    return tuple(
        RightHolder.model_validate({"right": right, "holder_kind": kind, "holder": holder})
        for right, kind, holder in sorted(found)
    )


def decide_rights(standing: RightsStanding, command: SeeRights) -> Decision:
    """The event of other rights than before."""
    if command.digest == standing.digest:
        return refuse(RefusalReason.ALREADY_SO)
    before, now = set(standing.holders), set(command.holders)
    changed = sorted(before ^ now, key=lambda one: (one.right, one.holder_kind, one.holder))
    seen = RightsSeen(
        source=command.source,
        digest=command.digest,
        holders=command.holders,
        holder_changes=tuple(HolderChange(**one.model_dump(), is_given=one in now) for one in changed),
        reason=command.reason,
    )
    return (seen,)


def evolve_rights(standing: RightsStanding, event: Event) -> RightsStanding:
    """The standing after one more event."""
    match event:
        case RightsSeen():
            return RightsStanding(
                version=standing.version + 1,
                source=event.source,
                digest=event.digest,
                holders=event.holders,
            )
        case _:
            raise ValueError(f"{event.type_name} does not follow in the stream of rights")


RIGHTS_DECIDER: Decider[RightsStanding, SeeRights] = Decider(
    stream_kind=StreamKind.RIGHTS,
    initial_state=lambda _key: RightsStanding(),
    decide=decide_rights,
    evolve=lambda standing, _key, event, _occurred_at: evolve_rights(standing, event),
)
