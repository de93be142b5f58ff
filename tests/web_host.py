"""A host of the web application without Airflow: users by token, one account, folders."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import httpx
from fastapi import HTTPException, Request
from pydantic import SecretStr

from sat_hook.application.installation import AccountDirectory, Channel, SATConnection
from sat_hook.application.rights import Right
from sat_hook.application.runs import Run, RunState, RunTask
from sat_hook.application.settings import DeploymentSettings, read_settings
from sat_hook.clients.blocking import BlockingSATClient
from sat_hook.clients.clock import SystemClock
from sat_hook.clients.settings import AccountSettings
from sat_hook.clients.webhooks import secrets_in
from sat_hook.domain.guards import NO_RULES, AccountRules
from sat_hook.protocol.calls import Call, Reply
from sat_hook.protocol.messages import Product
from sat_hook.protocol.outcomes import StatusOutcome
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from sat_hook.store.spool import LocalSpool
from sat_hook.web.app import create_app
from sat_hook.web.host import Problem, User

T = TypeVar("T")

PARAMETERS: dict[str, dict[str, Any]] = {
    "bulk_disbursement": {
        "account": "sat_default",
        "approve_held": False,
        "batch_id": None,
        "on_bad_rows": "proceed",
        "on_short_funds": "wait",
        "order_limit_rupiah": None,
    },
    "nightly_reconciliation": {"accounts": None, "cut_off_minutes": 0, "day": None},
    "product_price_snapshot": {"accounts": None, "missing_limit_percent": 20},
}


class UntouchedError(Exception):
    """The request was let through to the database."""


class UnknownNameError(Exception):
    """Nothing has this name."""


@dataclass(frozen=True)
class FakeUser:
    """A user with every right, unless others are given."""

    name: str
    rights: frozenset[Right] = frozenset(Right)
    roles: Iterable[str] = ()


@dataclass
class LiveConnection:
    """A connection to the SAT server of its settings."""

    account: AccountSettings
    account_rules: AccountRules = NO_RULES

    def settings(self) -> AccountSettings:
        """As given."""
        return self.account

    def rules(self) -> AccountRules:
        """As given."""
        return self.account_rules

    def asked_rules(self) -> AccountRules:
        """The same; callbacks are not trusted."""
        return replace(self.account_rules, trust_callbacks=False)

    def ask(self, call: Call[T]) -> Reply[T]:
        """By SAT."""
        return self._client.ask(call)

    def list_product(self, codes: Sequence[str] | None = None) -> list[Product]:
        """SAT's list."""
        return self._client.list_products(codes)

    def ask_status(self, request_id: str) -> StatusOutcome:
        """By SAT."""
        return self._client.ask_status(request_id)

    def close(self) -> None:
        """Once for each use; the next one opens it again."""
        if "_client" in self.__dict__:
            self.__dict__.pop("_client").close()

    @cached_property
    def _client(self) -> BlockingSATClient:
        return BlockingSATClient(self.account, SystemClock())


@dataclass
class FakeAccounts:
    """Accounts by their connections; a connection can be opened where one is given."""

    known: dict[str, str] = field(default_factory=lambda: {"sat_default": "demo"})
    connections: dict[str, SATConnection] = field(default_factory=dict)

    def account_of(self, named: str) -> str:
        """By either name."""
        if named in self.known.values():
            return named
        if named not in self.known:
            raise UnknownNameError(f"account: found {named!r}")
        return self.known[named]

    def connection_of(self, named: str) -> str:
        """By either name."""
        return next((one for one, account in self.known.items() if named in (one, account)), named)

    def by_connection(self) -> Mapping[str, str]:
        """All of them."""
        return self.known

    def connect(self, connection: str, database: Database | None = None) -> SATConnection:
        """The connection that was given."""
        if connection not in self.connections:
            raise UnknownNameError(f"connection: found {connection!r}")
        return self.connections[connection]


