"""Errors of the clients' own; what SAT answers is in :mod:`sat_hook.protocol.errors`."""

from __future__ import annotations


class SendWindowClosed(Exception):
    """The send window passed before the request was written."""


class InvalidSettingsError(ValueError):
    """A setting that cannot work.

    :param setting: its name.
    :param found: its value, never a secret.
    :param expected: what it should be.
    """

    def __init__(self, setting: str, found: str, expected: str) -> None:
        super().__init__(f"{setting}: found {found}, expected {expected}")
        self.setting = setting
        self.found = found
        self.expected = expected
