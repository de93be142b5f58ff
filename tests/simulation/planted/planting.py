"""A bug planted on purpose, and the tools to plant it.

Every bug is put into the product's own code for the time of a ``with`` block. If two checks guard the same
law, the bug removes both: the watch must watch the law, not the check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from sandbox.scenario import Scenario, scenario_of
from sat_hook.clients import asynchronous
from sat_hook.domain import order_decisions as decisions
from sat_hook.protocol.exchange import TransportFault, WireResponse
from sat_hook.protocol.outcomes import CheckoutOutcome, CheckoutVerdict

Plant = Callable[[ExitStack], None]


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """A bug, and the beginning of the watch's message when it finds it."""

    name: str
    planted: str
    found_as: str
    plant: Plant

    @contextmanager
    def planted_in(self) -> Iterator[None]:
        """Run the block with this bug in the product."""
        with ExitStack() as stack:
            self.plant(stack)
            yield


BUGS: list[PlantedBug] = []


def bug(name: str, planted: str, found_as: str) -> Callable[[Plant], Plant]:
    """Register a function that plants a bug."""

    def register(plant: Plant) -> Plant:
        BUGS.append(PlantedBug(name, planted, found_as, plant))
        return plant

    return register


def bug_of(name: str, planted: str, found_as: str, *replaced: tuple[object, str, Any]) -> None:
    """Register a bug that consists of other members in classes and modules: owner, name, replacement."""

    @bug(name, planted, found_as)
    def plant(stack: ExitStack) -> None:
        for owner, member, replacement in replaced:
            stack.enter_context(patch.object(owner, member, replacement))


def world_with(stack: ExitStack, fault: dict[str, Any]) -> None:
    """Add this fault of SAT to every seed: few draw what the bug needs to show."""

    def more(content: dict[str, Any]) -> Scenario:
        return scenario_of({**content, "faults": [*content["faults"], fault]})

    stack.enter_context(patch("tests.simulation.weather.scenario_of", more))


def decide_by(stack: ExitStack, command: type, decide: Callable[[Any, Any], Any]) -> None:
    stack.enter_context(patch.dict(decisions._DECISIONS, {command: decide}))


def classify_checkout_by(stack: ExitStack, wrong: Callable[[Any, str], CheckoutOutcome | None]) -> None:
    real = asynchronous.classify_checkout

    def classify(reply: WireResponse | TransportFault, request_id: str) -> CheckoutOutcome:
        return wrong(reply, request_id) or real(reply, request_id)

    stack.enter_context(patch.object(asynchronous, "classify_checkout", classify))


def status_of(reply: WireResponse | TransportFault) -> int:
    return reply.status if isinstance(reply, WireResponse) else 0


def rejected(code: str) -> CheckoutOutcome:
    return CheckoutOutcome(CheckoutVerdict.REJECTED, "rejected", code=code)
