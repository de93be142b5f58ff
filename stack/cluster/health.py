"""Checks whether every part of the cluster works: two of a kind have heartbeats of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import psycopg2

from stack.airflow_settings import AirflowSettings
from stack.health import HealthCheck
from stack.processes import Service

HEARTBEAT_AGE = timedelta(seconds=45)


class ClusterHealth(HealthCheck):
    """Listening parts by their ports, Airflow's jobs by their heartbeats, workers by Celery's word.

    :param ports: service → the port that it listens on.
    """

    # Ten parts of Airflow load at the same time.
    start_seconds: ClassVar[float] = 400

    def __init__(
        self,
        settings: AirflowSettings,
        services: Sequence[Service],
        *,
        just_started: Sequence[Service],
        ports: Mapping[str, int],
    ) -> None:
        super().__init__(settings, services, just_started=just_started)
        self._ports = ports

    def ready_now(self, besides: Collection[str] = ()) -> set[str]:
        beating = self._beating()
        return {
            service.name
            for service in self._services
            if service.name not in besides and self._is_ready(service, beating)
        }

    def _is_ready(self, service: Service, beating: Collection[str]) -> bool:
        if service.name in self._ports:
            return self._is_ours(service.name, self._ports[service.name])
        if service.name.startswith("worker"):
            # It says so once, and its tasks' lines follow.
            return service.process() is not None and " ready." in service.log_tail(1_000_000)
        return service.name in beating

    def _beating(self) -> set[str]:
        """The host names of Airflow's jobs with a fresh heartbeat."""
        query = "SELECT hostname, max(latest_heartbeat) FROM job WHERE state = 'running' GROUP BY 1"
        try:
            dsn = self._settings.metadata_dsn(self._settings.ports.postgres)
            with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
                cursor.execute(query)
                beats: dict[str, datetime] = dict(cursor.fetchall())
        except psycopg2.Error:
            return set()
        enough = datetime.now(UTC) - HEARTBEAT_AGE
        return {
            name
            for name, beat in beats.items()
            if beat > (self._began if name in self._just_started else enough)
        }
