"""SAT's side of the callbacks: signs them in advance, sends each at its time, records when it was answered.

The load is open: a callback is sent at its time even if earlier ones are unanswered, and its latency counts
from that time. A receiver that falls behind cannot slow down its own measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.processes import ready, told
from sat_hook.protocol.signing import SIGNATURE_HEADER, Signer

SIGNING_CHUNK = 500
END_OF_ANSWER = b'"}'
DRAIN_SECONDS = 30.0


@dataclass
class Sending:
    """One measurement in progress."""

    requests: deque[bytes]
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    idle: deque[Connection] = field(default_factory=deque)
    unanswered: int = 0
    most_unanswered: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, due: float) -> None:
        """Send the next callback that is due. It waits here when every connection is busy."""
        request = self.requests.popleft()
        self.unanswered += 1
        self.most_unanswered = max(self.most_unanswered, self.unanswered)
        if self.idle:
            # The connection that idled longest: none idles long enough to be closed.
            self.idle.popleft().send(due, request)
        else:
            self.waiting.append((due, request))

    def answered(self, connection: Connection, due: float, status: int) -> None:
        """Handle an answer: the connection takes the next waiting callback."""
        self.latencies.append(time.perf_counter() - due)
        self.statuses[status] += 1
        self.unanswered -= 1
        if self.waiting and status:
            connection.send(*self.waiting.popleft())
        else:
            self.idle.append(connection)
        if not self.unanswered and not self.requests:
            self.done.set()


class Connection(asyncio.Protocol):
    """One connection, one callback at a time."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._due = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sending.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the reason does not matter
        if self in self._sending.idle:
            # The receiver closes connections that are idle for a while.
            self._sending.idle.remove(self)
        else:
            self._sending.answered(self, self._due, 0)
            self._sending.idle.remove(self)

    def send(self, due: float, request: bytes) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(END_OF_ANSWER):
            status = int(self._received[9:12])
            self._received = b""
            self._sending.answered(self, self._due, status)


async def _send_all(url: str, requests: deque[bytes], rate: float, connections: int) -> dict[str, object]:
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    sending = Sending(requests)
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(sending), address.hostname, address.port)
    chance = random.Random(1)  # noqa: S311 - moments of arrival, no secret
    count = len(requests)
    await asyncio.to_thread(ready)
    began = due = time.perf_counter()
    for _ in range(count):
        # Arrivals of many independent orders: exponential gaps.
        due += chance.expovariate(rate)
        # Also when it is late: answers must be read in between.
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sending.send(due)
    sent_seconds = time.perf_counter() - began
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await sending.done.wait()
    except TimeoutError:
        pass
    seconds = time.perf_counter() - began
    return {
        "callbacks": count,
        "seconds": seconds,
        "sent_seconds": sent_seconds,
        "statuses": {str(status): number for status, number in sending.statuses.items()},
        "most_unanswered": sending.most_unanswered,
        "latencies": sorted(sending.latencies),
    }


def _signed(arguments: tuple[bytes, str, int, int]) -> list[bytes]:
    """Return signed requests for the orders with these numbers."""
    private_pem, url, first, count = arguments
    signer, address = Signer(private_pem), urlsplit(url)
    requests = []
    for number in range(first, first + count):
        attributes = {
            "status": "Success",
            "error_code": "",
            "error_detail": "",
            "product_code": "pln-prepaid-token-100k",
            "client_number": "102111106111",
            "sales_price": 102_500,
            "admin_fee": 2_500,
            "partner_fee": 1_000,
            "fulfilled_at": "2026-11-23T03:00:00Z",
            "fulfillment_result": [{"name": f"Baris {line}", "value": "Rp 102.500"} for line in range(8)],
            "client_name": "TOKOPEDIA USER",
            "voucher_code": "5196 1584 0828 2085 4701",
            "serial_number": f"{number:020d}",
        }
        document = {"data": {"type": "order", "id": f"S{number:031d}", "attributes": attributes}}
        body = json.dumps(document).encode()
        head = (
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: application/vnd.api+json\r\nContent-Length: {len(body)}\r\n"
            f"{SIGNATURE_HEADER}: {signer.sign(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def main() -> None:
    """Send ``--callbacks`` distinct callbacks at ``--rate`` a second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.callback_side", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--private-key", type=Path, required=True)
    parser.add_argument("--first", type=int, required=True, help="number of the first order")
    parser.add_argument("--callbacks", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    options = parser.parse_args()
    pem = options.private_key.read_bytes()
    chunks = [
        (pem, options.url, first, min(SIGNING_CHUNK, options.first + options.callbacks - first))
        for first in range(options.first, options.first + options.callbacks, SIGNING_CHUNK)
    ]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        requests = deque(request for chunk in pool.map(_signed, chunks) for request in chunk)
    told(asyncio.run(_send_all(options.url, requests, options.rate, options.connections)))


if __name__ == "__main__":
    main()
