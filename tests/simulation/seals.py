"""Signatures that cost a microsecond instead of a millisecond, in the shape of the real ones.

RSA would take nine tenths of the simulation's time, and finds nothing here that its own tests do not find.
One seed in fifty still runs with real signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from functools import cache

from sandbox.keys import PartnerVerifier, sat_signer
from sat_hook.protocol.errors import SignatureInvalidError, SignatureMissingError
from sat_hook.protocol.signing import Signer, Verifier
from tests.keys import key_pairs

REAL_EVERY = 50


class Seal:
    """Signs like a private key: signing needs the secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, body: bytes) -> str:
        """Base64 of a keyed digest of exactly these bytes."""
        return base64.b64encode(hmac.digest(self._secret, body, hashlib.sha256)).decode("ascii")

    def forge(self, body: bytes) -> str:
        """Return a well-formed seal by an untrusted signer."""
        return Seal(b"a stranger").sign(body)


class SealVerifier:
    """Verifies like a public key, with the same errors."""

    fingerprints = ("5ea1",)

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def verify(self, body: bytes, signature: str | None) -> str:
        """Return the fingerprint. Raises as :class:`sat_hook.protocol.signing.Verifier` does."""
        if signature is None or not signature.strip():
            raise SignatureMissingError("the signature header is missing or empty")
        if not hmac.compare_digest(signature.encode(), self._seal.sign(body).encode()):
            raise SignatureInvalidError("no trusted key made this signature")
        return self.fingerprints[0]


@dataclass(frozen=True, slots=True)
class Seals:
    """Both sides' halves of both pairs."""

    partner: Seal | Signer
    partner_verifier: SealVerifier | PartnerVerifier
    sat: object
    sat_verifier: SealVerifier | Verifier


@cache
def real_seals() -> Seals:
    """Return RSA signatures, as in production."""
    keys = key_pairs()
    return Seals(
        Signer(keys.client_private_pem),
        PartnerVerifier(keys.client_public_pem),
        sat_signer(keys),
        Verifier([keys.sat_public_pem]),
    )


@cache
def quick_seals() -> Seals:
    """Return the quick stand-ins."""
    partner, sat = Seal(b"the partner"), Seal(b"sat itself")
    return Seals(partner, SealVerifier(partner), sat, SealVerifier(sat))
