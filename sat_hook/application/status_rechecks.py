"""Ask SAT for the status of one order now, as a person. Who asked and why is recorded before SAT is asked."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from sat_hook.application.errors import RecheckRefusedError, WrongAccountError
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service, handler_on
from sat_hook.commands.reasons import checked_reason
from sat_hook.domain.order import Order
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.pipeline.outcome_commands import status_command
from sat_hook.pipeline.overrides import ask_about
from sat_hook.protocol.outcomes import StatusVerdict


@dataclass(frozen=True, slots=True)
class Recheck:
    """SAT's answer about an order.

    :param verdict: what the answer proves; anything but a signed answer leaves the order as it is.
    :param reason: why an answer proves nothing, as a code.
    :param is_changed: whether the order's state is another one than before.
    """

    order: Order
    verdict: StatusVerdict
    reason: str
    is_changed: bool


@dataclass(frozen=True, slots=True)
class StatusRechecks(Service):
    """Queries the status of single orders. Nothing is ever sent to be paid."""

    def recheck(self, request_id: str, person: Person, reason: str = "") -> Recheck:
        """Query the order's status and record what the answer proves, with the person as the actor.

        :param reason: why the person asks; a page requires it.
        :raises OrderNotFoundError: there is no such order.
        :raises RecheckRefusedError: it was never sent, so SAT cannot know it.
        :raises ReasonRefusedError: the reason is too long, or not printable.
        :raises WrongAccountError: the connection belongs to another account; SAT is not called then.
        """
        person.require(Right.SUBMIT, Right.DECIDE)
        reason = checked_reason(reason) if reason else ""
        store = self.store
        handler = handler_on(store)
        before = handler.orders_before_asking([request_id]).get(request_id)
        if before is None:
            raise OrderNotFoundError(f"order: found no {request_id}")
        if before.state.was_never_sent:
            raise RecheckRefusedError(
                f"order {before.order_id!r} ({request_id}): found {before.state.value}; expected an order "
                "that was sent"
            )
        accounts = self.installation.accounts
        named = accounts.connection_of(before.account)
        with closing(accounts.connect(named, store.database)) as connection:
            if (found := connection.settings().account) != before.account:
                raise WrongAccountError(
                    f"order {request_id} belongs to account {before.account!r}; connection {named} is "
                    f"account {found!r}"
                )
            # Recorded first: an answer counts as new only if nothing was recorded after the question.
            ask_about(handler, [request_id], reason, person.by("recheck"))
            before = handler.orders_before_asking([request_id])[request_id]
            asked_at = handler.clock.now()
            outcome = connection.ask_status(request_id)
        command = status_command(request_id, outcome, asked_at, before)
        done = None if command is None else handler.apply([command], person.by("recheck"))[request_id]
        after = before if done is None or done.after is None else done.after
        return Recheck(after, outcome.verdict, str(outcome.reason), after.state is not before.state)
