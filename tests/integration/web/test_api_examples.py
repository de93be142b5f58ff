"""The examples of docs/api.md, run as they stand there, and rows that are no rows."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.console_server import console_server
from tests.docs.pages import page
from tests.pipeline import Line
from tests.web_host import FakeAccounts, FakeHost, FakeUser, LiveConnection

PLACE = "/batches?account=sat_default"


@pytest.fixture
def api(line: Line, tmp_path: Path) -> Iterator[str]:
    """The address of the API over a line with the local SAT server."""
    host = FakeHost(FakeUser("erp"), store=line.store, folder=tmp_path)
    host.accounts = FakeAccounts(connections={"sat_default": LiveConnection(line.settings)})
    with console_server(host) as url:
        yield f"{url}/v1"


def ran(*command: str, folder: Path, **env: str) -> str:
    """What a command prints; it must end well."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
        env={**os.environ, **env},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_of_the_page_work(api: str, tmp_path: Path) -> None:
    """A check by curl, a submission and a start by Python, the summary and the results by curl."""
    guide = page("docs/api.md")
    check, follow = guide.fences("bash")
    env = {"SAT": api, "TOKEN": "erp"}
    checked = json.loads(ran("bash", "-euc", check, folder=tmp_path, **env))
    assert (checked["rows"], checked["payable"], checked["total_rupiah"]) == (2, 2, 77_100), checked
    submit = guide.fences("python")[0]
    batch_id, is_new = ran(sys.executable, "-c", submit, folder=tmp_path, **env).split()
    assert is_new == "True"
    # The same rows and the same reference: the same batch, whose run was started before.
    assert ran(sys.executable, "-c", submit, folder=tmp_path, **env).split() == [batch_id, "False"]
    shown = ran("bash", "-euc", follow, folder=tmp_path, BATCH=batch_id, **env)
    assert json.loads(shown)["batch_id"] == batch_id
    with (tmp_path / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["order_id"], row["client_number"]) == ("INV-2026-1201-3", "081812345202")


GOOD = {"order_id": "A-1", "product_code": "25k-xl", "client_number": "081812345201"}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body: "),
        (b"[]", "body: "),
        (b'{"rows": []}', "body.rows: "),
        (b'{"rows": [{"order_id": "\\ud800"}]}', "body: "),
        ({"rows": [GOOD, {**GOOD, "client_number": 81812345201}]}, "body.rows.1.client_number: "),
        ({"rows": [{**GOOD, "max_rupiah": "30000"}]}, "body.rows.0.max_rupiah: "),
        ({"rows": [{**GOOD, "max_rupiah": 1.5}]}, "body.rows.0.max_rupiah: "),
        ({"rows": [{**GOOD, "max_rupiahh": 30000}]}, "body.rows.0.max_rupiahh: "),
        ({"rows": [GOOD], "account": "other"}, "body.account: "),
    ],
)
def test_what_is_no_row_is_refused_with_its_place(api: str, body: Any, where: str) -> None:
    """Nothing of it is recorded, and what was found is not repeated."""
    content = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"Authorization": "Bearer erp", "Content-Type": "application/json; charset=utf-8"}
    answer = requests.post(api + PLACE, data=content, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["type"]) == (422, "request_invalid"), answer.text
    assert answer.json()["detail"].startswith(where)
    assert "8181234" not in answer.text
    assert requests.get(f"{api}/batches", headers=headers, timeout=60).json()["items"] == []


def test_a_bad_row_costs_only_itself(api: str) -> None:
    """With its row as below a header; a formula, a comma and a line break stay in their cells."""
    rows = [
        GOOD,
        {**GOOD, "order_id": '=1+1,"\r\n'},
        {**GOOD, "order_id": "A-3", "fields": {"a,b": "1;2"}},
        {**GOOD, "order_id": ""},
    ]
    headers = {"Authorization": "Bearer erp"}
    check = f"{api}{PLACE.replace('?', '/check?')}"
    checked = requests.post(check, json={"rows": rows}, headers=headers, timeout=60).json()
    assert [(row, code) for row, _, _, code, *_ in checked["findings"]] == [
        (3, "control_character"),
        (5, "bad_order_id"),
    ], checked
    assert checked["payable"] == 2
