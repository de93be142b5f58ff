"""A configuration is right, or says which file and field is wrong and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sat_hook.protocol.signing import Padding, Signer
from sat_hook.receiver.errors import ReceiverSettingsError
from sat_hook.receiver.settings import load_settings
from tests.keys import other_pair, sat_pair

PRIVATE_PEM, PUBLIC_PEM = sat_pair()
DSN = "postgresql://sat_receiver:very-secret@127.0.0.1:5432/sat"


def written(folder: Path, **changes: object) -> Path:
    """A configuration file that is right but for ``changes``."""
    (folder / "sat.pem").write_bytes(PUBLIC_PEM)
    content = {"dsn": DSN, "accounts": {"demo": {"public_key_paths": ["sat.pem"]}}, **changes}
    path = folder / "receiver.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_keys_by_path_and_by_text_are_all_trusted(tmp_path: Path) -> None:
    """Paths are relative to the file; several keys let a rotation overlap."""
    _, other = other_pair()
    accounts = {
        "demo": {"public_key_paths": ["sat.pem"], "public_keys": [other.decode()], "padding": "pkcs1v15"}
    }
    settings = load_settings(written(tmp_path, accounts=accounts))
    verifier = settings.verifiers["demo"]
    assert len(verifier.fingerprints) == 2
    assert verifier.verify(b"x", Signer(PRIVATE_PEM, Padding.PKCS1V15).sign(b"x")) in verifier.fingerprints


def test_the_dsn_may_come_from_the_environment(tmp_path: Path) -> None:
    """A file without secrets, and a secret from where secrets come from."""
    assert load_settings(written(tmp_path, dsn=None), DSN).dsn == DSN


def test_secrets_are_masked(tmp_path: Path) -> None:
    """Nothing that prints the settings prints the password."""
    assert "very-secret" not in repr(load_settings(written(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"dsn": ""}, "dsn", "found nothing"),
        ({"dsn": "very-secret nonsense"}, "dsn", "expected a postgresql:// URL"),
        ({"accounts": {}}, "accounts", "at least 1"),
        ({"accounts": {"a/b": {"public_key_paths": ["sat.pem"]}}}, "accounts.a/b", "pattern"),
        ({"accounts": {"demo": {}}}, "accounts.demo", "found no key"),
        ({"accounts": {"demo": {"public_key_paths": ["no.pem"]}}}, "public_key_paths[0]", "No such file"),
        ({"accounts": {"demo": {"public_keys": ["very-secret"]}}}, "public_keys[0]", "expected PEM"),
        ({"accounts": {"demo": {"public_keys": [""], "padding": "x"}}}, "accounts.demo.padding", "'pss'"),
        ({"limits": {"body_bytes": 1}}, "limits.body_bytes", "1024"),
        ({"allowed_sources": ["203.0.113.9/24"]}, "allowed_sources.0", "network"),
        ({"alowed_sources": []}, "alowed_sources", "not permitted"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, object], field: str, expected: str) -> None:
    """File, field, found and expected; never the value of a secret."""
    path = written(tmp_path, **changes)
    with pytest.raises(ReceiverSettingsError) as caught:
        load_settings(path)
    text = str(caught.value)
    assert str(path) in text
    assert field in text
    assert expected in text
    assert "very-secret" not in text


def test_no_file_and_no_json_are_named_too(tmp_path: Path) -> None:
    """The missing file, the file that is no JSON."""
    with pytest.raises(ReceiverSettingsError, match=r"receiver\.json.*No such file"):
        load_settings(tmp_path / "receiver.json")
    (tmp_path / "receiver.json").write_text("dsn=very-secret", "utf-8")
    with pytest.raises(ReceiverSettingsError, match="Invalid JSON") as caught:
        load_settings(tmp_path / "receiver.json")
    assert "very-secret" not in str(caught.value)
