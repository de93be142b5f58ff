"""How many cases the fuzzers draw, and which of the listed ones a test takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

PROFILE = "fuzz"
FUZZ_EXAMPLES = 20_000
T = TypeVar("T")


def is_fuzzing() -> bool:
    """Whether the hypothesis profile ``fuzz`` is loaded."""
    return settings.get_current_profile_name() == PROFILE


def examples(count: int) -> int:
    """``count`` in the suite; :data:`FUZZ_EXAMPLES` under the hypothesis profile ``fuzz``."""
    return max(count, FUZZ_EXAMPLES) if is_fuzzing() else count


def some(cases: Sequence[T], count: int, turn: int) -> Sequence[T]:
    """``count`` of the cases, at the next turn those after them; under the profile ``fuzz`` all of them."""
    return cases if is_fuzzing() else [cases[(turn * count + n) % len(cases)] for n in range(count)]
