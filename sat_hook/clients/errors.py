"""Errors of the clients' own; what SAT answers is in :mod:`sat_hook.protocol.errors`."""

from __future__ import annotations

from sat_hook.protocol.exchange import FaultKind


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


_WORDS = {
    FaultKind.DNS: "the host's name is not known",
    FaultKind.CONNECTION_REFUSED: "nothing listens at that address",
    FaultKind.CONNECT_TIMEOUT: "no connection came about in time",
    FaultKind.CONNECT_FAILED: "no connection came about",
    FaultKind.TLS: "no trusted TLS connection came about",
    FaultKind.PROXY: "the proxy does not let it through",
    FaultKind.TIMEOUT: "no complete answer came in time",
    FaultKind.CONNECTION_RESET: "the connection broke before the answer was complete",
    FaultKind.MALFORMED_RESPONSE: "the answer is no HTTP that can be read",
}


def transport_error_text(kind: FaultKind, error: BaseException) -> str:
    """Why a request got no answer, with the type of ``error``; without host, body or library messages."""
    return f"{_WORDS.get(kind, kind.value.replace('_', ' '))} ({type(error).__name__})"
