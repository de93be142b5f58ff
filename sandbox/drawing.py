"""Draws the faults: by seed, rule, subject and occasion, never by order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TypeVar

from sandbox.calls import Target
from sandbox.chance import Chance
from sandbox.faults import Delay, Rule
from sandbox.scenario import Scenario

R = TypeVar("R", bound=Rule)


class Faults:
    """The rules of one scenario, and how often each was drawn and fired."""

    def __init__(
        self, scenario: Scenario, chance: Chance, started_at: float, on_fired: Callable[[str, str], None]
    ) -> None:
        self._chance = chance
        self._started_at = started_at
        self._on_fired = on_fired
        self._rules: dict[type[Rule], list[tuple[str, Rule]]] = {}
        self.labels: list[str] = []
        for number, rule in enumerate(scenario.faults, start=1):
            label = rule.name or f"{number}:{rule.fault}"
            self.labels.append(label)
            self._rules.setdefault(type(rule), []).append((label, rule))
        self._draws: Counter[tuple[str, str]] = Counter()
        self._occasions: Counter[str] = Counter()
        self._fired_on: Counter[tuple[str, str]] = Counter()
        self.fired: Counter[str] = Counter()

    def remember(self, label: str, subject: str) -> None:
        """Count a firing from before a restart."""
        self._fired_on[label, subject] += 1
        self._draws[label, subject] += 1
        self.fired[label] += 1

    def draw(
        self, kind: type[R], target: Target, now: float, fits: Callable[[R], bool] | None = None
    ) -> R | None:
        """The first rule of this kind that fires on this occasion. ``fits`` may refuse a rule undrawn."""
        for label, rule in self._rules.get(kind, ()):
            assert isinstance(rule, kind)
            if target.operation not in rule.aims_at or (fits is not None and not fits(rule)):
                continue
            if not (
                _matches(rule.request_ids, target.request_id)
                and _matches(rule.client_numbers, target.client_number)
                and _matches(rule.products, target.product)
            ):
                continue
            if self._fires(label, rule, target.subject, now - self._started_at):
                self.fired[label] += 1
                self._fired_on[label, target.subject] += 1
                self._on_fired(label, target.subject)
                return rule
        return None

    def delay_seconds(self, side: str, target: Target, now: float) -> float:
        """How long the request (or its reply) is delayed; 0 if no delay fires."""
        rule = self.draw(Delay, target, now, lambda rule: rule.side == side)
        if rule is None:
            return 0.0
        occasion = sum(self._draws[label, target.subject] for label, _ in self._rules[Delay])
        generator = self._chance.generator("delay", side, target.operation, target.subject, occasion)
        seconds = rule.seconds
        if rule.distribution == "uniform":
            seconds = generator.uniform(rule.seconds, rule.to_seconds)
        elif rule.distribution == "exponential":
            seconds = generator.expovariate(1 / rule.seconds) if rule.seconds else 0.0
        elif rule.distribution == "lognormal":
            seconds = rule.seconds * generator.lognormvariate(0, rule.sigma)
        return min(seconds, rule.cap_seconds)

    def _fires(self, label: str, rule: Rule, subject: str, age_seconds: float) -> bool:
        if age_seconds < rule.from_seconds:
            return False
        if rule.until_seconds is not None and age_seconds >= rule.until_seconds:
            return False
        self._occasions[label] += 1
        if self._occasions[label] <= rule.skip:
            return False
        if rule.limit is not None and self.fired[label] >= rule.limit:
            return False
        if rule.times is not None and self._fired_on[label, subject] >= rule.times:
            return False
        self._draws[label, subject] += 1
        if rule.rate >= 1.0:
            return True
        return self._chance.fraction("rule", label, subject, self._draws[label, subject]) < rule.rate


def _matches(patterns: tuple[str, ...], value: str) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns)
