"""The web application runs under plain uvicorn, without Airflow."""

from __future__ import annotations

import json
import subprocess
import sys

from sat_hook.application.errors import RightMissingError
from sat_hook.application.rights import Right

PROGRAM = """
import json, sys, threading, time, urllib.error, urllib.request
import uvicorn
from sat_hook.application.rights import Right
from sat_hook.web.app import create_app
from tests.web_host import FakeHost, FakeUser

host = FakeHost(FakeUser("ops"), FakeUser("viewer", frozenset({Right.VIEW})))
server = uvicorn.Server(uvicorn.Config(create_app(host), port=0, log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
port = server.servers[0].sockets[0].getsockname()[1]

def asked(method, path, user):
    headers = {"Authorization": f"Bearer {user}", "Content-Type": "application/json"}
    data = b'{"reason": "fraud alarm"}' if method == "POST" else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

answers = [
    asked("GET", "/accounts", "viewer"),
    asked("GET", "/accounts", "stranger"),
    asked("POST", "/accounts/sat_default/pause", "viewer"),
    asked("POST", "/accounts/nowhere/pause", "ops"),
]
server.should_exit = True
thread.join()
print(json.dumps({"answers": answers, "airflow": sorted(m for m in sys.modules if m.startswith("airflow"))}))
"""


def problem(status: int, kind: str, detail: str) -> dict[str, object]:
    """An error as the API answers it."""
    title = kind.replace("_", " ").capitalize()
    return {"type": kind, "title": title, "status": status, "detail": detail}


def test_it_runs_under_plain_uvicorn() -> None:
    """Its users, rights and errors are those of its host, and no module of Airflow is loaded."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["airflow"] == []
    assert said["answers"] == [
        [200, {"sat_default": "demo"}],
        [401, problem(401, "not_authenticated", "Not authenticated")],
        [403, problem(403, "right_missing", str(RightMissingError("viewer", Right.PAUSE)))],
        [422, problem(422, "connection_not_found", "account: found 'nowhere'")],
    ]
