"""The ports of an account, from two Airflow connections: its own and the application database's."""

from __future__ import annotations

from sat_hook.application.ports import Ports, StepLimits, ports_on
from sat_hook.audit.errors import CheckpointForkedError
from sat_hook.audit.rollback_detection import detect_rollback
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.audit import checkpoint_publication
from sat_hook.hooks.sat import SATHook
from sat_hook.hooks.spool import results_spool, submissions_spool
from sat_hook.hooks.telemetry import name_in_log


def task_ports(sat_conn_id: str, application: ApplicationHook) -> Ports:
    """The ports of a connection's account, for a task. Both connections are read here.

    :raises SATConnectionError: when the account's connection cannot work.
    """
    ports = ports_of(SATHook(sat_conn_id, application.database), application)
    name_in_log(account=ports.account)
    return ports


def ports_of(hook: SATHook, application: ApplicationHook) -> Ports:
    """The ports of the account of ``hook``. In an event loop, connect both hooks first."""

    def rollback() -> CheckpointForkedError | None:
        return detect_rollback(application.database, checkpoint_publication(application.settings))

    settings = hook.settings()
    return ports_on(
        application.database,
        application.handler,
        settings,
        hook.async_client,
        submissions=submissions_spool(application.settings),
        results=results_spool(application.settings),
        limits=StepLimits.of(application.settings, settings),
        rollback=rollback,
        connection=hook.sat_conn_id,
        rules=hook.asked_rules,
    )
