"""A real Prometheus scrapes API server and receiver, with the rules and the dashboard that are shipped."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import string
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from sat_hook.hooks.telemetry import AirflowWatcher
from sat_hook.telemetry.probes import watch_with
from stack.databases import ApplicationDatabase
from stack.postgres import free_port
from tests.console_server import console_server
from tests.integration.receiver.serving import order, serving, settings_for
from tests.pipeline import Line
from tests.sql import execute
from tests.web_host import FakeHost, FakeUser

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
SHIPPED = Path(__file__).parents[2] / "deploy"
RULES = SHIPPED / "prometheus" / "sat-alerts.yaml"
MAPPING = SHIPPED / "prometheus" / "statsd-mapping.yaml"
PAGE = SHIPPED.parent / "docs" / "watch-it-run.md"
DASHBOARD = SHIPPED / "grafana" / "sat-bulk-orders.json"
TOKEN = "scrape-" + "k" * 32
WAIT_SECONDS = 30.0

needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None and "CI" not in os.environ, reason="needs Debian's package prometheus"
)


def expressions() -> list[str]:
    """Every query of the alert rules and of the dashboard."""
    rules = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [*rules, *(query.replace("$account", ".*") for query in shown)]


def a_batch(seed: int, count: int) -> tuple[bytes, set[str]]:
    """A file with invented values, and those that no figure may have; one product does not exist."""
    draw = random.Random(seed)
    lines, secrets = ["order_id,product_code,client_number"], set()
    for number in range(count):
        order_id = "".join(draw.choices(string.ascii_uppercase + string.digits, k=12))
        client_number = f"0812{draw.randrange(10**8):08d}"
        lines.append(f"{order_id},{'no-such-product' if number == 3 else '25k-xl'},{client_number}")
        secrets |= {order_id, client_number}
    return "\n".join(lines).encode(), secrets


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[str]:
    """The address of a Prometheus with the shipped settings; its targets are ours, and it scrapes quickly."""
    settings: dict[str, Any] = yaml.safe_load((SHIPPED / "prometheus" / "prometheus.yaml").read_text())
    settings["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    settings["rule_files"] = [str(RULES)]
    for job in settings["scrape_configs"]:
        job["static_configs"] = [{"targets": [urlsplit(targets[job["job_name"]]).netloc]}]
        job["authorization"]["credentials_file"] = str(folder / "tokens")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    checked = subprocess.run(
        [str(PROMTOOL), "check", "config", str(folder / "prometheus.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    port = free_port()
    command = [
        str(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


class Asked:
    """What a Prometheus answers."""

    def __init__(self, url: str) -> None:
        self._url = url

    def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        response = requests.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=10)
        if response.status_code == 503:
            raise requests.ConnectionError("it has not started")
        answer = response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def until(self, path: str, is_there: Any) -> Any:
        """The data as soon as it is as expected."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if is_there(data := self.api(path)):
                    return data
            except requests.ConnectionError:
                data = "no connection"
            assert time.monotonic() < deadline, data
            time.sleep(0.05)

    def values(self, query: str) -> dict[str, float]:
        """The series of a query, by their labels but those of the scrape."""
        series = self.api("query", query=query)["result"]
        return {
            " ".join(
                sorted(
                    value
                    for name, value in one["metric"].items()
                    if name not in ("__name__", "job", "instance")
                )
            ): float(one["value"][1])
            for one in series
        }


