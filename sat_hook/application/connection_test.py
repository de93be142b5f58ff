"""The test of an account's connection to SAT, as a person asks for it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service


class Tested(NamedTuple):
    """The result of a test: whether SAT can be used, and what it answered, in words without secrets."""

    is_good: bool
    words: str


@dataclass(frozen=True, slots=True)
class ConnectionTest(Service):
    """Asks SAT for a token, its environment and the account, and compares the keys. Records nothing."""

    def run(self, named: str, person: Person) -> Tested:
        """Test the connection of an account, by either of its names."""
        person.require(Right.SUBMIT, Right.PAUSE)
        accounts = self.installation.accounts
        with closing(accounts.connect(accounts.connection_of(named))) as connection:
            return Tested(*connection.test_connection())
