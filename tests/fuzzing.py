"""How many cases the fuzzers draw."""

from __future__ import annotations

from hypothesis import settings

PROFILE = "fuzz"
FUZZ_EXAMPLES = 20_000


def examples(count: int) -> int:
    """``count`` in the suite; :data:`FUZZ_EXAMPLES` under the hypothesis profile ``fuzz``."""
    return max(count, FUZZ_EXAMPLES) if settings.get_current_profile_name() == PROFILE else count
