"""The key directory: both key pairs of one sandbox, as PEM files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from sat_hook.protocol.errors import SignatureInvalidError
from sat_hook.protocol.signing import Padding, Signer, Verifier, generate_key_pair

CLIENT_PRIVATE = "client_private.pem"
CLIENT_PUBLIC = "client_public.pem"
SAT_PRIVATE = "sat_private.pem"
SAT_PUBLIC = "sat_public.pem"


class KeyDirectoryError(Exception):
    """The key directory cannot be used: a file is missing, or would be overwritten."""


@dataclass(frozen=True, slots=True)
class KeyPairs:
    """The partner's pair signs checkouts, SAT's pair signs statuses and callbacks (protocol section 7)."""

    client_private_pem: bytes = field(repr=False)
    client_public_pem: bytes
    sat_private_pem: bytes = field(repr=False)
    sat_public_pem: bytes

    @classmethod
    def generate(cls) -> KeyPairs:
        """Two new 2048-bit pairs, the size of all known fixtures."""
        return cls(*generate_key_pair(), *generate_key_pair())

    def write(self, directory: Path, *, overwrite: bool = False) -> None:
        """Write the four files; private keys are readable only by their owner.

        :raises KeyDirectoryError: when one of them exists and ``overwrite`` is false.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for name, pem in self._files().items():
            path = directory / name
            if path.exists() and not overwrite:
                raise KeyDirectoryError(f"{path} exists already; remove it or pass --overwrite")
            path.unlink(missing_ok=True)
            mode = 0o600 if name in (CLIENT_PRIVATE, SAT_PRIVATE) else 0o644
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)

    @classmethod
    def read(cls, directory: Path) -> KeyPairs:
        """Read the four files.

        :raises KeyDirectoryError: naming the file that is missing.
        """
        try:
            return cls(
                *((directory / name).read_bytes() for name in (CLIENT_PRIVATE, CLIENT_PUBLIC)),
                *((directory / name).read_bytes() for name in (SAT_PRIVATE, SAT_PUBLIC)),
            )
        except FileNotFoundError as error:
            raise KeyDirectoryError(
                f"{error.filename} is missing; write the keys with: sat-sandbox keys {directory}"
            ) from error

    def _files(self) -> dict[str, bytes]:
        return {
            CLIENT_PRIVATE: self.client_private_pem,
            CLIENT_PUBLIC: self.client_public_pem,
            SAT_PRIVATE: self.sat_private_pem,
            SAT_PUBLIC: self.sat_public_pem,
        }


@lru_cache(maxsize=16)
def sat_signer(keys: KeyPairs) -> SatSigner:
    """SAT's signer, cached: reading a private key takes longer than a hundred signatures."""
    return SatSigner(keys.sat_private_pem)


class PartnerVerifier:
    """Accepts what the SDKs sign: PSS with any salt, or PKCS#1 v1.5 (protocol section 7)."""

    def __init__(self, client_public_pem: bytes) -> None:
        self._pss = Verifier([client_public_pem], Padding.PSS)
        self._pkcs1v15 = Verifier([client_public_pem], Padding.PKCS1V15)

    def verify(self, body: bytes, signature: str | None) -> None:
        """Check the signature over the raw body.

        :raises sat_hook.protocol.errors.SignatureError: when it is invalid under both paddings.
        """
        try:
            self._pss.verify(body, signature)
        except SignatureInvalidError:
            self._pkcs1v15.verify(body, signature)


class SatSigner:
    """SAT's signatures: PSS with the maximum salt, the only one that py_sat accepts (or PKCS#1 v1.5)."""

    def __init__(self, sat_private_pem: bytes, padding: Padding = Padding.PSS) -> None:
        self._signer = Signer(sat_private_pem, padding)
        self._padding = padding
        self._stranger: Signer | None = None

    def sign(self, body: bytes) -> str:
        """The signature header for exactly these bytes."""
        return self._signer.sign(body)

    def forge(self, body: bytes) -> str:
        """A well-formed signature by an untrusted key."""
        if self._stranger is None:
            self._stranger = Signer(generate_key_pair()[0], self._padding)
        return self._stranger.sign(body)
