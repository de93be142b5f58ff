"""Probes in the path of an order: off they do nothing, and a watcher's trouble is its own."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk._shared.observability.metrics.statsd_logger import SafeStatsdLogger
from airflow.sdk._shared.secrets_masker import secrets_masker
from airflow.sdk.observability import stats
from statsd import StatsClient

from sat_hook.hooks.telemetry import AirflowWatcher, WithoutShortSecrets
from sat_hook.telemetry.probes import Probe, counted, drawn_order, timed, watch_with

MAPPING = Path(__file__).parents[2] / "deploy" / "prometheus" / "statsd-mapping.yaml"


@pytest.fixture(autouse=True)
def unwatched() -> Iterator[None]:
    """No watcher stays behind."""
    yield
    watch_with(None)


class Broken:
    """A watcher of which nothing works; a span breaks when it is opened, used or closed."""

    def __init__(self, where: str) -> None:
        self._where = where

    def timing(self, probe: Probe, seconds: float, tags: dict[str, str]) -> None:
        """Broken."""
        raise OSError("no exporter 0812")

    def count(self, probe: Probe, number: int, tags: dict[str, str]) -> None:
        """Broken."""
        raise OSError("no exporter 0812")

    def span(self, name: str, attributes: dict[str, str]) -> AbstractContextManager[Any] | None:
        """Broken."""
        if self._where == "span":
            raise OSError("no exporter 0812")
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator[object]:
        if self._where == "open":
            raise OSError("no exporter 0812")
        yield object()
        raise OSError("no exporter 0812")


def pay(*, fails: bool) -> str:
    """Work with every probe around it."""
    with drawn_order("sat.order", "S1", "demo"), timed(Probe.REQUEST, "demo", call="checkout") as work:
        if work is not None:
            work.outcome = "http_200"
        counted(Probe.COMMANDS, 3, "demo")
        if fails:
            raise KeyError("of the work")
        return "paid"


def test_without_a_watcher_nothing_is_made() -> None:
    """A probe that is off gives the same empty context each time."""
    assert timed(Probe.REQUEST, "demo", call="checkout") is timed(Probe.ADMISSION, "demo")
    assert drawn_order("sat.order", "S1", "demo") is timed(Probe.ADMISSION, "demo")
    assert pay(fails=False) == "paid"


@pytest.mark.parametrize("where", ["span", "open", "close"])
def test_a_broken_watcher_stops_no_work(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The work's result and its error pass; the trouble is logged once, by its type."""
    monkeypatch.setattr("sat_hook.telemetry.probes.ORDERS_PER_SAMPLE", 1)
    watch_with(Broken(where))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert pay(fails=False) == "paid"
            with pytest.raises(KeyError, match="of the work"):
                pay(fails=True)
    assert [record.getMessage() for record in caplog.records] == [
        "Telemetry failed with OSError; the work goes on without it"
    ]


def test_timings_leave_through_airflows_metrics() -> None:
    """Each probe is a packet with account and kind as tags, and the mapping for Prometheus has its name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        client = StatsClient("127.0.0.1", server.getsockname()[1], prefix="airflow")
        stats.initialize(
            factory=lambda: SafeStatsdLogger(
                client, statsd_influxdb_enabled=True, influxdb_tags_enabled=True
            ),
            export_legacy_names=False,
        )
        try:
            watch_with(AirflowWatcher(metrics=True, tracer=None))
            assert pay(fails=False) == "paid"
            with timed(Probe.ADMISSION, "demo"), timed(Probe.GROUP_COMMIT, "demo"):
                pass
            packets = [server.recv(2000).decode() for _ in Probe]
        finally:
            stats.initialize(factory=NoStatsLogger, export_legacy_names=True)
            client.close()
    sent = {packet.partition(":")[0]: packet.rpartition("|")[2] for packet in packets}
    assert sent == {
        "airflow.sat.group_commit.commands,account=demo": "c",
        "airflow.sat.request,account=demo,call=checkout,outcome=http_200": "ms",
        "airflow.sat.group_commit,account=demo": "ms",
        "airflow.sat.admission,account=demo": "ms",
    }
    mapped = {mapping["match"] for mapping in yaml.safe_load(MAPPING.read_text())["mappings"]}
    assert mapped == {f"airflow.{probe}" for probe in Probe}


def test_airflow_does_not_warn_of_short_values(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An extra's padding is no secret; whatever else the masker has to say is still said."""
    monkeypatch.setattr(secrets_masker.SecretsMasker, "_has_warned_short_secret", False)
    monkeypatch.setattr(secrets_masker.log, "filters", [])
    WithoutShortSecrets.install()
    with caplog.at_level(logging.WARNING):
        secrets_masker.mask_secret({"padding": "pss"})
        secrets_masker.log.warning("Unable to redact a value")
    assert secrets_masker.SecretsMasker._has_warned_short_secret
    assert [record.getMessage() for record in caplog.records] == ["Unable to redact a value"]
