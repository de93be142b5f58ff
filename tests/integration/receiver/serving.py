"""A receiver under uvicorn on a free port, and signed callbacks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import uvicorn

from sat_hook.protocol.signing import Signer, Verifier
from sat_hook.receiver.app import Receiver
from sat_hook.receiver.live_settings import SettingsSource
from sat_hook.receiver.server import make_server
from sat_hook.receiver.settings import DEFAULT_LIMITS, Limits, ReceiverSettings
from sat_hook.telemetry.scrape import Tokens
from tests.keys import other_pair, sat_pair, signer_of
from tests.loopback import running

PRIVATE_PEM, PUBLIC_PEM = sat_pair()
OTHER_PRIVATE_PEM, OTHER_PUBLIC_PEM = other_pair()
SIGNER = signer_of(PRIVATE_PEM)
JSON_API = "application/vnd.api+json"


def order(request_id: str = "SREQUEST1", status: str = "Success", **attributes: object) -> bytes:
    """The body of a callback."""
    document = {"data": {"type": "order", "id": request_id, "attributes": {"status": status, **attributes}}}
    return json.dumps(document).encode()


@dataclass
class Served:
    """A receiver that runs."""

    base_url: str
    receiver: Receiver
    session: requests.Session
    server: uvicorn.Server

    def url(self, account: str = "demo") -> str:
        """Where the account's callbacks go."""
        return f"{self.base_url}/sat/callbacks/{account}"

    def post(
        self,
        body: bytes,
        *,
        signer: Signer | None = SIGNER,
        account: str = "demo",
        headers: dict[str, Any] | None = None,
    ) -> requests.Response:
        """Send a callback signed over ``body``; a header given as None is left out."""
        sent: dict[str, Any] = {"Content-Type": JSON_API, **(headers or {})}
        if signer is not None:
            sent.setdefault("signature", signer.sign(body))
        return self.session.post(self.url(account), data=body, headers=sent, timeout=20)


def settings_for(dsn: str, limits: Limits = DEFAULT_LIMITS, **changes: Any) -> ReceiverSettings:
    """Settings of one receiver with the accounts demo (a rotating key) and other (a key of its own)."""
    verifiers = {"demo": Verifier([PUBLIC_PEM]), "other": Verifier([OTHER_PUBLIC_PEM])}
    return ReceiverSettings(dsn=dsn, verifiers=changes.pop("verifiers", verifiers), limits=limits, **changes)


@contextmanager
def serving(
    settings: ReceiverSettings | SettingsSource, scrape_tokens: Tokens | None = None
) -> Iterator[Served]:
    """Run the stand-alone server in a thread until the end of the block."""
    source = settings if callable(settings) else lambda: settings
    server = make_server(source, host="127.0.0.1", port=0, scrape_tokens=scrape_tokens)
    with running(server) as url, requests.Session() as session:
        receiver: Receiver = server.config.app.state.receiver  # type: ignore[union-attr]
        yield Served(url, receiver, session, server)
