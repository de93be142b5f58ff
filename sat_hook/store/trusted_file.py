"""Reads settings files that only their owner can write, because they control passwords and permissions.

A settings file must belong to the user of this process or to root, and must not be writable by its group or
by others. Any other file is refused, because another user may have planted or changed it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sat_hook.store.errors import UntrustedFileError

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
