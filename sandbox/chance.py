"""Seeded randomness that does not depend on the order of requests.

With a shared generator the results would change whenever two requests swap places. Here every draw is a
digest of the seed and its subject (a rule, a request id, the number of the occasion), so the same seed gives
the same results under any concurrency.
"""

from __future__ import annotations

import hashlib
import random

_FRACTION_BITS = 53


class Chance:
    """Draws by subject. The same seed and subject always give the same draw."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fraction(self, *subject: object) -> float:
        """A float in [0, 1) for this subject."""
        return (self._number(subject) >> (64 - _FRACTION_BITS)) / (1 << _FRACTION_BITS)

    def between(self, low: float, high: float, *subject: object) -> float:
        """A float in [low, high) for this subject."""
        return low + (high - low) * self.fraction(*subject)

    def digits(self, count: int, *subject: object) -> str:
        """A string of ``count`` decimal digits for this subject."""
        return "".join(str(self.generator(*subject).randrange(10**count)).zfill(count))

    def generator(self, *subject: object) -> random.Random:
        """A separate generator for this subject, for distributions."""
        return random.Random(self._number(subject))  # noqa: S311 - a story to replay, not a secret

    def _number(self, subject: tuple[object, ...]) -> int:
        text = "\x1f".join(str(part) for part in (self.seed, *subject))
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big")
