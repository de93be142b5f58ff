"""Read an Airflow connection of type ``sat`` into settings, with precise errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sat_hook.clients.errors import InvalidSettingsError
from sat_hook.clients.settings import AccountSettings
from sat_hook.domain.account_rules import TIERS
from sat_hook.domain.guards import AccountRules, GuardRules
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.presentation.hints import did_you_mean
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.errors import MalformedKeyError
from sat_hook.protocol.signing import Padding, Signer, Verifier

CONNECTION_TYPE = "sat"

EXTRA_FIELDS = frozenset(
    {
        "account",
        "approval_over_rupiah",
        "base_url",
        "batch_limit_orders",
        "batch_limit_rupiah",
        "connect_timeout_seconds",
        "day_limit_orders",
        "day_limit_rupiah",
        "duplicate_days",
        "environment",
        "max_in_flight",
        "max_response_bytes",
        "order_limit_rupiah",
        "padding",
        "private_key",
        "private_key_path",
        "read_timeout_seconds",
        "requests_per_second",
        "sat_public_key_paths",
        "sat_public_keys",
        "second_approval_over_rupiah",
        "third_approval_over_rupiah",
        "token_url",
        "total_timeout_seconds",
        "trust_callbacks",
    }
)

GUARD_FIELDS = tuple(field.name for field in fields(GuardRules))

_FIELD_OF_SETTING = {"client_id": "login (client id)", "client_secret": "password (client secret)"}
_PADDINGS = {
    "": Padding.PSS,
    "pss": Padding.PSS,
    "pkcs1v15": Padding.PKCS1V15,
    "pkcs": Padding.PKCS1V15,  # the vendor's own label
}
_BOOLEANS = {"": False, "false": False, "no": False, "0": False, "true": True, "yes": True, "1": True}
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_LARGEST_KEY_FILE_BYTES = 65_536

T = TypeVar("T")


class AirflowConnection(Protocol):
    """The parts of an Airflow connection that are read."""

    conn_type: Any
    host: Any
    login: Any
    password: Any

    @property
    def extra_dejson(self) -> dict[str, Any]:
        """The extra fields."""


def settings_of(connection: AirflowConnection, connection_id: str) -> AccountSettings:
    """The settings of ``connection``.

    :raises SATConnectionError: naming the connection and the field, what was found and what was expected.
    """
    if connection.conn_type not in (CONNECTION_TYPE, None, ""):
        raise SATConnectionError(
            connection_id, "connection type", repr(connection.conn_type), repr(CONNECTION_TYPE)
        )
    return _Reader(connection, connection_id).settings()


def rules_of(connection: AirflowConnection, connection_id: str) -> AccountRules:
    """The connection's rules for sending from its account. A run can only be stricter.

    :raises SATConnectionError: naming the connection and the field, what was found and what was expected.
    """
    return _Reader(connection, connection_id).rules()


def pem_blocks(text: str) -> list[str]:
    """Every PEM block in ``text``, with its lines restored.

    Forms and environment variables turn line ends into spaces, ``\\n`` or nothing.
    """
    blocks = []
    for label, body in _PEM.findall(text.replace("\\r", "").replace("\\n", "\n")):
        # A block with headers ("Proc-Type: …") cannot be restored from one line.
        packed = (
            body if ":" in body else "\n" + "\n".join(re.findall(r".{1,64}", re.sub(r"\s", "", body))) + "\n"
        )
        blocks.append(f"-----BEGIN {label}-----{packed}-----END {label}-----\n")
    return blocks


class _Reader:
    def __init__(self, connection: AirflowConnection, connection_id: str) -> None:
        self._connection = connection
        self._connection_id = connection_id
        extra: object = connection.extra_dejson
        if not isinstance(extra, dict):
            raise self._wrong("extra", "something else", "a JSON object")
        self._extra = self._unprefixed(extra)
        # A misspelt limit would have no effect.
        for name in sorted(self._extra.keys() - EXTRA_FIELDS):
            hint = did_you_mean(str(name).lower(), EXTRA_FIELDS)
            expected = f"one of {', '.join(sorted(EXTRA_FIELDS))}"
            raise self._wrong(repr(name), f"no field of this name{hint}", expected)

    def _unprefixed(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        """Older forms store extra fields as ``extra__sat__name``."""
        fields: dict[str, Any] = {}
        for name, value in extra.items():
            field = name.removeprefix(f"extra__{CONNECTION_TYPE}__")
            if fields.setdefault(field, value) != value:
                raise self._wrong(field, "two values, with and without its prefix", "one")
        return fields

    def settings(self) -> AccountSettings:
        padding = self._one_of("padding", _PADDINGS)
        values: dict[str, Any] = {
            "account": self._text("account") or self._connection_id,
            "environment": self._one_of(
                "environment", {"": Environment.PLAYGROUND, **{e.value: e for e in Environment}}
            ),
            "base_url": self._text("base_url") or self._host(),
            "token_url": self._text("token_url"),
            "client_id": str(self._connection.login or ""),
            "client_secret": str(self._connection.password or ""),
            "signer": self._signer(padding),
            "verifier": self._verifier(padding),
            "trust_callbacks": self._one_of("trust_callbacks", _BOOLEANS),
        }
        for name in ("connect_timeout_seconds", "read_timeout_seconds", "total_timeout_seconds"):
            self._put(values, name, float)
        self._put(values, "requests_per_second", float)
        self._put(values, "max_in_flight", int)
        self._put(values, "max_response_bytes", int)
        # A configured limit applies to the account, not to each of its processes.
        values["limits_are_shared"] = bool(self._text("requests_per_second") or self._text("max_in_flight"))
        try:
            return AccountSettings(**values)
        except InvalidSettingsError as error:
            field = _FIELD_OF_SETTING.get(error.setting, error.setting)
            raise self._wrong(field, error.found, error.expected) from None

    def rules(self) -> AccountRules:
        guards = {name: self._limit(name) for name in GUARD_FIELDS}
        # A connection without a setting for duplicates leaves it to the run.
        guards["duplicate_days"] = guards["duplicate_days"] or 0
        tiers = {name: self._limit(name) for name in TIERS}
        return AccountRules(GuardRules(**guards), **tiers)  # type: ignore[arg-type]

    def _limit(self, field: str) -> int | None:
        text = self._text(field)
        if not text:
            return None
        if not (text.isascii() and text.isdigit()):
            raise self._wrong(field, repr(text), "a whole number from 0 on, or nothing")
        return int(text)

    def _signer(self, padding: Padding) -> Signer | None:
        field, text = self._key_text("private_key", "private_key_path")
        if not text:
            return None
        blocks = [block for block in pem_blocks(text) if "PRIVATE KEY" in block.partition("\n")[0]]
        if len(blocks) != 1:
            raise self._wrong(field, f"{len(blocks)} private keys", "the PEM of one RSA private key")
        return self._made(field, lambda: Signer(blocks[0], padding), "the PEM of an RSA private key")

    def _verifier(self, padding: Padding) -> Verifier | None:
        field, text = self._key_text("sat_public_keys", "sat_public_key_paths")
        if not text:
            return None
        blocks = pem_blocks(text)
        if not blocks:
            raise self._wrong(field, "no PEM block", "SAT's public keys as PEM")
        if any("PRIVATE KEY" in block for block in blocks):
            raise self._wrong(field, "a private key", "SAT's public keys, which are not yours")
        return self._made(
            field, lambda: Verifier(blocks, padding), "SAT's public keys as PEM (BEGIN PUBLIC KEY)"
        )

    def _key_text(self, text_field: str, path_field: str) -> tuple[str, str]:
        text, paths = self._text(text_field), self._paths(path_field)
        if text and paths:
            raise self._wrong(text_field, f"a key, and {path_field} as well", "one of the two")
        if text:
            return text_field, text
        return path_field, "\n".join(self._file(path_field, path) for path in paths)

    def _file(self, field: str, path: str) -> str:
        try:
            with Path(path).expanduser().open("rb") as file:
                return file.read(_LARGEST_KEY_FILE_BYTES).decode("utf-8")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise self._wrong(field, f"{path!r} ({reason})", "a readable PEM file") from None
        except UnicodeDecodeError:
            raise self._wrong(field, f"{path!r}, which is no text", "a PEM file") from None

    def _paths(self, field: str) -> list[str]:
        value = self._extra.get(field)
        if isinstance(value, list):
            return [str(path).strip() for path in value if str(path).strip()]
        return [path.strip() for path in re.split(r"[,\n]", self._text(field)) if path.strip()]

    def _host(self) -> str:
        host = str(self._connection.host or "").strip()
        if host and not host.startswith(("http://", "https://")):
            raise self._wrong("host", repr(host), "nothing, or the whole base URL (better in base_url)")
        return host

    def _text(self, field: str) -> str:
        value = self._extra.get(field)
        return "" if value is None else str(value).strip()

    def _one_of(self, field: str, choices: Mapping[str, T]) -> T:
        found = self._text(field).casefold()
        if found not in choices:
            expected = ", ".join(choice for choice in choices if choice)
            raise self._wrong(field, repr(found), f"one of {expected}")
        return choices[found]

    def _put(self, values: dict[str, Any], field: str, kind: Callable[[str], float]) -> None:
        text = self._text(field)
        if text:
            expected = "a whole number" if kind is int else "a number"
            values[field] = self._made(field, lambda: kind(text), expected, found=repr(text))

    def _made(self, field: str, make: Callable[[], T], expected: str, *, found: str | None = None) -> T:
        try:
            return make()
        except MalformedKeyError as error:
            raise self._wrong(field, f"a key that cannot be used ({error})", expected) from None
        except ValueError:
            raise self._wrong(field, found or "something else", expected) from None

    def _wrong(self, field: str, found: str, expected: str) -> SATConnectionError:
        return SATConnectionError(self._connection_id, field, found, expected)
