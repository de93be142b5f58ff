"""The audit key and the place where checkpoints are published, from Airflow's configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlsplit

from airflow.sdk import BaseHook, ObjectStoragePath

from sat_hook.application.settings import DeploymentSettings
from sat_hook.audit.errors import PublicationError
from sat_hook.audit.keys import AuditSigner, AuditVerifier
from sat_hook.audit.publication import Publication, PublishedFolder, PublishedObjects, StoragePath
from sat_hook.audit.signed_statuses import SATKeys, withdrawn_from
from sat_hook.hooks.errors import SATConnectionError
from sat_hook.hooks.sat_connection import pem_blocks, settings_of
from sat_hook.protocol.errors import MalformedKeyError
from sat_hook.protocol.signing import Verifier

AUDIT_CONNECTION = "sat_audit"
_LARGEST_KEY_FILE_BYTES = 65_536


def audit_signer(connection_id: str = AUDIT_CONNECTION) -> AuditSigner:
    """The signer with the audit key: the connection's password (PEM), or the file ``private_key_path`` in its
    extra.

    :raises AirflowNotFoundException: there is no such connection.
    :raises SATConnectionError: naming the field, what was found and what was expected; nothing of the key.
    """
    connection = BaseHook.get_connection(connection_id)
    path = connection.extra_dejson.get("private_key_path")
    pem: bytes | str
    if path:
        field = "private_key_path"
        pem = _read_key(connection_id, Path(str(path)))
    else:
        field = "password (private key)"
        blocks = pem_blocks(connection.password or "")
        if len(blocks) != 1:
            raise SATConnectionError(connection_id, field, f"{len(blocks)} keys", "one Ed25519 key in PEM")
        pem = blocks[0]
    try:
        return AuditSigner(pem)
    except MalformedKeyError as error:
        raise SATConnectionError(connection_id, field, str(error), "an Ed25519 key in PEM") from None


def audit_verifier(connection_id: str = AUDIT_CONNECTION) -> AuditVerifier:
    """A verifier that trusts the connection's own key, and older ones: the files ``public_key_paths`` in its
    extra, separated by commas. Only an older key verifies the checkpoints that it signed.

    :raises AirflowNotFoundException: there is no such connection.
    :raises SATConnectionError: as for :func:`audit_signer`; or a public key cannot be used.
    """
    own = audit_signer(connection_id).public_key_pem()
    field = "public_key_paths"
    named = str(BaseHook.get_connection(connection_id).extra_dejson.get(field) or "").split(",")
    older = [_read_key(connection_id, Path(name.strip()), field) for name in named if name.strip()]
    try:
        return AuditVerifier([own, *older])
    except MalformedKeyError as error:
        raise SATConnectionError(connection_id, field, str(error), "public Ed25519 keys in PEM") from None


def sat_status_keys(
    accounts: Iterable[str], connection_id: str = AUDIT_CONNECTION
) -> tuple[SATKeys, list[str]]:
    """SAT's keys for the verification: those of the accounts' connections, and older ones.

    The extra of the audit connection names older ones as files (``sat_public_key_paths``), and lists keys
    that are believed no more (``withdrawn_sat_keys``: ``FINGERPRINT=TIME``); both separated by commas.

    :param accounts: connections of type ``sat``.
    :returns: the keys, and which connections have none or cannot be read. With such a connection the keys are
        complete for the other accounts only: its own statuses would all look forged.
    :raises SATConnectionError: the audit connection names a key that cannot be used.
    """
    extra = BaseHook.get_connection(connection_id).extra_dejson
    field = "sat_public_key_paths"
    named = [name.strip() for name in str(extra.get(field) or "").split(",") if name.strip()]
    older = [_read_key(connection_id, Path(name), field) for name in named]
    verifiers: list[Verifier] = []
    complete: set[str] = set()
    keyless: list[str] = []
    for named_connection in accounts:
        try:
            settings = settings_of(BaseHook.get_connection(named_connection), named_connection)
        except Exception:
            # Each of Airflow's backends raises its own error.
            keyless.append(named_connection)
            continue
        if settings.verifier is None:
            keyless.append(named_connection)
        else:
            verifiers.append(settings.verifier)
            complete.add(settings.account)
    try:
        if older:
            verifiers += SATKeys.from_pem(older).verifiers
        withdrawn = withdrawn_from(str(extra.get("withdrawn_sat_keys") or "").split(","))
        keys = SATKeys(verifiers, withdrawn, frozenset(complete) if keyless else None)
        if not keyless:
            keys.require_withdrawn()
    except MalformedKeyError as error:
        raise SATConnectionError(connection_id, field, str(error), "SAT's public keys in PEM") from None
    return keys, keyless


def checkpoint_publication(deployment: DeploymentSettings) -> Publication:
    """Where checkpoints are published.

    :raises PublicationError: no place is configured.
    """
    uri = deployment.checkpoints_uri
    if not uri:
        raise PublicationError(
            "environment variable SAT_CHECKPOINTS_URI: found nothing; expected a URI outside the "
            "database, for example s3://bucket/checkpoints or file:///mnt/worm/checkpoints"
        )
    parts = urlsplit(uri)
    if parts.scheme in ("", "file"):
        return PublishedFolder(Path(unquote(parts.path)))
    return PublishedObjects(cast("StoragePath", ObjectStoragePath(uri.rstrip("/"))))


def _read_key(connection_id: str, path: Path, field: str = "private_key_path") -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_KEY_FILE_BYTES)
    except OSError as error:
        raise SATConnectionError(
            connection_id, field, f"{path}: {error.strerror}", "a readable PEM file"
        ) from None