@dataclass
class FakeRuns:
    """Runs that are noted down and never start."""

    started: dict[str, Run] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    answered: list[tuple[str, str, str]] = field(default_factory=list)
    tasks_of: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def start(
        self,
        dag_id: str,
        run_id: str,
        conf: Mapping[str, Any],
        *,
        note: str = "",
        at: datetime | None = None,
    ) -> bool:
        """Once for each id."""
        if run_id in self.started:
            return False
        self.notes[run_id] = note
        after = at or datetime.now(UTC)
        url = f"/dags/{dag_id}/runs/{run_id}"
        self.started[run_id] = Run(dag_id, run_id, RunState.QUEUED, after, conf, url)
        return True

    def find(self, dag_id: str, run_id: str) -> Run | None:
        """As started."""
        del dag_id
        return self.started.get(run_id)

    def tasks(self, dag_id: str, run_id: str, *states: str) -> list[RunTask]:
        """As given."""
        del dag_id
        tasks = self.tasks_of.get(run_id, {}).items()
        return [RunTask(name, state) for name, state in tasks if not states or state in states]

    def parameters(self, dag_id: str) -> dict[str, Any]:
        """Some of each DAG's, with their defaults."""
        return dict(PARAMETERS.get(dag_id, {}))

    def is_paused(self, dag_id: str) -> bool:
        """No DAG is."""
        del dag_id
        return False

    def under_way(self, dag_id: str) -> list[Run]:
        """Those that have not ended."""
        return [run for run in self.started.values() if run.dag_id == dag_id and not run.state.is_final]

    def cancel(self, dag_id: str, run_id: str) -> None:
        """It has failed then, as in Airflow."""
        self.started[run_id] = self.started[run_id]._replace(dag_id=dag_id, state=RunState.FAILED)

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Noted down."""
        del dag_id
        self.answered.append((run_id, task_id, option))


class FakeHost:
    """Users by bearer token or cookie; a store and folders where they are given."""

    errors: Mapping[type[Exception], Problem] = {UnknownNameError: Problem(422, "connection_not_found")}

    def __init__(
        self,
        *users: FakeUser,
        store: PostgresEventStore | None = None,
        folder: Path | None = None,
        base_url: str = "",
    ) -> None:
        self.users = {user.name: user for user in users}
        self.accounts: AccountDirectory = FakeAccounts()
        self.address = base_url
        self.airflow = FakeRuns()
        self.webhook_password = f"whsec_{base64.b64encode(bytes(range(24))).decode()}"
        self._store = store
        self._folder = folder

    def settings(self) -> DeploymentSettings:
        """Those of a deployment that sets nothing."""
        return read_settings()

    async def user_of(self, request: Request) -> FakeUser:
        """Named by the token or the cookie; nothing of the body is read."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        name = token or request.cookies.get("_token", "")
        if name not in self.users:
            raise HTTPException(401, "Not authenticated")
        return self.users[name]

    def session_of(self, request: Request) -> str:
        """None that would be recorded."""
        del request
        return ""

    def runs(self, request: Request) -> FakeRuns:
        """The same for every user."""
        del request
        return self.airflow

    def base_url(self) -> str:
        """As given."""
        return self.address

    def rights_of(self, user: User) -> frozenset[Right]:
        """As given with the user."""
        return self.users[user.name].rights

    def holders_of(self, right: str) -> str:
        """Those users, by name."""
        return ", ".join(user.name for user in self.users.values() if right in user.rights)

    def store(self) -> PostgresEventStore:
        """As given."""
        if self._store is None:
            raise UntouchedError
        return self._store

    def submissions(self) -> LocalSpool:
        """A folder."""
        assert self._folder is not None
        return LocalSpool(self._folder / "spool")

    def channels(self) -> tuple[Channel, ...]:
        """Mail, and a room for all."""
        return (Channel("mail", r"[^@\s]+@example\.com"), Channel("slack"))

    def webhook_secrets(self, connection: str) -> tuple[SecretStr, ...]:
        """Those of one connection."""
        if connection != "erp_webhook":
            raise UnknownNameError(f"connection: found {connection!r}")
        return secrets_in(self.webhook_password, f"connection {connection}")

    def results(self) -> LocalSpool:
        """Another folder."""
        assert self._folder is not None
        return LocalSpool(self._folder)


def client_of(host: FakeHost, below: str = "/v1", **headers: str) -> httpx.AsyncClient:
    """A client of the host's application, for paths below this one."""
    transport = httpx.ASGITransport(create_app(host))
    return httpx.AsyncClient(transport=transport, base_url=f"http://test{below}", headers=headers)
