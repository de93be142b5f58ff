"""Refresh connections during a wait: it may last for days, and keys and secrets change meanwhile."""

from __future__ import annotations

from typing import Any

from sat_hook.clients.settings import AccountSettings
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.hooks.sat import SATHook
from sat_hook.store.database import Database

REREAD_SECONDS = 60.0
"""Maximum delay until an added key is used and a withdrawn key is no longer used."""


async def changed_connection(hook: SATHook, database: Database, log: Any) -> SATHook | None:
    """The account's current connection, if it differs from that of ``hook``.

    A connection that cannot be read or used is logged and ignored. So is a connection of another account or
    to another SAT, which does not know the awaited orders and deposit.

    :param database: the application database, for limits that all processes of the account share.
    """
    name = hook.sat_conn_id
    again = SATHook(name, database)
    before = await hook.asettings()
    try:
        after = await again.asettings()
    except Exception as error:
        # The text comes from Airflow or another library and may hold secrets.
        why = str(error) if isinstance(error, SATConnectionError) else type(error).__name__
        log.warning("Connection %s could not be read again, the last good one stays: %s", name, why)
        return None
    if _whose(after) != _whose(before):
        log.warning(
            "Connection %s is account %r at %s by now; the wait for %r at %s goes on with what it had.",
            name,
            *_whose(after),
            *_whose(before),
        )
        return None
    # Keys are compared by fingerprint; no repr contains the secret.
    if (repr(after), after.client_secret) == (repr(before), before.client_secret):
        return None
    log.info("Connection %s has changed: going on with what it says now.", name)
    return again


def _whose(settings: AccountSettings) -> tuple[str, str]:
    return settings.account, settings.base_url
