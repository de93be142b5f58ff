"""Settings files that nobody else can write: who says where a password goes, or who may do what.

A settings file is read only when it belongs to the user of this process or to root, and when neither its
group nor everybody may write to it. A file that somebody else planted, or could change, is refused.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

ROOT = 0


class UntrustedFileError(OSError):
    """The file is somebody else's, or others may write to it. The text names the file, found and expected."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(f"{path}: found {found}; expected {expected}")
        self.path = path
        self.found = found
        self.expected = expected


def read_trusted(path: Path, limit_bytes: int) -> bytes:
    """What is in a settings file, at most ``limit_bytes`` of it.

    :raises UntrustedFileError: it is no plain file, belongs to somebody else, or others may write to it.
    :raises OSError: it cannot be read.
    """
    # The opened file is looked at, not the name: a name may lead elsewhere a moment later.
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
    """A named pipe in the place of a file must not be waited for."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
