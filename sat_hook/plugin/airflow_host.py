"""Airflow's API server as the host of the web application: its users, connections and spools."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.configuration import conf
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import SecretStr
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.requests import Request

from sat_hook.application.errors import RightsFileError
from sat_hook.application.installation import AccountDirectory, Channel
from sat_hook.application.rights import Right, rights_in, rights_of
from sat_hook.application.runs import Runs
from sat_hook.application.settings import DeploymentSettings, read_settings
from sat_hook.hooks import spool
from sat_hook.hooks.account_names import AirflowAccounts
from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ways_of
from sat_hook.hooks.channels import channels
from sat_hook.hooks.errors import NotifierConfigurationError, SATConnectionError
from sat_hook.hooks.webhooks import webhook_secrets
from sat_hook.plugin.airflow_door import AIRFLOW_APP
from sat_hook.plugin.airflow_runs import AirflowRuns, token_of
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import NamedSpool
from sat_hook.web.host import Problem, User

# Airflow looks up users and connections there before our code runs; its text names the server.
_AWAY = Problem(
    503,
    "airflow_database_unavailable",
    "Airflow's own database cannot be reached, so nothing was done",
)


class AirflowUser:
    """A user of Airflow, for one request."""

    def __init__(self, user: BaseUser) -> None:
        self.airflow_user = user

    @property
    def name(self) -> str:
        return str(self.airflow_user.get_name())

    @property
    def roles(self) -> Iterable[str]:
        """Roles in the forms of Airflow's auth managers: one name, or several objects."""
        if role := getattr(self.airflow_user, "role", None):
            yield str(role)
        for several in getattr(self.airflow_user, "roles", None) or ():
            yield str(getattr(several, "name", several))


class AirflowHost:
    """Airflow's services for the web application."""

    errors: Mapping[type[Exception], Problem] = {
        SATConnectionError: Problem(422, "connection_unusable"),
        AirflowNotFoundException: Problem(422, "connection_not_found"),
        NotifierConfigurationError: Problem(422, "channels_unusable"),
        OperationalError: _AWAY,
        InterfaceError: _AWAY,
    }
    accounts: AccountDirectory = AirflowAccounts()

    def __init__(self) -> None:
        self._settings = read_settings()

    def settings(self) -> DeploymentSettings:
        return self._settings

    async def user_of(self, request: Request) -> User:
        return AirflowUser(await get_user(request, None, await bearer_scheme(request)))

    def session_of(self, request: Request) -> str:
        token = token_of(request)
        return hashlib.sha256(f"sat console session {token}".encode()).hexdigest()[:16] if token else ""

    def runs(self, request: Request) -> Runs:
        return AirflowRuns(request.scope[AIRFLOW_APP], request)

    def base_url(self) -> str:
        return str(conf.get("api", "base_url", fallback=""))

    def rights_of(self, user: User) -> frozenset[Right]:
        if self._settings.rights_from_auth_manager and isinstance(user, AirflowUser):
            return _rights_by_auth_manager(user.airflow_user)
        return rights_of(user.name, user.roles, rights_in(self._settings.rights_file))

    def holders_of(self, right: str) -> str:
        if self._settings.rights_from_auth_manager or right not in list(Right):
            return ""
        holders = rights_in(self._settings.rights_file).get(Right(right))
        return ", ".join((*holders.users, *holders.roles)) if holders else ""

    def store(self) -> PostgresEventStore:
        """The database of connection ``sat_db``, read on each use: a new password needs no restart."""
        return _store_at(ways_of(BaseHook.get_connection(DEFAULT_CONNECTION)).dsn)

    def submissions(self) -> NamedSpool:
        return spool.submissions_spool(self._settings)

    def channels(self) -> list[Channel]:
        return [Channel(one.name, one.address_pattern) for one in channels().values()]

    def webhook_secrets(self, connection: str) -> tuple[SecretStr, ...]:
        return webhook_secrets(connection)

    def results(self) -> NamedSpool:
        return spool.results_spool(self._settings)


def _rights_by_auth_manager(user: BaseUser) -> frozenset[Right]:
    """The rights that Airflow's auth manager gives as custom views named ``SAT <right>``.

    :raises RightsFileError: with the simple auth manager, which gives every custom view to every user.
    """
    manager = get_auth_manager()
    if isinstance(manager, SimpleAuthManager):
        raise RightsFileError(
            "SAT_RIGHTS_FROM_AUTH_MANAGER: found Airflow's simple auth manager, which knows no rights; "
            "expected another auth manager, or SAT_RIGHTS_FILE"
        )
    return frozenset(
        right
        for right in Right
        if manager.is_authorized_custom_view(method="GET", resource_name=f"SAT {right}", user=user)
    )


@lru_cache(maxsize=4)
def _store_at(dsn: str) -> PostgresEventStore:
    return PostgresEventStore(Database(dsn, "sat-plugin"))
