"""The judge behind a socket, in this process and in its own: what only a connection can show."""

from __future__ import annotations

import base64
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from sandbox.__main__ import main
from sandbox.keys import KeyDirectoryError, KeyPairs
from sandbox.testing import Bench, SandboxError, SandboxProcess, SandboxServer
from sandbox.tokens import read_credentials
from sat_hook.protocol.signing import Signer, Verifier
from tests.loopback import QuietHandler, http_server

READY_SECONDS = 1.0
SLOW_MACHINE_FACTOR = 30


class Shop:
    """A partner over HTTP."""

    def __init__(self, sandbox: Bench) -> None:
        self._sandbox = sandbox
        self._session = requests.Session()
        self._session.trust_env = False
        self._signer = Signer(sandbox.keys.client_private_pem)
        self.renew_token()

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.close()

    def renew_token(self) -> None:
        """A new token, as after a 401."""
        reply = self._session.post(
            self._sandbox.token_url,
            data={"grant_type": "client_credentials"},
            auth=("demo", "demo"),
            timeout=30,
        )
        self._session.headers["Authorization"] = "Bearer " + reply.json()["access_token"]

    def get(self, path: str, **options: float) -> requests.Response:
        """A GET of the API."""
        return self._session.get(self._sandbox.api_url + path, **{"timeout": 30.0, **options})

    def post(self, path: str, body: bytes | Iterator[bytes], **headers: str) -> requests.Response:
        """A POST of exactly these bytes."""
        return self._session.post(self._sandbox.api_url + path, data=body, headers=headers, timeout=30)

    def order(self, request_id: str) -> requests.Response:
        """A signed checkout."""
        attributes = {"product_code": "t25k", "client_number": "081"}
        body = json.dumps({"data": {"type": "order", "id": request_id, "attributes": attributes}}).encode()
        return self.post("/v2/order", body, signature=self._signer.sign(body))


@contextmanager
def receiver(answer: Callable[[int], int]) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A callback receiver: its URL and what it was sent; ``answer`` maps the call's number to a status."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            received.append(({name.lower(): value for name, value in self.headers.items()}, self.body()))
            self.reply(answer(len(received)))

    with http_server(Handler) as url:
        yield f"{url}/callback", received


@pytest.fixture(scope="module")
def shared(keys: KeyPairs) -> Iterator[SandboxServer]:
    """A sandbox that the tests of this module share; each uses request ids of its own."""
    with SandboxServer(keys=keys, faults={"fulfilment": {"min_seconds": 0, "max_seconds": 0.05}}) as sandbox:
        yield sandbox


def test_an_order_over_the_wire(shared: SandboxServer) -> None:
    """Checkout, signed status over the bytes as received, and the book."""
    with Shop(shared) as shop:
        assert shop.order("W1").json()["data"]["attributes"]["status"] == "Pending"
        shared.wait_until(lambda ledger: ledger["requests"]["W1"]["status"] == "Success")
        status = shop.get("/v2/order/W1")
    Verifier([shared.keys.sat_public_pem]).verify(status.content, status.headers["Signature"])
    assert status.headers["content-type"] == "application/json"
    assert shared.request("W1")["net_rupiah"] == 369


def test_raw_paths_reach_the_judge_undecoded(shared: SandboxServer) -> None:
    """An encoded slash is part of the id, an encoded comma part of the filter."""
    with Shop(shared) as shop:
        shop.order("W/2")
        assert shop.get("/v2/order/W%2F2").json()["data"]["id"] == "W/2"
        assert shop.get("/v2/order/W%2F2/").status_code == 200
        assert len(shop.get("/v2/product-list/?product_code=25k-xl%2C15k-xl").json()["data"]) == 2


def test_bodies_are_bounded(shared: SandboxServer) -> None:
    """By Content-Length, and in chunks without one."""
    with Shop(shared) as shop:
        assert shop.post("/v2/inquiry", b" " * 300_000).status_code == 413
    with Shop(shared) as shop:
        assert shop.post("/v2/inquiry", iter([b" " * 150_000] * 2)).status_code == 413
    with Shop(shared) as shop:
        assert shop.get("/v2/account").status_code == 200


