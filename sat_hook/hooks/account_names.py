"""The two names of an account: its Airflow connection and its name in the log. Users may use either."""

from __future__ import annotations

import os

from airflow.models.connection import Connection
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.utils.session import create_session
from sqlalchemy import select

from sat_hook.hooks.sat import SATHook
from sat_hook.store.database import Database

MAXIMUM_CONNECTIONS_NAMED = 5
_PREFIX = "AIRFLOW_CONN_"


class AirflowAccounts:
    """The accounts of Airflow's connections of type ``sat``."""

    def account_of(self, named: str) -> str:
        """An account's name in the log, by that name or by its connection.

        :raises AirflowNotFoundException: nothing has this name; the text says which names exist.
        :raises SATConnectionError: the connection cannot work.
        """
        try:
            return SATHook(named).settings().account
        except AirflowNotFoundException:
            known = self.by_connection()
        if named in known.values():
            return named
        some = ", ".join(map(_both_names, sorted(known.items())[:MAXIMUM_CONNECTIONS_NAMED]))
        raise AirflowNotFoundException(
            f"account: found {named!r}; expected an Airflow connection of type sat, or the account's name in "
            f"the log ({f'there is {some}' if some else 'there is none yet'})"
        )

    def connection_of(self, named: str) -> str:
        """The connection of an account, by either name. A name that is neither is returned as it is.

        :raises AirflowNotFoundException: several connections belong to the named account.
        """
        known = self.by_connection()
        if named in known:
            return named
        of_account = sorted(one for one, account in known.items() if account == named)
        if len(of_account) > 1:
            raise AirflowNotFoundException(
                f"account: found {named!r}, the account of the connections "
                f"{', '.join(map(repr, of_account))}; expected one of these"
            )
        return of_account[0] if of_account else named

    def by_connection(self) -> dict[str, str]:
        """Accounts by connection, for the connections that Airflow can list: its database and environment."""
        with create_session() as session:
            ids = set(session.scalars(select(Connection.conn_id).where(Connection.conn_type == "sat")))
        ids |= {name.removeprefix(_PREFIX).lower() for name in os.environ if name.startswith(_PREFIX)}
        connections = {one: BaseHook.get_connection(one) for one in ids}
        return {
            one: str(connection.extra_dejson.get("account") or one)
            for one, connection in connections.items()
            if connection.conn_type == "sat"
        }

    def connect(self, connection: str, database: Database | None = None) -> SATHook:
        """The connection's hook."""
        return SATHook(connection, database)


def _both_names(pair: tuple[str, str]) -> str:
    connection, account = pair
    return f"{connection!r}" if account == connection else f"{connection!r} (account {account!r})"
