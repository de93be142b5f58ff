"""The steps of a batch in people's words: what each did, and when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sat_hook.application.batch_details import STEP_OF, BatchDetails, BatchStep
from sat_hook.web.console.language import Wording
from sat_hook.web.console.language import marked as _

NAMES: Mapping[BatchStep, str] = {
    BatchStep.SUBMITTED: _("Submitted"),
    BatchStep.READ: _("Rows read"),
    BatchStep.CHECKED: _("Checked"),
    BatchStep.QUOTED: _("Priced"),
    BatchStep.GUARDED: _("Compared with limits and earlier payments"),
    BatchStep.APPROVED: _("Approved"),
    BatchStep.RESERVED: _("Funds reserved"),
    BatchStep.COMPLETED: _("Complete"),
    BatchStep.RESULTS: _("Result file written"),
}

DID: Mapping[BatchStep, str] = {
    BatchStep.READ: _("orders: %(orders)s · rows that became no order: %(set_aside)s"),
    BatchStep.CHECKED: _("can be paid: %(valid)s · cannot: %(rejected)s"),
    BatchStep.QUOTED: _("orders: %(quoted)s · together %(total_rupiah)s · without a price: %(rejected)s"),
    BatchStep.GUARDED: _(
        "go on: %(admitted)s · duplicates held: %(held_as_duplicates)s · over a limit: %(held_over_limits)s"
    ),
    BatchStep.RESERVED: _("orders: %(orders)s · %(total_rupiah)s · left for lack of funds: %(left_orders)s"),
    BatchStep.COMPLETED: _("charged: %(charged_rupiah)s"),
    BatchStep.RESULTS: _("rows: %(rows)s"),
}
"""What a step did, by the members of its event. The others say it by their name, or on the page itself."""

_ALWAYS = frozenset(BatchStep) - {BatchStep.APPROVED, BatchStep.GUARDED}


class ShownStep(NamedTuple):
    """A step for a page.

    :param at: when it was done last; None while it is not done.
    :param did: what it did, in the person's language; empty where its name says it.
    """

    step: BatchStep
    name: str
    at: datetime | None
    did: str


def steps_of(details: BatchDetails, wording: Wording) -> Iterator[ShownStep]:
    """The steps of a batch in their order, with those that are still ahead."""
    last = {STEP_OF[entry.kind]: entry.parameters for entry in details.history if entry.kind in STEP_OF}
    for step in BatchStep:
        is_asked = step is BatchStep.APPROVED and details.approval is not None
        if step in last or step in _ALWAYS or is_asked:
            said = DID.get(step) if step in last else None
            did = "" if said is None else wording.text(said) % _figures(last[step], wording)
            yield ShownStep(step, wording.text(NAMES[step]), details.steps.get(step), did)


def _figures(members: Mapping[str, Any], wording: Wording) -> dict[str, str]:
    """The numbers of an event as texts, also those of its tally."""
    found = {**members, **(members.get("tally") or {})}
    return {
        name: wording.rupiah(value) if name.endswith("_rupiah") else wording.number(value)
        for name, value in found.items()
        if isinstance(value, int)
    }
