"""The figures of the application database for Prometheus, by account.

They are read when they are scraped, part by part, and kept for some seconds. A part that cannot be read is
missing, and says so; the others are there. No label has a customer's number, an order id or a voucher.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from sat_hook.application.attention import funds_of
from sat_hook.application.installation import Installation
from sat_hook.store.account_lists import AccountLists
from sat_hook.store.breaks import BreakTable
from sat_hook.store.metrics import MetricsTables, OrdersFound, Waiting
from sat_hook.store.private_files import read_trusted

logger = logging.getLogger(__name__)

KEPT_SECONDS = 10.0
"""How long figures count; scrapers that come more often get the same ones."""
READING_SECONDS = 10.0
"""No further part is begun after this long."""
MAXIMUM_REASONS = 40
"""Reasons of an account's orders in a state; those with the fewest orders are counted as ``other``."""
MAXIMUM_TOKEN_BYTES = 16_384
LEAST_TOKEN_CHARACTERS = 32

OTHER = "other"
# A reason is a code. Any other text comes from outside, and stays out of a label.
_CODE = re.compile(r"[a-z][a-z_]{0,47}|[A-Z][0-9]{2}|")

Part = Callable[[], Iterable[Metric]]


def scrape_tokens(path: str) -> Sequence[str] | None:
    """The tokens of scrapers, in the file of this name, one a line; None when no file is named.

    :raises ValueError: it has none, or one that is too short to be a secret.
    :raises UntrustedFileError: others may write to it.
    :raises OSError: it cannot be read.
    """
    if not path:
        return None
    lines = read_trusted(Path(path), MAXIMUM_TOKEN_BYTES).decode("utf-8").splitlines()
    tokens = [line.strip() for line in lines if line.strip()]
    if not tokens:
        raise ValueError(f"{path}: found no token, expected one a line")
    shortest = min(len(token) for token in tokens)
    if shortest < LEAST_TOKEN_CHARACTERS:
        raise ValueError(
            f"{path}: found a token of {shortest} characters, expected at least {LEAST_TOKEN_CHARACTERS}"
        )
    return tokens


