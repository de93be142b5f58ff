"""What the console and the API list: batches, orders, what needs a person, deposits, products, accounts.

Reads only, except that a search by a client's number is recorded. Every list comes in pages: the cursor of a
page begins the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sat_hook.application.attention import (
    AccountDetails,
    AccountRow,
    DepositRow,
    NeedRow,
    account_details,
    accounts,
    deposits,
    funds_of,
    needs,
)
from sat_hook.application.batch_details import BatchDetails, batch_details
from sat_hook.application.batch_standing import BatchQuery, BatchRow, StoppedBatches, awaits_approval, row_of
from sat_hook.application.errors import ListingRefusedError
from sat_hook.application.order_details import OrderDetails, OrderRow, history_of, order_row
from sat_hook.application.pages import USUAL_PAGE, Page, cursor_of, limited, list_name, page_of, place_in
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service, clock_on
from sat_hook.clients.clock import SystemClock
from sat_hook.commands.errors import BatchNotFoundError
from sat_hook.commands.handler import standing_of
from sat_hook.domain.account import ClientNumberSearched
from sat_hook.domain.batch import BatchState
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import StreamId, StreamKind
from sat_hook.domain.masking import masked_number, masked_words
from sat_hook.domain.people import user_named
from sat_hook.pipeline.errors import OrderNotFoundError
from sat_hook.pipeline.progress import PACE, progress_at
from sat_hook.store.account_lists import AccountLists, FoundProduct, RefusedCallbacks
from sat_hook.store.alerts import AlertBook, ToldAlert
from sat_hook.store.batch_lists import BatchCounts, BatchLists, BatchPlace, FoundBatch
from sat_hook.store.callbacks import PostgresCallbackInbox
from sat_hook.store.order_lists import (
    MAXIMUM_COUNTED,
    ChangePlace,
    FoundOrder,
    FoundOrders,
    OrderFilter,
    OrderLists,
    OrderPlace,
    OrderSort,
)
from sat_hook.store.prices import PriceHistory
from sat_hook.store.rechecks import PostgresRecheckSchedule, RecheckCount

DEPOSIT_DAYS = 30
RECHECK_DAYS = 30


@dataclass(frozen=True, slots=True)
class OrderPage(Page[OrderRow]):
    """A page of orders. A page over all batches may be short, or empty, while there is a next one.

    :param count: how many orders there are; None where they are not counted.
    :param is_more: whether there are more than ``count``.
    """

    count: int | None = None
    is_more: bool = False


@dataclass(frozen=True, slots=True)
class Listings(Service):
    """The lists.

    Every method raises :class:`~sat_hook.application.errors.RightMissingError` without the right to view, and
    those that take a cursor :class:`~sat_hook.application.errors.CursorError`.
    """

    stopped: StoppedBatches

    def batches(
        self, query: BatchQuery, person: Person, *, cursor: str | None = None, limit: int = USUAL_PAGE
    ) -> Page[BatchRow]:
        """A page of batches, the newest first."""
        person.require(Right.VIEW)
        name = list_name("batches", query)
        after = place_in(name, cursor, BatchPlace)
        account = None if query.account is None else self.account_of(query.account)
        lists, limit = BatchLists(self.database), limited(limit)
        rows: list[BatchRow] = []
        while True:
            found = lists.batches(query.filter(account), after, limit + 1)
            rows += [
                row
                for row in self._rows_of(lists, found[:limit])
                if query.standing is None or row.standing is query.standing
            ]
            if len(found) <= limit and len(rows) <= limit:
                return Page(tuple(rows), None)
            if len(rows) >= limit:
                last = rows[limit - 1]
                return Page(tuple(rows[:limit]), cursor_of(name, (last.submitted_at, last.batch_id)))
            after = BatchPlace(found[limit - 1].submitted_at, found[limit - 1].batch.batch_id)

    def batch(self, batch_id: str, person: Person) -> BatchDetails:
        """One batch with its steps, approval, runs, results and history.

        :raises BatchNotFoundError: there is no such batch.
        """
        person.require(Right.VIEW)
        lists, now = BatchLists(self.database), SystemClock().now()
        # Read the batch first: counts read after its end are final too.
        found = lists.batches_of([batch_id]).get(batch_id)
        if found is None:
            raise BatchNotFoundError(f"batch: found no {batch_id}")
        earlier = [] if found.batch.pays_again is None else [found.batch.pays_again]
        related = [*lists.batches_of(earlier).values(), *lists.batches_paying_again(batch_id)]
        counts = lists.counts([batch_id], now - PACE)
        (row,) = self._rows_of(lists, [found], counts)
        needs = self.store.needs([batch_id])[batch_id]
        progress = progress_at(found.batch, counts[batch_id], needs, now)
        account = standing_of(self.store, found.batch.account)
        others = {other.batch_id: other for other in self._rows_of(lists, related)}
        return batch_details(
            row,
            progress,
            lists.batch_events(batch_id),
            pays_again=others.get(found.batch.pays_again or ""),
            paid_again_by=[other for key, other in others.items() if key != found.batch.pays_again],
            pause_reason=masked_words(account.pause_reason or "") or None,
        )

    def orders(
        self,
        which: OrderFilter,
        person: Person,
        *,
        sort: OrderSort | None = None,
        descending: bool = False,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
        counted: bool = False,
    ) -> OrderPage:
        """A page of the orders of a batch, or of all batches.

        Orders of all batches are sorted by their last change, the newest first, unless an index serves the
        filter: an id, a client number, or states in which few orders are.

        A search by client number is recorded in the log before its result is returned.

        :param sort: the row in a batch, the last change elsewhere, unless another is given.
        :param counted: whether to count them, up to :data:`MAXIMUM_COUNTED`.
        :raises ListingRefusedError: the orders cannot be sorted so.
        """
        person.require(Right.VIEW)
        if which.client_number is not None:
            person.require(Right.VIEW_NUMBERS)
        name = list_name("orders", which, sort, descending)
        if which.account is not None:
            which = replace(which, account=self.account_of(which.account))
        lists, limit = OrderLists(self.database), limited(limit)
        if which.is_narrow:
            sort = sort or (OrderSort.CHANGED if which.batch_id is None else OrderSort.ROW)
            after = place_in(name, cursor, OrderPlace)
            # Also with a cursor: nothing proves that it came with a page that was recorded.
            is_search = which.client_number is not None
            found = lists.orders(
                which, sort, after, limit, descending=descending, counted=counted or is_search
            )
            if is_search:
                self._record_search(which, found, person)
        else:
            if sort not in (None, OrderSort.CHANGED) or (sort and not descending):
                raise ListingRefusedError(
                    f"sort: found {sort} {'descending' if descending else 'ascending'} over all batches; "
                    "expected changed descending, or one batch, an id, or states that few orders are in"
                )
            found = lists.orders_changed(which, place_in(name, cursor, ChangePlace), limit)
        sees_numbers = person.has(Right.VIEW_NUMBERS)
        return OrderPage(
            tuple(order_row(order, with_number=sees_numbers) for order in found.orders),
            None if found.following is None else cursor_of(name, found.following),
            None if found.count is None else min(found.count, MAXIMUM_COUNTED),
            found.count is not None and found.count > MAXIMUM_COUNTED,
        )

    def order(self, request_id: str, person: Person) -> OrderDetails:
        """One order with its history, evidence, callbacks, price and alerts.

        :raises OrderNotFoundError: there is no such order.
        """
        person.require(Right.VIEW)
        events, lists = self.store, OrderLists(self.database)
        order = events.load_orders([request_id]).get(request_id)
        if order is None:
            raise OrderNotFoundError(f"order: found no {request_id}")
        recorded = events.read_stream(StreamId(StreamKind.ORDER, request_id))
        batch = BatchLists(self.database).batches_of([order.batch_id]).get(order.batch_id)
        found = FoundOrder(order, recorded[-1].occurred_at, "" if batch is None else batch.batch.file_name)
        sent_at = order.first_sent_at or recorded[0].occurred_at
        return OrderDetails(
            row=order_row(found, with_number=person.has(Right.VIEW_NUMBERS)),
            maker=None if batch is None else user_named(batch.submitted_by),
            history=history_of(recorded),
            evidence=tuple(lists.evidence_of(request_id)),
            callbacks=tuple(PostgresCallbackInbox(events.database).seen_of(order.account, request_id)),
            price=PriceHistory(events.database).at(order.account, order.product_code, sent_at),
            alerts=tuple(lists.alerts_about([f"event/{item.position}" for item in recorded])),
        )

    def orders_named(self, reference: str, person: Person) -> tuple[OrderRow, ...]:
        """The orders with this id, the submitter's or SAT's: several where accounts share ids."""
        person.require(Right.VIEW)
        found = self.store.find_orders(reference)
        return tuple(self.order(order.request_id, person).row for order in found)

    def deposits(self, person: Person, days: int = DEPOSIT_DAYS) -> tuple[DepositRow, ...]:
        """What each account's deposit holds, and how much of it is reserved."""
        person.require(Right.VIEW)
        return deposits(self.installation, days)

    def deposit(self, account: str, person: Person) -> DepositRow | None:
        """The deposit of one account, by its name in the log; None when there is no such account."""
        person.require(Right.VIEW)
        return next(iter(deposits(self.installation, DEPOSIT_DAYS, account)), None)

    def needs_you(self, person: Person) -> tuple[NeedRow, ...]:
        """What needs a person: approvals, held and escalated orders, funds, stopped batches, pauses, untold
        alerts.
        """
        person.require(Right.VIEW)
        return needs(self.installation, self.stopped)

    def batches_of(self, batch_ids: Sequence[str], person: Person) -> list[BatchRow]:
        """These batches, in this order; an id of none is left out."""
        person.require(Right.VIEW)
        lists = BatchLists(self.database)
        found = lists.batches_of(batch_ids)
        return self._rows_of(lists, [found[batch_id] for batch_id in batch_ids if batch_id in found])

    def accounts(self, person: Person) -> tuple[AccountRow, ...]:
        """The accounts: whether each may send, and when SAT was heard of last."""
        person.require(Right.VIEW)
        return accounts(self.installation)

    def misaddressed_callbacks(self, person: Person) -> list[RefusedCallbacks]:
        """Callbacks of the last day whose address names no account, by reason of their refusal."""
        person.require(Right.VIEW)
        return AccountLists(self.database).refused_callbacks("")

    def account(self, named: str, person: Person) -> AccountDetails:
        """One account with its rules, their origins, and its keys, by either of its names."""
        person.require(Right.VIEW)
        return account_details(self.installation, named)

    def products(
        self,
        person: Person,
        *,
        text: str | None = None,
        account: str | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[FoundProduct]:
        """A page of products as they were listed last, by account and code.

        :param text: a part of the code, the name or the operator's name.
        """
        person.require(Right.VIEW)
        name = list_name("products", text, account)
        place, limit = place_in(name, cursor, tuple[str, str]), limited(limit)
        of = PriceHistory(self.database).accounts() if account is None else [self.account_of(account)]
        found = AccountLists(self.database).products(of, text, place, limit + 1)
        return page_of(name, found, limit, lambda row: (row.account, row.product.code))

    def alerts(
        self,
        person: Person,
        *,
        only_untold: bool = False,
        cursor: str | None = None,
        limit: int = USUAL_PAGE,
    ) -> Page[ToldAlert]:
        """A page of the alerts, the newest first.

        :param only_untold: only alerts that no channel took yet.
        """
        person.require(Right.VIEW)
        name, limit = list_name("alerts", only_untold), limited(limit)
        (before_id,) = place_in(name, cursor, tuple[int]) or (None,)
        found = AlertBook(self.database).recent(limit + 1, only_untold=only_untold, before_id=before_id)
        return page_of(name, found, limit, lambda row: (row.number,))

    def rechecks(self, person: Person, days: int = RECHECK_DAYS) -> list[RecheckCount]:
        """How the rechecks of ended orders stand, by account and day, for the last days."""
        person.require(Right.VIEW)
        events = self.store
        now = clock_on(events).now()
        return PostgresRecheckSchedule(events.database).counts(now, now - timedelta(days=days))

    def _record_search(self, which: OrderFilter, found: FoundOrders, person: Person) -> None:
        """Record who searched by which number, in each account whose orders were searched."""
        assert which.client_number is not None
        assert found.count is not None
        if which.batch_id is not None:
            batches = BatchLists(self.database).batches_of([which.batch_id])
            searched = [one.batch.account for one in batches.values()]
        else:
            searched = AccountLists(self.database).accounts() if which.account is None else [which.account]
        handler = self.handler
        number, orders = masked_number(which.client_number), min(found.count, MAXIMUM_COUNTED)
        for account in searched:
            event = ClientNumberSearched(account=account, client_number=number, orders=orders)
            handler.apply_to_account(account, Record(event), person.by("search"))

    def _rows_of(
        self, lists: BatchLists, found: Sequence[FoundBatch], known: dict[str, BatchCounts] | None = None
    ) -> list[BatchRow]:
        counts = known or lists.counts([one.batch.batch_id for one in found])
        with_others = [one.batch.batch_id for one in found if one.batch.set_aside]
        refused = lists.refused_rows(with_others) if with_others else {}
        available = self._available(found, counts)
        stopped = self.stopped.among(found, counts)
        return [
            row_of(
                one,
                counts[one.batch.batch_id],
                refused.get(one.batch.batch_id, 0),
                available.get(one.batch.account),
                has_stopped=one.batch.batch_id in stopped,
            )
            for one in found
        ]

    def _available(
        self, found: Sequence[FoundBatch], counts: dict[str, BatchCounts]
    ) -> dict[str, int | None]:
        """What is free of the deposits of those accounts whose batches may wait for funds."""
        wanting = {
            one.batch.account
            for one in found
            if one.batch.state is BatchState.QUOTED
            and not awaits_approval(one.batch)
            and counts[one.batch.batch_id].unreserved_rupiah
        }
        return {account: funds_of(self.installation, account).free_rupiah for account in wanting}
