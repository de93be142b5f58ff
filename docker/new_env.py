"""``python3 docker/new_env.py > .env``: .env.example with fresh secrets for all that is ours to make up.

Standard library only, so that it runs before anything is installed. It writes to standard output alone: an
existing .env holds secrets that databases remember, and is never replaced by accident.
"""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parent.parent / ".env.example"
GENERATED = frozenset(
    {
        "POSTGRES_PASSWORD",
        "SAT_OWNER_PASSWORD",
        "SAT_WRITER_PASSWORD",
        "SAT_READER_PASSWORD",
        "SAT_RECEIVER_PASSWORD",
        "AIRFLOW_DB_PASSWORD",
        "REDIS_PASSWORD",
        "AIRFLOW_FERNET_KEY",
        "AIRFLOW_JWT_SECRET",
        "AIRFLOW_API_SECRET_KEY",
    }
)


def new_secret(name: str) -> str:
    """A secret for ``name``: a fernet key where Airflow wants one, else 64 characters that fit into a URL."""
    if name.endswith("_FERNET_KEY"):
        return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
    return secrets.token_urlsafe(48)


def filled(example: str) -> str:
    """``example`` with its secrets filled in."""
    lines = []
    for line in example.splitlines():
        name, equals, value = line.partition("=")
        lines.append(f"{name}={new_secret(name)}" if equals and not value and name in GENERATED else line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(filled(EXAMPLE.read_text("utf-8")))
