"""What somebody who verifies brings along: public audit keys, and where checkpoints were published."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sat_hook.cli.settings import CommandSettings
from sat_hook.cli.trouble import CommandError

if TYPE_CHECKING:
    from sat_hook.audit.keys import AuditVerifier
    from sat_hook.audit.publication import PublishedReader

_LARGEST_KEY_FILE_BYTES = 65_536


def audit_keys(settings: CommandSettings, paths: Sequence[Path]) -> AuditVerifier | None:
    """The keys in these files, or those that the settings name; None when there are none.

    :raises CommandError: a file cannot be read or is no key.
    """
    from sat_hook.audit.keys import AuditVerifier
    from sat_hook.protocol.signing import MalformedKeyError

    named = (settings.get("SAT_AUDIT_PUBLIC_KEYS") or "").split(",")
    chosen = list(paths) or [Path(name.strip()) for name in named if name.strip()]
    if not chosen:
        return None
    pems = []
    for path in chosen:
        try:
            with path.open("rb") as file:
                pems.append(file.read(_LARGEST_KEY_FILE_BYTES))
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise CommandError.at(f"{path}", reason, "a public audit key (PEM)") from None
    try:
        return AuditVerifier(pems)
    except MalformedKeyError as error:
        raise CommandError(str(error)) from None


def published_at(uri: str) -> PublishedReader | None:
    """The place of publication, to be read; None for an empty text.

    Object stores are read with the credentials that their fsspec driver finds by itself; an Airflow
    connection in front of the ``@`` is not looked up.

    :raises CommandError: nothing here can read such a URI.
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
