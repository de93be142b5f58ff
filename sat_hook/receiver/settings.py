"""The receiver's settings: a JSON file named by the environment variable ``SAT_RECEIVER_CONFIG``.

::

    {"dsn": "postgresql://sat_receiver:…@db/sat",
     "accounts": {"demo": {"public_key_paths": ["demo-sat-public.pem"], "padding": "pss"}},
     "allowed_sources": ["52.74.35.225/32"], "trusted_proxies": ["10.0.0.0/8"],
     "limits": {"body_bytes": 262144}}

Key paths are relative to the file. ``SAT_RECEIVER_DSN`` may give the DSN instead, so that the file holds no
secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from psycopg2 import ProgrammingError
from psycopg2.extensions import parse_dsn
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from sat_hook.protocol.errors import MalformedKeyError
from sat_hook.protocol.signing import Padding, Verifier
from sat_hook.receiver.errors import ReceiverSettingsError
from sat_hook.store.errors import UntrustedFileError
from sat_hook.store.private_files import read_trusted

MAXIMUM_CONFIG_BYTES = 1024 * 1024
MAXIMUM_KEY_BYTES = 16 * 1024

AccountName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Network = IPv4Network | IPv6Network


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Limits(_Section):
    """Every limit of the receiver, with its default."""

    body_bytes: int = Field(default=256 * 1024, ge=1024, le=16 * 1024 * 1024)
    """Largest body; a larger one is answered 413."""
    body_seconds: float = Field(default=10.0, gt=0, le=120)
    """Longest time for a body to arrive; a slower one is answered 503."""
    unverified_bytes: int = Field(default=64 * 1024 * 1024, ge=1024, le=4 * 1024**3)
    """Memory for bodies being read, for unknown and for allowed sources each; beyond it 503."""
    waiting_callbacks: int = Field(default=2000, ge=1, le=100_000)
    """Verified callbacks that may wait for a commit; more are answered 503."""
    group_size: int = Field(default=200, ge=1, le=5000)
    """Most callbacks committed in one transaction."""
    answer_seconds: float = Field(default=10.0, gt=0, le=120)
    """Longest time for a commit; a slower one is answered 503."""
    bad_signatures_per_minute: int = Field(default=30, ge=1, le=100_000)
    """Bad signatures of one source within a minute, before it is answered 429."""
    remembered_sources: int = Field(default=10_000, ge=1, le=1_000_000)
    """Sources whose bad signatures are counted; the least recently seen is dropped first."""
    open_connections: int = Field(default=1000, ge=1, le=100_000)
    """Connections of the stand-alone server, a quarter of them reserved for known senders; then 503."""
    connections_per_source: int = Field(default=100, ge=1, le=100_000)
    """Connections of one address, unless it is on the allow-list or a trusted proxy; then 503."""
    reread_seconds: float = Field(default=10.0, ge=0.1, le=3600)
    """Maximum age of the settings and keys when a callback is verified."""


DEFAULT_LIMITS = Limits()


class AccountKeys(_Section):
    """SAT's public keys for one account. Any of them may have signed, so keys rotate without downtime."""

    public_keys: tuple[str, ...] = ()
    public_key_paths: tuple[Path, ...] = ()
    padding: Padding = Padding.PSS


class ReceiverFile(_Section):
    """The contents of the configuration file."""

    dsn: SecretStr | None = None
    accounts: dict[AccountName, AccountKeys] = Field(min_length=1)
    allowed_sources: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True, slots=True, repr=False)
class ReceiverSettings:
    """The checked settings: keys read, networks parsed, DSN parsed but not opened.

    :param dsn: for the role ``sat_receiver``; never shown in a repr.
    :param verifiers: account name → verifier with all of its keys.
    :param allowed_sources: accepted senders; empty accepts all (the signature authenticates).
    :param trusted_proxies: proxies whose ``X-Forwarded-For`` is trusted.
    """

    dsn: str
    verifiers: Mapping[str, Verifier]
    allowed_sources: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    limits: Limits = DEFAULT_LIMITS

    def __repr__(self) -> str:
        return (
            f"ReceiverSettings(dsn=***, accounts={sorted(self.verifiers)}, "
            f"allowed_sources={[str(n) for n in self.allowed_sources]}, "
            f"trusted_proxies={[str(n) for n in self.trusted_proxies]})"
        )


def load_settings(path: Path, dsn: str = "") -> ReceiverSettings:
    """Read and check the file and every key that it names.

    :param dsn: overrides the DSN in the file.
    :raises ReceiverSettingsError: naming the file, the field, what was found and what was expected.
    """
    content = _read(path, "receiver configuration", MAXIMUM_CONFIG_BYTES)
    try:
        written = ReceiverFile.model_validate_json(content)
    except ValidationError as error:
        raise ReceiverSettingsError(f"{path}: {_findings(error)}") from None
    verifiers = {
        name: _verifier(path, name, account, path.parent) for name, account in written.accounts.items()
    }
    return ReceiverSettings(
        dsn=_checked_dsn(path, dsn or (written.dsn.get_secret_value() if written.dsn else "")),
        verifiers=verifiers,
        allowed_sources=written.allowed_sources,
        trusted_proxies=written.trusted_proxies,
        limits=written.limits,
    )


def _verifier(path: Path, name: str, account: AccountKeys, folder: Path) -> Verifier:
    field = f"accounts.{name}"
    keys = [(f"{field}.public_keys[{index}]", pem.encode()) for index, pem in enumerate(account.public_keys)]
    for index, relative in enumerate(account.public_key_paths):
        where = f"{field}.public_key_paths[{index}]"
        try:
            keys.append((where, _read(folder / relative, "public key", MAXIMUM_KEY_BYTES)))
        except ReceiverSettingsError as error:
            raise ReceiverSettingsError(f"{path}: {where}: {error}") from None
    if not keys:
        raise ReceiverSettingsError(
            f"{path}: {field}: found no key, expected at least one in public_keys or public_key_paths"
        )
    for where, pem in keys:
        try:
            Verifier([pem])
        except MalformedKeyError as error:
            raise ReceiverSettingsError(f"{path}: {where}: {error}") from None
    return Verifier([pem for _, pem in keys], account.padding)


def _checked_dsn(path: Path, dsn: str) -> str:
    if not dsn:
        raise ReceiverSettingsError(
            f"{path}: dsn: found nothing, expected the DSN of the role sat_receiver "
            "(here or in SAT_RECEIVER_DSN)"
        )
    try:
        parse_dsn(dsn)
    except ProgrammingError:
        # libpq's message quotes the DSN, which holds a password.
        raise ReceiverSettingsError(
            f"{path}: dsn: expected a postgresql:// URL or libpq's key=value form"
        ) from None
    return dsn


def _read(path: Path, what: str, limit_bytes: int) -> bytes:
    try:
        content = read_trusted(path, limit_bytes + 1)
    except UntrustedFileError as error:
        raise ReceiverSettingsError(str(error)) from None
    except OSError as error:
        raise ReceiverSettingsError(
            f"{path}: the {what} cannot be read: {error.strerror or type(error).__name__}"
        ) from None
    if len(content) > limit_bytes:
        raise ReceiverSettingsError(f"{path}: the {what} is larger than {limit_bytes} bytes")
    return content


def _findings(error: ValidationError) -> str:
    """The fields and what is wrong with them, without their values, because one is a password."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(
        f"{'.'.join(map(str, entry['loc'])) or 'the file'}: {entry['msg']}" for entry in found[:5]
    )
