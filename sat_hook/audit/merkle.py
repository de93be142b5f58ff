"""The Merkle tree of a checkpoint (RFC 6962, section 2.1), built leaf by leaf in logarithmic memory.

Leaves and nodes are hashed with different prefixes, so that a node cannot pass as a leaf.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from sat_hook.domain.event_record import utc_text

_LEAF, _NODE = b"\x00", b"\x01"


def leaf_of(position: int, recorded_at: datetime, digest: str) -> bytes:
    """The leaf of one event: its position and time, which the database assigned, and its digest.

    Canonical JSON: position, time in UTC to the microsecond, hexadecimal digest.
    """
    return json.dumps([position, utc_text(recorded_at), digest], separators=(",", ":")).encode("ascii")


class MerkleTree:
    """Takes leaves in order; the root is available at any time."""

    def __init__(self) -> None:
        self.leaves = 0
        # Roots of complete subtrees, largest first, with their heights.
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        self.leaves += 1
        height, root = 0, hashlib.sha256(_LEAF + leaf).digest()
        while self._peaks and self._peaks[-1][0] == height:
            _, left = self._peaks.pop()
            height, root = height + 1, hashlib.sha256(_NODE + left + root).digest()
        self._peaks.append((height, root))

    @property
    def root(self) -> str:
        """The root of the added leaves, in hexadecimal; without leaves, the digest of the empty string."""
        if not self._peaks:
            return hashlib.sha256(b"").hexdigest()
        root = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            root = hashlib.sha256(_NODE + left + root).digest()
        return root.hex()
