"""Finds accounts by the names people use: their Airflow connection, or their name in the log."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sat_hook.cli.context import airflow_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import CommandSettings


def account_in_log(settings: CommandSettings, named: str, known: Collection[str] = ()) -> str:
    """Return an account's name in the log. If the log has no such name, ask Airflow.

    :param known: the accounts in the log.
    """
    if named in known or not settings.get("SAT_AIRFLOW_URL"):
        return named
    try:
        with airflow_of(settings) as api:
            return api.accounts().get(named, named)
    except CommandError:
        # The log can be read without Airflow. If the name is not in the log, the caller refuses it.
        return named


def account_among(settings: CommandSettings, named: str | None, known: Sequence[str]) -> str:
    """Return the account in the log that a person named, or the only one in ``known``.

    :raises CommandError: the named account is not in ``known``, or no account is named and there is not
        exactly one.
    """
    if named is None and len(known) == 1:
        return known[0]
    account = None if named is None else account_in_log(settings, named, known)
    if account is None or account not in known:
        expected = (
            f"one of {', '.join(known)}, or its Airflow connection"
            if known
            else "an account in the log; there is none yet"
        )
        raise CommandError.at("--account", repr(account), expected)
    return account
