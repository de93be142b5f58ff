"""The schedules of the DAGs: cron expressions in Jakarta time.

A bare cron string follows two settings of the Airflow installation, ``core.default_timezone`` and
``scheduler.create_cron_data_intervals``. A timetable of its own follows neither.
"""

from __future__ import annotations

from airflow.sdk import CronTriggerTimetable

WIB_ZONE = "Asia/Jakarta"


def in_wib(cron: str) -> CronTriggerTimetable:
    """A timetable that fires at ``cron`` in Jakarta time.

    The logical date of a run is the moment at which it fires, and its data interval is that moment.
    """
    return CronTriggerTimetable(cron, timezone=WIB_ZONE)
