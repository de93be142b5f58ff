"""Identifies callers: the source behind trusted proxies, the allow-list, and the limit on bad signatures."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from sat_hook.receiver.settings import Network

Address = IPv4Address | IPv6Address
MINUTE_SECONDS = 60.0
MAXIMUM_FORWARDED_CHARACTERS = 2048
IPV6_SITE_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Sources:
    """Determines the source of a request.

    Fails closed: with an allow-list, an unknown source is refused.
    """

    allowed: tuple[Network, ...]
    trusted_proxies: tuple[Network, ...]

    def source_of(self, peer: str | None, forwarded_for: Sequence[str]) -> Address | None:
        """The sender's address, or None when it is unknown.

        ``X-Forwarded-For`` is read from the right, only as far as trusted proxies wrote it. Anything left of
        the first untrusted address is the sender's own claim.
        """
        address = _parsed(peer or "")
        if address is None or not _within(address, self.trusted_proxies):
            return address
        claimed = ",".join(forwarded_for)
        if not claimed or len(claimed) > MAXIMUM_FORWARDED_CHARACTERS:
            return None
        for text in reversed(claimed.split(",")):
            address = _parsed(text.strip())
            if address is None or not _within(address, self.trusted_proxies):
                return address
        # Only proxies: the request began at one of them, which is not a sender.
        return None

    def is_allowed(self, source: Address | None) -> bool:
        """True without an allow-list, or for a source on it."""
        return not self.allowed or self.is_listed(source)

    def is_known(self, peer: str) -> bool:
        """True for the address of a trusted proxy or of the allow-list."""
        address = _parsed(peer)
        return address is not None and _within(address, (*self.trusted_proxies, *self.allowed))

    def is_listed(self, source: Address | None) -> bool:
        """True for a source on the allow-list."""
        return source is not None and _within(source, self.allowed)


class BadSignatures:
    """Counts bad signatures by source per minute, in bounded memory.

    IPv6 sources are counted by /64, because one sender owns all of it.
    """

    def __init__(self, per_minute: int, remembered: int, monotonic: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._remembered = remembered
        self._monotonic = monotonic
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def is_exhausted(self, source: Address | None) -> bool:
        """True when the source has reached its limit for this minute."""
        began, count = self._window(_key(source))
        return count >= self._per_minute and self._monotonic() - began < MINUTE_SECONDS

    def count(self, source: Address | None) -> None:
        """Count a bad signature from ``source``."""
        key = _key(source)
        began, count = self._window(key)
        self._windows[key] = (began, count + 1)
        self._windows.move_to_end(key)
        while len(self._windows) > self._remembered:
            self._windows.popitem(last=False)

    def _window(self, key: str) -> tuple[float, int]:
        now = self._monotonic()
        began, count = self._windows.get(key, (now, 0))
        return (began, count) if now - began < MINUTE_SECONDS else (now, 0)


def site_of(peer: str) -> str:
    """The unit that counts as one sender: an IPv4 address, or an IPv6 /64, which one sender owns."""
    return _key(_parsed(peer))


def _key(source: Address | None) -> str:
    if isinstance(source, IPv6Address):
        return str(IPv6Network((source, IPV6_SITE_PREFIX), strict=False))
    return str(source)


def _parsed(text: str) -> Address | None:
    # Proxies write "203.0.113.9", "[2001:db8::1]:443" and "203.0.113.9:4711".
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
