"""Describes why a request got no answer, without host, body or library messages."""

from __future__ import annotations

from sat_hook.protocol.exchange import FaultKind

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
    """One sentence, with the type of ``error`` for further search."""
    return f"{_WORDS.get(kind, kind.value.replace('_', ' '))} ({type(error).__name__})"
