"""The audit key, a separate Ed25519 key. It signs checkpoints and evidence packs, and nothing else.

A writer of events must not be able to sign changed events, so this key is kept apart from the database and
from the key that signs checkouts. Several public keys can be trusted at once, so older signatures stay valid.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sat_hook.audit.errors import AuditSignatureError
from sat_hook.protocol.errors import MalformedKeyError


class AuditSigner:
    """Signs with the audit key (PKCS#8 PEM, no passphrase).

    :raises MalformedKeyError: when the key cannot be used. The message does not quote the key.
    """

    __slots__ = ("_key", "key_id")

    def __init__(self, private_key_pem: bytes | str) -> None:
        try:
            key = serialization.load_pem_private_key(_as_bytes(private_key_pem), None)
        except (ValueError, TypeError):
            raise MalformedKeyError(
                "the audit key cannot be read: expected PEM (PKCS#8) of an Ed25519 key"
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise MalformedKeyError("the audit key is not an Ed25519 key")
        self._key = key
        self.key_id = _key_id(key.public_key())

    def sign(self, content: bytes) -> str:
        """Standard base64 of the signature (88 characters)."""
        return base64.b64encode(self._key.sign(content)).decode("ascii")

    def public_key_pem(self) -> bytes:
        """The public key as SPKI PEM, for auditors."""
        return _public_pem(self._key.public_key())

    def __repr__(self) -> str:
        return f"AuditSigner(key={self.key_id})"


class AuditVerifier:
    """Verifies with any of several public keys (SPKI PEM), each known by its id.

    :raises MalformedKeyError: when a key cannot be used, or none is given.
    """

    __slots__ = ("_keys",)

    def __init__(self, public_keys_pem: Sequence[bytes | str]) -> None:
        if not public_keys_pem:
            raise MalformedKeyError("no public audit key was given, so no signature could ever be verified")
        self._keys = {_key_id(key): key for key in map(_load_public, public_keys_pem)}

    @property
    def key_ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def verify(self, content: bytes, signature: str, key_id: str) -> None:
        """Check a signature.

        :raises AuditSignatureError: the key is not among the trusted ones, or did not make this signature.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise AuditSignatureError(f"signed with key {key_id!r}, which is not among the trusted ones")
        try:
            key.verify(base64.b64decode(signature, validate=True), content)
        except (InvalidSignature, binascii.Error, ValueError):
            raise AuditSignatureError(f"key {key_id} did not make this signature") from None

    def __repr__(self) -> str:
        return f"AuditVerifier(keys={list(self._keys)})"


def new_audit_key() -> tuple[bytes, bytes]:
    """A new ``(private PKCS#8 PEM, public SPKI PEM)``."""
    key = Ed25519PrivateKey.generate()
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private_pem, _public_pem(key.public_key())


def write_audit_key(folder: Path) -> str:
    """Make a new key in a folder: ``audit_private.pem``, which its owner alone reads, and
    ``audit_public.pem``. Nothing is ever replaced.

    :returns: the key's id.
    :raises OSError: a key is there already, or the folder cannot be written.
    """
    private_pem, public_pem = new_audit_key()
    private = os.open(folder / "audit_private.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(private, "wb") as file:
        file.write(private_pem)
    (folder / "audit_public.pem").write_bytes(public_pem)
    return AuditSigner(private_pem).key_id


def _load_public(pem: bytes | str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(_as_bytes(pem))
    except (ValueError, TypeError):
        raise MalformedKeyError(
            "a public audit key cannot be read: expected PEM (SPKI) of an Ed25519 key"
        ) from None
    if not isinstance(key, Ed25519PublicKey):
        raise MalformedKeyError("a public audit key is not an Ed25519 key")
    return key


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the key's DER."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:16]


def _as_bytes(pem: bytes | str) -> bytes:
    return pem.encode("utf-8") if isinstance(pem, str) else pem
