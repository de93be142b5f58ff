"""The judge's routes under ``/_sandbox/``: without token or faults, and not part of SAT's wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.calls import query_values
from sandbox.judge import Judge
from sandbox.scenario import FaultFileError, parse_scenario
from sandbox.view import deposit_view, ledger_view
from sandbox.wire import MAX_AMOUNT_RUPIAH, Reply, Request, encode

PREFIX = "/_sandbox/"
_OPENAPI = Path(__file__).with_name("openapi.yaml")


class ControlError(Exception):
    """The judge cannot do what was requested; the text says what was expected."""


def control(judge: Judge, request: Request) -> Reply:
    """Answer one of the judge's routes."""
    judge.world.advance()
    routes = _ROUTES.get(request.path.rstrip("/").removeprefix(PREFIX.rstrip("/")).strip("/"))
    if routes is None:
        return _told(404, {"error": "no such route of the sandbox"})
    route = routes.get(request.method)
    if route is None:
        return _told(405, {"error": f"allowed: {', '.join(routes)}"}).with_headers(allow=", ".join(routes))
    try:
        return route(judge, request)
    except (ControlError, FaultFileError) as error:
        return _told(400, {"error": str(error)})


def _health(judge: Judge, request: Request) -> Reply:
    del request
    return _told(200, {"status": "ok", "seed": judge.world.seed})


def _ledger(judge: Judge, request: Request) -> Reply:
    ids = frozenset(query_values(request.query, "request_id"))
    totals_only = query_values(request.query, "totals_only") in (["1"], ["true"])
    return _told(200, ledger_view(judge.world, ids, totals_only=totals_only))


def _top_up(judge: Judge, request: Request) -> Reply:
    judge.top_up(_rupiah(request))
    return _told(200, deposit_view(judge.world))


def _spend(judge: Judge, request: Request) -> Reply:
    judge.spend_elsewhere(_rupiah(request))
    return _told(200, deposit_view(judge.world))


def _faults(judge: Judge, request: Request) -> Reply:
    del request
    world = judge.world
    return _told(200, {"scenario": world.scenario.model_dump(mode="json"), "fired": dict(world.faults.fired)})


def _set_faults(judge: Judge, request: Request) -> Reply:
    try:
        scenario = parse_scenario(request.body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ControlError("expected UTF-8 YAML or JSON") from error
    opening = judge.world.ledger.deposit.opening_rupiah
    if scenario.seed not in (None, judge.world.seed) or scenario.deposit_rupiah not in (None, opening):
        raise ControlError("seed and deposit_rupiah are set at start and cannot change while running")
    judge.world.change_scenario(scenario)
    return _faults(judge, request)


def _set_callback_url(judge: Judge, request: Request) -> Reply:
    url = _object(request).get("url")
    if url is not None and not (isinstance(url, str) and url.startswith(("http://", "https://"))):
        raise ControlError('expected {"url": "http://..."} or {"url": null}')
    judge.world.callback_url = url
    return _told(200, {"url": url})


def _revoke_tokens(judge: Judge, request: Request) -> Reply:
    del request
    return _told(200, {"revoked": judge.world.tokens.revoke_all()})


def _openapi(judge: Judge, request: Request) -> Reply:
    del judge, request
    return Reply(200, _OPENAPI.read_bytes(), {"content-type": "application/yaml"})


_ROUTES: dict[str, dict[str, Callable[[Judge, Request], Reply]]] = {
    "health": {"GET": _health},
    "ledger": {"GET": _ledger},
    "topup": {"POST": _top_up},
    "spend": {"POST": _spend},
    "faults": {"GET": _faults, "PUT": _set_faults},
    "callback-url": {"PUT": _set_callback_url},
    "tokens": {"DELETE": _revoke_tokens},
    "openapi.yaml": {"GET": _openapi},
}


def _rupiah(request: Request) -> int:
    rupiah = _object(request).get("rupiah")
    if isinstance(rupiah, bool) or not isinstance(rupiah, int) or not 0 < rupiah <= MAX_AMOUNT_RUPIAH:
        raise ControlError('expected {"rupiah": a whole number above 0}')
    return rupiah


def _object(request: Request) -> dict[str, Any]:
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise ControlError("expected a JSON object") from error
    if not isinstance(content, dict):
        raise ControlError("expected a JSON object")
    return content


def _told(status: int, content: object) -> Reply:
    return Reply(status, encode(content))
