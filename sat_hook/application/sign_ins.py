"""Sign-ins to the console: the first use of each login is an event."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from sat_hook.application.rights import Person
from sat_hook.application.service import Service, handler_on
from sat_hook.commands.aggregates import USERS
from sat_hook.domain.console_users import SignIn
from sat_hook.domain.identity import user_id_of

MAXIMUM_SESSIONS = 10_000
"""Sessions that a process remembers; an older one is looked up in the log once more."""


class SeenSessions:
    """The sessions whose sign-in this process knows to be recorded. Safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    def has(self, user: str, session: str) -> bool:
        with self._guard:
            return (user, session) in self._seen

    def add(self, user: str, session: str) -> None:
        with self._guard:
            self._seen[user, session] = None
            while len(self._seen) > MAXIMUM_SESSIONS:
                self._seen.popitem(last=False)


@dataclass(frozen=True, slots=True)
class SignIns(Service):
    """Records sign-ins."""

    seen: SeenSessions

    def notice(self, person: Person, session: str) -> None:
        """Record the sign-in unless it is recorded already.

        :param session: a digest of the login's token; empty when the host knows none, and then nothing is
            recorded.
        :raises StoreUnavailableError: the database gave up.
        """
        if not session or not person.name or self.seen.has(person.name, session):
            return
        store = self.store
        handler = handler_on(store)
        command = SignIn(person.name, session)
        handler.apply_to(USERS, user_id_of(person.name), command, person.by("sign-in"))
        self.seen.add(person.name, session)
