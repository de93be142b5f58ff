"""Signatures over exact bytes, by every salt and padding that is out there."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hook.protocol.errors import MalformedKeyError, SignatureInvalidError, SignatureMissingError
from sat_hook.protocol.signing import Padding, Signer, Verifier, generate_key_pair


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """One RSA key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(key: rsa.RSAPrivateKey) -> bytes:
    """Its PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def signer(pem: bytes) -> Signer:
    """Signs with it."""
    return Signer(pem)


@pytest.fixture(scope="module")
def verifier(signer: Signer) -> Verifier:
    """Trusts it."""
    return Verifier([signer.public_key_pem()])


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200), other=st.binary(max_size=200))
def test_signature_fits_other_bytes(signer: Signer, verifier: Verifier, body: bytes, other: bytes) -> None:
    """A signature verifies over its own bytes and over no others."""
    signature = signer.sign(body)
    assert len(signature) == 344
    assert verifier.verify(body, signature) in verifier.fingerprints
    if other != body:
        with pytest.raises(SignatureInvalidError):
            verifier.verify(other, signature)


@settings(max_examples=200, deadline=None)
@given(
    signature=st.text(max_size=400) | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode())
)
def test_noise_in_the_signature_crashes(verifier: Verifier, signature: str) -> None:
    """Whatever is in the header, the answer is one of two types."""
    with pytest.raises((SignatureInvalidError, SignatureMissingError)):
        verifier.verify(b"body", signature)


@pytest.mark.parametrize("salt", [0, 20, 32, 222])
def test_salt_of_another_sdk_is_refused(key: rsa.RSAPrivateKey, verifier: Verifier, salt: int) -> None:
    """Node signs with salt 32, others with 222, .NET with 32: all are genuine."""
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    raw = key.sign(b"body", scheme, hashes.SHA256())
    verifier.verify(b"body", base64.b64encode(raw).decode())


def test_our_signature_has_the_maximum_salt(key: rsa.RSAPrivateKey, pem: bytes) -> None:
    """The vendor's Python verifier accepts 222 and nothing else."""
    exact = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=222)
    key.public_key().verify(base64.b64decode(Signer(pem).sign(b"body")), b"body", exact, hashes.SHA256())


def test_padding_is_mixed_up(pem: bytes, verifier: Verifier) -> None:
    """PKCS#1 v1.5 works when agreed, and one padding never passes for the other."""
    public = Signer(pem).public_key_pem()
    pkcs = Signer(pem, Padding.PKCS1V15).sign(b"body")
    Verifier([public], Padding.PKCS1V15).verify(b"body", pkcs)
    with pytest.raises(SignatureInvalidError):
        verifier.verify(b"body", pkcs)
    with pytest.raises(SignatureInvalidError):
        Verifier([public], Padding.PKCS1V15).verify(b"body", Signer(pem).sign(b"body"))


def test_rotated_key_is_refused(pem: bytes, verifier: Verifier) -> None:
    """While keys rotate, any of several fits, and the fingerprint says which."""
    other_private, other_public = generate_key_pair()
    both = Verifier([other_public, Signer(pem).public_key_pem()])
    assert both.verify(b"body", Signer(pem).sign(b"body")) == verifier.fingerprints[0]
    assert both.verify(b"body", Signer(other_private).sign(b"body")) == both.fingerprints[0]


def test_malformed_key_is_found_at_the_first_signature(key: rsa.RSAPrivateKey) -> None:
    """Keys are judged when they are given, and no error shows a byte of them."""
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    options = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for bad in ("", "MIIEsecret", short.private_bytes(*options), curve.private_bytes(*options)):
        with pytest.raises(MalformedKeyError) as caught:
            Signer(bad)
        assert "secret" not in str(caught.value)
    for bad in ("", "no pem", key.private_bytes(*options)):
        with pytest.raises(MalformedKeyError):
            Verifier([bad])
    with pytest.raises(MalformedKeyError):
        Verifier([])


def test_damaged_private_key_is_refused_when_it_is_given(key: rsa.RSAPrivateKey) -> None:
    """A key whose signatures SAT could not verify stops before anything is sent, and no error shows it."""
    n = key.private_numbers()
    damaged = rsa.RSAPrivateNumbers(
        p=n.p, q=n.q, d=n.d + 2, dmp1=n.dmp1 + 2, dmq1=n.dmq1, iqmp=n.iqmp, public_numbers=n.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    pem = damaged.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(
        MalformedKeyError, match=r"^the private key is damaged: what it signs cannot be verified$"
    ):
        Signer(pem)


def test_pkcs1_private_key_is_refused(key: rsa.RSAPrivateKey) -> None:
    """PKCS#1 and PKCS#8 both are private keys."""
    pkcs1 = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert "fingerprint" not in repr(Signer(pkcs1))
