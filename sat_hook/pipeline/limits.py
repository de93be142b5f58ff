"""The limits of a batch: each named, each with a default, each set per run or per deployment (law 10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(gt=0)]
Number = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""What a deployment may set. A caller in code may pass anything; 0 seconds too."""


class BadRowsPolicy(StrEnum):
    """What a batch with bad rows does: go on with the good ones, wait for a person, or end as a whole."""

    PROCEED = "proceed"
    WAIT = "wait"
    REFUSE = "refuse"


def at_hand(in_flight: int) -> int:
    """How many orders to work on at once so that ``in_flight`` calls are under way.

    While some orders are being committed, as many others keep the wire busy.
    """
    return 2 * in_flight


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How large a file of orders may be. Beyond it a row, or the whole file, is refused.

    :param order_rupiah: the largest amount that a row may name.
    """

    file_bytes: Count = 32 * 1024 * 1024
    rows: Count = 100_000
    columns: Count = 64
    cell_characters: Count = 256
    order_id_characters: Count = 64
    field_name_characters: Count = 64
    order_rupiah: Count = 1_000_000_000


FILE_LIMITS = FileLimits()
"""Those of a deployment that sets none."""


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """How long rows of the table belong to the run that claimed them, if no batch takes them in."""

    lease_seconds: Count = 3600


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """How a chunk is sent.

    :param in_flight: checkouts under way at once in one task.
    :param send_window_seconds: an intent may be written this long after it was committed.
    :param reply_timeout_seconds: the longest that a sender waits for a reply; must not be smaller than the
        client's total timeout.
    :param grace_seconds: what clocks of two machines may differ, and more.
    :param group_size: how many orders one commit takes at most.
    :param group_wait_seconds: how long a commit waits to be joined by others.
    :param failures_to_stop: so many calls without any order accepted in between stop the chunk.
    :param quote_lifetime_seconds: how long a price may be relied on.
    """

    in_flight: Count = 64
    send_window_seconds: Number = 15.0
    reply_timeout_seconds: Number = 30.0
    grace_seconds: Number = 10.0
    group_size: Count = 200
    group_wait_seconds: Number = 0.005
    failures_to_stop: Count = 20
    quote_lifetime_seconds: Number = 1800.0


@dataclass(frozen=True, slots=True)
class QuotingLimits:
    """How inquiries are made: at most ``in_flight`` at once, ``tries`` each, a growing pause between.

    :param group_size: how many orders one commit takes at most.
    :param group_wait_seconds: how long a commit waits to be joined by others.
    """

    in_flight: Count = 16
    tries: Count = 4
    first_pause_seconds: Number = 0.5
    quote_lifetime_seconds: Number = 1800.0
    group_size: Count = 200
    group_wait_seconds: Number = 0.005


@dataclass(frozen=True, slots=True)
class FundingLimits:
    """How a saldo is read.

    :param saldo_lag_seconds: how old a saldo may be at most when SAT answers it, and what clocks of two
        machines may differ. Too long only delays; too short commits money that is gone already.
    :param refund_wait_seconds: how long after a failure a refund is still expected, before a rise of the
        saldo is taken for a top-up.
    :param first_poll_seconds: a batch that waits for funds looks at the deposit after so long, then
        ``poll_growth`` times later each time, never later than ``longest_poll_seconds``.
    """

    saldo_lag_seconds: Number = 30.0
    refund_wait_seconds: Number = 3600.0
    first_poll_seconds: Number = 2.0
    poll_growth: Number = 1.5
    longest_poll_seconds: Number = 10.0

    def pause_seconds(self, looks: int) -> float:
        """The pause after the ``looks``-th look."""
        # The exponent is capped: growth ** 2000 is not a float.
        return min(self.longest_poll_seconds, self.first_poll_seconds * self.poll_growth ** min(looks, 64))


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How long and how often an order without an end is looked after before people have to.

    :param dedup_horizon_seconds: how long after the first sending SAT is trusted to refuse a duplicate id;
        the real horizon is unknown (protocol section 8). Beyond it nothing is ever sent again.
    :param attempts: how often one order is sent at most, the first time included.
    :param give_up_after_seconds: when an order without an end is handed to people.
    """

    dedup_horizon_seconds: Number = 6 * 3600.0
    attempts: Count = 5
    give_up_after_seconds: Number = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class PollingLimits:
    """How statuses are asked for.

    An order is asked about ``first_delay_seconds`` after it went out, then ``growth`` times later each time,
    never later than ``longest_delay_seconds``; ``lease_seconds`` is how long a claimed order belongs to the
    poller that claimed it, longer than asking about a whole claim can take. A pass over what is due ends
    after ``pass_seconds`` at the latest; what is left is due at once in the next. At most ``in_flight``
    questions are under way; answers are recorded in groups, which wait ``group_wait_seconds`` to be joined by
    others.
    """

    in_flight: Count = 32
    claim: Count = 64
    first_delay_seconds: Number = 2.0
    growth: Number = 1.7
    longest_delay_seconds: Number = 300.0
    lease_seconds: Number = 90.0
    pass_seconds: Number = 60.0
    group_wait_seconds: Number = 0.005

    def delay_seconds(self, polls: int) -> float:
        """The pause after the ``polls``-th question about one order."""
        # The exponent is capped: growth ** 2000 is not a float.
        return min(self.longest_delay_seconds, self.first_delay_seconds * self.growth ** min(polls, 64))


@dataclass(frozen=True, slots=True)
class RecheckLimits:
    """How ended orders are looked at again.

    :param days: after the business day (WIB) of the end; one look at each.
    :param hour: of that day (WIB) from which the look is due; it is overdue when the day is over.
    :param orders: looks of one run at most.
    :param pass_seconds: of one run at most; what is left is due in the next.
    :param in_flight: questions at once.
    :param claim: orders that one run takes at once.
    :param lease_seconds: how long a claimed order belongs to the run that claimed it.
    :param first_pause_seconds: before an order is asked about again that got no proof for an answer; doubled
        each time, never longer than ``longest_pause_seconds``.
    :param give_up_after_seconds: a mark that is overdue for so long is closed without an answer.
    """

    days: tuple[int, ...] = (1, 7)
    hour: Count = 6
    orders: Count = 20_000
    pass_seconds: Number = 2700.0
    in_flight: Count = 32
    claim: Count = 128
    lease_seconds: Number = 300.0
    first_pause_seconds: Number = 300.0
    longest_pause_seconds: Number = 6 * 3600.0
    give_up_after_seconds: Number = 7 * 86_400.0

    def pause_seconds(self, tries: int) -> float:
        """The pause after the ``tries``-th question without an answer."""
        # The exponent is capped: 2 ** 2000 is not a float.
        return min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** min(tries - 1, 32))


@dataclass(frozen=True, slots=True)
class AlertingLimits:
    """How people are told.

    :param page: events that are read at once.
    :param alerts: alerts of one round at most.
    :param lease_seconds: how long a round has for telling what it has taken.
    :param failures_to_stop: so many messages that the notifier did not take end the round.
    :param first_pause_seconds: before a message is tried again; doubled each time, never longer than
        ``longest_pause_seconds``. It is tried until it goes out.
    """

    page: Count = 1000
    alerts: Count = 10_000
    lease_seconds: Number = 600.0
    failures_to_stop: Count = 3
    first_pause_seconds: Number = 60.0
    longest_pause_seconds: Number = 3600.0

    def pause_seconds(self, tries: int) -> float:
        """The pause after the ``tries``-th failure."""
        return min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** min(tries - 1, 32))
