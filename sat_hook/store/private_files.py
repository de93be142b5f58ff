"""Writes files with customers' data or goods: readable only by their owner, and never seen half-written."""

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
