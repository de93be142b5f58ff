"""Since when the keys of accounts are in use: nothing else records when a connection got another key."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sat_hook.clients.settings import AccountSettings
from sat_hook.store.database import Database
from sat_hook.store.statements import queries


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
