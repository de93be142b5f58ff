"""Tells people by a Telegram bot. Airflow's provider for Telegram has a hook and an operator, no notifier."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import requests
from airflow.sdk import BaseHook, BaseNotifier, Context

from sat_hook.hooks.errors import NotifierConfigurationError, NotifierRefusedError

API = "https://api.telegram.org"
MAXIMUM_CHARACTERS = 4_096
"""The longest text that Telegram takes; a longer one is cut."""


class TelegramNotifier(BaseNotifier):
    """Sends one message of plain text, without retries: the task that tells people tries again later.

    :param text: the message (templated).
    :param chat_id: the chat (templated); by default the host of the connection.
    :param telegram_conn_id: a connection with the bot's token as its password. ``base_url`` in its extra
        names another server.
    :param timeout_seconds: for connecting, and for each part of the answer.
    """

    template_fields: Sequence[str] = ("text", "chat_id", "telegram_conn_id")

    def __init__(
        self,
        *,
        text: str = "{{ alert.text }}",
        chat_id: str = "",
        telegram_conn_id: str = "telegram_default",
        timeout_seconds: float = 10.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.text = text
        self.chat_id = chat_id
        self.telegram_conn_id = telegram_conn_id
        self.timeout_seconds = timeout_seconds

    def notify(self, context: Context) -> None:
        """Send the message.

        :raises NotifierConfigurationError: there is no token or no chat.
        :raises NotifierRefusedError: Telegram did not take it, or did not answer in time. Its text has no
            token.
        """
        del context
        connection = BaseHook.get_connection(self.telegram_conn_id)
        chat_id = self.chat_id or connection.host
        if not connection.password or not chat_id:
            missing = "chat_id" if connection.password else "password"
            raise NotifierConfigurationError(f"connection {self.telegram_conn_id}: found no {missing}")
        base = str(connection.extra_dejson.get("base_url") or API).rstrip("/")
        text = self.text
        if len(text) > MAXIMUM_CHARACTERS:
            text = f"{text[: MAXIMUM_CHARACTERS - 1]}…"
        try:
            reply = requests.post(
                f"{base}/bot{connection.password}/sendMessage",
                json={"chat_id": chat_id, "text": text, "disable_web_page_preview": True},
                timeout=self.timeout_seconds,
                allow_redirects=False,
            )
            said = reply.json() if reply.content else {}
        except (requests.RequestException, ValueError) as error:
            # The address in its text has the token.
            raise NotifierRefusedError(
                f"Telegram: found {type(error).__name__}; expected an answer"
            ) from None
        if reply.status_code != HTTPStatus.OK or not isinstance(said, dict) or said.get("ok") is not True:
            code = said.get("error_code") if isinstance(said, dict) else None
            raise NotifierRefusedError(
                f"Telegram: found HTTP {reply.status_code}, error {code}; expected that it took the message"
            )
