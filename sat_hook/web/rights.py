"""Rights beyond those of running batches, given by name to users and roles in a file.

The file that ``SAT_RIGHTS_FILE`` names is JSON::

    {"account_rules.propose": {"users": ["rosa"], "roles": ["finance"]},
     "account_rules.confirm": {"users": ["carl"], "roles": []}}

A user has only the rights that the file gives; without a file no user has any. The file is read for each
request, and only its owner or root may be able to write it.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from sat_hook.domain.people import is_same_login
from sat_hook.store.trusted_file import read_trusted

if TYPE_CHECKING:
    from sat_hook.web.host import User

RIGHTS_VARIABLE = "SAT_RIGHTS_FILE"
MAXIMUM_RIGHTS_BYTES = 262_144


class Right(StrEnum):
    """The rights that the file can give."""

    PROPOSE_RULES = "account_rules.propose"
    CONFIRM_RULES = "account_rules.confirm"


class Holders(BaseModel):
    """The holders of a right: users by name, and every user with one of the roles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class RightsFileError(RuntimeError):
    """The rights file cannot be used; the text says why. Until it is fixed, no user has any right."""


_FILE = TypeAdapter(dict[str, Holders])


def rights_from_environment(environment: Mapping[str, str] = os.environ) -> dict[Right, Holders]:
    """Return the rights in the file that ``SAT_RIGHTS_FILE`` names; none if it is not set.

    :raises RightsFileError: it cannot be read, can be written by others, or names an unknown right.
    """
    name = environment.get(RIGHTS_VARIABLE, "").strip()
    if not name:
        return {}
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
            near = difflib.get_close_matches(right, list(Right), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise RightsFileError(f"{path}: found right {right!r}{hint}; expected one of {', '.join(Right)}")
    return {Right(right): holders for right, holders in given.items()}


def has_right(user: User, right: Right, rights: Mapping[Right, Holders]) -> bool:
    """Return whether a user has a right, by name or by a role.

    A name that only looks like a holder's (another width, invisible letters) gives no right.
    """
    holders = rights.get(right)
    if holders is None:
        return False
    return any(is_same_login(user.name, holder) for holder in holders.users) or any(
        is_same_login(role, holder) for role in user.roles for holder in holders.roles
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name is written twice")
    return dict(pairs)
