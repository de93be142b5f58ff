"""Check before sending that the database is not older than its published checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from sat_hook.application.ports import Ports
from sat_hook.audit.alerts import EVERY_ACCOUNT
from sat_hook.audit.errors import CheckpointForkedError
from sat_hook.audit.rollback_detection import pause_after_rollback
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.event_record import Provenance
from sat_hook.store.errors import StoreUnavailableError

_log = logging.getLogger(__name__)


def pause_if_rolled_back(ports: Ports, provenance: Provenance) -> None:
    """Pause the account if the database is older than what was published; the sender then sees the pause.

    An unreadable place of publication does not stop payments: the DAG ``audit_checkpoint`` reads it each
    minute and fails meanwhile.

    :raises StoreUnavailableError: the database gave up.
    """
    try:
        found = ports.rollback()
    except StoreUnavailableError:
        raise
    except Exception as error:
        # Object stores raise their own errors, whose text may hold addresses and secrets.
        _log.warning("What was published could not be looked at: %s", type(error).__name__)
        return
    if found is not None:
        report_rollback(ports.handler, ports.alert, [ports.account], found, provenance)


def report_rollback(
    handler: CommandHandler,
    alert: Callable[[Sequence[Alert]], object],
    accounts: Iterable[str],
    found: CheckpointForkedError,
    provenance: Provenance,
) -> None:
    """Raise the alert that there are two logs, and pause these accounts until a person resumes them.

    :raises StoreUnavailableError: the database gave up.
    """
    number = found.number
    fork = Alert(
        key=f"log_forked/{number}",
        kind=AlertKind.LOG_FORKED,
        account=EVERY_ACCOUNT,
        text=f"checkpoint {number} was published with other contents: altered, or an older backup?",
        occurred_at=handler.clock.now(),
        subject=f"checkpoint {number}",
    )
    alert([fork])
    for account in accounts:
        if pause_after_rollback(handler, account, provenance):
            _log.error("Account %s is paused: %s", account, found)
