"""A notifier for tests, importable by its path as people configure theirs."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.sdk import BaseNotifier


class Remembering(BaseNotifier):
    """Remembers what it was told, with its template filled in."""

    template_fields = ("text",)
    told: ClassVar[list[str]] = []

    def __init__(self, text: str = "{{ alert.subject }}") -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        self.told.append(self.text)
