"""Whose request it is, and how long a source with bad signatures is listened to."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from sat_hook.receiver.client_addresses import BadSignatures, Sources

SAT = ip_network("203.0.113.0/24")
PROXY = ip_network("10.0.0.0/8")
BEHIND_PROXY = Sources((SAT,), (PROXY,))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
    ],
)
def test_the_source_is_what_trusted_proxies_say(peer: str, forwarded: list[str], expected: str) -> None:
    """The right end of X-Forwarded-For counts, as far as trusted proxies wrote it."""
    assert BEHIND_PROXY.source_of(peer, forwarded) == ip_address(expected)


def test_a_stranger_cannot_choose_its_source() -> None:
    """X-Forwarded-For of a peer that is no trusted proxy is a claim, and a claim is ignored."""
    source = BEHIND_PROXY.source_of("198.51.100.7", ["203.0.113.9"])
    assert source == ip_address("198.51.100.7")
    assert not BEHIND_PROXY.is_allowed(source)


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        (None, []),
        ("not an address", []),
        ("10.0.0.1", []),
        ("10.0.0.1", ["unknown"]),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"]),
        ("10.0.0.1", ["203.0.113.9," * 1000]),
    ],
)
def test_a_source_that_cannot_be_told_is_not_on_the_list(peer: str | None, forwarded: list[str]) -> None:
    """The allow-list fails closed."""
    source = BEHIND_PROXY.source_of(peer, forwarded)
    assert source is None
    assert not BEHIND_PROXY.is_allowed(source)


def test_without_an_allow_list_everybody_is_heard() -> None:
    """The signature authenticates; the list is an extra fence."""
    sources = Sources((), ())
    assert sources.is_allowed(None)
    assert sources.is_allowed(ip_address("198.51.100.7"))
    assert not sources.is_listed(ip_address("198.51.100.7"))


class Monotonic:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_source_is_refused_for_the_rest_of_its_minute() -> None:
    """Counted per source, forgiven with the next window."""
    time = Monotonic()
    bad = BadSignatures(per_minute=2, remembered=10, monotonic=time)
    noisy, quiet = ip_address("198.51.100.7"), ip_address("198.51.100.8")
    bad.count(noisy)
    assert not bad.is_exhausted(noisy)
    bad.count(noisy)
    assert bad.is_exhausted(noisy)
    assert not bad.is_exhausted(quiet)
    time.seconds = 60.0
    assert not bad.is_exhausted(noisy)


def test_ipv6_neighbours_count_together() -> None:
    """One sender owns a whole /64 and could change its address with every request."""
    bad = BadSignatures(per_minute=1, remembered=10, monotonic=Monotonic())
    bad.count(ip_address("2001:db8::1"))
    assert bad.is_exhausted(ip_address("2001:db8::2"))
    assert not bad.is_exhausted(ip_address("2001:db8:0:1::2"))


def test_memory_is_bounded() -> None:
    """A flood from many addresses forgets the oldest instead of growing."""
    bad = BadSignatures(per_minute=1, remembered=2, monotonic=Monotonic())
    for last in (1, 2, 3):
        bad.count(ip_address(f"198.51.100.{last}"))
    exhausted = [bad.is_exhausted(ip_address(f"198.51.100.{last}")) for last in (1, 2, 3)]
    assert exhausted == [False, True, True]


def test_the_one_not_seen_for_longest_is_forgotten_first() -> None:
    """A sender that goes on with forgeries stays limited when others come."""
    bad = BadSignatures(per_minute=2, remembered=2, monotonic=Monotonic())
    for last in (1, 2, 1, 3):
        bad.count(ip_address(f"198.51.100.{last}"))
    assert bad.is_exhausted(ip_address("198.51.100.1"))
