"""RSA signatures over exact bytes. The partner signs checkouts; SAT signs statuses and callbacks.

The header carries standard base64 of an RSA signature over SHA-256 of the *raw* body, without canonical JSON
and without an added newline (protocol section 7). There are two paddings, PSS (the default) and PKCS#1 v1.5;
the padding is agreed at onboarding and is not on the wire. We sign PSS with the maximum salt, which every
known verifier accepts, and verify any salt length, because the vendor's own SDKs differ (222 and 32 bytes
were seen).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding

from sat_hook.protocol.errors import MalformedKeyError, SignatureInvalidError, SignatureMissingError

SIGNATURE_HEADER = "signature"
MINIMUM_KEY_BITS = 2048
MAXIMUM_SIGNATURE_CHARACTERS = 2048


class Padding(StrEnum):
    """How the digest is padded before the RSA operation."""

    PSS = "pss"
    PKCS1V15 = "pkcs1v15"


def _pss(salt: object) -> AsymmetricPadding:
    return rsa_padding.PSS(mgf=rsa_padding.MGF1(hashes.SHA256()), salt_length=salt)  # type: ignore[arg-type]


_SIGNING_SCHEMES: dict[Padding, AsymmetricPadding] = {
    Padding.PSS: _pss(rsa_padding.PSS.MAX_LENGTH),
    Padding.PKCS1V15: rsa_padding.PKCS1v15(),
}
_VERIFYING_SCHEMES: dict[Padding, AsymmetricPadding] = {
    Padding.PSS: _pss(rsa_padding.PSS.AUTO),
    Padding.PKCS1V15: rsa_padding.PKCS1v15(),
}


class Signer:
    """Signs with the partner's private key (PKCS#8 or PKCS#1 PEM).

    :raises MalformedKeyError: when the key cannot be used; raised here, not at the first signature.
    """

    __slots__ = ("_key", "padding")

    def __init__(
        self, private_key_pem: bytes | str, padding: Padding = Padding.PSS, passphrase: bytes | None = None
    ) -> None:
        self._key = _load_private_key(_as_bytes(private_key_pem), passphrase)
        self.padding = padding

    def sign(self, body: bytes) -> str:
        """Standard base64 of the signature over ``body`` (344 characters with a 2048 bit key)."""
        scheme = _SIGNING_SCHEMES[self.padding]
        return base64.b64encode(self._key.sign(body, scheme, hashes.SHA256())).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the public key."""
        return fingerprint(self._key.public_key())

    def public_key_pem(self) -> bytes:
        """The public key as SPKI PEM, to be uploaded to SAT's console."""
        return _public_pem(self._key.public_key())

    def __repr__(self) -> str:
        return f"Signer(key={self.fingerprint}, padding={self.padding.value})"


class Verifier:
    """Verifies with any of several public keys (SPKI PEM), so that keys rotate without downtime.

    :raises MalformedKeyError: when a key cannot be used, or none is given.
    """

    __slots__ = ("_keys", "padding")

    def __init__(self, public_keys_pem: Sequence[bytes | str], padding: Padding = Padding.PSS) -> None:
        if not public_keys_pem:
            raise MalformedKeyError("no public key was given, so no signature could ever be verified")
        keys = [_load_public_key(_as_bytes(pem)) for pem in public_keys_pem]
        self._keys = tuple((fingerprint(key), key) for key in keys)
        self.padding = padding

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of the trusted keys, in the order given."""
        return tuple(name for name, _ in self._keys)

    def verify(self, body: bytes, signature: str | None) -> str:
        """Check ``signature`` over the raw ``body``.

        :returns: the fingerprint of the key that made it.
        :raises SignatureMissingError: when it is absent or empty.
        :raises SignatureInvalidError: when it is not base64, or fits none of the keys.
        """
        if signature is None or not signature.strip():
            raise SignatureMissingError("the signature header is missing or empty")
        if len(signature) > MAXIMUM_SIGNATURE_CHARACTERS:
            raise SignatureInvalidError("the signature is longer than any RSA signature we accept")
        try:
            raw = base64.b64decode(signature.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise SignatureInvalidError("the signature is not base64") from error
        scheme = _VERIFYING_SCHEMES[self.padding]
        for name, key in self._keys:
            try:
                key.verify(raw, body, scheme, hashes.SHA256())
            except InvalidSignature:
                continue
            return name
        raise SignatureInvalidError(f"none of the {len(self._keys)} trusted keys made this signature")

    def __repr__(self) -> str:
        return f"Verifier(keys={list(self.fingerprints)}, padding={self.padding.value})"


def generate_key_pair(bits: int = MINIMUM_KEY_BITS) -> tuple[bytes, bytes]:
    """A new ``(private PKCS#8 PEM, public SPKI PEM)``."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private_pem, _public_pem(key.public_key())


def fingerprint(key: rsa.RSAPublicKey) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the key's DER; safe to log."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def _public_pem(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _as_bytes(pem: bytes | str) -> bytes:
    return pem.encode("utf-8") if isinstance(pem, str) else pem


def _load_private_key(pem: bytes, passphrase: bytes | None) -> rsa.RSAPrivateKey:
    try:
        # The check of the primes takes 40 ms, which each task would pay. For a key of our own a trial
        # signature is enough.
        key = serialization.load_pem_private_key(pem, passphrase, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError) as error:
        # The parser's message can quote the input; a private key must not reach a log that way.
        raise MalformedKeyError(
            "the private key cannot be read: expected PEM of an RSA key (PKCS#8 or PKCS#1)"
        ) from error.with_traceback(None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise MalformedKeyError("the private key is not an RSA key")
    if key.key_size < MINIMUM_KEY_BITS:
        raise MalformedKeyError(
            f"the private key has {key.key_size} bits; at least {MINIMUM_KEY_BITS} are required"
        )
    _try_key(key)
    return key


def _try_key(key: rsa.RSAPrivateKey) -> None:
    scheme = _SIGNING_SCHEMES[Padding.PSS]
    try:
        key.public_key().verify(key.sign(b"", scheme, hashes.SHA256()), b"", scheme, hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        raise MalformedKeyError(
            "the private key is damaged: what it signs cannot be verified"
        ) from error.with_traceback(None)


def _load_public_key(pem: bytes) -> rsa.RSAPublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise MalformedKeyError("the public key cannot be read: expected PEM (SPKI) of an RSA key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise MalformedKeyError("the public key is not an RSA key")
    if key.key_size < MINIMUM_KEY_BITS:
        raise MalformedKeyError(
            f"the public key has {key.key_size} bits; at least {MINIMUM_KEY_BITS} are required"
        )
    return key
