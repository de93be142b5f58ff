"""The audit key: what it signs, what it refuses, and that it is never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sat_hook.audit.errors import AuditSignatureError
from sat_hook.audit.keys import AuditSigner, AuditVerifier, new_audit_key, write_audit_key
from sat_hook.protocol.errors import MalformedKeyError
from sat_hook.protocol.signing import generate_key_pair

PRIVATE, PUBLIC = new_audit_key()


def test_what_was_signed_is_verified() -> None:
    """With any of the trusted keys, found by its id."""
    signer = AuditSigner(PRIVATE)
    verifier = AuditVerifier([new_audit_key()[1], PUBLIC])
    verifier.verify(b"text", signer.sign(b"text"), signer.key_id)
    assert signer.public_key_pem() == PUBLIC


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "ü"])
def test_other_signatures_prove_nothing(signature: str) -> None:
    """Of another text, or none at all."""
    signer = AuditSigner(PRIVATE)
    verifier = AuditVerifier([PUBLIC])
    with pytest.raises(AuditSignatureError, match="did not make"):
        verifier.verify(b"text", signature, signer.key_id)
    with pytest.raises(AuditSignatureError, match="did not make"):
        verifier.verify(b"other", signer.sign(b"text"), signer.key_id)
    with pytest.raises(AuditSignatureError, match="not among the trusted"):
        verifier.verify(b"text", signer.sign(b"text"), "0" * 16)


def test_keys_of_another_kind_are_refused_without_quoting_them() -> None:
    """The key that signs checkouts is RSA and must not be used here by mistake."""
    rsa_private, rsa_public = generate_key_pair()
    for text in (rsa_private, b"nonsense that is secret", PUBLIC, ""):
        with pytest.raises(MalformedKeyError) as caught:
            AuditSigner(text)
        assert "secret" not in str(caught.value)
    for text in (rsa_public, b"nonsense", PRIVATE):
        with pytest.raises(MalformedKeyError):
            AuditVerifier([text])
    with pytest.raises(MalformedKeyError, match="no public audit key"):
        AuditVerifier([])


def test_the_key_is_never_shown() -> None:
    """A repr has its id alone."""
    signer = AuditSigner(PRIVATE)
    assert repr(signer) == f"AuditSigner(key={signer.key_id})"
    assert PRIVATE.splitlines()[1].decode() not in repr(signer)
    assert repr(AuditVerifier([PUBLIC])) == f"AuditVerifier(keys=['{signer.key_id}'])"


def test_a_new_key_replaces_nothing(tmp_path: Path) -> None:
    """Only its owner reads the private half."""
    key_id = write_audit_key(tmp_path)
    private = tmp_path / "audit_private.pem"
    assert AuditSigner(private.read_bytes()).key_id == key_id
    assert key_id in repr(AuditVerifier([(tmp_path / "audit_public.pem").read_bytes()]))
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        write_audit_key(tmp_path)
    assert AuditSigner(private.read_bytes()).key_id == key_id
