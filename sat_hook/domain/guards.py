"""The guards of a batch: business duplicates, limits, and how many persons must approve. Pure rules.

An order *counts* from the moment the guards admit it until it is certain that no money goes out for it. Later
orders are measured against the orders that count: for duplicates within some days, and for the limits of the
batch and of the business day (WIB).

Every tier of the approval asks for one more person. None of them is the maker, all are different, and all
sign the same terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sat_hook.domain.business_day import business_day, day_bounds
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Admit, Hold
from sat_hook.domain.order_events import HoldReason
from sat_hook.domain.rupiah import committed_rupiah

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


DEFAULT_DUPLICATE_DAYS = 7
MAXIMUM_DUPLICATE_DAYS = 365

COUNTING_STATES = (
    OrderState.QUOTED,
    OrderState.SUBMITTING,
    OrderState.PENDING,
    OrderState.UNKNOWN,
    OrderState.ESCALATED,
    OrderState.SUCCEEDED,
)
"""States in which an order may cost money. A quoted order counts only once it is admitted."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """The rules of the guards. Rupiah; None means no limit.

    :param duplicate_days: hold the same business within this many days of 24 hours; 0 turns this guard off.
    :param order_limit_rupiah: the most that one order may cost.
    :param batch_limit_rupiah: the most that the orders of one batch may cost together.
    :param batch_limit_orders: the most orders of one batch that are admitted.
    :param day_limit_rupiah: the most that the account's orders of one business day may cost together.
    :param day_limit_orders: the most orders of the account in one business day.
    """

    duplicate_days: int = DEFAULT_DUPLICATE_DAYS
    order_limit_rupiah: int | None = None
    batch_limit_rupiah: int | None = None
    batch_limit_orders: int | None = None
    day_limit_rupiah: int | None = None
    day_limit_orders: int | None = None

    @property
    def limits_the_day(self) -> bool:
        """Whether the orders of a business day are limited."""
        return self.day_limit_rupiah is not None or self.day_limit_orders is not None

    def stricter(self, other: GuardRules) -> GuardRules:
        """The stricter of both, rule by rule: if one forbids something, the other cannot allow it."""
        return GuardRules(
            duplicate_days=max(self.duplicate_days, other.duplicate_days),
            order_limit_rupiah=smaller_limit(self.order_limit_rupiah, other.order_limit_rupiah),
            batch_limit_rupiah=smaller_limit(self.batch_limit_rupiah, other.batch_limit_rupiah),
            batch_limit_orders=smaller_limit(self.batch_limit_orders, other.batch_limit_orders),
            day_limit_rupiah=smaller_limit(self.day_limit_rupiah, other.day_limit_rupiah),
            day_limit_orders=smaller_limit(self.day_limit_orders, other.day_limit_orders),
        )


@dataclass(frozen=True, slots=True)
class AccountRules:
    """The rules that an account, or one run of a batch, sets for sending.

    :param approval_over_rupiah: a batch with a higher total needs a person's approval; None means never, 0
        always. ``second_…`` and ``third_…`` ask for two and three persons.
    :param approval_right: the right that the first approver needs; several are joined with ``+``.
        ``second_…`` and ``third_…`` are those of the later approvers.
    :param dedup_horizon_hours: how long after its first sending an order may be sent again; None means the
        deployment's setting.
    :param trust_callbacks: whether a signed callback alone may end an order.
    """

    guards: GuardRules = GuardRules()
    approval_over_rupiah: int | None = None
    dedup_horizon_hours: int | None = None
    trust_callbacks: bool = True
    second_approval_over_rupiah: int | None = None
    third_approval_over_rupiah: int | None = None
    approval_right: str | None = None
    second_approval_right: str | None = None
    third_approval_right: str | None = None

    @property
    def approval_tiers(self) -> ApprovalTiers:
        """How many persons must approve a batch, by its total, and their rights."""
        return ApprovalTiers(
            (self.approval_over_rupiah, self.second_approval_over_rupiah, self.third_approval_over_rupiah),
            (self.approval_right, self.second_approval_right, self.third_approval_right),
        )

    def stricter(self, other: AccountRules) -> AccountRules:
        """The stricter of both: a run can be stricter than its account, never looser."""
        return AccountRules(
            self.guards.stricter(other.guards),
            smaller_limit(self.approval_over_rupiah, other.approval_over_rupiah),
            smaller_limit(self.dedup_horizon_hours, other.dedup_horizon_hours),
            self.trust_callbacks and other.trust_callbacks,
            smaller_limit(self.second_approval_over_rupiah, other.second_approval_over_rupiah),
            smaller_limit(self.third_approval_over_rupiah, other.third_approval_over_rupiah),
            both_rights(self.approval_right, other.approval_right),
            both_rights(self.second_approval_right, other.second_approval_right),
            both_rights(self.third_approval_right, other.third_approval_right),
        )


NO_RULES = AccountRules(GuardRules(duplicate_days=0))
"""No rules: the stricter of this and any other rules are the other rules."""


class Usage(NamedTuple):
    """The used part of a limit."""

    orders: int = 0
    rupiah: int = 0

    def plus(self, price_rupiah: int) -> Usage:
        """The usage with one more order."""
        return Usage(self.orders + 1, self.rupiah + price_rupiah)


class Ruling(NamedTuple):
    """The guards' decision about one order.

    :param earlier: the order that it duplicates.
    """

    request_id: str
    command: Admit | Hold
    earlier: Order | None = None


def smaller_limit(one: int | None, other: int | None) -> int | None:
    """The smaller of two limits; None means no limit."""
    limits = [limit for limit in (one, other) if limit is not None]
    return min(limits) if limits else None


def counts(order: Order) -> bool:
    """Whether the order is admitted and may cost money."""
    if order.state is OrderState.QUOTED:
        return order.admitted_at is not None
    return order.state in COUNTING_STATES


def counted_at(order: Order) -> datetime | None:
    """Since when the order counts: its admission, or its first sending if no guard ruled on it."""
    return order.admitted_at or order.first_sent_at


def amount_of(order: Order) -> int:
    """The amount with which the order counts: the larger of quote and charge."""
    return committed_rupiah(order.quote_rupiah, order.charged_rupiah)


class LimitUsage(dict[tuple[str, str], Usage]):
    """How much is used of limits, by account and by what a limit applies to: a business day or a batch."""

    def add(self, changes: Iterable[tuple[Order | None, Order]]) -> LimitUsage:
        """Add what changes orders, given before and after each change."""
        for before, after in changes:
            was, now = _use_of(before), _use_of(after)
            if was != now:  # most changes leave the use as it is
                self._add(after, was, -1)
                self._add(after, now, 1)
        return self

    def _add(self, order: Order, use: tuple[datetime, int] | None, sign: int) -> None:
        if use is None:
            return
        since, rupiah = use
        for scope in (day_scope(business_day(since)), batch_scope(order.batch_id)):
            key = order.account, scope
            orders, total = self.get(key, Usage())
            self[key] = Usage(orders + sign, total + sign * rupiah)


def day_scope(day: date) -> str:
    """What a limit of a business day applies to."""
    return f"day/{day}"


def batch_scope(batch_id: str) -> str:
    """What a limit of a batch applies to."""
    return f"batch/{batch_id}"


def _use_of(order: Order | None) -> tuple[datetime, int] | None:
    """Since when, and with how much, the order counts."""
    if order is None or not counts(order) or (since := counted_at(order)) is None:
        return None
    return since, amount_of(order)


def needs_ruling(order: Order, day_start: datetime) -> bool:
    """Whether the guards must rule: the order can be sent and was not admitted this business day."""
    if order.state is not OrderState.QUOTED:
        return False
    return order.admitted_at is None or order.admitted_at < day_start


def is_same_business(one: Order, other: Order) -> bool:
    """Whether two orders of an account pay the same thing.

    They have the same product, client number and extra fields, and either the rows name the same amount (none
    for prepaid goods and most bills) or both cost the same.
    """
    return (
        one.account == other.account
        and one.product_code == other.product_code
        and one.client_number == other.client_number
        # The column order of a file does not change what is paid.
        and sorted(one.fields) == sorted(other.fields)
        and (one.amount_rupiah == other.amount_rupiah or one.quote_rupiah == other.quote_rupiah)
    )


def rule_on(
    orders: Sequence[Order],
    kin: Iterable[Order],
    batch_used: Usage,
    day_used: Usage,
    rules: GuardRules,
    now: datetime,
) -> list[Ruling]:
    """Admit or hold each of ``orders`` in turn, so that the first of two equal orders is admitted.

    An order that exceeds the rest of a limit is held; the rest stays available to the orders after it.

    :param orders: quoted orders of one batch, in row order.
    :param kin: orders of the account, from any batch, that may be the same business as one of these.
    :param batch_used: the usage by the batch's other orders that count.
    :param day_used: the usage by the account's orders that count on the business day of ``now``.
    """
    earlier: dict[tuple[str, str], list[Order]] = {}
    for order in kin:
        if counts(order) and _is_recent(order, rules, now):
            earlier.setdefault(_key(order), []).append(order)
    day_start, _ = day_bounds(now)
    admit, rulings = Admit(day_start), []
    for order in orders:
        key, price = _key(order), amount_of(order)
        other = _duplicate(order, earlier.get(key, ()), rules)
        hold = (
            _over_limit(order, price, batch_used, day_used, rules)
            if other is None
            else _held_for(other, rules)
        )
        if hold is not None:
            rulings.append(Ruling(order.request_id, hold, other))
            continue
        rulings.append(Ruling(order.request_id, admit))
        batch_used, day_used = batch_used.plus(price), day_used.plus(price)
        if rules.duplicate_days:
            earlier.setdefault(key, []).append(order)
    return rulings


def _key(order: Order) -> tuple[str, str]:
    return order.product_code, order.client_number


def _is_recent(order: Order, rules: GuardRules, now: datetime) -> bool:
    since = counted_at(order)
    return since is not None and now - since < timedelta(days=rules.duplicate_days)


def _duplicate(order: Order, earlier: Iterable[Order], rules: GuardRules) -> Order | None:
    if not rules.duplicate_days or HoldReason.BUSINESS_DUPLICATE in order.overridden:
        return None
    for other in earlier:
        since = counted_at(other)
        if order.admitted_at is not None and (since is None or since <= order.admitted_at):
            # Admitted on an earlier day, it was measured against the orders that counted then, and
            # that is settled. Later ones may have been admitted after this order's days were over,
            # or by a run with narrower rules.
            continue
        if other.request_id != order.request_id and is_same_business(order, other):
            return other
    return None


def _held_for(other: Order, rules: GuardRules) -> Hold:
    return Hold(
        HoldReason.BUSINESS_DUPLICATE,
        f"the same product, client number and amount as order {other.order_id!r} (row "
        f"{other.row_number} of batch {other.batch_id}) of the last {rules.duplicate_days} days",
        facts={
            "earlier_request_id": other.request_id,
            "earlier_order_id": other.order_id,
            "earlier_row": other.row_number,
            "days": rules.duplicate_days,
        },
    )


def _over_limit(
    order: Order, price: int, batch_used: Usage, day_used: Usage, rules: GuardRules
) -> Hold | None:
    if HoldReason.LIMIT in order.overridden:
        return None
    if rules.order_limit_rupiah is not None and price > rules.order_limit_rupiah:
        most = rules.order_limit_rupiah
        detail = f"found {price} rupiah; expected at most {most} for one order"
        return _limit(detail, "order_rupiah", price, most)
    for limit, whose, used, rupiah, number in (
        ("batch", "batch", batch_used, rules.batch_limit_rupiah, rules.batch_limit_orders),
        ("day", "account on this business day", day_used, rules.day_limit_rupiah, rules.day_limit_orders),
    ):
        if rupiah is not None and used.rupiah + price > rupiah:
            left = max(0, rupiah - used.rupiah)
            detail = f"found {price} rupiah; expected at most {left}, what is left for the {whose}"
            return _limit(detail, f"{limit}_rupiah", price, left)
        if number is not None and used.orders + 1 > number:
            detail = f"found order {used.orders + 1} of the {whose}; expected at most {number}"
            return _limit(detail, f"{limit}_orders", used.orders + 1, number)
    return None


def _limit(detail: str, limit: str, found: int, most: int) -> Hold:
    return Hold(HoldReason.LIMIT, detail, facts={"limit": limit, "found": found, "most": most})
