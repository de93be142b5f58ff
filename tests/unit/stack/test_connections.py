"""What becomes of a connection that the stack stored and a person edited."""

from __future__ import annotations

import json
from typing import Any

from stack.connections import merged


def connection(port: int, **extra: object) -> dict[str, Any]:
    """What the stack stores for a port of the SAT server."""
    return {
        "conn_type": "sat",
        "login": "demo",
        "password": "demo",
        "extra": json.dumps({"account": "demo", "base_url": f"http://127.0.0.1:{port}/api", **extra}),
    }


def test_what_nobody_edited_follows_the_stack() -> None:
    """For example another port."""
    assert merged(connection(1), connection(1), connection(2)) == connection(2)


def test_what_a_person_edited_stays_and_the_rest_follows() -> None:
    """A limit that was added, a password that was changed; the new port comes all the same."""
    edited = {**connection(1, order_limit_rupiah="1000"), "password": "mine", "description": "my account"}
    kept = merged(connection(1), edited, connection(2))
    assert (kept["password"], kept["description"], kept["login"]) == ("mine", "my account", "demo")
    assert json.loads(kept["extra"]) == {
        "account": "demo",
        "base_url": "http://127.0.0.1:2/api",
        "order_limit_rupiah": "1000",
    }


def test_an_address_of_ones_own_stays() -> None:
    """It is no longer the stack's server that is meant."""
    edited = {
        **connection(1),
        "extra": json.dumps({"account": "demo", "base_url": "https://sat.example/api"}),
    }
    kept = merged(connection(1), edited, connection(2))
    assert json.loads(kept["extra"])["base_url"] == "https://sat.example/api"


def test_a_field_that_was_emptied_stays_empty() -> None:
    """In the extra and outside of it."""
    stored = connection(1, padding="pss")
    edited = {**connection(1), "password": None}
    kept = merged(stored, edited, connection(2, padding="pss"))
    assert kept["password"] is None
    assert "padding" not in json.loads(kept["extra"])


def test_an_extra_that_is_no_json_any_more_is_the_persons() -> None:
    """Nothing of it is guessed."""
    edited = {**connection(1), "extra": "not json"}
    assert merged(connection(1), edited, connection(2))["extra"] == "not json"


def test_without_knowing_what_was_stored_the_stack_decides() -> None:
    """A stack of an earlier release noted no more than a digest."""
    assert merged({}, connection(1, order_limit_rupiah="1000"), connection(2)) == connection(2)
