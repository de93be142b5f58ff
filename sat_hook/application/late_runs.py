"""A run that has not succeeded in time, as an alert."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sat_hook.audit.alerts import EVERY_ACCOUNT
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.printable import printable

MAXIMUM_RUN_ID_CHARACTERS = 120

_BATCH_ID = re.compile(r"B[A-Z2-7]{25}")


def late_run(
    kind: AlertKind, run_id: str, parameters: Mapping[str, Any], hours: float, now: datetime
) -> Alert:
    """The alert about a run; its key is the run's, so a run is told of once.

    :param parameters: those that the run was started with.
    :param hours: within which it was to succeed.
    """
    shown = printable(run_id, MAXIMUM_RUN_ID_CHARACTERS) or "without an id"
    batch_id = str(parameters.get("batch_id") or "")
    is_batch = kind is AlertKind.BATCH_LATE and _BATCH_ID.fullmatch(batch_id) is not None
    about = f"batch {batch_id}, run {shown}" if is_batch else f"run {shown}"
    return Alert(
        f"{kind.value}/{shown}",
        kind,
        EVERY_ACCOUNT,
        f"{about}: not done {hours:g} hours after it was queued",
        now,
        batch_id=batch_id if is_batch else None,
        subject=batch_id if is_batch else None,
    )
