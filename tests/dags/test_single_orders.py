"""The examples for single orders on a real Airflow, and what its pages show of a task that waits deferred."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sat_hook.domain.identity import request_id_of
from tests.dags.office import HEADER, VIEWER, Office


@contextmanager
def slow_order(office: Office, client_number: str, order_id: str) -> Iterator[None]:
    """SAT fails one customer's order and says so only at the end of the block; others are served."""
    before = office.sandbox("GET", "faults")["scenario"]
    silent = {"fault": "error", "operations": ["status"], "when": "before", "status": 503, "body": "html"}
    rules = [
        {"fault": "fails", "client_numbers": [client_number]},
        {"fault": "callback_dropped", "client_numbers": [client_number]},
        {**silent, "request_ids": [request_id_of("demo", order_id)]},
    ]
    office.sandbox("PUT", "faults", json={"faults": rules})
    try:
        yield
    finally:
        office.sandbox("PUT", "faults", json=before)


@pytest.mark.timeout(900)
def test_examples_buy_and_a_wait_shows_how_far_it_is(office: Office) -> None:
    """At the same time: credit, a bill, an order of a batch that a task waits for, the batch's own wait."""
    mark = int(time.time()) % 10_000_000
    number, slow = f"0817{mark:08d}", f"0819{mark:08d}"
    with slow_order(office, slow, f"W{mark}-2"):
        batch_id, batch_run = office.submit(
            HEADER + f"W{mark}-1,25k-xl,0818{mark:08d}\nW{mark}-2,25k-xl,{slow}\n"
        )

        def progress() -> str | None:
            task = office.ask("GET", f"{batch_run}/taskInstances/wait").json()
            assert task.get("state") not in ("success", "failed"), "it was to wait for the slow order"
            if task.get("state") != "deferred":
                return None
            log = office.log_of(batch_run, "wait")
            return log if "orders ended (" in log else None

        log = str(office.until(progress))
        assert f"Batch {batch_id}: " in log
        assert "of 2 orders ended" in log
        assert "paid Rp " in log
        assert slow not in log
        links = office.ask("GET", f"{batch_run}/taskInstances/wait/links", VIEWER).json()["extra_links"]
        page = office.ask("GET", links["Batch progress"], VIEWER)
        assert (page.status_code, batch_id in page.text) == (200, True), links
        assert slow not in page.text
        sell = office.start(
            "example_sell_credit", order_id=f"S{mark}", client_number=number, product_code="25k-xl"
        )
        bill = office.start(
            "example_pay_a_bill", order_id=f"P{mark}", client_number=f"51234{mark % 10_000_000:07d}"
        )
        ship = office.start("example_ship_when_paid", order_id=f"W{mark}-2")
    assert office.end_of(batch_run) == "success"
    assert office.end_of(sell) == "success", office.story_of(sell)
    assert f"order S{mark} is paid and cost Rp " in office.returned(sell, "tell")
    assert office.end_of(bill) == "success", office.story_of(bill)
    assert office.returned(bill, "wait")["state"] == "succeeded"
    assert office.end_of(ship) == "failed", "the order was not paid, and this DAG wanted that"

    look = office.start("example_look_at_an_order", order_id=f"S{mark}")
    assert office.end_of(look) == "success"
    assert office.returned(look, "look")["reported_status"] == "Success"
    ledger = office.sandbox("GET", "ledger")["requests"]
    assert ledger[request_id_of("demo", f"S{mark}")]["charged"] == 1

    for task_id in ("buy", "wait"):
        task = office.ask("GET", f"{sell}/taskInstances/{task_id}").text
        assert number not in task, "neither among the rendered fields nor elsewhere"
        assert number not in office.log_of(sell, task_id)
    links = office.ask("GET", f"{sell}/taskInstances/buy/links").json()["extra_links"]
    assert office.returned(sell, "buy")["batch_id"] in links["Batch progress"]
