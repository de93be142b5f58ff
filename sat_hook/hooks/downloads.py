"""Answers that a person saves as a file."""

from __future__ import annotations

from urllib.parse import quote


def as_download(name: str) -> dict[str, str]:
    """Headers of an answer that is saved under a name, and kept by nobody on its way."""
    return {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
    }
