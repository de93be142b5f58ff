"""A partner that talks to the judge directly, under a clock that only the test moves."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sandbox.callbacks import Callback
from sandbox.clock import ManualClock
from sandbox.journal import FileJournal
from sandbox.judge import Judge
from sandbox.keys import KeyPairs
from sandbox.scenario import scenario_of
from sandbox.view import ledger_view
from sandbox.wire import Outcome, Request
from sandbox.world import World
from sat_hook.protocol.signing import Signer, Verifier


class Partner:
    """A well-behaved client without a network; every request is signed and carries a good token."""

    def __init__(self, keys: KeyPairs, scenario: Mapping[str, Any] | None = None, **options: Any) -> None:
        self.clock = options.pop("clock", None) or ManualClock()
        journal: Path | None = options.pop("journal", None)
        self.world = World(
            keys,
            self.clock,
            scenario=scenario_of(scenario or {}),
            journal=FileJournal(journal) if journal else None,
            **options,
        )
        self.judge = Judge(self.world)
        self.signer = _signer(keys)
        self.verifier = Verifier([keys.sat_public_pem])
        self.bearer = "Bearer " + self.token()["access_token"]

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """One request as given, with the token unless the headers say otherwise."""
        return self.judge.answer(
            Request(method, path, query, {"authorization": self.bearer, **(headers or {})}, body)
        )

    def token(self) -> dict[str, Any]:
        """A new token's document."""
        basic = "Basic " + base64.b64encode(b"demo:demo").decode()
        request = Request(
            "POST", "/token", headers={"authorization": basic}, body=b"grant_type=client_credentials"
        )
        return document(self.judge.answer(request))

    def order(
        self, request_id: str, product: str = "50k-simpati", number: str = "081299", **attributes: Any
    ) -> Outcome:
        """A signed checkout."""
        attributes = {"product_code": product, "client_number": number, **attributes}
        body = json.dumps({"data": {"type": "order", "id": request_id, "attributes": attributes}}).encode()
        return self.post_order(body)

    def post_order(self, body: bytes, signature: str | None = None) -> Outcome:
        """A checkout of exactly these bytes."""
        headers = {"signature": self.signer.sign(body) if signature is None else signature}
        return self.send("POST", "/api/v2/order", body, headers=headers)

    def inquire(self, product: str, number: str, **attributes: Any) -> Outcome:
        """An inquiry."""
        attributes = {"product_code": product, "client_number": number, **attributes}
        body = json.dumps({"data": {"type": "inquiry", "attributes": attributes}}).encode()
        return self.send("POST", "/api/v2/inquiry", body)

    def ask(self, request_id: str) -> Outcome:
        """A status as it comes."""
        return self.send("GET", f"/api/v2/order/{request_id}")

    def status(self, request_id: str) -> dict[str, Any]:
        """The attributes of a status whose signature fits."""
        outcome = self.ask(request_id)
        assert outcome.reply is not None
        self.verifier.verify(outcome.reply.body, outcome.reply.headers.get("signature"))
        attributes: dict[str, Any] = document(outcome)["data"]["attributes"]
        return attributes

    def saldo(self) -> int:
        """What the account endpoint says, in rupiah."""
        saldo: int = document(self.send("GET", "/api/v2/account"))["data"]["attributes"]["saldo"]
        return saldo

    def wait(self, seconds: float) -> None:
        """Let time pass, and with it what is due."""
        self.clock.advance(seconds)
        self.world.advance()

    def deliver(self, answer: int | str = 200) -> list[Callback]:
        """Take the callbacks that are due and answer each."""
        self.world.advance()
        callbacks = self.world.outbox.take_due(self.world.now())
        for callback in callbacks:
            self.world.outbox.answered(callback, answer, self.world.scenario.callbacks, self.world.now())
        return callbacks

    def ledger(self) -> dict[str, Any]:
        """The judge's view; conservation is checked each time."""
        view = ledger_view(self.world)
        assert view["deposit"]["conserved"], view["deposit"]["problem"]
        return view

    def entry(self, request_id: str) -> dict[str, Any]:
        """The judge's view of one request id."""
        entry: dict[str, Any] = self.ledger()["requests"][request_id]
        return entry


@lru_cache
def _signer(keys: KeyPairs) -> Signer:
    return Signer(keys.client_private_pem)


def document(outcome: Outcome) -> Any:
    """The JSON of a reply."""
    assert outcome.reply is not None
    return json.loads(outcome.reply.body)


def refusal(outcome: Outcome) -> tuple[int, str]:
    """HTTP status and SAT code of a refusal in SAT's own shape."""
    assert outcome.reply is not None
    (error,) = document(outcome)["errors"]
    assert error["status"] == str(outcome.reply.status)
    return outcome.reply.status, error["code"]
