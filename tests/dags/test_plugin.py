"""The plugin in Airflow's real API server: who may do what, and what comes of it."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
import requests
from anyio import to_thread
from fastapi import FastAPI
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from sat_hook.application.errors import RunsError
from sat_hook.application.runs import BATCH_DAG, RunState
from sat_hook.domain.identity import digest_of
from sat_hook.plugin.airflow_runs import AirflowRuns
from sat_hook.plugin.run_notes import note_after
from sat_hook.protocol.signing import Signer
from sat_hook.web.errors import answer_errors
from stack.databases import ApplicationDatabase, dsn_of
from tests.dags.api_server import PASSWORDS, api_server, environment, postgres_connection
from tests.keys import other_pair, sat_pair
from tests.orders import BATCH, stream_of
from tests.sql import execute

PRIVATE_PEM, PUBLIC_PEM = sat_pair()
CSV = b"order_id,product_code,client_number\nA1,50k-simpati,081211311111\n"


@dataclass
class Airflow:
    """A running API server and its users."""

    url: str
    database: ApplicationDatabase
    tokens: dict[str, str]
    folder: Path

    def request(self, method: str, path: str, user: str | None = "ops", **more: Any) -> requests.Response:
        """A request as ``user``, or without one."""
        headers = dict(more.pop("headers", {}))
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=90, **more)

    def submit(self, content: bytes = CSV, user: str | None = "ops", **query: str) -> requests.Response:
        """Upload a file."""
        parameters = {"account": "sat_default", "file_name": "orders.csv", **query}
        return self.request("POST", "/sat/v1/batches", user, params=parameters, data=content)

    def runs(self, user: str) -> AirflowRuns:
        """The runs of a user, asked over the network."""

        async def airflow(scope: Scope, receive: Receive, send: Send) -> None:
            message = await receive()
            async with httpx.AsyncClient(timeout=90) as client:
                path = b"?".join((scope["raw_path"], scope["query_string"])).decode("ascii")
                reply = await client.request(
                    scope["method"],
                    f"{self.url}{path}",
                    headers=[(k, v) for k, v in scope["headers"] if k != b"host"],
                    content=message["body"],
                )
            await send(
                {
                    "type": "http.response.start",
                    "status": reply.status_code,
                    "headers": [(b"content-type", b"application/json")],
                }
            )
            await send({"type": "http.response.body", "body": reply.content})

        token = f"Bearer {self.tokens[user]}".encode()
        return AirflowRuns(airflow, Request({"type": "http", "headers": [(b"authorization", token)]}))

    def events(self, type_name: str) -> list[tuple[Any, ...]]:
        """Actor, cause and data of the events of a type."""
        return execute(
            self.database.reader_dsn,
            "SELECT actor, cause, data FROM sat.events WHERE type = %s ORDER BY position",
            (type_name,),
        )


@pytest.fixture(scope="module")
def airflow(
    module_database: ApplicationDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Airflow]:
    """An API server with the plugin, its connections and two users."""
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "sat.pem").write_bytes(PUBLIC_PEM)
    receiver = {
        "dsn": module_database.receiver_dsn,
        "accounts": {"demo": {"public_key_paths": ["sat.pem"]}},
        "limits": {"reread_seconds": 0.2},
    }
    (folder / "receiver.json").write_text(json.dumps(receiver), "utf-8")
    connections = {
        "sat_db": postgres_connection(module_database.writer_dsn),
        "sat_default": {
            "conn_type": "sat",
            "login": "id",
            "password": "very-secret",
            "extra": json.dumps({"account": "demo"}),
        },
    }
    rights = folder / "rights.json"
    given = {
        "submit": {"users": ["ops"]},
        "approve": {"users": ["carl"]},
        "decide": {"users": ["ops", "teller"]},
        "account_rules.propose": {"users": ["ops"]},
        "account_rules.confirm": {"users": ["ops", "carl"]},
    }
    rights.write_text(json.dumps(given), "utf-8")
    variables = {
        **environment(folder, connections),
        "SAT_RIGHTS_FILE": str(rights),
        "SAT_RECEIVER_CONFIG": str(folder / "receiver.json"),
        "SAT_SPOOL_URI": (folder / "spool").as_uri(),
    }
    with api_server(folder, variables) as url:
        tokens = {
            user: requests.post(
                f"{url}/auth/token", json={"username": user, "password": password}, timeout=90
            ).json()["access_token"]
            for user, password in PASSWORDS.items()
        }
        yield Airflow(url, module_database, tokens, folder)


def test_the_plugin_is_loaded_without_errors(airflow: Airflow) -> None:
    """Airflow lists it, and reports no import error."""
    listed = airflow.request("GET", "/api/v2/plugins").json()["plugins"]
    [plugin] = [plugin for plugin in listed if plugin["name"] == "sat"]
    assert plugin["fastapi_apps"][0]["url_prefix"] == "/sat"


@pytest.mark.parametrize("path", ["/sat/docs", "/sat/redoc", "/sat/openapi.json", "/sat/", "/sat/v1/"])
def test_nothing_describes_the_routes(airflow: Airflow, path: str) -> None:
    """Open plugin apps would publish their documentation."""
    assert airflow.request("GET", path, user=None).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sat/v1/batches?account=sat_default"),
        ("GET", f"/sat/v1/batches/{BATCH}/results"),
        ("POST", f"/sat/v1/orders/{stream_of(1).key}/release"),
    ],
)
def test_actions_need_a_user_with_the_right(airflow: Airflow, method: str, path: str) -> None:
    """A request without a user gets 401, a viewer 403."""
    body = {"reason": "curious"}
    assert airflow.request(method, path, user=None, json=body).status_code == 401
    assert airflow.request(method, path, user="viewer", json=body).status_code == 403


def test_a_submitted_file_is_a_batch_of_its_user(airflow: Airflow) -> None:
    """The actor is who Airflow says; the streams carry the connection's account; twice is once."""
    reply = airflow.submit()
    assert reply.status_code == 200, reply.text
    first = reply.json()
    assert first["is_new"] is True
    assert first["digest"] == digest_of(CSV)
    assert first["account"] == "demo"
    assert airflow.submit().json() == {**first, "is_new": False}
    [(actor, cause, data)] = airflow.events("BatchSubmitted")
    assert (actor, cause) == ("user:ops", "plugin:submit")
    submitted_ = json.loads(data)
    assert submitted_["account"] == "demo"
    assert Path(submitted_["spool_uri"].removeprefix("file://")).read_bytes() == CSV

    result = airflow.request("GET", f"/sat/v1/batches/{first['batch_id']}/results")
    assert result.status_code == 200, result.text
    assert result.headers["cache-control"] == "no-store"
    assert "A1,50k-simpati,081211311111" in result.text
    again = airflow.request(
        "GET",
        f"/sat/v1/batches/{first['batch_id']}/results",
        params={"at": result.headers["x-sat-log-position"]},
    )
    assert again.content == result.content
    for position, status in (("0", 422), ("9999999", 422)):
        later = airflow.request(
            "GET", f"/sat/v1/batches/{first['batch_id']}/results", params={"at": position}
        )
        assert later.status_code == status, later.text


