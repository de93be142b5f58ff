"""Measures how many requests a second the stub can serve: pipelined statuses, so that its delay does not
count.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.processes import ready, told
from benchmarks.stub import answer_of
from benchmarks.world import read_statuses, request_id

CONNECTIONS = 32
PIPELINED = 32


async def _load(url: str, requests: int, answer_bytes: int) -> float:
    address = urlsplit(url)
    number = 1
    path = f"GET /api/v2/order/{request_id(number)} HTTP/1.1\r\nHost: {address.netloc}\r\n"
    request = f"{path}Authorization: Bearer bench\r\nAccept: application/json\r\n\r\n".encode()
    bundle = request * PIPELINED
    rounds = requests // (CONNECTIONS * PIPELINED)

    async def play() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for _ in range(rounds):
            writer.write(bundle)
            await reader.readexactly(answer_bytes * PIPELINED)
        writer.close()

    ready()
    began = time.perf_counter()
    await asyncio.gather(*(play() for _ in range(CONNECTIONS)))
    return (time.perf_counter() - began) * requests / (rounds * CONNECTIONS * PIPELINED)


def main() -> None:
    """Ask for the status of the first order ``--requests`` times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_side", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--statuses", type=Path, required=True)
    parser.add_argument("--requests", type=int, required=True)
    options = parser.parse_args()
    size = len(answer_of(read_statuses(options.statuses)[request_id(1)]))
    seconds = asyncio.run(_load(options.url, options.requests, size))
    told({"requests": options.requests, "seconds": seconds})


if __name__ == "__main__":
    main()
