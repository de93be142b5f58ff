"""What the log keeps of people's sessions: the first use of each login, and rights that have changed.

A change of rights is seen at the first request after it. What Airflow's roles give is seen when the user
comes: a user who is given a role in Airflow and never comes leaves no event.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from sat_hook.application.errors import RightsFileError
from sat_hook.application.rights import Holders, Person, Right, rights_in
from sat_hook.application.service import Service
from sat_hook.application.settings import DeploymentSettings
from sat_hook.commands.aggregates import RIGHTS, USERS
from sat_hook.domain.console_users import SeeUserRights, SignIn
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import rights_id, user_id_of
from sat_hook.domain.rights_seen import RightsSource, SeeRights, holders_in

BY_SERVER = Provenance("service:sat plugin", "plugin:rights")
MAXIMUM_SESSIONS = 10_000
"""Logins that a process remembers, and their rights; an older one is looked up in the log once more."""


class Remembered:
    """What this process knows to be recorded. Safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, object] = OrderedDict()

    def is_known(self, of: str, value: object) -> bool:
        """Whether this is the value remembered last."""
        with self._guard:
            return self._known.get(of) == value

    def remember(self, of: str, value: object) -> None:
        """Remember it in place of an earlier value."""
        with self._guard:
            self._known[of] = value
            self._known.move_to_end(of)
            while len(self._known) > MAXIMUM_SESSIONS:
                self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class SignIns(Service):
    """Records sign-ins."""

    seen: Remembered

    def notice(self, person: Person, session: str) -> None:
        """Record the sign-in unless it is recorded already.

        :param session: a digest of the login's token; empty when the host knows none, and then nothing is
            recorded.
        :raises StoreUnavailableError: the database gave up.
        """
        if not session or not person.name or self.seen.is_known(session, person.name):
            return
        command = SignIn(person.name, session)
        self.handler.apply_to(USERS, user_id_of(person.name), command, person.by("sign-in"))
        self.seen.remember(session, person.name)


def rights_as_read(settings: DeploymentSettings) -> SeeRights:
    if settings.rights_from_auth_manager:
        return SeeRights(RightsSource.AUTH_MANAGER, ())
    try:
        holders = rights_in(settings.rights_file)
    except RightsFileError as error:
        return SeeRights(RightsSource.UNUSABLE, (), str(error))
    found = ((right, holders.get(right, Holders())) for right in Right)
    source = RightsSource.FILE if settings.rights_file else RightsSource.DEFAULTS
    return SeeRights(source, holders_in({right.value: (one.users, one.roles) for right, one in found}))


@dataclass(frozen=True, slots=True)
class RightsWatch(Service):
    """Records rights that are other than those recorded last."""

    seen: Remembered

    def notice_holders(self) -> None:
        """Record who has which right, unless it is recorded already.

        :raises StoreUnavailableError: the database gave up.
        """
        command = rights_as_read(self.installation.settings())
        if not self.seen.is_known("", command):
            self.handler.apply_to(RIGHTS, rights_id(), command, BY_SERVER)
            self.seen.remember("", command)

    def notice_user(self, person: Person, roles: Iterable[str], session: str) -> None:
        """Record the person's roles and rights, unless they are recorded already.

        A token may keep the role of its login. Two logins of a person with different roles are two events,
        however often their requests alternate.

        :param session: the digest of the login.
        :raises StoreUnavailableError: the database gave up.
        """
        if not person.name:
            return
        rights = tuple(right.value for right in Right if person.has(right))
        command = SeeUserRights(person.name, tuple(sorted(set(roles))), rights)
        if not self.seen.is_known(session, command):
            self.handler.apply_to(USERS, user_id_of(person.name), command, BY_SERVER)
            self.seen.remember(session, command)
