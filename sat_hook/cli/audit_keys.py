"""What a verifier supplies: public keys, and the place where checkpoints were published."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sat_hook.cli.errors import CommandError
from sat_hook.cli.settings import CommandSettings

if TYPE_CHECKING:
    from sat_hook.audit.keys import AuditVerifier
    from sat_hook.audit.publication import PublishedReader
    from sat_hook.audit.signed_statuses import SATKeys

_LARGEST_KEY_FILE_BYTES = 65_536


def audit_keys(settings: CommandSettings, paths: Sequence[Path]) -> AuditVerifier | None:
    """Return the keys in these files, or those in the settings. None when there are none.

    :raises CommandError: a file cannot be read, or is not a key.
    """
    from sat_hook.audit.keys import AuditVerifier
    from sat_hook.protocol.errors import MalformedKeyError

    pems = _key_files(settings, "SAT_AUDIT_PUBLIC_KEYS", paths, "a public audit key (PEM)")
    try:
        return AuditVerifier(pems) if pems else None
    except MalformedKeyError as error:
        raise CommandError(str(error)) from None


def sat_keys(settings: CommandSettings, paths: Sequence[Path], withdrawn: Sequence[str]) -> SATKeys | None:
    """Return SAT's keys in these files, or those in the settings. None when there are none.

    :param withdrawn: keys that are no longer trusted: ``FINGERPRINT=TIME``.
    :raises CommandError: a file cannot be read, or is not a key; or a text is not ``FINGERPRINT=TIME``.
    """
    from sat_hook.audit.signed_statuses import SATKeys, withdrawn_from
    from sat_hook.protocol.errors import MalformedKeyError

    pems = _key_files(settings, "SAT_STATUS_PUBLIC_KEYS", paths, "a public key of SAT (PEM)")
    texts = list(withdrawn) or (settings.get("SAT_WITHDRAWN_KEYS") or "").split(",")
    try:
        return SATKeys.from_pem(pems, withdrawn_from(texts)) if pems else None
    except MalformedKeyError as error:
        raise CommandError(str(error)) from None


def _key_files(settings: CommandSettings, name: str, paths: Sequence[Path], expected: str) -> list[bytes]:
    named = (settings.get(name) or "").split(",")
    pems = []
    for path in list(paths) or [Path(part.strip()) for part in named if part.strip()]:
        try:
            with path.open("rb") as file:
                pems.append(file.read(_LARGEST_KEY_FILE_BYTES))
        except OSError as error:
            raise CommandError.of_system(f"{path}", error, expected) from None
    return pems


def published_at(uri: str) -> PublishedReader | None:
    """Return the place of publication, opened for reading. None for an empty text.

    Object stores are read with the credentials that their fsspec driver finds. An Airflow connection in
    front of the ``@`` is ignored.

    :raises CommandError: no installed driver can read such a URI.
    """
    from sat_hook.audit.publication import PublishedFolder, PublishedObjects

    parts = urlsplit(uri)
    if not uri:
        return None
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path))
        if not folder.is_dir():
            raise CommandError.at(f"{folder}", "no folder", "the place where checkpoints were published")
        return PublishedFolder(folder)
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
    try:
        return PublishedObjects(import_module("upath").UPath(plain))
    except (ImportError, ValueError) as error:
        raise CommandError.at(uri, type(error).__name__, "a URI that fsspec has a driver for") from None