@needs_prometheus
def test_prometheus_scrapes_what_rules_and_dashboard_name(
    line: Line, database: ApplicationDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every figure that a rule or a panel names exists, the page describes exactly those that are served,
    every rule is evaluated, and no label has anything of a customer, an order or a secret.
    """
    content, secrets = a_batch(seed=11, count=12)
    waiting, more_secrets = a_batch(seed=12, count=5)
    spans = InMemorySpanExporter()
    monkeypatch.setattr("sat_hook.telemetry.probes.ORDERS_PER_SAMPLE", 1)
    monkeypatch.setattr("sat_hook.application.metrics.KEPT_SECONDS", 0.2)
    (tmp_path / "tokens").write_text(TOKEN)
    monkeypatch.setenv("SAT_METRICS_TOKEN_FILE", str(tmp_path / "tokens"))
    with (
        console_server(FakeHost(FakeUser("ops"), store=line.store)) as api,
        serving(settings_for(database.receiver_dsn), lambda: [TOKEN]) as receiver,
        # It takes five seconds before it scrapes for the first time.
        prometheus(tmp_path, {"sat": api, "sat-receiver": receiver.base_url}) as url,
    ):
        with traced(spans):
            paid = line.run(content)
        batch_id = line.quoted(waiting)
        request_ids = [one.request_id for one in line.orders(paid).values()]
        assert receiver.post(order(request_ids[0])).status_code == 200
        assert receiver.post(order(request_ids[1]), signer=None).status_code == 400
        text = "".join(
            requests.get(page, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10).text
            for page in (f"{api}/metrics", f"{receiver.base_url}/sat/metrics")
        )
        asked = Asked(url)
        asked.until("targets", lambda data: [one["health"] for one in data["activeTargets"]] == ["up", "up"])
        scraped = named_in(expressions()) - sent_by_statsd()
        asked.until("metadata", lambda data: scraped <= {name.removesuffix("_total") for name in data})
        asked.until(
            "rules",
            lambda data: {rule["health"] for group in data["groups"] for rule in group["rules"]} == {"ok"},
        )
        for query in expressions():
            asked.api("query", query=query)
        asked.until("query?query=sat_callbacks_stored_total", lambda data: data["result"])
        orders = asked.values("sat_orders")
        assert orders["demo quoted"] == 4
        assert orders["demo rejected unknown_product"] == 2
        assert asked.values("sat_callbacks_stored_total") == {"demo": 1}
        assert asked.values("sat_callbacks_waiting") == {"demo": 1}
        assert asked.values("sat_deposit_rupiah")["demo"] > 0
        assert asked.values("sat_log_events_total")[""] > 20
        assert set(asked.values("sat_figures_read").values()) == {1.0}
    families = text_string_to_metric_families(text)
    # The format has the time at which a histogram was made as a figure of its own.
    served = {family.name for family in families if not family.name.endswith("_created")}
    assert named_in(re.findall(r"`(sat_[a-z_]+)`", PAGE.read_text("utf-8"))) == served | sent_by_statsd()
    private = {*secrets, *more_secrets, *delivered(database), TOKEN}
    assert_nothing_of_customers(text, {*private, *request_ids, paid, batch_id})
    assert_spans_tell_how_orders_were_paid(spans.get_finished_spans(), private, set(request_ids), paid)


def named_in(queries: Iterable[str]) -> set[str]:
    """The figures that queries name, as families."""
    return {
        re.sub(r"_(bucket|sum|count|total)$", "", name)
        for query in queries
        for name in re.findall(r"\bsat_[a-z_]+", query)
    }


def sent_by_statsd() -> set[str]:
    """The figures that tasks send through Airflow's metrics."""
    return named_in(mapping["name"] for mapping in yaml.safe_load(MAPPING.read_text())["mappings"])


@contextmanager
def traced(spans: InMemorySpanExporter) -> Iterator[None]:
    """Keeps the spans of the block, all of them below one for its step."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = provider.get_tracer("tests")
    watch_with(AirflowWatcher(metrics=False, tracer=tracer))
    try:
        with tracer.start_as_current_span("worker.execute"):
            yield
    finally:
        watch_with(None)


def delivered(database: ApplicationDatabase) -> set[str]:
    """Serials, vouchers and whatever else of more than a word is in what SAT signed."""
    found = {
        value
        for (body,) in execute(database.owner_dsn, "SELECT body FROM sat.status_evidence")
        for value in re.findall(r'"(?:serial_number|voucher_code|value)":\s*"([^"]{6,})"', body)
    }
    assert found
    return found


def assert_spans_tell_how_orders_were_paid(
    spans: Sequence[ReadableSpan], private: set[str], request_ids: set[str], batch_id: str
) -> None:
    """Below the step there are group commits and orders, below an order its call to SAT; and every value is
    an account, a kind, or an id that the log has.
    """
    by_id = {span.context.span_id: span for span in spans if span.context is not None}
    above = {
        (span.name, by_id[span.parent.span_id].name)
        for span in spans
        if span.parent is not None and span.parent.span_id in by_id
    }
    assert {
        ("sat.order", "worker.execute"),
        ("sat.group_commit", "worker.execute"),
        ("sat.status", "worker.execute"),
        ("sat.request", "sat.order"),
        ("sat.request", "sat.status"),
    } <= above
    known = {"demo", batch_id, *request_ids}
    for span in spans:
        assert not span.events
        for name, value in (span.attributes or {}).items():
            assert name in {"sat.account", "sat.request_id", "sat.batch_id", "sat.call", "sat.outcome"}
            assert value in known or re.fullmatch(r"[a-z_]+|http_\d{3}", str(value)), (name, value)
        assert not any(secret in span.to_json() for secret in private)
    paid = [span for span in spans if span.name == "sat.order" and span.attributes]
    assert {span.attributes["sat.request_id"] for span in paid if span.attributes} <= request_ids
    assert len(paid) == len(request_ids) - 1  # one was rejected


def assert_nothing_of_customers(text: str, secrets: set[str]) -> None:
    """No label has an id, a number, or what SAT delivered; each one has the shape of a name."""
    for secret in secrets:
        assert secret not in text
    labels = {
        value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert all(re.fullmatch(r"[A-Za-z0-9_.+-]{0,48}", value) for value in labels), labels


@needs_prometheus
def test_rules_are_valid_and_fire(tmp_path: Path) -> None:
    """promtool accepts the rules, and they fire for what they are about and not before."""
    hour, times = 3600, 90
    cases = {
        "SATUnknownOrderOld": (
            'sat_orders_oldest_age_seconds{account="demo", state="unknown"}',
            f"{hour - 1200}+60x{times}",
        ),
        "SATDepositOverdrawn": ('sat_deposit_free_rupiah{account="demo"}', f"1+0x30 -5+0x{times}"),
        "SATEventsNotSigned": ("sat_checkpoint_uncovered_age_seconds", f"30+0x30 400+60x{times}"),
        "SATBreaksOld": ('sat_breaks{account="demo", age_days="31+", state="open"}', f"0+0x25 2+0x{times}"),
        "SATFiguresMissing": ('sat_figures_read{part="orders"}', f"1+0x30 0+0x{times}"),
    }
    tests = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series, "values": values},
                    {"series": "sat_log_events_total", "values": f"0+1x{times}"},
                ],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) or vector(0)',
                        "eval_time": moment,
                        "exp_samples": [{"labels": "{}", "value": firing}],
                    }
                    for moment, firing in (("15m", 0), ("89m", 1))
                ],
            }
            for name, (series, values) in cases.items()
        ],
    }
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(tmp_path / "tests.yaml")]):
        done = subprocess.run([str(PROMTOOL), *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_dashboard_lead_somewhere() -> None:
    """Every alert has a severity, a summary and a page that exists; every panel has a title and a query."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"]
            assert (SHIPPED.parent / rule["annotations"]["runbook"]).is_file(), rule["alert"]
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(panel["title"] and panel["targets"] for panel in panels)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "account"}
