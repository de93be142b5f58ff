"""What a webhook may be: its address, its secrets, the networks that it may reach."""

from __future__ import annotations

import asyncio
import base64
import socket
from ipaddress import ip_address
from typing import Any

import pytest

from sat_hook.clients.webhooks import (
    _GuardedResolver,
    _may_be_reached,
    checked_url,
    fingerprint,
    networks_in,
    secrets_in,
)
from sat_hook.domain.errors import WebhookRefusedError

GOOD = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = "whsec_" + base64.b64encode(bytes(range(24))).decode()
SHORT = "whsec_" + base64.b64encode(bytes(23)).decode()
LOOPBACK = networks_in("127.0.0.1/32, ::1/128")


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example.com/sat",
        "http://93.184.215.14/",
        "ftp://erp.example.com/",
        "https:///sat",
        "https://user@erp.example.com/",
        "https://user:pass@erp.example.com/",
        "https://erp.example.com/#part",
        "https://erp.example.com:99999/",
        "erp.example.com",
        "",
        "https://erp.example.com/" + "a" * 500,
        "https://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://0.0.0.0/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
    ],
)
def test_an_address_that_is_no_public_https_address_is_refused(url: str) -> None:
    """The error names neither a password nor the rest of the address."""
    with pytest.raises(WebhookRefusedError, match=r"^url: found") as refused:
        checked_url(url, ())
    assert "pass" not in str(refused.value).replace("a password", "")


def test_private_networks_can_be_allowed() -> None:
    """One by one; http stays for loopback alone."""
    assert checked_url("https://93.184.215.14/hook", ()).host == "93.184.215.14"
    assert checked_url("https://erp.example.com/hook?x=1", ()).path == "/hook"
    assert checked_url("https://10.1.2.3/", networks_in("10.1.2.0/24")).host == "10.1.2.3"
    assert checked_url("http://127.0.0.1:8080/", LOOPBACK).port == 8080
    for url in ("https://10.1.3.3/", "http://10.1.2.3/"):
        with pytest.raises(WebhookRefusedError):
            checked_url(url, networks_in("10.1.2.0/24"))
    with pytest.raises(WebhookRefusedError, match=r"^SAT_WEBHOOK_NETWORKS: found '10.1.2.3/24'"):
        networks_in("10.1.2.3/24")


async def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when only one of its addresses is private: it could be the one that is used."""

    async def found(*_: Any, **__: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))
            for address in ("93.184.215.14", "10.0.0.1")
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    with pytest.raises(OSError, match="private address"):
        await _GuardedResolver(()).resolve("erp.example.com", 443)
    allowed = await _GuardedResolver(networks_in("10.0.0.0/8")).resolve("erp.example.com", 443)
    assert [one["host"] for one in allowed] == ["93.184.215.14", "10.0.0.1"]
    assert _may_be_reached(ip_address("2606:2800:21f:cb07:6820:80da:af6b:8b2c"), ())


def test_a_connection_holds_one_secret_or_two() -> None:
    """No repr shows one, and their fingerprints differ."""
    new, old = secrets_in(f" {GOOD}\n{OTHER} ", "connection erp")
    assert (new.get_secret_value(), old.get_secret_value()) == (GOOD, OTHER)
    assert GOOD[6:] not in repr((new, old)) + str(new)
    assert fingerprint(new) != fingerprint(old)


@pytest.mark.parametrize("password", ["", "hunter2", SHORT, f"{GOOD} {OTHER} {GOOD}", "whsec_***", GOOD[6:]])
def test_another_password_is_no_secret(password: str) -> None:
    """So a connection that is for something else never signs; the error does not quote it."""
    with pytest.raises(WebhookRefusedError, match=r"^connection erp: found") as refused:
        secrets_in(password, "connection erp")
    assert not password or password not in str(refused.value)
