"""Settings that cannot work are refused by name, and secrets stay out of texts."""

from __future__ import annotations

from typing import Any

import pytest

from sat_hook.clients.clock import SystemClock
from sat_hook.clients.errors import InvalidSettingsError
from sat_hook.protocol.endpoints import Environment
from tests.unit.clients.conftest import MakeSettings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("account", ""),
        ("account", "../elsewhere"),
        ("account", ".."),
        ("account", "two words"),
        ("account", "a\nb"),
        ("account", "a" * 201),
        ("client_id", ""),
        ("client_id", "a:b"),
        ("client_secret", ""),
        ("base_url", ""),
        ("base_url", "ftp://host"),
        ("base_url", "https://"),
        ("base_url", "https://host:port/api"),
        ("base_url", "https://user:pass@host/api"),
        ("base_url", "https://host/api?x=1"),
        ("connect_timeout_seconds", 0),
        ("read_timeout_seconds", -1),
        ("total_timeout_seconds", 601),
        ("total_timeout_seconds", float("nan")),
        ("requests_per_second", 0),
        ("max_in_flight", 0),
        ("max_response_bytes", 1),
    ],
)
def test_impossible_setting_is_named(settings: MakeSettings, setting: str, value: Any) -> None:
    """The error has the setting's name and never a password."""
    with pytest.raises(InvalidSettingsError) as caught:
        settings(**{setting: value})
    assert caught.value.setting == setting
    assert "pass@" not in str(caught.value)


def test_money_travels_without_tls(settings: MakeSettings) -> None:
    """http:// is for custom environments alone."""
    with pytest.raises(InvalidSettingsError, match="https://"):
        settings(environment=Environment.PRODUCTION, base_url="http://b2b.example/api")


def test_known_environments_have_addresses(settings: MakeSettings) -> None:
    """Empty addresses are the environment's own; slashes at the end do not matter."""
    live = settings(environment=Environment.PRODUCTION, base_url="", token_url="")
    assert live.base_url == "https://b2b.tokopedia.com/api"
    assert settings(base_url="http://127.0.0.1:1/api/").base_url == "http://127.0.0.1:1/api"


def test_secret_is_in_the_repr(settings: MakeSettings) -> None:
    """The secret is not in the repr, nor is anything of a key but its fingerprint."""
    assert "s3cret-of-demo" not in repr(settings())
    assert "BEGIN" not in repr(settings())


def test_system_clock_moves_forward() -> None:
    """Aware UTC, and a second clock that never goes back."""
    clock = SystemClock()
    assert clock.now().utcoffset() is not None
    assert clock.boottime_seconds() <= clock.boottime_seconds()


def test_a_client_of_sat_is_the_same_however_its_address_is_written(settings: MakeSettings) -> None:
    """Case, a dot at the end, the scheme's own port and the path make no other client; id and host do."""
    own = settings(base_url="https://sat.example/api").client
    for same in ("https://SAT.example:443/api/", "https://sat.example./v2/api"):
        assert settings(base_url=same, account="another").client == own
    assert settings(base_url="https://sat.example:444/api").client != own
    assert settings(base_url="https://sat.example/api", client_id="other").client != own
