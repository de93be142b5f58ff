"""The secrets of webhooks: the passwords of Airflow connections, where a secrets backend may keep them."""

from __future__ import annotations

from airflow.sdk import BaseHook
from pydantic import SecretStr

from sat_hook.clients.webhooks import secrets_in


def webhook_secrets(connection_id: str) -> tuple[SecretStr, ...]:
    """The signing secrets that a connection's password holds, the newest first.

    :raises WebhookRefusedError: it holds none.
    """
    password = BaseHook.get_connection(connection_id).password
    return secrets_in(password or "", f"connection {connection_id}, password")
