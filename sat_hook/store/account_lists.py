"""Reads what lists of accounts show: standings, deposits, products, alerts, callbacks, and the age of keys.

Every statement reads a bounded number of rows by an index. Nothing else records when a connection got another
key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.account import AccountStanding
from sat_hook.domain.prices import ListedProduct
from sat_hook.store.database import Database
from sat_hook.store.statements import queries

NEWEST_ALERTS = 10_000
NEWEST_CALLBACKS = 10_000


class UntoldAlerts(NamedTuple):
    """Alerts of one kind that reached no person."""

    account: str
    kind: str
    alerts: int
    since: datetime


class SaldoPoint(NamedTuple):
    """What a deposit held."""

    observed_at: datetime
    saldo_rupiah: int


class FoundProduct(NamedTuple):
    """A product as it was listed last; ``gone_at`` is None while it is listed."""

    account: str
    product: ListedProduct
    changed_at: datetime
    gone_at: datetime | None


class AccountLists:
    """Reads with any role that may read. Every method may raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lists = queries("account_lists")

    def accounts(self) -> list[str]:
        """Every account that had a batch or another event."""
        with self._database.transaction() as connection:
            return [account for (account,) in self._lists.accounts(connection)]

    def untold_alerts(self) -> list[UntoldAlerts]:
        """Of the newest alerts, those that reached no person."""
        with self._database.transaction() as connection:
            rows = list(self._lists.untold_alerts(connection, looked=NEWEST_ALERTS))
        return [UntoldAlerts(*row) for row in rows]

    def standings(self) -> list[AccountStanding]:
        with self._database.transaction() as connection:
            return [AccountStanding.model_validate(row[0]) for row in self._lists.standings(connection)]

    def daily_observations(self, account: str, since: datetime, days: int) -> list[SaldoPoint]:
        """What the deposit held at the end of each day, on the days on which it was observed."""
        with self._database.transaction() as connection:
            rows = list(self._lists.daily_observations(connection, account=account, since=since, days=days))
        return [SaldoPoint(*row) for row in rows]

    def products(
        self, accounts: Sequence[str], text: str | None, after: tuple[str, str] | None, limit: int
    ) -> list[FoundProduct]:
        """A page of products by account and code, as they were listed last.

        :param text: a part of the code, the name or the operator's name.
        """
        after_account, after_code = after or (None, None)
        with self._database.transaction() as connection:
            rows = list(
                self._lists.products(
                    connection,
                    accounts=list(accounts),
                    text=text,
                    after_account=after_account,
                    after_code=after_code,
                    limit=limit,
                )
            )
        return [FoundProduct(row[0], ListedProduct(*row[1:8]), row[8], row[9]) for row in rows]

    def last_callback(self, account: str) -> tuple[datetime, str] | None:
        """When the last callback came, and the fingerprint of its key; None if it is not among the newest."""
        with self._database.transaction() as connection:
            rows = list(self._lists.last_callback(connection, account=account, looked=NEWEST_CALLBACKS))
        return tuple(rows[0]) if rows else None

    def callbacks(self, account: str) -> tuple[int, int, datetime | None]:
        """How many callbacks came within a day, how many wait for a status check, and since when."""
        with self._database.transaction() as connection:
            [row] = self._lists.callbacks(connection, account=account, looked=NEWEST_CALLBACKS)
        return tuple(row)

    def last_answer(self, account: str) -> datetime | None:
        """When SAT last gave this account an answer that is kept."""
        with self._database.transaction() as connection:
            found = self._lists.last_answer(connection, account=account)
        assert found is None or isinstance(found, datetime)
        return found


class SeenKey(NamedTuple):
    """A key of an account.

    :param use: ``signs_requests`` or ``verifies_statuses``.
    :param fingerprint: the first 16 hexadecimal digits of SHA-256 over the public key.
    :param is_older: it was among the first keys seen of its account, so it may be in use for longer.
    """

    use: str
    fingerprint: str
    first_seen_at: datetime
    is_older: bool


class AccountKeys:
    """Records and reads keys. Every method may raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys = queries("account_keys")

    def record(self, settings: AccountSettings) -> list[SeenKey]:
        """Record which keys an account's connection has, and return them, ours first. A key that was seen
        earlier stays as it is.
        """
        account, signer, verifier = settings.account, settings.signer, settings.verifier
        has = [("signs_requests", [] if signer is None else [signer.fingerprint])]
        has.append(("verifies_statuses", [] if verifier is None else list(verifier.fingerprints)))
        with self._database.transaction() as connection:
            for use, fingerprints in has:
                self._keys.record(connection, account=account, use=use, fingerprints=fingerprints)
            seen = [SeenKey(*row) for row in self._keys.keys_of(connection, account=account)]
        return [key for use, keys in has for key in seen if key.use == use and key.fingerprint in keys]
