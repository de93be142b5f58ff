"""The generated passwords and keys of one local stack. There are no default values."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from stack.databases import APPLICATION_OWNER, APPLICATION_ROLES
from stack.layout import write_private

AIRFLOW_ROLE = "airflow"

#: Login name → role of Airflow's SimpleAuthManager. Two users may trigger and approve, because the maker of a
#: batch may not approve it. Neither may edit connections; the role ``op`` may.
AIRFLOW_USERS = {"admin": "admin", "ops": "user", "approver": "user", "viewer": "viewer"}

#: ``ops`` makes and decides, ``approver`` checks. Neither proposer nor confirmer of account rules is a maker.
AIRFLOW_RIGHTS = {
    "submit": {"users": ["ops"]},
    "decide": {"users": ["ops", "approver"]},
    "deliver": {"users": ["ops"]},
    "approve": {"users": ["approver"]},
    "finance": {"users": ["ops", "approver", "admin"]},
    "sign_off": {"users": ["ops", "approver", "admin"]},
    "audit": {"users": ["ops", "approver", "admin"]},
    "account_rules.propose": {"users": ["admin"]},
    "account_rules.confirm": {"users": ["approver"]},
}


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """All secrets of the stack; made once and kept, because the databases store them."""

    superuser_password: str
    role_passwords: dict[str, str]
    user_passwords: dict[str, str]
    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    sat_client_secret: str

    def __repr__(self) -> str:
        return "Credentials(…)"

    @classmethod
    def load_or_make(cls, path: Path) -> Credentials:
        """Read the file; create it, or add secrets that a newer release needs, if missing."""
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        roles, users = kept.get("role_passwords", {}), kept.get("user_passwords", {})
        made = cls(
            superuser_password=kept.get("superuser_password") or secrets.token_urlsafe(24),
            role_passwords={
                role: roles.get(role) or secrets.token_urlsafe(24)
                for role in (AIRFLOW_ROLE, APPLICATION_OWNER, *APPLICATION_ROLES)
            },
            user_passwords={user: users.get(user) or secrets.token_urlsafe(9) for user in AIRFLOW_USERS},
            fernet_key=kept.get("fernet_key") or _fernet_key(),
            jwt_secret=kept.get("jwt_secret") or secrets.token_urlsafe(64),
            api_secret_key=kept.get("api_secret_key") or secrets.token_urlsafe(32),
            sat_client_secret=kept.get("sat_client_secret") or secrets.token_urlsafe(24),
        )
        if asdict(made) != kept:
            write_private(path, json.dumps(asdict(made), indent=2) + "\n")
        return made


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")
