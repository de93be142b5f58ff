"""The spool in memory."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import BinaryIO

from sat_hook.store.errors import SpoolError


class MemorySpool:
    """Blobs by URI, each written completely or not at all. URIs look like those of a deployment."""

    def __init__(self, blobs: Mapping[str, bytes] | None = None) -> None:
        self.blobs = dict(blobs or {})

    def write(self, name: str, content: bytes) -> str:
        uri = f"file:///var/lib/sat/spool/{name}"
        self.blobs[uri] = content
        return uri

    def open(self, uri: str) -> BinaryIO:
        if uri not in self.blobs:
            raise SpoolError(f"{uri} is not in the spool")
        return BytesIO(self.blobs[uri])
