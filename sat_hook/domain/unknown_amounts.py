"""Invalid amounts from SAT: they are recorded and raise alerts, but enter no fold and no sum. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sat_hook.domain.event_record import Event
from sat_hook.domain.order import SALES_PRICE, Order
from sat_hook.domain.order_commands import (
    OrderCommand,
    RecordCallback,
    RecordReply,
    RecordStatus,
    UnreadableAmount,
)
from sat_hook.domain.order_events import AmountUnknown, CheckoutAccepted, SignedStatus
from sat_hook.domain.rupiah import is_amount

_MEMBERS = {
    SALES_PRICE: "sales_price_rupiah",
    "admin_fee": "admin_fee_rupiah",
    "partner_fee": "partner_fee_rupiah",
}


def with_amounts_alone(command: OrderCommand) -> tuple[OrderCommand, tuple[UnreadableAmount, ...]]:
    """The command without its invalid amounts, and those amounts."""
    if isinstance(command, RecordCallback):
        status, unknown = with_amounts_alone(command.status)
        assert isinstance(status, RecordStatus)
        return replace(command, status=status), unknown
    if not isinstance(command, (RecordReply, RecordStatus)):
        return command, ()
    beyond = {
        member: getattr(command, name)
        for member, name in _MEMBERS.items()
        if (named := getattr(command, name, None)) is not None and not is_amount(named)
    }
    if not beyond:
        return command, command.unreadable_amounts
    found = tuple(UnreadableAmount(member, str(rupiah)) for member, rupiah in beyond.items())
    nothing: dict[str, Any] = {_MEMBERS[member]: None for member in beyond}
    return replace(command, **nothing), (*command.unreadable_amounts, *found)


def told_of(
    order: Order, events: tuple[Event, ...], unknown: tuple[UnreadableAmount, ...]
) -> tuple[Event, ...]:
    """The events about unknown amounts, each once for replies and once for signed statuses.

    :param events: the command's result; amounts matter only in a reply or status that counts.
    """
    is_signed = any(isinstance(event, SignedStatus) for event in events)
    if not is_signed and not any(isinstance(event, CheckoutAccepted) for event in events):
        return ()
    known = {(amount.member, amount.is_signed) for amount in order.unknown_amounts or ()}
    return tuple(
        AmountUnknown(member=member, found=found, is_signed=is_signed)
        for member, found in unknown
        if (member, is_signed) not in known
    )
