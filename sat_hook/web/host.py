"""What the web application needs from its server: the installation, its users, and its errors.

Airflow's API server is one host (:mod:`sat_hook.plugin.airflow_host`). A test under plain uvicorn is another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from starlette.requests import Request

from sat_hook.application.installation import Installation
from sat_hook.application.rights import Right
from sat_hook.application.runs import Runs


class User(Protocol):
    """The authenticated user of a request."""

    @property
    def name(self) -> str:
        """The name under which the user acts."""

    @property
    def roles(self) -> Iterable[str]:
        """The names of the user's roles."""


class Problem(NamedTuple):
    """How an error is answered.

    :param kind: the type, for programs.
    :param detail: the text for people. None: the error's own text, which must then hold no secret.
    """

    status: int
    kind: str
    detail: str | None = None


class Host(Installation, Protocol):
    """The server around the web application."""

    @property
    def errors(self) -> Mapping[type[Exception], Problem]:
        """The host's own errors, and how they are answered."""

    async def user_of(self, request: Request) -> User:
        """Return the user of a request. Does not read the request's body.

        :raises HTTPException: 401 or 403 when the request has none.
        """

    def session_of(self, request: Request) -> str:
        """A short digest of the login behind a request: it tells logins apart and opens nothing.

        Empty when the host knows none; then the sign-in is not recorded.
        """

    def rights_of(self, user: User) -> frozenset[Right]:
        """Return the rights of a user. May block.

        :raises RightsFileError: the rights cannot be read, so no user has any.
        """

    def holders_of(self, right: str) -> str:
        """The users and roles that have a right, separated by commas; empty when the host cannot tell."""

    def runs(self, request: Request) -> Runs:
        """Return the runs that the user of a request may see and start."""

    def base_url(self) -> str:
        """The address at which users reach the server; empty when the host does not know it."""
