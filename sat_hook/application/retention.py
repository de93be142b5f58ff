"""How long data is kept: the log's partitions."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sat_hook.audit.alerts import EVERY_ACCOUNT
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.business_day import business_day
from sat_hook.domain.ports import Clock
from sat_hook.store.alerts import AlertBook
from sat_hook.store.errors import StoreBusyError
from sat_hook.store.log_partitions import LogPartitions, MadeAhead

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """The scheduled work that keeps the database small."""

    partitions: LogPartitions
    alerts: AlertBook
    clock: Clock

    def make_partitions(self) -> MadeAhead:
        """Make the log's next partitions, and raise an alert a day for each partition that needs a person.

        Behind a long reader of the log nothing is made; the next run tries again.

        :raises StoreUnavailableError: the database gave up.
        """
        try:
            made = self.partitions.make_ahead()
        except StoreBusyError as error:
            _log.warning("No partition was made, the next run tries again: %s", error)
            made = MadeAhead(0, False)
        now = self.clock.now()
        self.alerts.add(
            [
                Alert(
                    f"log_partitions/{trouble.partition(':')[0]}/{business_day(now).isoformat()}",
                    AlertKind.LOG_PARTITIONS,
                    EVERY_ACCOUNT,
                    trouble,
                    now,
                )
                for trouble in self.partitions.troubles()
            ]
        )
        return made
