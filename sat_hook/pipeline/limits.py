"""The limits of a batch, each with a name and a default, set per run or per deployment (law 10)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(gt=0)]
Number = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""The values that a deployment may set. Code may pass any value, including 0 seconds."""


class BadRowsPolicy(StrEnum):
    """The policy for bad rows: go on with the good ones, wait for a person, or end the whole batch."""

    PROCEED = "proceed"
    WAIT = "wait"
    REFUSE = "refuse"


def at_hand(in_flight: int) -> int:
    """How many orders to work on at once so that ``in_flight`` calls are under way.

    While some orders are being committed, as many others are in a call.
    """
    return 2 * in_flight


def _grown(first: float, growth: float, longest: float, times: int) -> float:
    """A pause of ``first`` seconds that grew ``times`` times, at most ``longest``."""
    # The exponent is capped: growth ** 2000 is not a float.
    return min(longest, first * growth ** min(times, 64))


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The maximum size of a file of orders. A row, or the whole file, beyond it is refused.

    :param order_rupiah: the largest amount in a row.
    """

    file_bytes: Count = 32 * 1024 * 1024
    rows: Count = 100_000
    columns: Count = 64
    cell_characters: Count = 256
    order_id_characters: Count = 64
    field_name_characters: Count = 64
    order_rupiah: Count = 1_000_000_000


FILE_LIMITS = FileLimits()
"""The defaults, for a deployment that sets none."""


@dataclass(frozen=True, slots=True)
class ClaimLimits:
    """How long claimed rows of the table belong to their run when no batch takes them in."""

    lease_seconds: Count = 3600


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """How a chunk is sent.

    :param in_flight: checkouts under way at once in one task.
    :param send_window_seconds: an intent may be written this long after it was committed.
    :param reply_timeout_seconds: the longest that a sender waits for a reply; must not be smaller than the
        client's total timeout.
    :param grace_seconds: more than the clocks of two machines may differ.
    :param group_size: how many orders one commit takes at most.
    :param group_wait_seconds: how long a commit waits for more orders.
    :param failures_to_stop: consecutive calls without an accepted order that stop the chunk.
    :param quote_lifetime_seconds: how long a quote is valid.
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
    """How inquiries are made: at most ``in_flight`` at once, ``tries`` each, a growing pause between tries.

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

    :param saldo_lag_seconds: the maximum age of a saldo when SAT answers it, plus what clocks of two
        machines may differ. Too long only delays; too short commits money that is already gone.
    :param refund_wait_seconds: how long after a failure a refund is still expected, before a rise of the
        saldo counts as a top-up.
    :param first_poll_seconds: the first pause between observations of the deposit while a batch waits for
        funds. Each pause is ``poll_growth`` times the last, at most ``longest_poll_seconds``.
    """

    saldo_lag_seconds: Number = 30.0
    refund_wait_seconds: Number = 3600.0
    first_poll_seconds: Number = 2.0
    poll_growth: Number = 1.5
    longest_poll_seconds: Number = 10.0

    def pause_seconds(self, looks: int) -> float:
        """The pause after the ``looks``-th observation."""
        return _grown(self.first_poll_seconds, self.poll_growth, self.longest_poll_seconds, looks)


