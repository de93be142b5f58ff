"""Accounts as people name them: by their Airflow connection, or by their name in the log."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from sat_hook.cli.context import airflow_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import CommandSettings

if TYPE_CHECKING:
    from sat_hook.cli.airflow_api import AirflowApi


def account_in_log(settings: CommandSettings, named: str, known: Collection[str] = ()) -> str:
    """The name in the log of an account; Airflow is asked when nothing in the log is called so.

    :param known: the accounts that the log has.
    """
    if named in known or not settings.get("SAT_AIRFLOW_URL"):
        return named
    try:
        with airflow_of(settings) as api:
            return api.accounts().get(named, named)
    except CommandError:
        # The log can be read without Airflow; a name that is none of its own is then refused by the caller.
        return named


def account_among(settings: CommandSettings, named: str | None, known: Sequence[str]) -> str:
    """The account in the log that a person named, or the only one of ``known``.

    :raises CommandError: it is none of ``known``, or none is named and there is not exactly one.
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


def account_or_only(api: AirflowApi, named: str | None) -> str:
    """The account that a person named, or the only one that there is.

    :raises CommandError: none is named, and there is not exactly one.
    """
    known = sorted(set(api.accounts().values())) if named is None else [named]
    if len(known) != 1:
        expected = f"one of the accounts {', '.join(known)}" if known else "an account; Airflow has none"
        raise CommandError.at("--account", "nothing", expected)
    return known[0]


def connection_named(api: AirflowApi, named: str) -> str:
    """The Airflow connection of an account; what is neither kind of name is left for Airflow to refuse.

    :raises CommandError: several connections are of the account that is named.
    """
    known = api.accounts()
    found = sorted(connection for connection, account in known.items() if account == named)
    if named in known or not found:
        return named
    if len(found) > 1:
        raise CommandError.at("--account", repr(named), f"one of its connections: {', '.join(found)}")
    return found[0]
