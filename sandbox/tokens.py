"""OAuth2 client credentials and bearer tokens (protocol section 2)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, unquote_plus

import yaml

from sandbox.chance import Chance
from sandbox.wire import Reply, Request, encode

DEMO_CREDENTIALS: Mapping[str, str] = {"demo": "demo"}
MAX_LIVE_TOKENS = 10_000


class CredentialsFileError(Exception):
    """The credentials file is not a mapping of client ids to secrets."""


def read_credentials(path: Path) -> dict[str, str]:
    """Read ``client_id: secret`` pairs (YAML or JSON).

    :raises CredentialsFileError: when the file is missing or is something else; never quotes its content.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CredentialsFileError(f"{path} cannot be read as YAML or JSON") from error.with_traceback(None)
    if not isinstance(content, dict) or not content:
        raise CredentialsFileError(f"{path}: expected a mapping of client ids to secrets")
    return {str(client_id): str(secret) for client_id, secret in content.items()}


@dataclass(slots=True)
class _Token:
    client_id: str
    expires_at: float


class TokenDesk:
    """Issues and checks bearer tokens. They live in memory only: a restarted server knows none of them."""

    def __init__(self, credentials: Mapping[str, str], chance: Chance) -> None:
        self._credentials = dict(credentials)
        self._chance = chance
        self._live: OrderedDict[str, _Token] = OrderedDict()
        self.issued = 0

    def answer(self, request: Request, now: float, lifetime_seconds: int, reissue_same: bool) -> Reply:
        """``POST /token``: Basic (raw or percent-encoded) or body credentials, grant in body or query."""
        form = parse_qs(request.body.decode("utf-8", "replace"))
        query = parse_qs(request.query)
        grant = (form.get("grant_type") or query.get("grant_type") or [""])[0]
        client_id = self._authenticate(request, form)
        if client_id is None:
            return _oauth_error(401, "invalid_client").with_headers(www_authenticate='Basic realm="token"')
        if grant != "client_credentials":
            return _oauth_error(400, "unsupported_grant_type" if grant else "invalid_request")
        token, expires_at = self._issue(client_id, now, lifetime_seconds, reissue_same)
        document = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": max(0, int(expires_at - now)),
        }
        return Reply(200, encode(document)).with_headers(cache_control="no-store")

    def is_valid(self, authorization: str | None, now: float) -> bool:
        """Whether the ``Authorization`` header carries a token that has not expired."""
        scheme, _, value = (authorization or "").partition(" ")
        token = self._live.get(value.strip()) if scheme.lower() == "bearer" else None
        return token is not None and now < token.expires_at

    def revoke_all(self) -> int:
        """Forget every token; returns how many there were."""
        count = len(self._live)
        self._live.clear()
        return count

    def _issue(
        self, client_id: str, now: float, lifetime_seconds: int, reissue_same: bool
    ) -> tuple[str, float]:
        if reissue_same:
            for value, token in reversed(self._live.items()):
                if token.client_id == client_id and now < token.expires_at:
                    return value, token.expires_at
        self.issued += 1
        # Earlier tokens stay valid until they expire (vendor's FAQ 12, protocol section 2).
        value = f"c:{self._chance.generator('token', client_id, self.issued, now).getrandbits(160):040x}"
        self._live[value] = _Token(client_id, now + lifetime_seconds)
        while len(self._live) > MAX_LIVE_TOKENS:
            self._live.popitem(last=False)
        return value, now + lifetime_seconds

    def _authenticate(self, request: Request, form: Mapping[str, list[str]]) -> str | None:
        for client_id, secret in _offered(request, form):
            known = self._credentials.get(client_id)
            if known is not None and hmac.compare_digest(
                known.encode(), secret.encode("utf-8", "surrogatepass")
            ):
                return client_id
        return None


def _offered(request: Request, form: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            pair = ""
        client_id, _, secret = pair.partition(":")
        yield client_id, secret
        yield unquote(client_id), unquote(secret)
        yield unquote_plus(client_id), unquote_plus(secret)
    yield form.get("client_id", [""])[0], form.get("client_secret", [""])[0]


def _oauth_error(status: int, error: str) -> Reply:
    """An error as in RFC 6749; SAT's real answer is unknown (protocol section 2)."""
    return Reply(status, encode({"error": error}))
