"""How many persons must approve a batch, by its total, and what right each of them needs. Pure.

Every tier asks for one more person. None of them is the maker, all are different, and all sign the same
terms.
"""

from __future__ import annotations

from dataclasses import dataclass

MAXIMUM_PERSONS = 3
BOTH = "+"


@dataclass(frozen=True, slots=True)
class ApprovalTiers:
    """The tiers of an account, or of one run.

    :param over_rupiah: a batch with a higher total needs one, two or three persons; None means that the tier
        does not exist.
    :param rights: the right that the first, second and third person needs; None means that the right to
        approve suffices.
    """

    over_rupiah: tuple[int | None, ...] = (None,) * MAXIMUM_PERSONS
    rights: tuple[str | None, ...] = (None,) * MAXIMUM_PERSONS

    def persons(self, total_rupiah: int) -> int:
        """How many persons must approve a batch with this total.

        The highest tier below the total counts, also where a lower tier is missing or has a higher amount. So
        of two rules, the smaller amount of each tier asks for as many persons as the stricter of the rules.
        """
        tiers = enumerate(self.over_rupiah, start=1)
        return max((n for n, over in tiers if over is not None and total_rupiah > over), default=0)

    def rights_of(self, signature: int) -> tuple[str, ...]:
        """The rights, beyond approving, that the person of this signature (from 1 on) must have."""
        right = self.rights[signature - 1] if signature <= len(self.rights) else None
        return () if right is None else tuple(right.split(BOTH))


def both_rights(one: str | None, other: str | None) -> str | None:
    """Both rights: a person needs each of them."""
    named = {right for rights in (one, other) if rights is not None for right in rights.split(BOTH)}
    return BOTH.join(sorted(named)) or None
