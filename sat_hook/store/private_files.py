"""Files of one owner: results and goods that only the owner can read, settings that only the owner can write.

A settings file controls passwords and rights. It must belong to the user of this process or to root, and must
not be writable by its group or by others. Any other file is refused, because another user may have planted or
changed it.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sat_hook.store.errors import UntrustedFileError

PRIVATE = 0o600


@contextmanager
def private_file(target: Path) -> Iterator[BinaryIO]:
    """Write ``target`` with mode 0600. It replaces an existing file once all bytes are on disk.

    The bytes go to a draft next to it. If the block fails, for example on a full disk, the draft is removed
    and the target stays unchanged. A device or a pipe is written directly.

    :raises OSError: it cannot be written.
    """
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    place = target.resolve()
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


ROOT = 0


def read_trusted(path: Path, limit_bytes: int) -> bytes:
    """Read a settings file, at most ``limit_bytes`` of it.

    :raises UntrustedFileError: it is not a regular file, has another owner, or others may write to it.
    :raises OSError: it cannot be read.
    """
    # Check the open file, not its name: the name may point elsewhere a moment later.
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        owners = {os.geteuid(), ROOT}
        if not stat.S_ISREG(found.st_mode):
            raise UntrustedFileError(path, "no plain file", "a settings file")
        if found.st_uid not in owners:
            raise UntrustedFileError(
                path,
                f"a file of user id {found.st_uid}",
                f"one of your own or of root (chown {os.geteuid()} {path})",
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UntrustedFileError(
                path,
                f"mode {stat.S_IMODE(found.st_mode):04o}, which lets others write to it",
                f"one that only its owner may write to (chmod go-w {path})",
            )
        return file.read(limit_bytes)


def _without_waiting(path: str, flags: int) -> int:
    """Open without blocking, so that a named pipe cannot stall the reader."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