class Metrics:
    """Reads the figures.

    :param monotonic: seconds of a clock that never jumps.
    """

    def __init__(self, installation: Installation, monotonic: Callable[[], float]) -> None:
        self._installation = installation
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kept: list[Metric] = []
        self._kept_at: float | None = None

    def families(self) -> list[Metric]:
        """The figures, at most :data:`KEPT_SECONDS` old. Blocks; never raises for a part."""
        with self._lock:
            if self._kept_at is None or self._monotonic() - self._kept_at >= KEPT_SECONDS:
                self._kept = list(self._read())
                self._kept_at = self._monotonic()
            return self._kept

    def _read(self) -> Iterator[Metric]:
        began_at = self._monotonic()
        was_read = _gauge("sat_figures_read", "Whether this part of the figures could be read", "part")
        took = _gauge("sat_figures_read_seconds", "How long it took to read this part", "part")
        for name, part in self._parts().items():
            since = self._monotonic()
            is_read = False
            if since - began_at < READING_SECONDS:
                try:
                    yield from list(part())
                    is_read = True
                except Exception as error:
                    logger.warning("The figures of %s could not be read: %s", name, type(error).__name__)
            was_read.add_metric([name], float(is_read))
            took.add_metric([name], self._monotonic() - since)
        yield was_read
        yield took

    def _parts(self) -> dict[str, Part]:
        return {
            "orders": self._orders,
            "batches": self._batches,
            "callbacks": self._callbacks,
            "polls": self._polls,
            "deposits": self._deposits,
            "limiter": self._limiter,
            "log": self._log,
            "breaks": self._breaks,
            "accounts": self._accounts,
            "webhooks": self._webhooks,
        }

    @property
    def _tables(self) -> MetricsTables:
        return MetricsTables(self._installation.store().database)

    def _orders(self) -> Iterator[Metric]:
        tables = self._tables
        found = tables.open_orders()
        yield _order_counts(
            "sat_orders",
            "Orders in flight, held and escalated, and all orders of batches that have not ended",
            [*found, *tables.orders_of_open_batches()],
        )
        ages = _gauge(
            "sat_orders_oldest_age_seconds",
            "Time since the oldest order in this state was first sent, was held or was escalated",
            "account",
            "state",
        )
        oldest: dict[tuple[str, str], float] = {}
        for one in found:
            if one.oldest_seconds is not None:
                place = one.account, one.state
                oldest[place] = max(oldest.get(place, 0.0), one.oldest_seconds)
        for place, seconds in oldest.items():
            ages.add_metric(place, seconds)
        yield ages
        yield _order_counts(
            "sat_orders_changed_last_minute",
            "Orders whose last event is at most a minute old",
            tables.changed_orders(),
        )

    def _batches(self) -> Iterator[Metric]:
        rows = self._tables.open_batches()
        labels = "account", "state"
        batches = _gauge("sat_batches", "Batches that have not ended", *labels)
        ages = _gauge(
            "sat_batches_oldest_age_seconds", "Time since the oldest of them was submitted", *labels
        )
        for account, state, count, seconds in rows:
            batches.add_metric([account, state], count)
            ages.add_metric([account, state], seconds)
        yield from (batches, ages)

    def _callbacks(self) -> Iterator[Metric]:
        return _waiting(
            "sat_callbacks_waiting",
            "Callbacks about known orders that have not led to a status query",
            self._tables.callbacks_waiting(),
        )

    def _polls(self) -> Iterator[Metric]:
        return _waiting("sat_polls_due", "Status queries that are due", self._tables.polls_due())

    def _deposits(self) -> Iterator[Metric]:
        saldo = _gauge("sat_deposit_rupiah", "Deposit when it was observed last", "account")
        reserved = _gauge("sat_deposit_reserved_rupiah", "Reserved for orders that are not sent", "account")
        sent = _gauge("sat_deposit_sent_rupiah", "Of sent orders whose debit may not show yet", "account")
        free = _gauge("sat_deposit_free_rupiah", "The rest of the deposit; may be negative", "account")
        age = _gauge("sat_deposit_age_seconds", "Time since the deposit was observed", "account")
        now = self._installation.store().database_time()
        for account in self._tables.accounts_with_a_deposit():
            funds = funds_of(self._installation, account)
            if funds.observed_at is None:
                continue
            for family, rupiah in (
                (saldo, funds.saldo_rupiah),
                (reserved, funds.reserved_rupiah),
                (sent, funds.sent_rupiah),
                (free, funds.free_rupiah),
            ):
                if rupiah is not None:
                    family.add_metric([account], rupiah)
            age.add_metric([account], (now - funds.observed_at).total_seconds())
        yield from (saldo, reserved, sent, free, age)

    def _limiter(self) -> Iterator[Metric]:
        wait = _gauge(
            "sat_limiter_wait_seconds", "How far ahead the account's requests are spaced out", "account"
        )
        held = _gauge("sat_limiter_permits_held", "Requests in flight that processes may have", "account")
        wanted = _gauge("sat_limiter_permits_wanted", "Requests in flight that processes want", "account")
        for one in self._tables.limits():
            wait.add_metric([one.account], one.booked_seconds)
            held.add_metric([one.account], one.permits_held)
            wanted.add_metric([one.account], one.permits_wanted)
        yield from (wait, held, wanted)

    def _log(self) -> Iterator[Metric]:
        log = self._tables.log()
        yield CounterMetricFamily("sat_log_events", "Positions given out in the log", log.position)
        yield CounterMetricFamily(
            "sat_database_commits", "Transactions that the application database committed", log.commits
        )
        yield GaugeMetricFamily(
            "sat_checkpoint_uncovered_age_seconds",
            "Age of the oldest event without a signed checkpoint; 0 when there is none",
            log.uncovered_seconds,
        )

    def _breaks(self) -> Iterator[Metric]:
        # The tables of breaks follow the log when they are read.
        BreakTable(self._installation.store().database).catch_up()
        labels = "account", "state", "age_days"
        breaks = _gauge("sat_breaks", "Breaks that are not ended", *labels)
        size = _gauge("sat_breaks_rupiah", "Their amounts without signs", *labels)
        for account, state, age, count, rupiah in self._tables.standing_breaks():
            breaks.add_metric([account, state, age], count)
            size.add_metric([account, state, age], rupiah)
        yield from (breaks, size)

    def _accounts(self) -> Iterator[Metric]:
        lists = AccountLists(self._installation.store().database)
        paused = _gauge("sat_account_paused", "1 while nothing is sent from the account", "account")
        for standing in lists.standings():
            paused.add_metric([standing.account], float(standing.is_paused))
        untold = _gauge("sat_alerts_untold", "Alerts that reached no person", "account", "kind")
        for alerts in lists.untold_alerts():
            untold.add_metric([alerts.account, alerts.kind], alerts.alerts)
        yield from (paused, untold)

    def _webhooks(self) -> Iterator[Metric]:
        messages = _gauge(
            "sat_webhook_messages", "Messages that wait to be sent, or were given up", "webhook", "state"
        )
        for webhook, state, count in self._tables.webhook_messages():
            messages.add_metric([webhook, state], count)
        yield messages


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)


def _waiting(name: str, text: str, rows: Iterable[Waiting]) -> Iterator[Metric]:
    count = _gauge(name, text, "account")
    age = _gauge(f"{name}_age_seconds", "For how long the first of them has waited", "account")
    for one in rows:
        count.add_metric([one.account], one.waiting)
        age.add_metric([one.account], one.oldest_seconds)
    yield from (count, age)


def _order_counts(name: str, text: str, rows: Iterable[OrdersFound]) -> Metric:
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in rows:
        reason = one.reason if _CODE.fullmatch(one.reason) else OTHER
        counts.setdefault((one.account, one.state), Counter())[reason] += one.orders
    family = _gauge(name, text, "account", "state", "reason")
    for (account, state), by_reason in counts.items():
        shown = dict(by_reason.most_common(MAXIMUM_REASONS))
        if rest := by_reason.total() - sum(shown.values()):
            shown[OTHER] = shown.get(OTHER, 0) + rest
        for reason, orders in shown.items():
            family.add_metric([account, state, reason], orders)
    return family
