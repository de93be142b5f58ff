"""A SAT that only answers statuses, in a process of its own, so that its work is not counted as ours.

Every order is Pending, with a signature, until its id is posted to ``/ended``; then it is a Success.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from aiohttp import web

from sat_hook.protocol.signing import Signer
from tests.keeper import hand_over


class PendingSAT:
    """Signs each answer once."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._answers: dict[tuple[str, str], tuple[bytes, str]] = {}
        self._ended: set[str] = set()
        self._asked: Counter[str] = Counter()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_get("/api/v2/order/{request_id}", self._status)
        app.router.add_post("/ended", self._end)
        app.router.add_get("/asked", self._tell)
        return app

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 86_400})

    async def _status(self, request: web.Request) -> web.Response:
        request_id = request.match_info["request_id"]
        self._asked[request_id] += 1
        status = "Success" if request_id in self._ended else "Pending"
        if (request_id, status) not in self._answers:
            document = {"data": {"type": "order", "id": request_id, "attributes": {"status": status}}}
            body = json.dumps(document).encode()
            self._answers[request_id, status] = (body, self._signer.sign(body))
        body, signature = self._answers[request_id, status]
        return web.Response(body=body, headers={"Signature": signature}, content_type="application/json")

    async def _end(self, request: web.Request) -> web.Response:
        self._ended.update(await request.json())
        return web.json_response({})

    async def _tell(self, request: web.Request) -> web.Response:
        return web.json_response(dict(self._asked))


async def _serve(signer: Signer) -> None:
    runner = web.AppRunner(PendingSAT(signer).app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    await asyncio.to_thread(hand_over, f"http://{host}:{port}")


if __name__ == "__main__":
    asyncio.run(_serve(Signer(Path(sys.argv[1]).read_bytes())))
