"""Airflow's own metrics and traces as the watcher of the probes, and the ids in a task's log.

``[metrics]`` and ``[traces]`` of Airflow's configuration turn them on; exporters are Airflow's, too.
"""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from datetime import timedelta

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics.stats_utils import get_stats_factory
from opentelemetry import trace
from structlog.contextvars import bind_contextvars

from sat_hook.telemetry.probes import Probe, watch_with

logger = logging.getLogger(__name__)

_METRICS = ("statsd_on", "statsd_datadog_enabled", "otel_on")


class AirflowWatcher:
    """Sends timings and counts to Airflow's ``stats``, and spans to OpenTelemetry.

    :param metrics: whether Airflow's metrics are on.
    :param tracer: opens spans; None where Airflow's traces are off.
    """

    def __init__(self, *, metrics: bool, tracer: trace.Tracer | None) -> None:
        self._metrics = metrics
        self._tracer = tracer

    def timing(self, probe: Probe, seconds: float, tags: dict[str, str]) -> None:
        if self._metrics:
            stats.timing(probe.value, timedelta(seconds=seconds), tags=tags)

    def count(self, probe: Probe, number: int, tags: dict[str, str]) -> None:
        if self._metrics:
            stats.incr(probe.value, number, tags=tags)

    def span(self, name: str, attributes: dict[str, str]) -> AbstractContextManager[trace.Span] | None:
        if self._tracer is None:
            return None
        # Without the error's text, which may quote what SAT answered.
        return self._tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        )


def name_in_log(**ids: str) -> None:
    """Put these ids on every further line that this task logs, beside Airflow's own.

    For tasks only: triggers share a process, and what they share would have the ids of one of them.
    """
    bind_contextvars(**ids)


class WithoutShortSecrets(logging.Filter):
    """Drops Airflow's warning that it does not mask a short secret.

    Airflow says so of every short value in a connection's extra, secret or not, once in each task. Its
    setting ``namespace_levels`` does not reach this logger.
    """

    _TEXT = "Skipping masking for a secret as it's too short"
    _LOGGERS = (
        "airflow.sdk._shared.secrets_masker.secrets_masker",
        "airflow._shared.secrets_masker.secrets_masker",
    )

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._TEXT)

    @classmethod
    def install(cls) -> None:
        """Filter the lines of Airflow's maskers in this process."""
        for name in cls._LOGGERS:
            logging.getLogger(name).addFilter(cls())


_is_set_up = False


def watch_as_airflow_does() -> None:
    """Turn the probes on where Airflow's metrics or traces are, and its noise off. Once for a process; never
    raises.
    """
    global _is_set_up
    if _is_set_up:
        return
    _is_set_up = True
    WithoutShortSecrets.install()
    try:
        metrics = any(conf.getboolean("metrics", option, fallback=False) for option in _METRICS)
        traces = conf.getboolean("traces", "otel_on", fallback=False)
        if not metrics and not traces:
            return
        # The process of a task has set the SDK's metrics up; that of triggers has only Airflow's core's.
        if metrics and getattr(sys.modules[stats.timing.__module__], "_factory", None) is None:
            stats.initialize(
                factory=get_stats_factory(),
                export_legacy_names=conf.getboolean("metrics", "legacy_names_on", fallback=True),
            )
        tracer = trace.get_tracer("sat_hook") if traces else None
        watch_with(AirflowWatcher(metrics=metrics, tracer=tracer))
    except Exception as error:
        logger.warning("Metrics and traces stay off: %s", type(error).__name__)