@dataclass(frozen=True, slots=True)
class RecoveryLimits:
    """How long and how often recovery works on an order without an end before it escalates the order.

    :param dedup_horizon_seconds: how long after the first sending SAT is trusted to refuse a duplicate id;
        the real horizon is unknown (protocol section 8). After it, an order is never sent again.
    :param attempts: how often one order is sent at most, including the first time.
    :param give_up_after_seconds: the age at which an order without an end is escalated.
    """

    dedup_horizon_seconds: Number = 6 * 3600.0
    attempts: Count = 5
    give_up_after_seconds: Number = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class PollingLimits:
    """How order statuses are polled.

    An order is first queried ``first_delay_seconds`` after it was sent. Each further delay is ``growth``
    times the last, at most ``longest_delay_seconds``. ``lease_seconds`` is how long a claimed order belongs
    to the poller that claimed it; it is longer than the queries of a whole claim can take. A pass over the
    due orders ends after at most ``pass_seconds``; the rest is due at once in the next pass. At most
    ``in_flight`` queries are under way. Answers are recorded in groups, which wait ``group_wait_seconds``
    for more answers.
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
        """The pause after the ``polls``-th status query for one order."""
        return _grown(self.first_delay_seconds, self.growth, self.longest_delay_seconds, polls)


@dataclass(frozen=True, slots=True)
class RecheckLimits:
    """How ended orders are rechecked.

    :param days: business days (WIB) after that of the end; one recheck on each.
    :param hour: the hour of that day (WIB) from which the recheck is due; it is overdue when the day is over.
    :param orders: maximum rechecks of one run.
    :param pass_seconds: maximum duration of one run; the rest is due in the next.
    :param in_flight: maximum concurrent status queries.
    :param claim: orders that one run claims at a time.
    :param lease_seconds: how long a claimed order belongs to the run that claimed it.
    :param first_pause_seconds: the pause before another query when an answer proved nothing; doubled each
        time, at most ``longest_pause_seconds``.
    :param give_up_after_seconds: a recheck that is overdue for this long is closed without an answer.
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
        """The pause after the ``tries``-th query without an answer."""
        return _grown(self.first_pause_seconds, 2.0, self.longest_pause_seconds, tries - 1)


@dataclass(frozen=True, slots=True)
class AlertingLimits:
    """How alerts are sent.

    :param page: events read at a time.
    :param alerts: maximum alerts of one round.
    :param lease_seconds: how long a round may take to send the alerts that it claimed.
    :param failures_to_stop: failed messages that end the round.
    :param first_pause_seconds: the pause before a message is tried again; doubled each time, at most
        ``longest_pause_seconds``. A message is tried until it is sent.
    """

    page: Count = 1000
    alerts: Count = 10_000
    lease_seconds: Number = 600.0
    failures_to_stop: Count = 3
    first_pause_seconds: Number = 60.0
    longest_pause_seconds: Number = 3600.0

    def pause_seconds(self, tries: int) -> float:
        """The pause after the ``tries``-th failure."""
        return _grown(self.first_pause_seconds, 2.0, self.longest_pause_seconds, tries - 1)


@dataclass(frozen=True, slots=True)
class WebhookLimits:
    """How webhooks are told.

    :param page: events read at a time.
    :param pass_seconds: maximum duration of one run; the rest is due in the next.
    :param timeout_seconds: maximum duration of one exchange.
    :param in_flight: messages under way to one webhook at a time.
    :param lease_seconds: how long claimed messages belong to the run that claimed them.
    :param failures_to_stop: failed attempts in a row after which a webhook rests until the next run.
    :param first_pause_seconds: the pause before a message is tried again; doubled each time, at most
        ``longest_pause_seconds``.
    :param give_up_after_seconds: this long after its first attempt a message is tried for the last time.
    :param keep_delivered_seconds: how long delivered messages can be looked at and sent once more.
    :param keep_dead_seconds: likewise for those that were given up.
    """

    page: Count = 500
    pass_seconds: Number = 50.0
    timeout_seconds: Number = 10.0
    in_flight: Count = 16
    lease_seconds: Number = 120.0
    failures_to_stop: Count = 20
    first_pause_seconds: Number = 60.0
    longest_pause_seconds: Number = 4 * 3600.0
    give_up_after_seconds: Number = 86_400.0
    keep_delivered_seconds: Number = 7 * 86_400.0
    keep_dead_seconds: Number = 30 * 86_400.0

    def pause_seconds(self, tries: int) -> float:
        """The pause after the ``tries``-th failure."""
        return _grown(self.first_pause_seconds, 2.0, self.longest_pause_seconds, tries - 1)
