"""What a person may do with an order in each state, and what will happen then, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sat_hook.application.rights import Person, Right
from sat_hook.domain.order import OrderState
from sat_hook.domain.people import is_same_person
from sat_hook.pipeline.overrides import Resolution
from sat_hook.pipeline.withdrawal import UNSENT
from sat_hook.web.console.language import marked as _


class Act(NamedTuple):
    """Something that a person may do with an order.

    :param path: of its route, below the order's page.
    :param happens: a sentence on what will happen.
    :param tone: of its button.
    :param rights: one of them is needed.
    :param needs_another: the maker of the order's batch does not do it.
    """

    name: str
    path: str
    title: str
    happens: str
    tone: str
    rights: tuple[Right, ...]
    resolution: Resolution | None = None
    needs_another: bool = False

    def is_allowed(self, person: Person) -> bool:
        return bool(person.rights.intersection(self.rights))


RELEASE = Act(
    "release",
    "release",
    _("Release"),
    _(
        "The order goes on: it is priced once more, and the next run of its batch pays it. "
        "What held it before does not hold it again."
    ),
    "primary",
    (Right.DECIDE,),
    needs_another=True,
)
CANCEL = Act(
    "cancel",
    "cancel",
    _("Cancel the order"),
    _("The order ends unpaid. It was never sent, and never will be."),
    "danger",
    (Right.DECIDE,),
)
WITHDRAW = Act(
    "withdraw",
    "withdraw",
    _("Withdraw the order"),
    _("The order ends unpaid. It was never sent, and never will be."),
    "danger",
    (Right.SUBMIT, Right.DECIDE),
)
RECHECK = Act(
    "recheck",
    "recheck",
    _("Ask SAT now"),
    _(
        "SAT is asked for the status of this order. Nothing is sent to be paid. "
        "Your question and a signed answer are recorded."
    ),
    "",
    (Right.SUBMIT, Right.DECIDE),
)
PAID = Act(
    "paid",
    "resolve",
    _("It is paid"),
    _(
        "The order ends as paid, by your decision. "
        "If SAT signs something else later, that is recorded and people are alerted."
    ),
    "primary",
    (Right.DECIDE,),
    Resolution.SUCCEEDED,
    needs_another=True,
)
NOT_PAID = Act(
    "not-paid",
    "resolve",
    _("It is not paid"),
    _(
        "The order ends as not paid, by your decision. "
        "Be sure of it: if SAT has paid it and you order it again, it is paid twice."
    ),
    "danger",
    (Right.DECIDE,),
    Resolution.FAILED,
    needs_another=True,
)
RESEND = Act(
    "resend",
    "resolve",
    _("Send it again"),
    _(
        "SAT is asked once more. If it still does not know the order, the order is sent again "
        "under the same id, for which SAT refuses a second payment."
    ),
    "",
    (Right.DECIDE,),
    Resolution.RESEND,
    needs_another=True,
)


def acts_of(state: OrderState) -> Sequence[Act]:
    """What can be done with an order in a state, by people with the rights."""
    if state is OrderState.HELD:
        return RELEASE, CANCEL, WITHDRAW
    if state in UNSENT:
        return (WITHDRAW,)
    if state is OrderState.ESCALATED:
        return RECHECK, PAID, NOT_PAID, RESEND
    return () if state.was_never_sent else (RECHECK,)


class Offer(NamedTuple):
    """What a person may do with an order.

    :param lacking: the rights that they lack for the rest.
    :param is_own: whether something is left to others because the person submitted the batch.
    """

    acts: list[Act]
    lacking: list[str]
    is_own: bool


def offered_to(person: Person, state: OrderState, maker: str | None) -> Offer:
    """What a person may do with an order in a state.

    Cancelling and withdrawing a held order are the same to a person, so only one of them is offered.

    :param maker: the user who submitted its batch, if one did.
    """
    acts = acts_of(state)
    own = [act for act in acts if act.is_allowed(person)]
    if CANCEL in own:
        own.remove(WITHDRAW)
    is_maker = maker is not None and is_same_person(maker, person.name)
    left_to_others = [act for act in own if is_maker and act.needs_another]
    missing = {frozenset(act.rights) for act in acts if not act.is_allowed(person)}
    # A right that would do for all of it is enough to name.
    lacking = [rights for rights in missing if not any(other < rights for other in missing)]
    return Offer(
        [act for act in own if act not in left_to_others],
        sorted(" / ".join(sorted(rights)) for rights in lacking),
        bool(left_to_others),
    )
