"""Posts webhooks: signed by the convention of standardwebhooks.com, and to public addresses only.

An address is checked where it is set, and again when the connection is opened: a name may lead elsewhere by
then. No proxy is used, because it would look names up itself.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import SecretStr
from yarl import URL

from sat_hook.clients.async_transport import USER_AGENT
from sat_hook.clients.proxies_and_tls import ca_bundle, tls_context
from sat_hook.domain.errors import WebhookRefusedError

NETWORKS_VARIABLE = "SAT_WEBHOOK_NETWORKS"
MAXIMUM_URL_CHARACTERS = 500
MAXIMUM_SECRETS = 2
"""Most secrets of a webhook: the new one, and the one that it replaces."""
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64
_PREFIX = "whsec_"
_NAT64 = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def networks_in(text: str) -> tuple[Network, ...]:
    """Networks that may be reached although they are private, from a setting.

    :raises WebhookRefusedError: it names something else.
    """
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise WebhookRefusedError(
            f"{NETWORKS_VARIABLE}: found {text[:80]!r}; expected networks like 10.1.2.0/24 with commas"
        ) from None


def secrets_in(text: str, where: str) -> tuple[SecretStr, ...]:
    """The signing secrets in the password of a connection, the newest first.

    :param where: the connection, for the error.
    :raises WebhookRefusedError: there is none, or one is no secret.
    """
    found = text.replace(",", " ").split()
    expected = f"one secret, or {MAXIMUM_SECRETS} while it is changed: {_PREFIX} and base64 of " + (
        f"{LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes (sat webhook new-secret makes one)"
    )
    if not 1 <= len(found) <= MAXIMUM_SECRETS:
        raise WebhookRefusedError(f"{where}: found {len(found)} secrets; expected {expected}")
    for secret in found:
        try:
            size = len(_key(secret))
        except ValueError:
            size = 0
        if not secret.startswith(_PREFIX) or not LEAST_SECRET_BYTES <= size <= MOST_SECRET_BYTES:
            raise WebhookRefusedError(f"{where}: found something else; expected {expected}")
    return tuple(map(SecretStr, found))


def fingerprint(secret: SecretStr) -> str:
    """Tells secrets apart, and opens nothing."""
    return hashlib.sha256(_key(secret.get_secret_value())).hexdigest()[:16]


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError from error


def checked_url(text: str, allowed: Sequence[Network]) -> URL:
    """The address of a webhook.

    :param allowed: networks that may be reached although they are private.
    :raises WebhookRefusedError: it is no https address, or leads to a private one. http is for loopback only.
    """
    try:
        url = URL(text) if len(text) <= MAXIMUM_URL_CHARACTERS else URL()
    except ValueError:
        url = URL()
    literal = _literal(url.host or "")
    is_local = url.scheme == "http" and literal is not None and literal.is_loopback
    if not (url.scheme == "https" or is_local) or not url.host or url.user or url.password or url.fragment:
        raise WebhookRefusedError(
            f"url: found something else; expected https://HOST/PATH of at most {MAXIMUM_URL_CHARACTERS} "
            "characters, without a user, a password or a fragment"
        )
    if literal is not None and not _may_be_reached(literal, allowed):
        raise WebhookRefusedError(
            f"url: found the private address {literal}; expected a public one, or one of {NETWORKS_VARIABLE}"
        )
    return url


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _may_be_reached(address: Address, allowed: Sequence[Network]) -> bool:
    if any(address in network for network in allowed):
        return True
    inner: IPv4Address | None = None
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return _may_be_reached(inner, allowed)
    return address.is_global and not address.is_multicast


class _PrivateAddressError(OSError):
    """The name leads to an address that may not be reached."""


class _GuardedResolver(AbstractResolver):
    """Looks names up, and refuses those that lead to private addresses."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family
        )
        results = []
        for kind, _, protocol, _, place in found:
            # A link-local address has its zone behind a percent sign.
            address = ip_address(str(place[0]).partition("%")[0])
            if not _may_be_reached(address, self._allowed):
                raise _PrivateAddressError("the name leads to a private address")
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=int(place[1]),
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True, slots=True)
class Post:
    """A message on its way.

    :param secrets: it is signed with each of them.
    """

    url: str
    message_id: str
    body: str
    secrets: tuple[SecretStr, ...]


class WebhookClient:
    """Posts messages. Redirects, proxies and cookies are off; of an answer only the status is read.

    :param allowed: networks that may be reached although they are private.
    :param timeout_seconds: the longest time for a whole exchange.
    """

    def __init__(self, allowed: Sequence[Network], timeout_seconds: float) -> None:
        self._allowed = allowed
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_GuardedResolver(allowed),
                use_dns_cache=False,
                ssl=tls_context(ca_bundle()),
                force_close=True,
                limit=0,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
            trust_env=False,
        )
        self._session._retry_connection = False

    async def __aenter__(self) -> WebhookClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, post: Post, at: datetime) -> str | None:
        """Post a message; returns why it was not taken, in words without the address or a secret."""
        try:
            url = checked_url(post.url, self._allowed)
            async with self._session.post(
                url, data=post.body.encode(), headers=_headers(post, at), allow_redirects=False
            ) as response:
                status = response.status
                response.close()
        except WebhookRefusedError as error:
            return str(error)
        except TimeoutError:
            return "no answer in time"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(getattr(error, "os_error", error), _PrivateAddressError):
                return "the name leads to a private address"
            # Its text holds the address.
            return type(error).__name__
        return None if 200 <= status < 300 else f"HTTP {status}"


def _headers(post: Post, at: datetime) -> dict[str, str]:
    # Loaded here: only a task that delivers needs it.
    from standardwebhooks import Webhook

    # The library takes the clock face of any time for UTC.
    at = at.astimezone(UTC)
    signatures = (
        Webhook(secret.get_secret_value()).sign(post.message_id, at, post.body) for secret in post.secrets
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "webhook-id": post.message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
