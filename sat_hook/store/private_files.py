"""Files with customers' data or goods: only their owner reads them, and a reader never sees half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600


@contextmanager
def private_file(target: Path) -> Iterator[BinaryIO]:
    """Write ``target`` with mode 0600, replacing what was there once all of it is on the disk.

    The bytes go to a draft beside it. When the block fails, such as on a full disk, the draft is removed and
    the target stays as it was. A device or a pipe is written as it is.

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