@pytest.mark.parametrize(
    ("content", "query", "status", "text"),
    [
        (b"", {}, 422, "expected a header and at least one row"),
        (CSV, {"account": "sat_nowhere"}, 422, "sat_nowhere"),
        (CSV, {"account": "sat_db"}, 422, "connection type"),
        (b"x" * (32 * 1024 * 1024 + 1), {}, 413, "33,554,432"),
    ],
    ids=["empty", "no connection", "wrong type", "too large"],
)
def test_a_file_that_cannot_be_a_batch_is_refused_with_the_reason(
    airflow: Airflow, content: bytes, query: dict[str, str], status: int, text: str
) -> None:
    """Found and expected, never a secret."""
    reply = airflow.submit(content, **query)
    assert (reply.status_code, text in reply.text) == (status, True), reply.text
    assert "very-secret" not in reply.text


def test_an_account_s_name_leads_to_its_connection(airflow: Airflow) -> None:
    """An account may be named by its connection or by its name in the log; any other name is refused."""
    assert airflow.request("GET", "/sat/v1/accounts").json() == {"sat_default": "demo"}
    other = airflow.request("POST", "/sat/v1/accounts/nobody/pause", json={"reason": "fraud alarm"})
    assert (other.status_code, other.json()["type"]) == (422, "connection_not_found")
    assert "there is 'sat_default' (account 'demo')" in other.json()["detail"]
    assert airflow.events("AccountPaused") == []
    for name in ("demo", "sat_default"):
        for act in ("pause", "resume"):
            reply = airflow.request("POST", f"/sat/v1/accounts/{name}/{act}", json={"reason": "fraud alarm"})
            assert (reply.status_code, reply.json()["account"]) == (200, "demo"), reply.text


