"""The environment of the application as ports: its event store, its spools and its accounts.

Airflow's API server is one installation (:mod:`sat_hook.plugin.airflow_host`). A test, or another kind of
server, is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pydantic import SecretStr

from sat_hook.application.errors import AccountUnclearError
from sat_hook.application.settings import DeploymentSettings
from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.guards import AccountRules
from sat_hook.protocol.calls import Call, Reply, T
from sat_hook.protocol.messages import Product
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import NamedSpool


class Channel(NamedTuple):
    """A way to reach users, which the deployment has set up.

    :param address_pattern: what a user's address looks like there; empty where the channel needs none.
    """

    name: str
    address_pattern: str = ""


class SATConnection(Protocol):
    """An account's connection to SAT, with blocking calls. It is read when it is first needed."""

    def settings(self) -> AccountSettings:
        """The connection as settings."""

    def rules(self) -> AccountRules:
        """The connection's rules for sending from its account."""

    def asked_rules(self) -> AccountRules:
        """The connection's rules, and whether it trusts callbacks."""

    def ask(self, call: Call[T]) -> Reply[T]:
        """Make any call and return its result with the raw response; raises SATError."""

    def list_product(self, codes: Sequence[str] | None = None) -> list[Product]:
        """The catalogue, or the products with these codes; raises SATError."""

    def ask_status(self, request_id: str) -> StatusOutcome:
        """What SAT's answer proves about an order. Does not raise for network errors."""

    def test_connection(self) -> tuple[bool, str]:
        """Whether SAT can be used with it, and what SAT answered, in words without secrets."""

    def close(self) -> None:
        """Close everything that was opened."""


class AccountDirectory(Protocol):
    """The accounts and their connections. An account has two names: its connection's and its own in the log.

    The errors for a name that does not exist, and for a connection that cannot work, are the installation's.
    """

    def account_of(self, named: str) -> str:
        """An account's name in the log, by that name or by its connection."""

    def connection_of(self, named: str) -> str:
        """An account's connection, by either name. A name that is neither is returned as it is."""

    def by_connection(self) -> Mapping[str, str]:
        """The accounts' names in the log, by their connections."""

    def connect(self, connection: str, database: Database | None = None) -> SATConnection:
        """Open the connection. With a database, its limits are shared by all processes."""


class Installation(Protocol):
    """The dependencies of the application's services. Each is looked up on each use: it may change."""

    @property
    def accounts(self) -> AccountDirectory:
        """The accounts that orders are sent from."""

    def settings(self) -> DeploymentSettings:
        """The limits that the deployment sets."""

    def store(self) -> PostgresEventStore:
        """The event store. It connects when it is first used, so it does not raise here."""

    def submissions(self) -> NamedSpool:
        """The spool of submitted files."""

    def channels(self) -> Sequence[Channel]:
        """The channels by which users can be told of alerts, by name."""

    def webhook_secrets(self, connection: str) -> tuple[SecretStr, ...]:
        """The signing secrets that a connection holds, the newest first.

        :raises WebhookRefusedError: it holds none. A connection that does not exist is the installation's
            error.
        """

    def results(self) -> NamedSpool:
        """The spool of result files, reports and evidence packs."""


class AccountNames(NamedTuple):
    """Both names of an account."""

    account: str
    connection: str


def account_among(accounts: AccountDirectory, named: str | None, known: Sequence[str]) -> str:
    """The account in the log that a person named by either of its names, or the only one of ``known``.

    :raises AccountUnclearError: the named one is not in ``known``, or none is named and there are several.
    """
    if named is None and len(known) == 1:
        return known[0]
    account = named if named is None or named in known else accounts.by_connection().get(named)
    if account is None or account not in known:
        expected = (
            f"one of {', '.join(known)}, or its Airflow connection"
            if known
            else "an account in the log; there is none yet"
        )
        raise AccountUnclearError(f"account: found {named!r}; expected {expected}")
    return account


def names_of(accounts: AccountDirectory, named: str) -> AccountNames:
    """Both names of an account, by either of them."""
    account = accounts.account_of(named)
    # A name that is already the log's may not be a connection's name.
    return AccountNames(account, named if named != account else accounts.connection_of(named))
