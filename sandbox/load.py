"""How many requests a second the sandbox serves: ``python -m sandbox.load``.

Starts a sandbox pinned to one core (where the system allows it), signs every request beforehand, then plays
them over keep-alive connections from this process. The mix is a batch's own: per order one inquiry, one
checkout, three statuses.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import time
import urllib.request
from urllib.parse import urlsplit

from sandbox.testing import CLIENT_ID, CLIENT_SECRET, SandboxProcess
from sat_hook.protocol.signing import Signer

STATUSES_PER_ORDER = 3


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.load", description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--journal", action="store_true", help="with the journal written")
    options = parser.parse_args()
    with SandboxProcess(faults={"deposit_rupiah": 10**11}, journal=options.journal) as sandbox:
        _pin(sandbox.pid, 0)
        _pin(os.getpid(), -1)
        streams = _streams(sandbox, options.orders, options.connections)
        before = _cpu_seconds(sandbox.pid)
        started = time.perf_counter()
        statuses = asyncio.run(_play(sandbox.url, streams))
        seconds = time.perf_counter() - started
        busy = _cpu_seconds(sandbox.pid) - before
        ledger = sandbox.ledger(totals_only=True)
        assert ledger["deposit"]["conserved"]
        assert ledger["totals"]["charged"] == options.orders
    count = sum(statuses.values())
    print(f"{count} requests in {seconds:.2f} s: {count / seconds:.0f} a second, answers {statuses}")
    print(f"the server used {busy:.2f} s of its core: {count / busy:.0f} requests a second of processor time")


def _streams(sandbox: SandboxProcess, orders: int, connections: int) -> list[list[bytes]]:
    token = _token(sandbox.token_url)
    signer = Signer(sandbox.keys.client_private_pem)
    host = urlsplit(sandbox.url).netloc
    head = f"Host: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    streams: list[list[bytes]] = [[] for _ in range(connections)]
    for number in range(orders):
        attributes = {"product_code": "pln-postpaid", "client_number": f"5{number:010}"}
        inquiry = json.dumps({"data": {"type": "inquiry", "attributes": attributes}}).encode()
        attributes["amount"] = 27_500  # type: ignore[assignment]
        order = {"data": {"type": "order", "id": f"LOAD{number}", "attributes": attributes}}
        body = json.dumps(order).encode()
        post = f"{head}Content-Length: "
        stream = streams[number % connections]
        stream.append(f"POST /api/v2/inquiry HTTP/1.1\r\n{post}{len(inquiry)}\r\n\r\n".encode() + inquiry)
        signed = f"POST /api/v2/order HTTP/1.1\r\nSignature: {signer.sign(body)}\r\n{post}{len(body)}\r\n\r\n"
        stream.append(signed.encode() + body)
        status = f"GET /api/v2/order/LOAD{number} HTTP/1.1\r\n{head}\r\n".encode()
        stream.extend([status] * STATUSES_PER_ORDER)
    return streams


async def _play(url: str, streams: list[list[bytes]]) -> dict[int, int]:
    address = urlsplit(url)
    counts: dict[int, int] = {}

    async def play(stream: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for request in stream:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            status = int(head[9:12])
            counts[status] = counts.get(status, 0) + 1
        writer.close()

    await asyncio.gather(*(play(stream) for stream in streams))
    return counts


def _token(token_url: str) -> str:
    basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - our own loopback URL
        token_url, data=b"grant_type=client_credentials", headers={"Authorization": f"Basic {basic}"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
        token: str = json.loads(response.read())["access_token"]
        return token


def _pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {sorted(os.sched_getaffinity(0))[core]})


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; Linux only, else the wall clock."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            ticks = file.read().rsplit(b")", 1)[1].split()[11:13]
    except OSError:
        return time.perf_counter()
    return sum(int(tick) for tick in ticks) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
