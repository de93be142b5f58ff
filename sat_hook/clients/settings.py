"""The settings of one SAT account. Nothing here is global, so two accounts never mix."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sat_hook.clients.errors import InvalidSettingsError
from sat_hook.protocol.endpoints import ADDRESSES, Environment
from sat_hook.protocol.signing import Signer, Verifier

MAXIMUM_RESPONSE_BYTES = 8 * 1024 * 1024
"""Several times the size of the whole catalogue, and small enough to protect memory from a hostile answer."""


_PORTS = {"http": 80, "https": 443}
_ACCOUNT_NAME = re.compile(r"[\w@+#!():-][\w.@+#!():-]{0,199}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account's identity, SAT's addresses, and the limits of every call.

    :param account: the name of the account in event streams.
    :param base_url: ends in ``/api``; empty for the environment's address, which ``custom`` does not have.
    :param token_url: likewise.
    :param signer: signs checkouts; required to place orders.
    :param verifier: verifies statuses; required to end orders.
    :param total_timeout_seconds: from the first step of a connection to the last byte of the answer.
    :param requests_per_second: ``None`` means no limit.
    :param max_in_flight: most requests at the same time.
    :param limits_are_shared: whether both limits apply to all processes of the account together, where they
        can share them; otherwise to each process.
    :param max_response_bytes: longer answers are not read to the end.
    :param trust_callbacks: a signed callback ends an order without asking for its status.
    :raises InvalidSettingsError: for a setting that cannot work.
    """

    account: str
    environment: Environment
    base_url: str = ""
    token_url: str = ""
    client_id: str
    client_secret: str = field(repr=False)
    signer: Signer | None = None
    verifier: Verifier | None = None
    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 20.0
    total_timeout_seconds: float = 30.0
    requests_per_second: float | None = None
    max_in_flight: int = 64
    limits_are_shared: bool = False
    max_response_bytes: int = MAXIMUM_RESPONSE_BYTES
    trust_callbacks: bool = False

    def __post_init__(self) -> None:
        if not self.account:
            raise InvalidSettingsError("account", "nothing", "a name")
        if not _ACCOUNT_NAME.fullmatch(self.account):
            # Reports are stored in folders of this name.
            raise InvalidSettingsError(
                "account", repr(self.account[:200]), "up to 200 letters, digits, -_.:@+#!(); no dot in front"
            )
        for setting, value in (("client_id", self.client_id), ("client_secret", self.client_secret)):
            if not value:
                raise InvalidSettingsError(setting, "nothing", "the value of SAT's console")
        if ":" in self.client_id:
            raise InvalidSettingsError("client_id", "a colon in it", "an id that HTTP Basic can carry")
        addresses = ADDRESSES.get(self.environment)
        for setting in ("base_url", "token_url"):
            default: str | None = None if addresses is None else getattr(addresses, setting)
            object.__setattr__(self, setting, self._address(setting, default))
        for setting in ("connect_timeout_seconds", "read_timeout_seconds", "total_timeout_seconds"):
            seconds = getattr(self, setting)
            if not 0 < seconds <= 600:
                raise InvalidSettingsError(setting, str(seconds), "more than 0 and at most 600 seconds")
        if self.requests_per_second is not None and not 0 < self.requests_per_second <= 100_000:
            raise InvalidSettingsError(
                "requests_per_second", str(self.requests_per_second), "a positive number, or none"
            )
        if not 1 <= self.max_in_flight <= 4096:
            raise InvalidSettingsError("max_in_flight", str(self.max_in_flight), "1 to 4096")
        if not 1024 <= self.max_response_bytes <= 1024**3:
            raise InvalidSettingsError("max_response_bytes", str(self.max_response_bytes), "1 KiB to 1 GiB")

    @property
    def client(self) -> str:
        """Identifies the SAT client: a digest of the client id and the normalised SAT host."""
        parts = urlsplit(self.base_url.lower())
        port = parts.port or _PORTS[parts.scheme]
        named = f"{self.client_id}@{(parts.hostname or '').rstrip('.')}:{port}"
        return hashlib.sha256(named.encode("utf-8")).hexdigest()

    def _address(self, setting: str, default: str | None) -> str:
        given: str = getattr(self, setting).strip()
        if not given:
            if default is None:
                raise InvalidSettingsError(setting, "nothing", "a URL, because the environment is custom")
            return default
        try:
            parts = urlsplit(given)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            raise InvalidSettingsError(setting, "no URL", "a URL like https://host/api") from None
        if parts.username is not None or parts.password is not None:
            raise InvalidSettingsError(setting, "credentials in the URL", "a URL without them")
        if parts.scheme not in ("http", "https") or not host:
            raise InvalidSettingsError(setting, repr(given), "a URL like https://host/api")
        if parts.query or parts.fragment:
            raise InvalidSettingsError(setting, "a query or fragment", "a URL without them")
        if parts.scheme == "http" and self.environment is not Environment.CUSTOM:
            raise InvalidSettingsError(setting, "http://", "https://, because money and secrets travel there")
        return given.rstrip("/")
