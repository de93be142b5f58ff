"""The connections that operators and sensors have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator

from sat_hook.hooks.application_database import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.hooks.sat import SATHook


class DatabaseOperator(BaseOperator):
    """Base of all that work with the application database.

    :param db_conn_id: the application database's connection.
    """

    component: ClassVar[str] = "sat task"
    """Shown as ``application_name`` in PostgreSQL."""

    def __init__(self, *, db_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.db_conn_id = db_conn_id

    @property
    def application(self) -> ApplicationHook:
        """The application database, opened for one task."""
        return ApplicationHook(self.db_conn_id, self.component)


class SATOperator(DatabaseOperator):
    """Base of all that work for one account.

    :param sat_conn_id: the account's connection, of type ``sat`` (templated).
    """

    template_fields: Sequence[str] = ("sat_conn_id",)
    ui_color = "#e8f1ec"

    def __init__(self, *, sat_conn_id: str = SATHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sat_conn_id = sat_conn_id
