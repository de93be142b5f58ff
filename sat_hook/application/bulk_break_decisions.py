"""Decisions in bulk: one decision about many breaks, chosen one by one or by a filter.

:meth:`BulkBreakDecisions.preview` says what will happen and what cannot be done.
:meth:`BulkBreakDecisions.begin` keeps the decision with the breaks that were shown, account by account; see
:mod:`~sat_hook.application.kept_decisions`.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sat_hook.application.break_acts import ActOnBreaks, BreakAct
from sat_hook.application.break_rows import BreakPreview, ChosenBreaks
from sat_hook.application.breaks import Breaks
from sat_hook.application.errors import BreaksChangedError
from sat_hook.application.kept_decisions import SHOWN_UNDONE, KeptDecisions
from sat_hook.application.rights import Person, Right
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.breaks import BreakCategory, BreakState
from sat_hook.domain.grouping import grouped
from sat_hook.store.breaks import FoundBreak
from sat_hook.store.bulk_decisions import Shown, ShownPart

BREAKS_A_PART = 2_500
"""Breaks that one append decides. Each append reads the account's books once."""


@dataclass(frozen=True, slots=True)
class BulkBreakDecisions(KeptDecisions):
    """Decisions about many breaks."""

    about = BreakAct

    def preview(self, act: BreakAct, chosen: ChosenBreaks, person: Person) -> BreakPreview:
        """What the act would do to the chosen breaks now. Changes nothing."""
        person.require(Right.FINANCE)
        found, missing = Breaks(self.installation).chosen(chosen)
        acting = ActOnBreaks(act, self.store)
        standing: dict[tuple[BreakCategory, BreakState], list[int]] = {}
        undone = [refusal for break_id in missing if (refusal := acting.refusal(break_id, None)) is not None]
        amount = 0
        accounts: dict[str, None] = {}
        for one in found:
            if (refusal := acting.refusal(one.break_id, one)) is not None:
                undone.append(refusal)
                continue
            counted = standing.setdefault((one.category, one.state), [0, 0])
            counted[0] += 1
            counted[1] += abs(one.amount_rupiah)
            amount += one.amount_rupiah
            accounts[one.account] = None
        return BreakPreview(
            act=act,
            digest=_digest(found, missing),
            breaks=sum(number for number, _ in standing.values()),
            amount_rupiah=amount,
            size_rupiah=sum(rupiah for _, rupiah in standing.values()),
            accounts=tuple(accounts),
            by_category={key: (number, rupiah) for key, (number, rupiah) in sorted(standing.items())},
            undone=tuple(undone[:SHOWN_UNDONE]),
            undone_count=len(undone),
        )

    def begin(self, act: BreakAct, chosen: ChosenBreaks, digest: str, reason: str, person: Person) -> str:
        """Decide what the preview showed, from now on. The same decision, sent again meanwhile, is one.

        :param digest: what the preview showed.
        :returns: the decision's id, for :meth:`find`.
        :raises ReasonRefusedError: no reason is given.
        :raises BreaksChangedError: the breaks have changed since the preview.
        """
        person.require(Right.FINANCE)
        reason = checked_reason(reason)
        found, missing = Breaks(self.installation).chosen(chosen)
        if _digest(found, missing) != digest:
            raise BreaksChangedError(
                f"the chosen breaks have changed since they were shown (now {len(found)}); look at them again"
            )
        by_account: dict[str, list[Shown]] = defaultdict(list)
        for one in found:
            by_account[one.account].append(Shown(one.break_id, one.version, abs(one.amount_rupiah)))
        by_account[""] = [Shown(break_id, 0, 0) for break_id in missing]
        parts = [
            ShownPart(account, part)
            for account, shown in sorted(by_account.items())
            for part in grouped(shown, BREAKS_A_PART)
        ]
        return self.keep(act, digest, reason, person, parts)


def _digest(found: Iterable[FoundBreak], missing: Iterable[str]) -> str:
    """A digest of breaks as they stand: whatever happens to one makes another digest."""
    digest = hashlib.sha256()
    for one in found:
        digest.update(f"{one.break_id} {one.state} {one.version}\n".encode("ascii"))
    for break_id in missing:
        digest.update(f"{break_id} missing\n".encode("ascii", "replace"))
    return digest.hexdigest()
