"""Airflow's API server as the host of the web application: its users, connections and spools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag
from airflow.configuration import conf
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from fastapi import HTTPException
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.requests import Request

from sat_hook.application.installation import AccountDirectory
from sat_hook.application.settings import DeploymentSettings, read_settings
from sat_hook.hooks import spool
from sat_hook.hooks.account_names import AirflowAccounts
from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ways_of
from sat_hook.hooks.sat_connection import SATConnectionError
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import NamedSpool
from sat_hook.web.host import Permission, Problem, User
from sat_hook.web.rights import Holders, Right, rights_from_environment

_CHECKS = {
    Permission.SEE_BATCHES: requires_access_dag("GET", DagAccessEntity.RUN, "bulk_disbursement"),
    Permission.RUN_BATCHES: requires_access_dag("POST", DagAccessEntity.RUN, "bulk_disbursement"),
    Permission.KEEP_BOOKS: requires_access_dag("POST", DagAccessEntity.RUN, "nightly_reconciliation"),
    Permission.EXPORT_EVIDENCE: requires_access_dag("POST", DagAccessEntity.RUN, "audit_export"),
}
"""Permissions are those of a DAG's runs: to see them, or to start one."""

# Airflow looks up users and connections there before our code runs; its text names the server.
_AWAY = Problem(
    503,
    "airflow_database_unavailable",
    "Airflow's own database cannot be reached, so nothing was done",
)


class AirflowUser:
    """A user of Airflow, for one request."""

    def __init__(self, user: BaseUser, request: Request) -> None:
        self._user = user
        self._request = request

    @property
    def name(self) -> str:
        return str(self._user.get_name())

    @property
    def roles(self) -> Iterable[str]:
        """Roles in the forms of Airflow's auth managers: one name, or several objects."""
        if role := getattr(self._user, "role", None):
            yield str(role)
        for several in getattr(self._user, "roles", None) or ():
            yield str(getattr(several, "name", several))

    def may(self, permission: Permission) -> bool:
        try:
            _CHECKS[permission](self._request, self._user)
        except HTTPException:
            return False
        return True


class AirflowHost:
    """Airflow's services for the web application."""

    errors: Mapping[type[Exception], Problem] = {
        SATConnectionError: Problem(422, "connection_unusable"),
        AirflowNotFoundException: Problem(422, "connection_not_found"),
        OperationalError: _AWAY,
        InterfaceError: _AWAY,
    }
    accounts: AccountDirectory = AirflowAccounts()

    def __init__(self) -> None:
        self._settings = read_settings()

    def settings(self) -> DeploymentSettings:
        return self._settings

    async def user_of(self, request: Request) -> User:
        return AirflowUser(await get_user(request, None, await bearer_scheme(request)), request)

    def base_url(self) -> str:
        return str(conf.get("api", "base_url", fallback=""))

    def rights(self) -> Mapping[Right, Holders]:
        return rights_from_environment()

    def store(self) -> PostgresEventStore:
        """The database of connection ``sat_db``, read on each use: a new password needs no restart."""
        return _store_at(ways_of(BaseHook.get_connection(DEFAULT_CONNECTION)).dsn)

    def submissions(self) -> NamedSpool:
        return spool.submissions_spool()

    def results(self) -> NamedSpool:
        return spool.results_spool()


@lru_cache(maxsize=4)
def _store_at(dsn: str) -> PostgresEventStore:
    return PostgresEventStore(Database(dsn, "sat-plugin"))
