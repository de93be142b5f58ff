"""How connections to the application database are made."""

from __future__ import annotations

import pytest
from psycopg2.extensions import parse_dsn

from sat_hook.store.database import Database


@pytest.mark.parametrize(
    "dsn", ["postgresql://u@127.0.0.1:1/none", "host=127.0.0.1 port=1 dbname=none user=u"]
)
def test_a_server_that_falls_silent_is_given_up(dsn: str) -> None:
    """Its machine is gone without a word: a thread of the triggerer would hang for a quarter of an hour."""
    parts = parse_dsn(Database(dsn)._dsn)
    assert parts["tcp_user_timeout"] == "20000"
    assert int(parts["keepalives_idle"]) + int(parts["keepalives_interval"]) <= 60


def test_what_the_dsn_says_itself_counts() -> None:
    """An operator who knows the network may override it."""
    parts = parse_dsn(Database("host=db dbname=sat tcp_user_timeout=5000 keepalives_idle=7")._dsn)
    assert (parts["tcp_user_timeout"], parts["keepalives_idle"]) == ("5000", "7")
