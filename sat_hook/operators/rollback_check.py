"""Before anything is sent: is this the database whose checkpoints were published, or an older one?"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sat_hook.audit.alerts import EVERY_ACCOUNT
from sat_hook.audit.checkpoints import CheckpointForkedError
from sat_hook.audit.rollback_detection import detect_rollback, pause_after_rollback
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.event_record import Provenance
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.audit import checkpoint_publication
from sat_hook.pipeline.alerting import raise_alerts
from sat_hook.store.event_store import StoreUnavailableError

_log = logging.getLogger(__name__)


def pause_if_rolled_back(application: ApplicationHook, account: str, provenance: Provenance) -> None:
    """Pause the account if what was published knows more than the database; whoever sends then sees it.

    A place that cannot be read keeps nobody from paying: the DAG ``audit_checkpoint`` looks each minute, and
    is red meanwhile.

    :raises StoreUnavailableError: the database gave up.
    """
    try:
        loss = detect_rollback(application.database, checkpoint_publication())
    except StoreUnavailableError:
        raise
    except Exception as error:
        # Object stores have errors of their own; their words may hold addresses and secrets.
        _log.warning("What was published could not be looked at: %s", type(error).__name__)
        return
    if loss is not None:
        report_rollback(application, [account], loss, provenance)


def report_rollback(
    application: ApplicationHook,
    accounts: Iterable[str],
    loss: CheckpointForkedError,
    provenance: Provenance,
) -> None:
    """Have people told that there are two logs, and pause these accounts until a person resumes them.

    :raises StoreUnavailableError: the database gave up.
    """
    number = loss.number
    fork = Alert(
        key=f"log_forked/{number}",
        kind=AlertKind.LOG_FORKED,
        account=EVERY_ACCOUNT,
        text=f"checkpoint {number} was published with other contents: altered, or an older backup?",
        occurred_at=application.handler.clock.now(),
        subject=f"checkpoint {number}",
    )
    raise_alerts(application.alerts, [fork])
    for account in accounts:
        if pause_after_rollback(application.handler, account, provenance):
            _log.error("Account %s is paused: %s", account, loss)