def test_without_its_database_it_says_so(airflow: Airflow) -> None:
    """503 with a type, for pausing and for submitting: it must not look like a defect, or like success."""
    name = airflow.database.name
    elsewhere = dsn_of(airflow.database.superuser_dsn, database="postgres")
    with closing(psycopg2.connect(elsewhere)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
            try:
                paused = airflow.request(
                    "POST", "/sat/v1/accounts/sat_default/pause", json={"reason": "fraud alarm"}
                )
                submitted_ = airflow.submit(CSV + b"A2,50k-simpati,081211311112\n")
            finally:
                cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    for reply in (paused, submitted_):
        assert (reply.status_code, reply.json()["type"]) == (503, "database_unavailable"), reply.text
    assert airflow.submit().status_code == 200, "it comes back by itself"


@pytest.mark.parametrize("error_type", [OperationalError, InterfaceError])
async def test_without_airflow_s_database_it_says_so(error_type: type[OperationalError]) -> None:
    """Airflow looks up the user there first: 503 as well, without the server's address."""
    with warnings.catch_warnings():
        # Airflow's API server imports what its own libraries call outdated.
        warnings.simplefilter("ignore")
        from sat_hook.plugin.airflow_host import AirflowHost
    app = FastAPI()
    answer_errors(app, AirflowHost.errors)

    @app.get("/")
    def look_up() -> None:
        raise error_type("SELECT 1", {}, Exception("connection to server at db.internal failed"))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        reply = await client.get("/")
    assert (reply.status_code, reply.json()["type"]) == (503, "airflow_database_unavailable")
    assert "db.internal" not in reply.text


def test_callbacks_come_in_without_a_token(airflow: Airflow) -> None:
    """The receiver is mounted beside the actions; its signature is its authentication."""
    body = b'{"data":{"type":"order","id":"SX","attributes":{"status":"Success"}}}'
    headers = {"Content-Type": "application/vnd.api+json", "signature": Signer(PRIVATE_PEM).sign(body)}
    path = "/sat/callbacks/demo"
    reply = airflow.request("POST", path, user=None, data=body, headers=headers)
    assert (reply.status_code, reply.json()) == (200, {"message": "OK"})
    forged = airflow.request("POST", path, user=None, data=body + b" ", headers=headers)
    assert (forged.status_code, forged.json()) == (400, {"message": "INVALID_SIGNATURE"})


def test_keys_of_the_mounted_receiver_change_without_a_restart(airflow: Airflow) -> None:
    """The API server goes on as it is; the key that was taken away counts no more."""
    other_private, other_public = other_pair()
    body = b'{"data":{"type":"order","id":"SKEY","attributes":{"status":"Success"}}}'

    def answers() -> list[int]:
        time.sleep(0.3)
        return [
            airflow.request(
                "POST",
                "/sat/callbacks/demo",
                user=None,
                data=body,
                headers={"Content-Type": "application/json", "signature": Signer(pem).sign(body)},
            ).status_code
            for pem in (PRIVATE_PEM, other_private)
        ]

    assert answers() == [200, 400]
    (airflow.folder / "sat.pem").write_bytes(other_public)
    assert answers() == [400, 200]
    (airflow.folder / "sat.pem").write_bytes(PUBLIC_PEM)
    assert answers() == [200, 400]


def test_the_progress_of_a_batch_is_its_page_in_the_console(airflow: Airflow) -> None:
    """For users who may see batches. A browser that follows a link sends the login's cookie, and no token."""
    batch_id = airflow.submit().json()["batch_id"]
    path = f"/sat/v1/batches/{batch_id}/progress"
    assert airflow.request("GET", path, user=None).status_code == 401
    assert airflow.request("GET", path.replace(batch_id, "B" + "A" * 25)).status_code == 404
    cookies = {"_token": airflow.tokens["viewer"]}
    page = requests.get(f"{airflow.url}{path}", cookies=cookies, timeout=90)
    assert (page.status_code, page.url) == (200, f"{airflow.url}/sat/console/batches/{batch_id}"), page.text
    assert page.headers["cache-control"] == "no-store"
    assert "081211311111" not in page.text


def test_another_site_cannot_act_with_the_cookie(airflow: Airflow) -> None:
    """A foreign page sends text/plain with the login's cookie: refused, and nothing is recorded."""
    before = airflow.events("AccountPaused"), airflow.events("BatchSubmitted")
    for path, body in (("accounts/sat_default/pause", '{"reason":"by a page"}'), ("batches", CSV)):
        for origin in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}, {}):
            reply = requests.post(
                f"{airflow.url}/sat/v1/{path}?account=sat_default",
                data=body,
                headers={"Content-Type": "text/plain", **origin},
                cookies={"_token": airflow.tokens["ops"]},
                timeout=90,
            )
            assert (reply.status_code, "cross-site" in reply.text) == (403, True), reply.text
    assert (airflow.events("AccountPaused"), airflow.events("BatchSubmitted")) == before


