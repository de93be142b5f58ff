"""RSA keys for tests. To make or load a pair takes a tenth of a second, so each process does it once."""

from __future__ import annotations

from functools import cache

from sandbox.keys import KeyPairs
from sat_hook.protocol.signing import Signer


@cache
def key_pairs() -> KeyPairs:
    """Real keys of both sides."""
    return KeyPairs.generate()


@cache
def signer_of(private_pem: bytes) -> Signer:
    """The signer of a private key."""
    return Signer(private_pem)


def sat_pair() -> tuple[bytes, bytes]:
    """SAT's private and public key."""
    return key_pairs().sat_private_pem, key_pairs().sat_public_pem


def other_pair() -> tuple[bytes, bytes]:
    """Keys that are not SAT's."""
    return key_pairs().client_private_pem, key_pairs().client_public_pem
