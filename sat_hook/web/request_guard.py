"""The checks that every user request passes before a route sees it, in this order:

1. It does not come from another site. A browser adds its login cookie to requests that a foreign page makes.
2. It has a user, whom the host names.
3. Its body is within the size limit.

Responses are for this user now: no browser or proxy keeps them, unless a route says otherwise.

The body is not read before these checks pass. Each route then checks the right it needs. Mounted apps, for
example the callback receiver, have their own rules, and so has the page for Prometheus.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, cast
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sat_hook.web.host import Host, User

MAXIMUM_JSON_BYTES = 524_288
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def guard_requests(app: FastAPI, host: Host) -> None:
    """Guard the routes of ``app``.

    The guard is inside the app's error handling, so that its refusals look like every other error response.
    """
    app.router.middleware_stack = RequestGuard(app.router.middleware_stack, app.router.routes, host)


def user_of(request: Request) -> User:
    """Return the user of a request that has passed the guard."""
    return cast("User", request.state.sat_user)


class UnguardedRoute(Route):
    """A route that needs no user, and has rules of its own."""


class RequestGuard:
    """The guard, as an ASGI app around another one.

    :param routes: those of the app, which may still grow; mounted apps are not guarded.
    :param host: names the user, and the address at which users reach the server.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], host: Host) -> None:
        self._app = app
        self._routes = routes
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._is_guarded(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refuse_cross_site(request, self._host.base_url())
        request.state.sat_user = await self._host.user_of(request)
        most_bytes = self._host.settings().maximum.file_bytes
        await self._app(scope, _limited(request, receive, most_bytes), _never_kept(send))

    def _is_guarded(self, scope: Scope) -> bool:
        return any(
            route.matches(scope)[0] is not Match.NONE
            for route in self._routes
            if not isinstance(route, (Mount, UnguardedRoute))
        )


def refuse_cross_site(request: Request, base_url: str) -> None:
    """Refuse a request that another site had a browser send.

    A link that a user follows is let through if it only reads. A request that changes something and carries a
    cookie instead of a token must say where it comes from.

    :param base_url: the address at which users reach the server; a proxy may have changed the request's own.
    :raises HTTPException: 403.
    """
    headers = request.headers
    fetch_site = headers.get("sec-fetch-site")
    origins = headers.getlist("origin")
    is_safe = request.method in SAFE_METHODS
    is_followed_link = (
        is_safe
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    own = {_host_of(f"//{headers.get('host', '')}"), _host_of(base_url)}
    if any(_host_of(origin) not in own - {""} for origin in origins):
        raise _cross_site(f"the origin {origins[0][:200]!r}")
    if fetch_site not in (None, "same-origin", "none") and not is_followed_link:
        raise _cross_site(f"Sec-Fetch-Site: {fetch_site[:50]}")
    by_cookie = "cookie" in headers and not headers.get("authorization", "").lower().startswith("bearer ")
    if by_cookie and not (is_safe or origins or fetch_site):
        raise _cross_site("a cookie, and neither Origin nor Sec-Fetch-Site")


def _cross_site(found: str) -> HTTPException:
    return HTTPException(
        403, f"cross-site request: found {found}; expected a page of this server, or a token"
    )


def _host_of(url: str) -> str:
    """Return host and port in lower case, without the scheme's default port; empty if there is no host."""
    try:
        parts = urlsplit(url.strip().lower())
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    for scheme, port in _DEFAULT_PORTS.items():
        if parts.scheme in (scheme, ""):
            host = host.removesuffix(port)
    return host


def _never_kept(send: Send) -> Send:
    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
        await send(message)

    return send_with_header


def _limited(request: Request, receive: Receive, most_bytes: int) -> Receive:
    """Return a ``receive`` that passes on at most the allowed body size.

    :raises HTTPException: 413, at once if the declared length is too large.
    """
    is_json = "json" in request.headers.get("content-type", "").partition(";")[0].lower()
    limit = MAXIMUM_JSON_BYTES if is_json else most_bytes
    too_large = HTTPException(413, f"the body is too large; expected at most {limit:,} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:19]) > limit:
        raise too_large
    received = 0

    async def receive_limited() -> MutableMapping[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise too_large
        return message

    return receive_limited