def test_losses_look_like_losses(keys: KeyPairs) -> None:
    """A reset at once, or silence until the client's own timeout; the book knows which one charged."""
    faults = [
        {"fault": "response_lost", "request_ids": ["R1"], "times": 1},
        {"fault": "request_lost", "request_ids": ["R2"], "manner": "silence"},
    ]
    with SandboxServer(keys=keys, faults={"faults": faults}) as sandbox, Shop(sandbox) as shop:
        with pytest.raises(requests.ConnectionError):
            shop.order("R1")
        shop_timeout = requests.Session()
        with pytest.raises(requests.Timeout):
            shop_timeout.post(
                f"{sandbox.api_url}/v2/order",
                data=b'{"data":{"type":"order","id":"R2","attributes":{"product_code":"t25k","client_number":"1"}}}',
                timeout=(30, 1.0),
            )
        shop_timeout.close()
        assert sandbox.request("R1")["charged"] == 1
        assert sandbox.request("R2")["charged"] == 0


def test_delays_and_latency_take_time(keys: KeyPairs) -> None:
    """The latency of the server and a delay of the reply add up; ping of the judge is not slowed."""
    rule = {"fault": "delay", "seconds": 0.1, "operations": ["account"]}
    with (
        SandboxServer(keys=keys, latency_seconds=0.05, faults={"faults": [rule]}) as sandbox,
        Shop(sandbox) as shop,
    ):
        started = time.monotonic()
        shop.get("/v2/account")
        assert time.monotonic() - started >= 0.15


def test_callbacks_are_posted_and_repeated(keys: KeyPairs) -> None:
    """JSON:API content type, the signature over the bytes as sent, and again after a 500."""
    scenario = {
        "fulfilment": {"min_seconds": 0, "max_seconds": 0},
        "callbacks": {"backoff_seconds": 0.05},
    }
    with (
        receiver(lambda number: 500 if number == 1 else 200) as (url, received),
        SandboxServer(keys=keys, faults=scenario) as sandbox,
        Shop(sandbox) as shop,
    ):
        sandbox.set_callback_url(url)
        shop.order("C1")
        sandbox.wait_until(lambda ledger: len(ledger["requests"]["C1"]["callbacks"]) == 2)
        answers = [callback["answer"] for callback in sandbox.request("C1")["callbacks"]]
    assert answers == [500, 200]
    headers, body = received[0]
    assert headers["content-type"] == "application/vnd.api+json"
    Verifier([keys.sat_public_pem]).verify(body, headers["signature"])
    assert received[1][1] == body


def test_callback_overtakes_the_checkout(keys: KeyPairs) -> None:
    """The receiver has answered before the checkout's own reply is there."""
    faults = {"faults": [{"fault": "callback_before_response"}]}
    with (
        receiver(lambda number: 200) as (url, received),
        SandboxServer(keys=keys, faults=faults, callback_url=url) as sandbox,
        Shop(sandbox) as shop,
    ):
        reply = shop.order("C2")
        assert len(received) == 1
        assert reply.json()["data"]["attributes"]["status"] == "Pending"


def test_unreachable_receivers_are_noted(keys: KeyPairs) -> None:
    """No server listens there."""
    scenario = {"fulfilment": {"min_seconds": 0, "max_seconds": 0}, "callbacks": {"attempts": 1}}
    with (
        SandboxServer(keys=keys, faults=scenario, callback_url="http://127.0.0.1:1/") as sandbox,
        Shop(sandbox) as shop,
    ):
        shop.order("C3")
        ledger = sandbox.wait_until(lambda ledger: ledger["totals"]["callback_answers"])
    assert ledger["totals"]["callback_answers"] == {"unreachable": 1}


def test_judge_routes(keys: KeyPairs) -> None:
    """Health, top-up, foreign spend, faults at run time, tokens forgotten, and mistakes named."""
    with SandboxServer(keys=keys) as sandbox, Shop(sandbox) as shop:
        assert requests.get(f"{sandbox.url}/_sandbox/health", timeout=30).json()["status"] == "ok"
        sandbox.top_up(500)
        sandbox.spend_elsewhere(200)
        assert sandbox.saldo_rupiah() == 50_000_300
        fired = sandbox.set_faults({"faults": [{"fault": "error", "operations": ["account"]}]})["fired"]
        assert fired == {}
        assert shop.get("/v2/account").status_code == 500
        assert sandbox.ledger(totals_only=True)["totals"]["faults_fired"] == {"1:error": 1}
        sandbox.set_faults({})
        sandbox.revoke_tokens()
        assert shop.get("/v2/account").status_code == 401
        for mistake in (
            lambda: sandbox.top_up(-1),
            lambda: sandbox.set_faults({"seed": 2}),
            lambda: sandbox.set_faults({"faults": [{"fault": "nothing"}]}),
            lambda: sandbox.set_callback_url("ftp://x"),
        ):
            with pytest.raises(SandboxError):
                mistake()
        assert requests.get(f"{sandbox.url}/_sandbox/nothing", timeout=30).status_code == 404
        assert requests.post(f"{sandbox.url}/_sandbox/ledger", timeout=30).headers["allow"] == "GET"
        assert "openapi: 3.1.0" in requests.get(f"{sandbox.url}/_sandbox/openapi.yaml", timeout=30).text


