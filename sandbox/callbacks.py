"""Pending callbacks: when each is due, repeated until answered 200 (protocol section 9).

It is unknown how often and how long SAT repeats a callback; we repeat it a few times and double the wait each
time. :mod:`sandbox.courier` sends the callbacks; this module only schedules them.
"""

from __future__ import annotations

import heapq
import itertools
import json
from dataclasses import dataclass, field

from sandbox.calls import Operation, Target
from sandbox.chance import Chance
from sandbox.drawing import Faults
from sandbox.faults import (
    CallbackDelayed,
    CallbackDropped,
    CallbackDuplicated,
    CallbackForged,
    CallbackMisdirected,
    CallbackReordered,
    OtherTypes,
)
from sandbox.keys import SatSigner
from sandbox.ledger import Ledger
from sandbox.orders import Order, misdirect
from sandbox.rewriting import rewritten
from sandbox.scenario import Callbacks
from sandbox.wire import encode

REORDER_GAP_SECONDS = 0.05


@dataclass(slots=True)
class Callback:
    """One callback to send. ``label`` is genuine, duplicate or forged; ``signature`` may be missing."""

    request_id: str
    generation: int
    label: str
    status: str
    body: bytes = field(repr=False)
    signature: str | None = field(repr=False)
    attempt: int = 0


class Outbox:
    """The pending callbacks, in order of time."""

    def __init__(self, ledger: Ledger, signer: SatSigner, chance: Chance) -> None:
        self._ledger = ledger
        self._signer = signer
        self._chance = chance
        self._due: list[tuple[float, int, Callback]] = []
        self._held: list[tuple[float, Callback]] = []
        self._numbers = itertools.count()
        self.under_way = 0

    def announce(self, order: Order, body: bytes, signature: str, faults: Faults, now: float) -> None:
        """Schedule the callbacks of an order that has just become final, according to the faults."""
        subject = f"{order.request_id}/{order.generation}/{order.status.value}"

        target = Target(
            Operation.CHECKOUT,
            subject,
            order.request_id,
            client_number=order.client_number,
            product=order.product_code,
        )
        if other := faults.draw(OtherTypes, target, now):
            body = rewritten(body, other)
            signature = self._signer.sign(body)
        if wrong := faults.draw(CallbackMisdirected, target, now):
            document = json.loads(body)
            misdirect(document["data"]["attributes"], wrong.manner)
            body = encode(document)
            signature = self._signer.sign(body)
        callback = Callback(
            order.request_id, order.generation, "genuine", order.status.value, body, signature
        )
        forged = faults.draw(CallbackForged, target, now)
        if forged:
            self._push(now, self._forge(callback, forged))
        if faults.draw(CallbackDropped, target, now):
            self._record(callback, "dropped", now)
            return
        if forged and not forged.genuine:
            self._record(callback, "withheld", now)
            return
        due = now
        if late := faults.draw(CallbackDelayed, target, now):
            until = late.seconds if late.to_seconds is None else late.to_seconds
            due += self._chance.between(late.seconds, until, "callback_delayed", subject)
        if copies := faults.draw(CallbackDuplicated, target, now):
            for number in range(1, copies.copies + 1):
                copy = Callback(
                    order.request_id, order.generation, "duplicate", callback.status, body, signature
                )
                self._push(due + number * copies.gap_seconds, copy)
        if reorder := faults.draw(CallbackReordered, target, now):
            self._held.append((now + reorder.hold_seconds, callback))
        else:
            self._push(due, callback)

    def next_due(self) -> float | None:
        """When :meth:`take_due` will return something next."""
        times = [self._due[0][0]] if self._due else []
        times += [deadline for deadline, _ in self._held]
        return min(times, default=None)

    def take_due(self, now: float) -> list[Callback]:
        """The callbacks to send now; report each answer to :meth:`answered`."""
        taken = []
        while self._due and self._due[0][0] <= now:
            taken.append(heapq.heappop(self._due)[2])
        overtaken = any(callback.attempt == 0 and callback.label != "forged" for callback in taken)
        still_held = []
        for deadline, callback in self._held:
            if overtaken or deadline <= now:
                self._push(now + REORDER_GAP_SECONDS, callback)
            else:
                still_held.append((deadline, callback))
        self._held = still_held
        self.under_way += len(taken)
        return taken

    def answered(self, callback: Callback, answer: int | str, policy: Callbacks, now: float) -> None:
        """Record a callback's answer (HTTP status, or a transport fault's name); repeat unless 200."""
        self.under_way -= 1
        callback.attempt += 1
        self._record(callback, answer, now)
        if answer != 200 and callback.label != "forged" and callback.attempt < policy.attempts:
            self._push(now + policy.backoff_seconds * 2 ** (callback.attempt - 1), callback)

    def _push(self, due: float, callback: Callback) -> None:
        heapq.heappush(self._due, (due, next(self._numbers), callback))

    def _record(self, callback: Callback, answer: int | str, now: float) -> None:
        self._ledger.write(
            "callback",
            now,
            request_id=callback.request_id,
            generation=callback.generation,
            label=callback.label,
            status=callback.status,
            attempt=callback.attempt,
            answer=answer,
        )

    def _forge(self, genuine: Callback, rule: CallbackForged) -> Callback:
        old, new = f'"{genuine.status}"'.encode(), f'"{rule.status}"'.encode()
        body = genuine.body.replace(old, new)
        if body == genuine.body:  # the forged content is the same, so make at least its bytes differ
            body += b" "
        signature: str | None = None
        if rule.manner == "stranger":
            signature = self._signer.forge(body)
        elif rule.manner == "tampered":
            signature = genuine.signature
        return Callback(genuine.request_id, genuine.generation, "forged", rule.status, body, signature)
