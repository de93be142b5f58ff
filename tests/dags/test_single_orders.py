"""The examples for single orders on a real Airflow, and what its pages show of a task that waits deferred."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from sat_hook.domain.identity import request_id_of
from stack.lifecycle import Stack
from tests.dags.test_approval import HEADER, MAKER, VIEWER, Office

BULK = "bulk_disbursement"


@pytest.fixture
def office(running_stack: Stack) -> Office:
    """The shared stack with its users, the examples loaded, and money in the deposit."""
    settings = running_stack.settings()
    tokens = {
        user: requests.post(
            f"{settings.airflow_url}/auth/token", json={"username": user, "password": password}, timeout=90
        ).json()["access_token"]
        for user, password in running_stack.credentials.user_passwords.items()
    }
    office = Office(settings.airflow_url, settings.sandbox_url, settings.application.reader_dsn, tokens)
    for dag_id in (BULK, "example_sell_credit", "example_pay_a_bill", "example_ship_when_paid"):
        office.until(lambda dag_id=dag_id: office.ask("GET", f"/api/v2/dags/{dag_id}", MAKER).ok or None)
    topup = requests.post(f"{settings.sandbox_url}/_sandbox/topup", json={"rupiah": 10_000_000}, timeout=90)
    topup.raise_for_status()
    return office


@contextmanager
def slow_order(office: Office, client_number: str, order_id: str) -> Iterator[None]:
    """SAT fails one customer's order and tells nobody until the end of the block; others are served."""
    url = f"{office.sandbox_url}/_sandbox/faults"
    before = requests.get(url, timeout=90).json()["scenario"]
    silent = {"fault": "error", "operations": ["status"], "when": "before", "status": 503, "body": "html"}
    rules = [
        {"fault": "fails", "client_numbers": [client_number]},
        {"fault": "callback_dropped", "client_numbers": [client_number]},
        {**silent, "request_ids": [request_id_of("demo", order_id)]},
    ]
    requests.put(url, json={"faults": rules}, timeout=90).raise_for_status()
    try:
        yield
    finally:
        requests.put(url, json=before, timeout=90).raise_for_status()


def start(office: Office, dag_id: str, **conf: object) -> str:
    """Run an example as soon as Airflow has read its file; returns the path of its run."""
    office.until(lambda: office.ask("GET", f"/api/v2/dags/{dag_id}", MAKER).status_code == 200 or None)
    body = {"logical_date": None, "conf": conf}
    reply = office.ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", MAKER, json=body)
    assert reply.status_code == 200, reply.text
    return f"/api/v2/dags/{dag_id}/dagRuns/{reply.json()['dag_run_id']}"


def end_of(office: Office, run: str) -> str:
    """How a run ended."""

    def look() -> str | None:
        state = str(office.ask("GET", run, MAKER).json()["state"])
        return state if state in ("success", "failed") else None

    try:
        return str(office.until(look))
    except AssertionError as error:
        listed = office.ask("GET", f"{run}/taskInstances", MAKER).json()["task_instances"]
        raise AssertionError(f"{error}: { {t['task_id']: t['state'] for t in listed} }") from None


def returned(office: Office, run: str, task_id: str) -> Any:
    """What a task returned."""
    reply = office.ask("GET", f"{run}/taskInstances/{task_id}/xcomEntries/return_value", MAKER)
    assert reply.status_code == 200, reply.text
    value = reply.json()["value"]
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def log_of(office: Office, run: str, task_id: str) -> str:
    """What a task has logged so far, its trigger included."""
    return office.ask("GET", f"{run}/taskInstances/{task_id}/logs/1", MAKER).text


def told_of(office: Office, run: str) -> str:
    """How the tasks of a run ended, and what those that failed said last."""
    tasks = office.ask("GET", f"{run}/taskInstances", MAKER).json()["task_instances"]
    words = [f"{task['task_id']}: {task['state']}, try {task['try_number']}" for task in tasks]
    for task in tasks:
        if task["state"] == "failed":
            path = f"{run}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
            words.append(office.ask("GET", path, MAKER).text[-3000:])
    return "\n".join(words)


@pytest.mark.timeout(900)
def test_examples_buy_and_a_wait_shows_how_far_it_is(office: Office) -> None:
    """At the same time: credit, a bill, an order of a batch that somebody waits for, the batch's own wait."""
    mark = int(time.time()) % 10_000_000
    number, slow = f"0817{mark:08d}", f"0819{mark:08d}"
    with slow_order(office, slow, f"W{mark}-2"):
        batch_id, batch_run_id = office.submit(
            HEADER + f"W{mark}-1,25k-xl,0818{mark:08d}\nW{mark}-2,25k-xl,{slow}\n"
        )
        batch_run = f"/api/v2/dags/{BULK}/dagRuns/{batch_run_id}"

        def progress() -> str | None:
            task = office.ask("GET", f"{batch_run}/taskInstances/wait", MAKER).json()
            assert task.get("state") not in ("success", "failed"), "it was to wait for the slow order"
            if task.get("state") != "deferred":
                return None
            log = log_of(office, batch_run, "wait")
            return log if "orders ended (" in log else None

        log = str(office.until(progress))
        assert f"Batch {batch_id}: " in log
        assert "of 2 orders ended" in log
        assert "paid Rp " in log
        assert slow not in log
        links = office.ask("GET", f"{batch_run}/taskInstances/wait/links", VIEWER).json()["extra_links"]
        page = office.ask("GET", links["Batch progress"], VIEWER)
        assert (page.status_code, "of 2</strong> orders have ended" in page.text) == (200, True), links
        sell = start(
            office, "example_sell_credit", order_id=f"S{mark}", client_number=number, product_code="25k-xl"
        )
        bill = start(
            office, "example_pay_a_bill", order_id=f"P{mark}", client_number=f"51234{mark % 10_000_000:07d}"
        )
        ship = start(office, "example_ship_when_paid", order_id=f"W{mark}-2")
    assert end_of(office, batch_run) == "success"
    assert end_of(office, sell) == "success", told_of(office, sell)
    assert f"order S{mark} is paid and cost Rp " in returned(office, sell, "tell")
    assert end_of(office, bill) == "success", told_of(office, bill)
    assert returned(office, bill, "wait")["state"] == "succeeded"
    assert end_of(office, ship) == "failed", "the order was not paid, and this DAG wanted that"

    look = start(office, "example_look_at_an_order", order_id=f"S{mark}")
    assert end_of(office, look) == "success"
    assert returned(office, look, "look")["reported_status"] == "Success"
    ledger = requests.get(f"{office.sandbox_url}/_sandbox/ledger", timeout=90).json()["requests"]
    assert ledger[request_id_of("demo", f"S{mark}")]["charged"] == 1

    for task_id in ("buy", "wait"):
        task = office.ask("GET", f"{sell}/taskInstances/{task_id}", MAKER).text
        assert number not in task, "neither among the rendered fields nor elsewhere"
        assert number not in log_of(office, sell, task_id)
    links = office.ask("GET", f"{sell}/taskInstances/buy/links", MAKER).json()["extra_links"]
    assert returned(office, sell, "buy")["batch_id"] in links["Batch progress"]