def test_airflow_s_own_start_needs_the_right(airflow: Airflow) -> None:
    """A user of Airflow who may not submit starts no batch there, and is told which right is missing."""
    body = {"logical_date": None, "dag_run_id": "by-carl", "conf": {"batch_id": BATCH}}
    for path in (
        "/api/v2/dags/bulk_disbursement/dagRuns",
        "/api/v2/dags/bulk%5Fdisbursement/dagRuns",
    ):
        refused = airflow.request("POST", path, user="carl", json=body)
        assert (refused.status_code, "lacks the right submit" in refused.text) == (403, True), refused.text
        assert airflow.request("POST", path, user=None, json=body).status_code == 401
    assert airflow.request("GET", "/api/v2/dags/bulk_disbursement/dagRuns/by-carl").status_code == 404
    nightly = {"logical_date": None, "dag_run_id": "by-ops"}
    refused = airflow.request("POST", "/api/v2/dags/nightly_reconciliation/dagRuns", json=nightly)
    assert (refused.status_code, "lacks the right finance" in refused.text) == (403, True), refused.text
    entry = {"dag_id": "bulk_disbursement", "dag_run_id": "by-carl", "state": "failed"}
    actions = {"actions": [{"action": "update", "entities": [entry]}]}
    refused = airflow.request("PATCH", "/api/v2/dags/deposit_snapshot/dagRuns", user="keeper", json=actions)
    assert (refused.status_code, "lacks the right" in refused.text) == (403, True), refused.text
    begun = airflow.request(
        "POST", "/api/v2/dags/bulk_disbursement/dagRuns", json={**body, "dag_run_id": "ops"}
    )
    assert begun.status_code == 200, begun.text
    # What it does not lock passes unread: Airflow answers itself.
    elsewhere = airflow.request("POST", "/api/v2/dags/other/dagRuns", user="carl", json=body)
    assert (elsewhere.status_code, "lacks the right" in elsewhere.text) == (404, False), elsewhere.text


def test_batch_is_not_started_by_its_asset(airflow: Airflow) -> None:
    """Airflow's button "materialize" would pay the waiting rows of a user who may not submit."""
    [asset] = airflow.request("GET", "/api/v2/assets?name_pattern=batch_results").json()["assets"]
    path = f"/api/v2/assets/{asset['id']}/materialize"
    refused = airflow.request("POST", path, user="keeper", json={})
    assert (refused.status_code, "materialization" in refused.text) == (400, True), refused.text


def test_airflow_s_own_answer_needs_the_right(airflow: Airflow) -> None:
    """The maker's side answers no approval there; of one who may approve, Airflow looks up the question."""
    path = "/api/v2/dags/bulk_disbursement/dagRuns/ops/taskInstances/approve/-1/hitlDetails"
    body = {"chosen_options": ["Approve"], "params_input": {}}
    refused = airflow.request("PATCH", path, user="ops", json=body)
    assert (refused.status_code, "lacks the right approve" in refused.text) == (403, True), refused.text
    passed = airflow.request("PATCH", path, user="carl", json=body)
    assert (passed.status_code, "lacks the right" in passed.text) == (404, False), passed.text