def test_servers_in_one_process_do_not_mix() -> None:
    """Each has its own keys, tokens and book."""
    with SandboxServer(seed=1) as one, SandboxServer(seed=2) as two, Shop(one) as shop:
        shop.order("M1")
        assert list(one.ledger()["requests"]) == ["M1"]
        assert two.ledger()["requests"] == {}


def test_a_wrong_judge_says_so(keys: KeyPairs) -> None:
    """A deposit that does not add up ends the server with an error instead of a verdict."""
    sandbox = SandboxServer(keys=keys)
    sandbox.__enter__()
    sandbox.world.ledger.deposit.balance_rupiah += 1
    assert sandbox.ledger()["deposit"]["conserved"] is False
    reply = requests.post(f"{sandbox.url}/_sandbox/topup", json={"rupiah": 1}, timeout=30)
    assert reply.status_code == 500
    with pytest.raises(SandboxError, match="judge"):
        sandbox.__exit__()


def test_process_is_ready_quickly_prints_one_line_and_stops_cleanly(tmp_path: Path) -> None:
    """Keys by one command, the server by another; loopback; SIGTERM and SIGINT are ends, not errors."""
    assert main(["keys", str(tmp_path / "keys")]) == 0
    for number in (signal.SIGTERM, signal.SIGINT):
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "serve", "--port", "0", "--keys", str(tmp_path / "keys")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = process.stdout.readline()
        assert time.monotonic() - started < READY_SECONDS * SLOW_MACHINE_FACTOR
        assert line.startswith("sat-sandbox ready at http://127.0.0.1:")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
        assert (rest, errors, process.returncode) == ("", "", 0)


def test_process_killed_and_started_again_remembers() -> None:
    """SIGKILL in the middle; the journal brings the order back, on the same port."""
    with SandboxProcess(journal=True) as sandbox:
        with Shop(sandbox) as shop:
            shop.order("K1")
            url = sandbox.url
            assert sandbox.kill() == -signal.SIGKILL
        sandbox.start()
        assert sandbox.url == url
        with Shop(sandbox) as shop:
            assert shop.order("K1").json()["errors"][0]["code"] == "P03"
        assert sandbox.request("K1")["charged"] == 1
        assert sandbox.stop() == 0


def test_private_keys_are_private(tmp_path: Path) -> None:
    """0600, never overwritten unless asked; the error for missing ones says how to write them."""
    with pytest.raises(KeyDirectoryError, match="sat-sandbox keys"):
        KeyPairs.read(tmp_path)
    assert main(["keys", str(tmp_path)]) == 0
    for name in ("client_private.pem", "sat_private.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    before = KeyPairs.read(tmp_path)
    assert main(["keys", str(tmp_path)]) == 2
    assert KeyPairs.read(tmp_path) == before
    assert main(["keys", str(tmp_path), "--overwrite"]) == 0
    assert KeyPairs.read(tmp_path) != before
    assert "PRIVATE" not in repr(before)


@pytest.mark.parametrize(
    ("option", "content", "place"),
    [
        ("--faults", "faults: [{fault: nothing}]", "faults.0"),
        ("--credentials", "[]", "client ids"),
        ("--journal", "nonsense\n{}\n", "line 1"),
    ],
)
def test_unusable_files_end_the_command(
    tmp_path: Path, capsys, option: str, content: str, place: str
) -> None:
    """With status 2 and a line that names file and place."""
    main(["keys", str(tmp_path / "keys")])
    path = tmp_path / "file"
    path.write_text(content)
    assert main(["serve", "--port", "0", "--keys", str(tmp_path / "keys"), option, str(path)]) == 2
    assert place in capsys.readouterr().err


def test_own_credentials(tmp_path: Path) -> None:
    """A file of other clients replaces demo."""
    path = tmp_path / "credentials.yaml"
    path.write_text("shop: s3cret\n")
    with SandboxServer(credentials=read_credentials(path)) as sandbox:
        basic = base64.b64encode(b"shop:s3cret").decode()
        for header, status in ((basic, 200), (base64.b64encode(b"demo:demo").decode(), 401)):
            reply = requests.post(
                sandbox.token_url,
                data={"grant_type": "client_credentials"},
                headers={"Authorization": f"Basic {header}"},
                timeout=30,
            )
            assert reply.status_code == status
