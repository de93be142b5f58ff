"""The command against a scripted Airflow: what it asks, what it says, and how it ends."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sat_hook.cli import run_progress
from sat_hook.cli.airflow_api import AirflowApi
from sat_hook.cli.run_progress import Lines, Seen, follow
from sat_hook.cli.settings import CommandSettings
from tests.unit.cli.running import Run
from tests.unit.cli.scripted_airflow import BATCH_ID, PASSWORD, ScriptedAirflow, summary_of

CSV = b"order_id,product_code,client_number\nA1,50k-simpati,081211311111\n"


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """A file to submit."""
    path = tmp_path / "orders.csv"
    path.write_bytes(CSV)
    return path


def env(airflow: ScriptedAirflow, **more: str) -> dict[str, str]:
    """Settings that lead to the scripted Airflow."""
    return {
        "SAT_AIRFLOW_URL": airflow.url,
        "SAT_AIRFLOW_USER": "ops",
        "SAT_AIRFLOW_PASSWORD": PASSWORD,
        **more,
    }


def test_help_loads_nothing_heavy() -> None:
    """Neither Airflow nor a database driver nor pandas is imported to show the help."""
    script = (
        "import sys; sys.argv = ['sat', '--help']\n"
        "from sat_hook.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'airflow', 'psycopg2', 'pandas', 'requests', 'pydantic', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in ("batch", "order", "log", "projections", "db", "receiver"):
        assert command in done.stdout


def test_the_command_never_imports_airflow() -> None:
    """All modules of the command together, too."""
    script = (
        "import sys, pkgutil, importlib, sat_hook.cli\n"
        "for module in pkgutil.iter_modules(sat_hook.cli.__path__):\n"
        "    importlib.import_module('sat_hook.cli.' + module.name)\n"
        "assert 'airflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_file_is_uploaded_and_run(run: Run, airflow: ScriptedAirflow, orders: Path) -> None:
    """Bytes as they are; everything but the login goes through the API, which checks the rights."""
    ran = run("batch", "submit", str(orders), "--reference", "november", env=env(airflow))
    assert (ran.code, ran.err) == (0, "")
    assert BATCH_ID in ran.out
    query, body = airflow.uploads[0]
    assert body == CSV
    assert query == {"account": ["sat_default"], "file_name": ["orders.csv"], "reference": ["november"]}
    assert airflow.triggered == [{"account": "sat_default", "parameters": {}, "note": ""}]
    assert [target for target in airflow.targets if not target.startswith("/sat/v1/")] == ["/auth/token"]


def test_a_file_that_was_run_changes_nothing_and_says_so(
    run: Run, airflow: ScriptedAirflow, orders: Path
) -> None:
    """Not an error: the wish is fulfilled already."""
    airflow.is_run_there = True
    airflow.summary = summary_of(("quoted", 5))
    ran = run("batch", "submit", str(orders), env=env(airflow))
    assert ran.code == 0
    assert "Already run" in ran.out
    assert "success; nothing was changed" in ran.out
    assert f"sat batch show {BATCH_ID}" in ran.out
    assert f"sat batch run {BATCH_ID}" in ran.out
    assert "new ids" in ran.out
    assert "--reference NAME" in ran.out
    assert airflow.triggered == []


def test_a_file_whose_run_goes_on_is_not_to_be_run_again(
    run: Run, airflow: ScriptedAirflow, orders: Path
) -> None:
    """Nothing is left behind while the run is still at it."""
    airflow.is_run_there = True
    airflow.run_states = ["running"]
    ran = run("batch", "submit", str(orders), env=env(airflow))
    assert "whose run is running; nothing was changed" in ran.out
    assert "sat batch run" not in ran.out


def test_a_batch_that_was_run_before_is_shown_as_it_stands(
    run: Run, airflow: ScriptedAirflow, orders: Path
) -> None:
    """Its state, the states of its orders; nothing is left to be sent."""
    airflow.is_run_there = True
    ran = run("batch", "submit", str(orders), env=env(airflow))
    assert ran.code == 0, ran.err
    assert "The batch is quoted: succeeded 5" in ran.out
    assert "run it once more" not in ran.out


@pytest.mark.parametrize(("ends_as", "code"), [("success", 0), ("failed", 1), ("running", 3)])
def test_a_batch_that_runs_once_more_is_waited_for(
    run: Run, airflow: ScriptedAirflow, ends_as: str, code: int
) -> None:
    """As after a submission: followed to its end, then the summary."""
    airflow.later_runs = ends_as
    ran = run("batch", "run", BATCH_ID, "--wait", "--timeout", "1", env=env(airflow))
    assert ran.code == code, ran.err
    assert "runs once more" in ran.out
    assert f"{ends_as}: " in ran.out
    assert "Rp 260,000" in ran.out


@pytest.mark.parametrize(("ends_as", "code"), [("success", 0), ("failed", 1)])
def test_submit_and_wait_ends_as_the_run_did(
    run: Run, airflow: ScriptedAirflow, orders: Path, ends_as: str, code: int
) -> None:
    """Followed to its end, then the summary, without a database; a failed run names its tasks."""
    airflow.run_states = [ends_as]
    airflow.failed_tasks = ("execute", "execute")
    ran = run("batch", "submit", str(orders), "--wait", env=env(airflow))
    assert ran.code == code, ran.err
    assert f"{ends_as}: succeeded 5" in ran.out
    assert ("The run failed in execute" in ran.out) == (ends_as == "failed")
    assert re.search(r"succeeded\s+5\s+Rp 260,000\s+Rp 260,000", ran.out)


def test_a_long_list_is_read_page_by_page(run: Run, airflow: ScriptedAirflow) -> None:
    """The API gives 200 batches a page; one more than is shown tells that there are more."""
    pages: list[dict[str, list[str]]] = []

    def page(query: dict[str, list[str]]) -> dict[str, Any]:
        pages.append(query)
        begin = int(query.get("cursor", ["0"])[0])
        numbers = range(begin, begin + int(query["limit"][0]))
        return {"items": [{**LISTED, "batch_id": f"B{n}"} for n in numbers], "next": str(numbers.stop)}

    airflow.lists["/batches"] = page
    ran = run("batch", "list", "--limit", "300", "--maker", "rosa", env=env(airflow))
    assert ran.code == 0, ran.err
    assert [(one["limit"], one.get("cursor"), one["maker"]) for one in pages] == [
        (["200"], None, ["rosa"]),
        (["101"], ["200"], ["rosa"]),
    ]
    assert ("B299 " in ran.out, "B300 " in ran.out) == (True, False)
    assert "The newest 300; there are older ones: sat batch list --limit 1000" in ran.out


LISTED = {
    "state": "completed",
    "account": "demo",
    "file_name": "orders.csv",
    "rows": 5,
    "orders": {"succeeded": 4, "held": 1},
    "set_aside": 0,
    "needs_rows": 1,
    "quoted_rupiah": 260_000,
    "run_paid_rupiah": 208_000,
}


def test_rows_that_cannot_be_orders_are_said_at_once_and_noted(
    run: Run, airflow: ScriptedAirflow, orders: Path
) -> None:
    """On the terminal and beside the run in Airflow; the run names the connection, whatever was typed."""
    words = "25 of 29 rows need you: 13 missing_client_number, 12 scientific_notation"
    airflow.submitted = {"rows": 29, "needs_in_words": words, "connection": "sat_default"}
    ran = run("batch", "submit", str(orders), "--account", "demo", env=env(airflow))
    assert ran.code == 0, ran.err
    assert words in ran.out
    assert airflow.triggered[0]["note"] == words
    assert airflow.triggered[0]["account"] == "sat_default"


CHECKED = {
    "account": "demo",
    "connection": "sat_default",
    "known_batch": None,
    "pause_reason": None,
    "rows": 4,
    "known_rows": 1,
    "payable": 2,
    "bills": 1,
    "total_rupiah": 52_000,
    "saldo_rupiah": 100_000,
    "free_rupiah": 50_000,
    "missing_rupiah": 2_000,
    "needs_approval": True,
    "approval_over_rupiah": 50_000,
    "needs_in_words": "1 of 4 rows needs you: 1 unknown_product",
    "findings": [[3, "A-2", "rejected", "unknown_product", "orders.csv row 3: found product '50k-simpti'"]],
}


def test_a_check_is_shown(run: Run, airflow: ScriptedAirflow, orders: Path) -> None:
    """Rows, price, deposit, approval and each row that needs a person; nothing is run."""
    airflow.checked = CHECKED
    ran = run("batch", "check", str(orders), "--on-bad-rows", "wait", env=env(airflow))
    assert ran.code == 1, ran.err
    for words in (
        "4: 2 can be paid",
        "1 of 4 rows needs you: 1 unknown_product",
        "Rp 52,000 for 1 order with a listed price; 1 bill, priced in the run",
        "Rp 100,000, of which Rp 50,000 are free: Rp 2,000 are missing",
        "needed: a batch over Rp 50,000 needs a second person",
        "1 row submitted before, not paid again",
        "found product '50k-simpti'",
        "Nothing was recorded",
    ):
        assert words in ran.out
    assert "orders.csv row 3" not in ran.out, "the table has the row already"
    assert airflow.uploads[0][0]["on_bad_rows"] == ["wait"]
    assert airflow.triggered == []


def test_a_check_of_a_known_file_names_its_batch(run: Run, airflow: ScriptedAirflow, orders: Path) -> None:
    """There is nothing to say of a file that was submitted but how it stands."""
    airflow.checked = {**CHECKED, "known_batch": {"batch_id": BATCH_ID, "state": "completed"}}
    ran = run("batch", "check", str(orders), env=env(airflow))
    assert ran.code == 0, ran.err
    assert f"This file is batch {BATCH_ID}, which is completed" in ran.out


def test_a_check_without_findings_is_green(run: Run, airflow: ScriptedAirflow, orders: Path) -> None:
    """Every row can be paid."""
    more = {"findings": [], "needs_in_words": "", "approval_over_rupiah": None, "pause_reason": "audit"}
    airflow.checked = {**CHECKED, **more}
    ran = run("batch", "check", str(orders), env=env(airflow))
    assert ran.code == 0, ran.err
    assert "nothing is taken in: audit" in ran.out


def test_a_paused_dag_is_pointed_out(run: Run, airflow: ScriptedAirflow, orders: Path) -> None:
    """Else the run would wait in silence."""
    airflow.is_paused = True
    assert "is paused" in run("batch", "submit", str(orders), env=env(airflow)).out


def test_results_and_goods_are_written_for_their_owner_alone(
    run: Run, airflow: ScriptedAirflow, tmp_path: Path
) -> None:
    """Bytes as they came; the reason reaches the plugin."""
    ran = run("batch", "results", BATCH_ID.lower(), "-o", "r.csv", env=env(airflow))
    assert ran.code == 0, ran.err
    assert (tmp_path / "r.csv").read_bytes().endswith(b"A1,paid\r\n")
    ran = run("batch", "deliver", BATCH_ID, "--reason", "for the shop", "--output", "g.csv", env=env(airflow))
    assert ran.code == 0, ran.err
    assert "5196" not in ran.out + ran.err
    assert (tmp_path / "g.csv").read_bytes() == airflow.goods
    assert (tmp_path / "g.csv").stat().st_mode & 0o777 == 0o600
    assert airflow.reasons == ["for the shop"]


def test_results_of_a_position_are_asked_for(run: Run, airflow: ScriptedAirflow) -> None:
    """The position goes to the plugin; which one the file is of, is said beside it."""
    ran = run("batch", "results", BATCH_ID, "--at", "1227", "-o", "r.csv", env=env(airflow))
    assert ran.code == 0, ran.err
    assert airflow.targets[-1].endswith("/results?at=1227")
    assert ran.err == "r.csv: 34 bytes, as of position 1227 of the log\n"
    assert run("batch", "results", BATCH_ID, "--at", "0", env=env(airflow)).code == 2


def test_goods_go_to_standard_output_without_a_file(run: Run, airflow: ScriptedAirflow) -> None:
    """For a pipe."""
    ran = run("batch", "deliver", BATCH_ID, "--reason", "for the shop", env=env(airflow))
    assert "A1,5196" in ran.out


def test_a_password_in_netrc_does_not_replace_the_token(
    run: Run, airflow: ScriptedAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow is given the token, whatever stands in the user's .netrc for its machine."""
    for machine in ("machine 127.0.0.1", "default"):
        (tmp_path / "netrc").write_text(f"{machine}\nlogin somebody\npassword else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        ran = run("batch", "results", BATCH_ID, env=env(airflow))
        assert (ran.code, ran.err) == (0, "")


def test_proxies_of_the_environment_are_used(
    run: Run, airflow: ScriptedAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what .netrc says is left out: Airflow may be behind a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", airflow.url)
    ran = run("batch", "results", BATCH_ID, env={**env(airflow), "SAT_AIRFLOW_URL": "http://airflow.invalid"})
    assert airflow.targets, ran.err
    assert airflow.targets[0].startswith("http://airflow.invalid/")


def test_a_token_that_ran_out_is_renewed(run: Run, airflow: ScriptedAirflow) -> None:
    """A given token first; when Airflow refuses it, user and password."""
    ran = run("batch", "results", BATCH_ID, env=env(airflow, SAT_AIRFLOW_TOKEN="old"))
    assert ran.code == 0, ran.err
    assert airflow.logins == 1


MISTAKES = [
    (["batch", "submit", "no.csv"], {}, "no.csv: found no such file or directory; expected a CSV"),
    (["batch", "submit", "."], {}, ".: found a directory; expected"),
    (["batch", "submit", "orders.csv"], {"SAT_AIRFLOW_URL": ""}, "setting SAT_AIRFLOW_URL"),
    (["batch", "submit", "orders.csv"], {"SAT_AIRFLOW_URL": "ftp://x"}, "expected an http or https URL"),
    (["batch", "submit", "orders.csv"], {"SAT_AIRFLOW_URL": "http://127.0.0.1:1"}, "no answer"),
    (["batch", "submit", "orders.csv"], {"SAT_AIRFLOW_PASSWORD": "wrong-secret"}, "HTTP 401 for user 'ops'"),
    (["batch", "results", "nonsense"], {}, "ID: found 'nonsense'; expected a batch id"),
    (["log", "verify"], {}, "setting SAT_DB_DSN"),
    (["log", "verify"], {"SAT_DB_DSN": "very-secret nonsense"}, "expected a postgresql:// URL"),
    (
        ["log", "verify"],
        {"SAT_DB_DSN": "postgresql://u:very-secret@127.0.0.1:1/d"},
        "the application database cannot be reached",
    ),
    (["projections", "rebuild"], {}, "setting SAT_OWNER_DSN"),
    (["db", "create-roles"], {}, "setting SAT_WRITER_PASSWORD"),
    (["db", "migrate"], {"SAT_OWNER_DSN": "postgresql://u:very-secret@127.0.0.1:1/d"}, "dbmate ended with"),
    (["--config", "no.env", "batch", "list"], {}, "no.env: found no such file"),
    (["receiver", "serve"], {}, "SAT_RECEIVER_CONFIG: found nothing"),
    (
        ["receiver", "serve", "--settings", "no.json"],
        {},
        "no.json: the receiver configuration cannot be read",
    ),
    (["receiver", "serve", "--prefix", "sat/"], {}, "--prefix: found 'sat/'"),
]


@pytest.mark.parametrize(("arguments", "changes", "sentence"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_and_exit_code_2(
    run: Run,
    airflow: ScriptedAirflow,
    orders: Path,
    arguments: list[str],
    changes: dict[str, str],
    sentence: str,
) -> None:
    """Where, found, expected; no traceback and no secret."""
    ran = run(*arguments, env={**env(airflow), **changes})
    assert ran.code == 2
    assert sentence in ran.err
    assert ran.err.startswith("sat: ")
    assert ran.err.count("\n") == 1
    assert "secret" not in ran.err


@pytest.mark.parametrize("reason", ["", " ", "no", "x" * 501, "be\x07cause"])
@pytest.mark.parametrize(
    "command",
    [
        ("pause", "sat_default"),
        ("resume", "sat_default"),
        ("order", "resolve", "INV-1", "--as", "failed"),
        ("order", "release", "INV-1"),
        ("order", "cancel", "INV-1"),
        ("order", "withdraw", "INV-1"),
        ("batch", "release", BATCH_ID),
        ("batch", "cancel", BATCH_ID),
        ("batch", "withdraw", BATCH_ID),
        ("batch", "deliver", BATCH_ID),
    ],
    ids=" ".join,
)
def test_a_poor_reason_is_refused_alike_everywhere(
    run: Run, airflow: ScriptedAirflow, command: tuple[str, ...], reason: str
) -> None:
    """In one sentence, before anything is looked up or asked."""
    ran = run(*command, "--reason", reason, env=env(airflow))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("sat: --reason: found ")
    assert airflow.targets == []


@pytest.mark.parametrize("command", [("batch", "list"), ("log", "verify"), ("pause", "sat_default")])
def test_a_stopped_stack_is_pointed_at(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    """No server answers at the addresses that the checkout's own stack wrote: it was stopped."""
    (tmp_path / ".stack").mkdir()
    (tmp_path / ".stack" / "sat.env").write_text(
        "SAT_DB_DSN=postgresql://u:p@127.0.0.1:1/d\nSAT_AIRFLOW_URL=http://127.0.0.1:1\n"
        "SAT_AIRFLOW_USER=ops\nSAT_AIRFLOW_PASSWORD=p\n"
    )
    reason = ("--reason", "look here") if command[0] == "pause" else ()
    ran = run(*command, *reason)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.endswith("(the local stack seems to be stopped; start it with: make up)\n")


REFUSALS = [
    ("POST /sat/v1/batches", 404, {"detail": "Not Found"}, "expected an Airflow with the plugin"),
    ("POST /sat/v1/batches", 403, {"detail": "user 'ops' lacks the right submit"}, "lacks the right submit"),
    (
        f"POST /sat/v1/batches/{BATCH_ID}/start",
        502,
        {"type": "airflow_refused", "detail": "Airflow: found a user who may not do this"},
        "Airflow: found a user who may not do this",
    ),
    ("POST /sat/v1/batches", 422, {"detail": "orders.csv: found an empty file"}, "found an empty file"),
    (
        "POST /sat/v1/batches",
        422,
        {"detail": [{"loc": ["query", "account"], "msg": "Field required"}]},
        "account: Field required",
    ),
    ("POST /sat/v1/batches", 500, {}, "found HTTP 500"),
    (
        "POST /sat/v1/batches",
        503,
        {"type": "database_unavailable", "detail": "the application database cannot be reached"},
        "the application database cannot be reached; try again when it is back, and look first",
    ),
    (
        "POST /sat/v1/batches",
        503,
        {"type": "airflow_database_unavailable", "detail": "Airflow's own database cannot be reached"},
        "Airflow's own database cannot be reached; try again when it is back\n",
    ),
]


@pytest.mark.parametrize(("route", "status", "answer", "sentence"), REFUSALS)
def test_a_refusal_of_airflow_is_translated(
    run: Run,
    airflow: ScriptedAirflow,
    orders: Path,
    route: str,
    status: int,
    answer: dict[str, object],
    sentence: str,
) -> None:
    """The plugin's own sentences go through; the rest is put into words."""
    airflow.overrides[route] = (status, answer)
    ran = run("batch", "submit", str(orders), env=env(airflow))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert sentence in ran.err


LOOKS = [
    summary_of(),
    summary_of(("quoted", 3)),
    summary_of(("quoted", 3)),
    summary_of(("succeeded", 2), ("failed", 1)),
]


def followed(
    airflow: ScriptedAirflow, look: Callable[[], Any] = summary_of, *, is_terminal: bool = False, **more: Any
) -> tuple[str | None, str]:
    """Follow the batch's run; returns its last state and what was shown."""
    out = Console(force_terminal=is_terminal, width=100, record=True, file=io.StringIO())
    with closing(AirflowApi(CommandSettings(env(airflow), "the test"))) as api:
        state = follow(api, f"batch_{BATCH_ID}", look, out, sleep=lambda _: None, **more)
    return state, out.export_text()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_following_shows_the_states_until_the_end(airflow: ScriptedAirflow, is_terminal: bool) -> None:
    """Bars on a terminal; elsewhere a line per change."""
    airflow.run_states = ["queued", "running", "running", "success"]
    looks = iter(LOOKS)
    state, shown = followed(airflow, lambda: next(looks), is_terminal=is_terminal)
    assert state == "success"
    assert "succeeded" in shown
    if not is_terminal:
        assert shown.splitlines() == [
            "queued: execute",
            "running: execute: quoted 3",
            "success: succeeded 2, failed 1",
        ]


def test_a_moment_between_two_tasks_is_no_news() -> None:
    """Elsewhere than on a terminal each task has one line, with no bare "running" before it."""
    out = Console(width=100, record=True, file=io.StringIO())
    lines = Lines(out)
    for steps in (("intake",), (), ("validate",), (), ()):
        lines.show(Seen("running", steps, {}))
    lines.show(Seen("success", (), {}))
    assert out.export_text().splitlines() == ["running: intake", "running: validate", "success"]


@pytest.mark.parametrize(
    ("asking", "deferred", "said"),
    [
        (("approve",), (), "approve (waits for another person: Approvals in the console)"),
        ((), ("approve",), "approve (waits for another person: Approvals in the console)"),
        ((), ("reserve",), "reserve (waits for a top-up of the deposit)"),
        ((), ("wait",), "wait"),
    ],
)
def test_following_says_who_is_waited_for(
    airflow: ScriptedAirflow, asking: tuple[str, ...], deferred: tuple[str, ...], said: str
) -> None:
    """Else a batch that waits for its approval, or for funds, looks like one that goes on."""
    airflow.run_states = ["running", "success"]
    airflow.asking_tasks, airflow.deferred_tasks = asking, deferred
    _, shown = followed(airflow)
    assert shown.splitlines()[0] == f"running: {said}"


def test_following_says_how_much_a_short_deposit_lacks(airflow: ScriptedAirflow) -> None:
    """So that the one who tops it up knows."""
    airflow.run_states = ["running", "success"]
    airflow.deferred_tasks = ("reserve",)
    _, shown = followed(airflow, missing_rupiah=lambda: 10_266_350)
    assert "waits for a top-up of the deposit: Rp 10,266,350 are missing" in shown


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (("resume", "demo", "--reason", "looked at"), "not sent yet: 191 orders of batch "),
        (("pause", "demo", "--reason", "look first"), "account demo is paused"),
    ],
)
def test_resuming_names_what_stopped(
    run: Run, airflow: ScriptedAirflow, command: tuple[str, ...], answer: str
) -> None:
    """With the command that sends it; pausing says no more than that it is paused."""
    route = f"POST /sat/v1/accounts/demo/{command[0]}"
    standing = {"account": "demo", "is_paused": command[0] == "pause"}
    airflow.overrides[route] = (200, {**standing, "unsent": [[BATCH_ID, "november.csv", 191]]})
    ran = run(*command, env=env(airflow))
    assert ran.code == 0, ran.err
    assert answer in ran.out
    assert (f"sat batch run {BATCH_ID}" in ran.out) == (command[0] == "resume")
    airflow.overrides[route] = (200, {**standing, "unsent": []})
    said = "no batch has orders that are not sent yet" in run(*command, env=env(airflow)).out
    assert said == (command[0] == "resume")


@pytest.mark.parametrize(
    ("command", "dag_id"),
    [(("reconcile", "close", "--account"), "nightly_reconciliation"),
     (("prices", "snapshot"), "product_price_snapshot")],
)  # fmt: skip
def test_a_run_without_a_batch_is_asked_of_the_api(
    run: Run, airflow: ScriptedAirflow, command: tuple[str, ...], dag_id: str
) -> None:
    """With the account as it was named, which the API translates; Airflow itself is not asked."""
    ran = run(*command, "demo", env=env(airflow))
    assert ran.code == 0, ran.err
    assert airflow.triggered == [{"parameters": {"accounts": ["demo"]}}]
    assert airflow.targets == ["/auth/token", f"/sat/v1/dags/{dag_id}/runs"]
    assert f"{airflow.url}/dags/{dag_id}/runs/asked_now" in ran.out


def test_following_gives_up_at_its_deadline(airflow: ScriptedAirflow) -> None:
    """The run goes on; the command does not wait for ever."""
    airflow.run_states = ["running"]
    seconds = iter(range(100))
    state, _ = followed(airflow, deadline_seconds=3, monotonic=lambda: float(next(seconds)))
    assert state is None
    assert run_progress.LOOK_EVERY_SECONDS == 1.0