async def test_runs_are_those_of_airflow(airflow: Airflow) -> None:
    """Started once, now or later, found, cancelled; a refusal holds Airflow's reason."""
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)

    def use() -> None:
        runs = airflow.runs("ops")
        assert runs.find(BATCH_DAG, "planned") is None
        conf = {"batch_id": BATCH, "on_bad_rows": "wait"}
        assert runs.start(BATCH_DAG, "planned", conf, note="pulsa.csv", at=later)
        assert not runs.start(BATCH_DAG, "planned", conf)
        found = runs.find(BATCH_DAG, "planned")
        assert found is not None
        assert (found.state, found.run_after) == (RunState.QUEUED, later)
        assert conf.items() <= found.conf.items()
        assert found in runs.under_way(BATCH_DAG)
        assert {task.task_id: task.state for task in runs.tasks(BATCH_DAG, "planned")}["intake"] is None
        assert airflow.request("GET", f"/api/v2{found.url}".replace("/runs/", "/dagRuns/")).json()[
            "note"
        ] == ("pulsa.csv")
        told = {"key": "outcome", "value": ["pulsa.csv", "pulsa.csv: 2 paid (Rp 52,000), 1 not paid"]}
        place = f"/api/v2/dags/{BATCH_DAG}/dagRuns/planned"
        posted = airflow.request("POST", f"{place}/taskInstances/results/xcomEntries", "teller", json=told)
        assert posted.status_code == 201, posted.text
        runs.cancel(BATCH_DAG, "planned")
        ended = airflow.request("GET", place).json()
        assert ended["note"] == "pulsa.csv: 2 paid (Rp 52,000), 1 not paid"
        cancelled = runs.find(BATCH_DAG, "planned")
        assert cancelled is not None
        assert cancelled.state is RunState.FAILED
        assert "planned" not in {run.run_id for run in runs.under_way(BATCH_DAG)}
        assert runs.under_way("no_such_dag") == []
        assert runs.start(BATCH_DAG, "batch_1+2:3~x", {})
        assert runs.find(BATCH_DAG, "batch_1+2:3~x") is not None
        for user, text in (("viewer", "lacks the right submit"), ("carl", "lacks the right submit")):
            with pytest.raises(RunsError, match=text) as refused:
                airflow.runs(user).start(BATCH_DAG, "mine", {})
            assert refused.value.status == 403
        assert runs.tasks(BATCH_DAG, "planned", "running", "awaiting_input") == []
        assert runs.parameters(BATCH_DAG)["on_bad_rows"] == "proceed"
        assert runs.is_paused(BATCH_DAG)
        with pytest.raises(RunsError, match="found no DAG no_such_dag; expected"):
            runs.parameters("no_such_dag")
        with pytest.raises(RunsError, match="order_limit_rupiah") as misfit:
            runs.start(BATCH_DAG, "misfit", {"order_limit_rupiah": "much"})
        assert misfit.value.status == 400
        with pytest.raises(RunsError, match="404"):
            runs.cancel(BATCH_DAG, "unknown")
        with pytest.raises(RunsError, match="404"):
            airflow.runs("carl").answer(BATCH_DAG, "planned", "approve", "Approve")

    await to_thread.run_sync(use)


def test_the_note_of_a_run_says_how_it_ended() -> None:
    """Once, however often the run is cleared; what people wrote stays; a run that told nothing says where it
    stopped.
    """
    paid, rest = "a.csv: 2 paid (Rp 52,000)", "a.csv: 1 paid (Rp 26,000), 1 not sent yet"
    assert note_after("a.csv: 1 of 3 rows needs you", ["a.csv", paid], None) == paid
    assert note_after(None, ["a.csv", paid], None) == paid
    assert note_after("a.csv", [], None) == "a.csv", "nothing waited to be paid"
    assert note_after("a.csv", [], "validate") == "The run stopped in validate.\na.csv"
    stopped = note_after("a.csv\nasked Budi", ["a.csv", rest], "execute")
    assert stopped == f"{rest}\nThe run stopped in execute.\nasked Budi"
    assert note_after(stopped, ["a.csv", paid], None) == f"{paid}\nasked Budi"
    assert len(note_after("x" * 2000, ["a.csv", paid], None)) == 1000


