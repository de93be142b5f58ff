"""Errors of Airflow's connections and Variables."""

from __future__ import annotations


class NotifierConfigurationError(ValueError):
    """A Variable does not name a notifier that can be created."""


class NotifierRefusedError(RuntimeError):
    """A channel did not take a message. The text holds neither an address nor a secret."""


class SATConnectionError(ValueError):
    """A connection that cannot work.

    :param connection_id: the connection's id.
    :param field: the field's name.
    :param found: the value found, never a secret.
    :param expected: the expected value.
    """

    def __init__(self, connection_id: str, field: str, found: str, expected: str) -> None:
        super().__init__(f"connection {connection_id!r}, field {field}: found {found}, expected {expected}")
        self.connection_id = connection_id
        self.field = field
        self.found = found
        self.expected = expected
