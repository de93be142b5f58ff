"""What is left of a batch: the orders that a new run would send, and the rows that pay the failed ones again.

A failed order keeps its request id and is never sent again. To pay it again is another order, so its row gets
a new order id. The rows are a file for a draft, which a person checks and submits as a batch of its own.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sat_hook.application.draft_views import DraftView
from sat_hook.application.drafts import Drafts
from sat_hook.application.errors import NothingToPayAgainError
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.commands.handler import load_batch
from sat_hook.domain.identity import request_id_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_state import NOT_PAID
from sat_hook.pipeline.draft import PaysAgain
from sat_hook.pipeline.order_problems import FIELD_PREFIX, NOTE_PREFIX
from sat_hook.store.batch_lists import BatchLists
from sat_hook.store.event_store import EventStore, OrderSlice, each_order

FAILED_STATES = (OrderState.FAILED, OrderState.REJECTED, OrderState.REVERSED)
EARLIER_ORDER = f"{NOTE_PREFIX}pays_again"
"""The column that links a row to its earlier order. Results show it like any other note."""

MAXIMUM_TIMES = 99
_SUFFIX = re.compile(r"-R([0-9]{1,2})$")


class NotAgain(StrEnum):
    """Why a failed order is not among the rows.

    ``DONE``: another order or row pays it again, and was not sent yet, is in flight or is paid. ``NO_ID``: a
    new id would be too long, or it failed too often.
    """

    DONE = "done"
    NO_ID = "no_id"


@dataclass(frozen=True, slots=True)
class RowsAgain:
    """The failed orders of a batch as rows of a new file.

    :param earlier_batch_id: the batch that they failed in, of the file ``earlier_file_name``.
    :param file_name: the new file's name.
    :param content: the file: CSV, UTF-8, with one row for each of ``order_ids``.
    :param order_ids: the new order ids, by the earlier ones.
    :param ended_by_people: how many a person ended as failed, without SAT's signature: check them first.
    :param left_out: the orders that are not among the rows, and why.
    """

    earlier_batch_id: str
    earlier_file_name: str
    account: str
    file_name: str
    content: bytes
    order_ids: Mapping[str, str]
    total_rupiah: int
    ended_by_people: int
    left_out: Mapping[str, NotAgain]


@dataclass(frozen=True, slots=True)
class LeftToRun:
    """What a new run of a batch would do. Rupiah.

    :param unchecked: orders that it would check and quote first; they have no price yet.
    :param quoted: orders with a price that it would send, up to the approval and the deposit.
    :param held: orders that it would not send: a person has to release them first.
    :param is_approval_required: whether only approved orders are sent.
    """

    unchecked: int
    quoted: int
    quoted_rupiah: int
    held: int
    is_approval_required: bool


@dataclass(frozen=True, slots=True)
class PayAgain(Service):
    """What is left of a batch. Raises :class:`~sat_hook.commands.errors.BatchNotFoundError` for no batch."""

    def rows(self, batch_id: str, person: Person, states: Sequence[OrderState] = FAILED_STATES) -> RowsAgain:
        """The failed orders of a batch as rows of a new file, with new order ids.

        :param states: the states of the orders that are paid again, of :data:`FAILED_STATES`.
        :raises RightMissingError: without the rights to submit and to see client numbers.
        :raises NothingToPayAgainError: no order is in one of the states.
        """
        person.require(Right.SUBMIT)
        person.require(Right.VIEW_NUMBERS)
        store = self.store
        batch = load_batch(store, batch_id)
        chosen = tuple(state for state in states if state in FAILED_STATES)
        orders = list(each_order(store, OrderSlice(batch_id, chosen))) if chosen else []
        longest = self.installation.settings().maximum.order_id_characters
        new_ids, left_out = _new_ids(store, orders, longest)
        again = [order for order in orders if order.order_id in new_ids]
        if not again:
            raise NothingToPayAgainError(
                f"batch {batch_id}: found no order that can be paid again; expected one that is "
                f"{' or '.join(chosen or FAILED_STATES)}"
            )
        return RowsAgain(
            earlier_batch_id=batch_id,
            earlier_file_name=batch.file_name,
            account=batch.account,
            file_name=f"{_stem(batch.file_name)}-again.csv",
            content=_csv_of(again, new_ids),
            order_ids=new_ids,
            total_rupiah=sum(order.quote_rupiah or 0 for order in again),
            ended_by_people=sum(order.ended_by_operator for order in again),
            left_out=left_out,
        )

    def draft(self, batch_id: str, person: Person) -> DraftView:
        """A draft of the person with the failed orders of a batch, to check and pay.

        :raises RightMissingError: without the rights to submit and to see client numbers.
        :raises NothingToPayAgainError: no order failed, or all are paid again already.
        :raises DraftRefusedError: the person has too many drafts.
        """
        rows = self.rows(batch_id, person)
        earlier = PaysAgain(
            batch_id=batch_id,
            file_name=rows.earlier_file_name,
            ended_by_people=rows.ended_by_people,
            left_out=len(rows.left_out),
        )
        drafts = Drafts(self.installation)
        return drafts.create(rows.content, rows.file_name, rows.account, person, pays_again=earlier)

    def left(self, batch_id: str, person: Person) -> LeftToRun:
        """What a new run of a batch would send.

        :raises RightMissingError: without the right to view.
        """
        person.require(Right.VIEW)
        store = self.store
        batch = load_batch(store, batch_id)
        counts = BatchLists(store.database).counts([batch_id])[batch_id]
        orders = {count.state: count for count in counts.states}
        unchecked, quoted = orders.get(OrderState.RECEIVED), orders.get(OrderState.QUOTED)
        held = orders.get(OrderState.HELD)
        return LeftToRun(
            unchecked=0 if unchecked is None else unchecked.orders,
            quoted=0 if quoted is None else quoted.orders,
            quoted_rupiah=0 if quoted is None else quoted.quoted_rupiah,
            held=0 if held is None else held.orders,
            is_approval_required=batch.approval_required,
        )


def _new_ids(
    store: EventStore, orders: Iterable[Order], longest: int
) -> tuple[dict[str, str], dict[str, NotAgain]]:
    """A new order id for each order, by its old one: ``-R1``, or the next number that is free."""
    waiting = {order.order_id: (order.account, *_parts(order.order_id)) for order in orders}
    new_ids: dict[str, str] = {}
    left_out: dict[str, NotAgain] = {}
    chosen: set[str] = set()
    while waiting:
        wanted = {old: f"{stem}-R{number}" for old, (_, stem, number) in waiting.items()}
        keys = {old: request_id_of(waiting[old][0], new) for old, new in wanted.items()}
        found = store.load_orders(keys.values())
        for old, new in wanted.items():
            account, stem, number = waiting.pop(old)
            later = found.get(keys[old])
            if len(new) > longest or number > MAXIMUM_TIMES:
                left_out[old] = NotAgain.NO_ID
            elif new in chosen or (later is not None and later.state not in NOT_PAID):
                left_out[old] = NotAgain.DONE
            elif later is not None:
                waiting[old] = (account, stem, number + 1)
            else:
                new_ids[old] = new
                chosen.add(new)
    return new_ids, left_out


def _parts(order_id: str) -> tuple[str, int]:
    """An order id without its number of times, and the next number."""
    found = _SUFFIX.search(order_id)
    return (order_id, 1) if found is None else (order_id[: found.start()], int(found[1]) + 1)


def _csv_of(orders: Sequence[Order], new_ids: Mapping[str, str]) -> bytes:
    names = list(dict.fromkeys(name for order in orders for name, _ in order.fields))
    known = ("order_id", "product_code", "client_number", "amount_rupiah", "max_rupiah", "downline_id")
    used = [*known[:3], *(name for name in known[3:] if any(getattr(order, name) for order in orders))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*used, *(f"{FIELD_PREFIX}{name}" for name in names), EARLIER_ORDER])
    for order in orders:
        values, own = dict(order.fields), order.model_copy(update={"order_id": new_ids[order.order_id]})
        cells = ["" if (value := getattr(own, name)) is None else str(value) for name in used]
        writer.writerow([*cells, *(values.get(name, "") for name in names), order.order_id])
    return text.getvalue().encode("utf-8")


def _stem(file_name: str) -> str:
    return file_name.rpartition(".")[0] or file_name