def test_tab_of_a_run_leads_to_its_batch(airflow: Airflow) -> None:
    """The console starts a batch, and its run's tab shows that batch; a run without one gets a page."""
    batch_id = airflow.submit(CSV + b"A9,50k-simpati,081211311199\n").json()["batch_id"]
    headers = {"Origin": airflow.url}
    path = f"/sat/console/batches/{batch_id}/run"
    started = airflow.request("POST", path, headers=headers, data={}, allow_redirects=False)
    assert started.status_code == 303, started.text
    tab = airflow.request(
        "GET", f"/sat/console/runs/bulk_disbursement/batch_{batch_id}", allow_redirects=False
    )
    assert (tab.status_code, tab.headers["location"]) == (303, f"/sat/console/batches/{batch_id}")
    for run_id in ("unknown", "manual__2026-11-30T05%3A00%3A00%2B00%3A00"):
        other = airflow.request("GET", f"/sat/console/runs/order_recovery/{run_id}", user="viewer")
        assert (other.status_code, "Tidak ada batch" in other.text) == (200, True), other.text
    expired = airflow.request("GET", "/sat/console/batches", user=None, allow_redirects=False)
    assert expired.status_code == 303
    assert expired.headers["location"].startswith("/api/v2/auth/login?next=http")


def test_rules_are_changed_by_two_people_with_the_right(airflow: Airflow) -> None:
    """Shown to everybody, proposed by one, confirmed by another, each under their Airflow name."""
    path, reason = "/sat/v1/accounts/sat_default/rules", {"reason": "contract of March"}
    shown = airflow.request("GET", path, user="viewer").json()
    assert (shown["are_confirmed"], shown["proposal"]) == (False, None)
    body = {**reason, "changes": {"approval_over_rupiah": 1_000_000}}
    assert airflow.request("POST", f"{path}/proposals", user=None, json=body).status_code == 401
    for user in ("viewer", "carl"):
        refused = airflow.request("POST", f"{path}/proposals", user=user, json=body)
        assert (refused.status_code, "account_rules.propose" in refused.text) == (403, True), refused.text
    typo = airflow.request(
        "POST", f"{path}/proposals", json={**reason, "changes": {"aproval_over_rupiah": 1}}
    )
    assert (typo.status_code, "did you mean approval_over_rupiah" in typo.text) == (409, True), typo.text
    proposed = airflow.request("POST", f"{path}/proposals", json=body)
    assert proposed.status_code == 200, proposed.text
    number = proposed.json()["proposal"]
    answer = f"{path}/{number}/confirm"
    own = airflow.request("POST", answer, json=reason)
    assert (own.status_code, "expected another person to confirm" in own.text) == (409, True), own.text
    assert airflow.request("POST", answer, user="viewer", json=reason).status_code == 403
    assert airflow.request("POST", answer, user="carl", json={"reason": ""}).status_code == 422
    confirmed = airflow.request("POST", answer, user="carl", json=reason)
    assert confirmed.json()["rules"]["approval_over_rupiah"] == 1_000_000, confirmed.text
    [(actor, cause, data)] = airflow.events("AccountRulesConfirmed")
    assert (actor, cause) == ("user:carl", "plugin:confirm-rules")
    assert json.loads(data)["proposed_by"] == "user:ops"
    shown = airflow.request("GET", path, user="viewer").json()
    [line] = [line for line in shown["rules"] if line["rule"] == "approval_over_rupiah"]
    assert line["in_force"] == 1_000_000
    assert "proposed by user:ops, confirmed by user:carl" in line["source"]
    again = airflow.request(
        "POST", f"{path}/proposals", json={**reason, "changes": {"duplicate_days": 14}}
    ).json()
    declined = airflow.request("POST", f"{path}/{again['proposal']}/decline", json=reason)
    assert declined.json()["rules"]["duplicate_days"] == 7, declined.text
