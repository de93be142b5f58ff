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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

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
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
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
    """Every figure that a rule or a panel names exists, every rule is evaluated, and no label has anything of
    a customer, an order or a secret.
    """
    content, secrets = a_batch(seed=11, count=12)
    paid = line.run(content)
    waiting, more_secrets = a_batch(seed=12, count=5)
    batch_id = line.submit(waiting).batch_id
    line.take_in(batch_id)
    line.quote(batch_id)
    (tmp_path / "tokens").write_text(TOKEN)
    monkeypatch.setenv("SAT_METRICS_TOKEN_FILE", str(tmp_path / "tokens"))
    with (
        console_server(FakeHost(FakeUser("ops"), store=line.store)) as api,
        serving(settings_for(database.receiver_dsn), lambda: [TOKEN]) as receiver,
    ):
        request_ids = [one.request_id for one in line.orders(paid).values()]
        assert receiver.post(order(request_ids[0])).status_code == 200
        assert receiver.post(order(request_ids[1]), signer=None).status_code == 400
        targets = {"sat": api.removesuffix("/sat"), "sat-receiver": receiver.base_url}
        text = "".join(
            requests.get(f"{url}/sat/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10).text
            for url in targets.values()
        )
        with prometheus(tmp_path, {job: url.removeprefix("http://") for job, url in targets.items()}) as url:
            asked = Asked(url)
            up = asked.until(
                "targets", lambda data: [one["health"] for one in data["activeTargets"]] == ["up", "up"]
            )
            assert up["droppedTargets"] == []
            named = {
                re.sub(r"_(bucket|sum|count|total)$", "", name)
                for query in expressions()
                for name in re.findall(r"\bsat_[a-z_]+", query)
            }
            asked.until("metadata", lambda data: named <= {name.removesuffix("_total") for name in data})
            asked.until(
                "rules",
                lambda data: (
                    {rule["health"] for group in data["groups"] for rule in group["rules"]} == {"ok"}
                ),
            )
            for query in expressions():
                asked.api("query", query=query)
            orders = asked.values("sat_orders")
            assert orders["demo quoted"] == 4
            assert orders["demo rejected unknown_product"] == 2
            assert asked.values("sat_callbacks_stored_total") == {"demo": 1}
            assert asked.values("sat_callbacks_waiting") == {"demo": 1}
            assert asked.values("sat_deposit_rupiah")["demo"] > 0
            assert asked.values("sat_log_events_total")[""] > 20
            assert set(asked.values("sat_figures_read").values()) == {1.0}
    assert_nothing_of_customers(text, {*secrets, *more_secrets, *request_ids, paid, batch_id}, database)


def assert_nothing_of_customers(text: str, secrets: set[str], database: ApplicationDatabase) -> None:
    """No label has an id, a number, or what SAT delivered; each one has the shape of a name."""
    delivered = {
        value
        for (body,) in execute(database.owner_dsn, "SELECT body FROM sat.status_evidence")
        for value in re.findall(r'"(?:serial_number|voucher_code|value|id)":\s*"([^"]{6,})"', body)
    }
    assert delivered
    for secret in (*secrets, *delivered, TOKEN):
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
