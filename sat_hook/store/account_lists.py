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
from sat_hook.store.statements import Statements

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


class AccountLists(Statements, room="account_lists"):
    """Reads with any role that may read."""

    def accounts(self) -> list[str]:
        """Every account that had a batch or another event."""
        return [account for (account,) in self._run(self._sql.accounts)]

    def untold_alerts(self) -> list[UntoldAlerts]:
        """Of the newest alerts, those that reached no person."""
        return [UntoldAlerts(*row) for row in self._run(self._sql.untold_alerts, looked=NEWEST_ALERTS)]

    def standings(self) -> list[AccountStanding]:
        return [AccountStanding.model_validate(row[0]) for row in self._run(self._sql.standings)]

    def daily_observations(self, account: str, since: datetime, days: int) -> list[SaldoPoint]:
        """What the deposit held at the end of each day, on the days on which it was observed."""
        rows = self._run(self._sql.daily_observations, account=account, since=since, days=days)
        return [SaldoPoint(*row) for row in rows]

    def products(
        self, accounts: Sequence[str], text: str | None, after: tuple[str, str] | None, limit: int
    ) -> list[FoundProduct]:
        """A page of products by account and code, as they were listed last.

        :param text: a part of the code, the name or the operator's name.
        """
        after_account, after_code = after or (None, None)
        rows = self._run(
            self._sql.products,
            accounts=list(accounts),
            text=text,
            after_account=after_account,
            after_code=after_code,
            limit=limit,
        )
        return [FoundProduct(row[0], ListedProduct(*row[1:8]), row[8], row[9]) for row in rows]

    def last_callback(self, account: str) -> tuple[datetime, str] | None:
        """When the last callback came, and the fingerprint of its key; None if it is not among the newest."""
        rows = self._run(self._sql.last_callback, account=account, looked=NEWEST_CALLBACKS)
        return tuple(rows[0]) if rows else None

    def callbacks(self, account: str) -> tuple[int, int, datetime | None]:
        """How many callbacks came within a day, how many wait for a status check, and since when."""
        [row] = self._run(self._sql.callbacks, account=account, looked=NEWEST_CALLBACKS)
        return tuple(row)

    def refused_callbacks(self, account: str) -> list[RefusedCallbacks]:
        """How many callbacks were refused within a day, by reason; of the empty name: to unknown accounts."""
        rows = self._run(self._sql.refused_callbacks, account=account)
        return [RefusedCallbacks(*row) for row in rows]

    def last_answer(self, account: str) -> datetime | None:
        """When SAT last gave this account an answer that is kept."""
        found = self._run(self._sql.last_answer, account=account)
        assert found is None or isinstance(found, datetime)
        return found


class RefusedCallbacks(NamedTuple):
    """Callbacks of an account that were refused for one reason."""

    reason: str
    refused: int
    last_at: datetime


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


class AccountKeys(Statements, room="account_keys"):
    """Records and reads keys."""

    def record(self, settings: AccountSettings) -> list[SeenKey]:
        """Record which keys an account's connection has, and return them, ours first. A key that was seen
        earlier stays as it is.
        """
        account, signer, verifier = settings.account, settings.signer, settings.verifier
        has = [("signs_requests", [] if signer is None else [signer.fingerprint])]
        has.append(("verifies_statuses", [] if verifier is None else list(verifier.fingerprints)))
        with self._database.transaction() as connection:
            for use, fingerprints in has:
                self._sql.record(connection, account=account, use=use, fingerprints=fingerprints)
            seen = [SeenKey(*row) for row in self._sql.keys_of(connection, account=account)]
        return [key for use, keys in has for key in seen if key.use == use and key.fingerprint in keys]
