"""How many cases the fuzzers draw."""

from __future__ import annotations

from hypothesis import settings

PROFILE = "fuzz"
FUZZ_EXAMPLES = 20_000


def is_fuzzing() -> bool:
    """Whether the hypothesis profile ``fuzz`` is loaded."""
    return settings.get_current_profile_name() == PROFILE


def examples(count: int) -> int:
    """``count`` in the suite; :data:`FUZZ_EXAMPLES` under the hypothesis profile ``fuzz``."""
    return max(count, FUZZ_EXAMPLES) if is_fuzzing() else count
