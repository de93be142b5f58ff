"""A process that makes pretended requests as fast as the limits of its account let it, and tells when.

    python -m tests.integration.store.limited_worker SECONDS TASKS REQUESTS_PER_SECOND MAX_IN_FLIGHT

The DSN comes as the first line of standard input; each further line starts a round. One line of JSON answers
each round: beginnings and ends of its requests on the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from sat_hook.clients.clock import SystemClock
from sat_hook.clients.shared_limiter import AsyncSharedLimiter
from sat_hook.store.database import Database
from sat_hook.store.rate_limit import PostgresRequestRegister

ACCOUNT = "limited"
REQUEST_SECONDS = 0.05


async def work(limiter: AsyncSharedLimiter, seconds: float, tasks: int) -> list[tuple[float, float]]:
    """Requests of one round."""
    made: list[tuple[float, float]] = []
    deadline = time.monotonic() + seconds

    async def go() -> None:
        while time.monotonic() < deadline:
            await limiter.acquire()
            began = time.monotonic()
            try:
                await asyncio.sleep(REQUEST_SECONDS)
            finally:
                made.append((began, time.monotonic()))
                limiter.release()

    await asyncio.gather(*(go() for _ in range(tasks)))
    return made


async def main(seconds: float, tasks: int, requests_per_second: float | None, max_in_flight: int) -> None:
    """One round after the other, until standard input ends."""
    database = Database(sys.stdin.readline().strip(), "limited worker")
    register = PostgresRequestRegister(
        database,
        account=ACCOUNT,
        holder=str(os.getpid()),
        requests_per_second=requests_per_second,
        max_in_flight=max_in_flight,
    )
    limiter = AsyncSharedLimiter(
        register, SystemClock(), requests_per_second=requests_per_second, max_in_flight=max_in_flight
    )
    while await asyncio.to_thread(sys.stdin.readline):
        print("working", flush=True)
        print(json.dumps(await work(limiter, seconds, tasks)), flush=True)
    await limiter.close()
    database.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) or None, int(sys.argv[4])))
