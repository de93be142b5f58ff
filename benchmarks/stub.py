"""A SAT that costs next to nothing: fixed answers after a fixed delay, in a process of its own.

It has no ledger and checks no signature; the real local server does both and is for tests. Statuses are
signed before the clock starts, so that neither side of a comparison waits for SAT's RSA.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import started
from benchmarks.world import PRICE_RUPIAH, PRODUCT, SignedStatus, read_statuses

_TOKEN = b'{"access_token":"bench","token_type":"Bearer","expires_in":86400}'
_PING = b'{"buildhash":"bench","sandbox":true,"status":"ok"}'
_ACCOUNT = b'{"data":{"type":"account","id":"1","attributes":{"saldo":1000000000000}}}'
_PRODUCTS = json.dumps(
    {
        "data": [
            {
                "type": "product",
                "id": PRODUCT,
                "attributes": {
                    "product_name": "Bill",
                    "price": 0,
                    "is_inquiry": True,
                    "status": 1,
                    "operator_name": "PLN",
                    "category_name": "Electricity",
                },
            }
        ]
    }
).encode()


def _answer(body: bytes, signature: str = "", status: str = "200 OK") -> bytes:
    signed = f"Signature: {signature}\r\n" if signature else ""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{signed}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def answer_of(status: SignedStatus) -> bytes:
    """Return the whole HTTP response to the query for this status."""
    return _answer(status.body, status.signature)


class _Connection(asyncio.Protocol):
    """One keep-alive connection; requests may be pipelined, which only the headroom check does."""

    def __init__(self, stub: _Stub) -> None:
        self._stub = stub
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        data = self._pending + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            size = end + 4
            if data.startswith(b"POST"):
                at = data.lower().find(b"content-length:", 0, end)
                size += int(data[at + 15 : data.find(b"\r\n", at)])
                if len(data) < size:
                    break
            request, data = data[:size], data[size:]
            answer, delay = self._stub.answer(request, end + 4)
            if delay:
                self._stub.loop.call_later(delay, self._write, answer)
            else:
                self._write(answer)
        self._pending = data

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


class _Stub:
    def __init__(self, statuses: dict[str, SignedStatus], latency_seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._latency_seconds = latency_seconds
        self._statuses = {
            f"/api/v2/order/{request_id}".encode(): answer_of(status)
            for request_id, status in statuses.items()
        }
        self._fixed = {
            b"/token": _answer(_TOKEN),
            b"/api/ping": _answer(_PING),
            b"/api/v2/account": _answer(_ACCOUNT),
            b"/api/v2/product-list": _answer(_PRODUCTS),
        }

    def answer(self, request: bytes, head: int) -> tuple[bytes, float]:
        """Return the answer, and the seconds until it is sent."""
        path = request[request.find(b" ") + 1 : request.find(b" HTTP/")].partition(b"?")[0]
        status = self._statuses.get(path)
        if status is not None:
            return status, self._latency_seconds
        if path == b"/api/v2/inquiry":
            return _answer(_bill(request[head:])), self._latency_seconds
        if path == b"/api/v2/order":
            return _answer(_order(request[head:])), self._latency_seconds
        return self._fixed.get(path) or _answer(b"{}", status="404 Not Found"), 0.0


def _bill(body: bytes) -> bytes:
    number = json.loads(body)["data"]["attributes"]["client_number"]
    return (
        f'{{"data":{{"type":"inquiry","id":"{number}","attributes":{{"admin_fee":2500,"base_price":25000,'
        f'"client_name":"TOKOPXXXX UXX","client_number":"{number}","fields":null,"inquiry_result":'
        f'[{{"name":"Nama","value":"TOKOPXXXX UXX"}},{{"name":"Total","value":"Rp 27.500"}}],'
        f'"meter_id":"{number}","product_code":"{PRODUCT}","sales_price":{PRICE_RUPIAH}}}}}}}'
    ).encode()


def _order(body: bytes) -> bytes:
    data = json.loads(body)["data"]
    return (
        f'{{"data":{{"type":"order","id":"{data["id"]}","attributes":{{"client_number":'
        f'"{data["attributes"]["client_number"]}","fields":null,"fulfilled_at":null,"partner_fee":1000,'
        f'"product_code":"{PRODUCT}","sales_price":{PRICE_RUPIAH},"status":"Pending"}}}}}}'
    ).encode()


@dataclass(frozen=True, slots=True)
class ServedStub:
    """The running stub: its address, for example ``http://127.0.0.1:4321``, and its process."""

    url: str
    pid: int


@contextmanager
def serving(statuses: Path, latency_seconds: float) -> Iterator[ServedStub]:
    """Run the stub in a process of its own."""
    command = ["benchmarks.stub", "--statuses", str(statuses), "--latency-seconds", str(latency_seconds)]
    with started(command) as stub:
        yield ServedStub(stub.line(), stub.process.pid)


async def _serve(statuses: Path, latency_seconds: float) -> None:
    stub = _Stub(read_statuses(statuses), latency_seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(stub), "127.0.0.1", 0, backlog=1024)
    gc.freeze()
    gc.disable()
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stub", description=__doc__)
    parser.add_argument("--statuses", type=Path, required=True)
    parser.add_argument("--latency-seconds", type=float, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(options.statuses, options.latency_seconds))


if __name__ == "__main__":
    main()
