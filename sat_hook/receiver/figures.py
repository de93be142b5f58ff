"""What a receiver's process counts, for Prometheus: callbacks, refusals and commits since it started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from sat_hook.receiver.app import Receiver

GROUP_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
COMMIT_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class CommitFigures:
    """How large the groups of callbacks were that shared a transaction, and how long each took."""

    def __init__(self) -> None:
        self._sizes = Histogram(
            "sat_callback_commit_callbacks",
            "Callbacks in one transaction",
            registry=None,
            buckets=GROUP_SIZES,
        )
        self._seconds = Histogram(
            "sat_callback_commit_seconds",
            "Time to store a group of callbacks, with its retry",
            registry=None,
            buckets=COMMIT_SECONDS,
        )

    def count(self, callbacks: int, seconds: float) -> None:
        """Count a group."""
        self._sizes.observe(callbacks)
        self._seconds.observe(seconds)

    def families(self) -> Iterator[Metric]:
        yield from self._sizes.collect()
        yield from self._seconds.collect()


def families_of(receiver: Receiver) -> Iterator[Metric]:
    """The figures of a receiver. Accounts are those whose key verified a callback, so there are few."""
    tally = receiver.tally
    stored = CounterMetricFamily(
        "sat_callbacks_stored", "Callbacks that were stored for the first time", labels=["account"]
    )
    repeated = CounterMetricFamily(
        "sat_callbacks_repeated", "Callbacks that were stored before", labels=["account"]
    )
    refused = CounterMetricFamily("sat_callbacks_refused", "Requests that were refused", labels=["reason"])
    for family, counts in ((stored, tally.stored), (repeated, tally.repeats), (refused, tally.refusals)):
        for label, count in sorted(counts.items()):
            family.add_metric([str(label)], count)
    yield from (stored, repeated, refused)
    yield from receiver.commits.families()
    yield GaugeMetricFamily(
        "sat_receiver_settings_stale",
        "1 while the settings cannot be read again and older ones are in use",
        float(receiver.has_stale_settings),
    )
