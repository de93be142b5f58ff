"""People and their rights, given to users and roles in a file, with defaults by Airflow's role names.

The file that ``SAT_RIGHTS_FILE`` names is JSON::

    {"submit": {"users": ["rosa"], "roles": ["disbursement"]},
     "approve": {"users": ["carl"], "roles": []}}

A right that the file names belongs to the listed holders only; for every other right :data:`DEFAULTS` count.
The file is read for each request, and only its owner or root may be able to write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sat_hook.application.errors import RightMissingError, RightsFileError
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.people import USER_PREFIX, is_same_login
from sat_hook.presentation.hints import did_you_mean
from sat_hook.store.private_files import read_trusted

RIGHTS_VARIABLE = "SAT_RIGHTS_FILE"
MAXIMUM_RIGHTS_BYTES = 262_144


class Right(StrEnum):
    """What a person may do. The maker of a batch never approves it, whatever rights they have."""

    VIEW = "view"
    VIEW_NUMBERS = "view_numbers"
    SUBMIT = "submit"
    APPROVE = "approve"
    DECIDE = "decide"
    DELIVER = "deliver"
    PAUSE = "pause"
    FINANCE = "finance"
    SIGN_OFF = "sign_off"
    AUDIT = "audit"
    PROPOSE_RULES = "account_rules.propose"
    CONFIRM_RULES = "account_rules.confirm"
    WEBHOOKS = "webhooks"


BOOK_READERS = (Right.FINANCE, Right.SIGN_OFF, Right.AUDIT)
"""Any of these rights reads the books: days, breaks, settlement files, top-ups."""


class Holders(BaseModel):
    """The holders of a right: users by name, and every user with one of the roles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


def _roles(*names: str) -> Holders:
    return Holders(roles=names)


DEFAULTS: Mapping[Right, Holders] = {
    Right.VIEW: _roles("viewer", "user", "op", "admin"),
    Right.VIEW_NUMBERS: _roles("user", "op", "admin"),
    Right.SUBMIT: _roles("user", "admin"),
    Right.APPROVE: _roles("op", "admin"),
    Right.DECIDE: _roles("op", "admin"),
    Right.DELIVER: _roles("user", "admin"),
    Right.PAUSE: _roles("user", "op", "admin"),
    Right.FINANCE: _roles("op", "admin"),
    Right.SIGN_OFF: _roles("op", "admin"),
    Right.AUDIT: _roles("op", "admin"),
    Right.WEBHOOKS: _roles("admin"),
}
"""The holders of rights that no file gives: role ``user`` makes, ``op`` checks. Account rules need a file."""


_FILE = TypeAdapter(dict[str, Holders])


def rights_in(name: str) -> Mapping[Right, Holders]:
    """Return the holders of every right: those of the file, and :data:`DEFAULTS` for rights it leaves out.

    :param name: the path of the file; empty for none.
    :raises RightsFileError: it cannot be read, can be written by others, or names an unknown right.
    """
    if not name:
        return DEFAULTS
    path = Path(name)
    try:
        content = read_trusted(path, MAXIMUM_RIGHTS_BYTES + 1)
    except OSError as error:
        raise RightsFileError(f"{RIGHTS_VARIABLE}: {error}") from None
    if len(content) > MAXIMUM_RIGHTS_BYTES:
        raise RightsFileError(f"{path}: found more than {MAXIMUM_RIGHTS_BYTES:,} bytes of rights")
    try:
        # A name that is written twice would count only with its last holders.
        given = _FILE.validate_python(json.loads(content, object_pairs_hook=_once))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RightsFileError(f"{path}: {where}: {first['msg']}") from None
    except ValueError as error:
        raise RightsFileError(f"{path}: found no JSON object of rights ({error})") from None
    for right in given:
        if right not in list(Right):
            hint = did_you_mean(right, Right)
            raise RightsFileError(f"{path}: found right {right!r}{hint}; expected one of {', '.join(Right)}")
    return {**DEFAULTS, **{Right(right): holders for right, holders in given.items()}}


def rights_of(name: str, roles: Iterable[str], holders: Mapping[Right, Holders]) -> frozenset[Right]:
    """Return the rights of a user, by name or by a role.

    A name that only looks like a holder's (another width, invisible letters) gives no right.
    """
    own_roles = tuple(roles)
    return frozenset(
        right
        for right, holding in holders.items()
        if any(is_same_login(name, user) for user in holding.users)
        or any(is_same_login(role, held) for role in own_roles for held in holding.roles)
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name is written twice")
    return dict(pairs)


@dataclass(frozen=True, slots=True)
class Person:
    """An authenticated user.

    :param name: the name under which events record what the person does (law 13).
    """

    name: str
    rights: frozenset[Right]

    def has(self, right: Right) -> bool:
        return right in self.rights

    def require(self, *rights: Right) -> None:
        """Check that the person has one of these rights.

        :raises RightMissingError: when the person has none of them.
        """
        if not self.rights.intersection(rights):
            raise RightMissingError(self.name, *rights)

    def by(self, action: str) -> Provenance:
        return Provenance(f"{USER_PREFIX}{self.name}", f"plugin:{action}")
