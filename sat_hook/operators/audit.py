"""Checkpoints, the verification of the log, and evidence packs, as operators."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.rollback import report_rollback
from sat_hook.audit.alerts import (
    EVERY_ACCOUNT,
    MAXIMUM_FINDINGS_TOLD,
    LogTrouble,
    lateness,
    unchecked_statuses,
)
from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.checkpoints import make_checkpoints, publish_checkpoints, stray_checkpoints
from sat_hook.audit.errors import (
    CheckpointAheadError,
    CheckpointForkedError,
    ExportNotFoundError,
    UnknownAuditKeyError,
)
from sat_hook.audit.exports import load_export, record_written, requested_by
from sat_hook.audit.findings import Finding
from sat_hook.audit.log_verification import record_verification, verify_log
from sat_hook.audit.pack import PackWriter
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.business_day import WIB
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.export import ExportWritten
from sat_hook.hooks.application_database import ApplicationHook
from sat_hook.hooks.audit import (
    AUDIT_CONNECTION,
    audit_signer,
    audit_verifier,
    checkpoint_publication,
    sat_status_keys,
)
from sat_hook.hooks.spool import exports_folder, keep_export
from sat_hook.operators.accounts import accounts_of_installation
from sat_hook.operators.base import DatabaseOperator
from sat_hook.operators.run_context import asked_by, provenance_of

SUNDAY = 6
MAXIMUM_FINDINGS_LOGGED = 1_000
STRAYS_SINCE = timedelta(hours=2)
"""How far back a run looks for rows that are not checkpoints. The nightly verification checks all rows."""


class SATCheckpointOperator(DatabaseOperator):
    """Sign new events of the log, and publish unpublished checkpoints. Two runs at once are harmless.

    :param audit_conn_id: the connection with the audit key.
    """

    ui_color = "#e9e6f5"
    component = "sat audit"

    def __init__(self, *, audit_conn_id: str = AUDIT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audit_conn_id = audit_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Run one round; return its counts."""
        application = self.application
        made, published = _checkpoints(application, self.audit_conn_id, provenance_of(context))
        self.log.info("Made %s checkpoints, published %s.", made, published)
        return {"made": made, "published": published}


class SATVerifyLogOperator(DatabaseOperator):
    """Verify the log as ``sat log verify`` does, and raise alerts for its findings.

    Damage fails the task on every run until a person resolves it, and raises one alert. Stopped checkpoints
    and signatures that could not be checked raise an alert each day without failing the task, because no
    damage was found.

    :param everything: verify all that was ever recorded; None: everything on Sundays (WIB), else the last
        days (templated).
    :param days: the number of those days, from the beginning of a checkpoint.
    :param audit_conn_id: the connection with the audit key; its extra names older public keys.
    """

    template_fields: Sequence[str] = ("everything",)
    ui_color = "#e9e6f5"
    component = "sat verify"

    def __init__(
        self,
        *,
        everything: bool | str | None = None,
        days: int = 2,
        audit_conn_id: str = AUDIT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.everything = everything
        self.days = days
        self.audit_conn_id = audit_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify the log, record that in it, and return what was verified."""
        application = self.application
        now = SystemClock().now()
        sat_keys, keyless = sat_status_keys(accounts_of_installation(), self.audit_conn_id)
        published = checkpoint_publication(application.settings)
        trust = Trust(audit_verifier(self.audit_conn_id), published, sat_keys=sat_keys)
        is_everything = self.is_everything(now)
        since = None if is_everything else now - timedelta(days=self.days)
        findings = LogTrouble(now)

        def report(finding: Finding) -> None:
            findings(finding)
            if findings.found <= MAXIMUM_FINDINGS_LOGGED:
                self.log.error("%s", finding)

        verified = verify_log(application.database, report, trust, since=since)
        unproven = [
            *lateness(application.database, verified, now),
            *unchecked_statuses(verified, keyless, now),
        ]
        for alert in unproven:
            self.log.warning("%s", alert.text)
        application.alerts.add([*findings.alerts(), *unproven])
        record_verification(
            application.handler, verified, trust, now, asked_by(context), is_everything=is_everything
        )
        scope = f"{verified.events:,} events from checkpoint {verified.chain.first_checkpoint:,} on"
        if not verified.is_clean:
            # A retry cannot repair the log: a person must act.
            raise AirflowFailException(f"{findings.found:,} problems in {scope}; run: sat log verify")
        self.log.info("The log is whole: %s, %s checkpoints.", scope, verified.chain.checkpoints)
        self.log.info("Signed statuses held against SAT's keys: %s.", verified.statuses_checked)
        return {
            "events": verified.events,
            "from_checkpoint": verified.chain.first_checkpoint,
            "checkpoints": verified.chain.checkpoints,
            "published": verified.published_number,
        }

    def is_everything(self, now: datetime) -> bool:
        """Whether a run that begins ``now`` verifies everything."""
        if self.everything in (None, "", "None"):
            return now.astimezone(WIB).weekday() == SUNDAY
        return str(self.everything).lower() == "true"


class SATExportOperator(DatabaseOperator):
    """Write a requested evidence pack, and store it beside the result files.

    The log holds the requester, the period, and whether to include personal data. A repeated run writes the
    same pack.

    :param export_id: what the request's route returned (templated).
    :param audit_conn_id: the connection with the audit key.
    """

    template_fields: Sequence[str] = ("export_id",)
    ui_color = "#e9e6f5"
    component = "sat export"

    def __init__(self, *, export_id: str, audit_conn_id: str = AUDIT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export_id = export_id
        self.audit_conn_id = audit_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the pack; return its size and digest."""
        application, signer = self.application, audit_signer(self.audit_conn_id)
        try:
            export = load_export(application.store, self.export_id)
        except ExportNotFoundError as error:
            raise AirflowFailException(f"{error}; ask for one with: sat audit export") from error
        # All events of the period are settled and covered by checkpoints before they are read.
        _checkpoints(application, self.audit_conn_id, provenance_of(context))
        keys = audit_verifier(self.audit_conn_id)
        asker = requested_by(application.store, self.export_id)
        place = exports_folder(application.settings)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=place) as folder:
            path = Path(folder) / f"{self.export_id}.zip"
            written = PackWriter(application.database, export, asker, signer, keys).write(path)
            uri = keep_export(application.settings, path)
        record_written(
            application.store,
            SystemClock(),
            self.export_id,
            ExportWritten(
                uri=uri,
                digest=written.digest,
                size_bytes=written.size_bytes,
                events=written.events,
                first_checkpoint=written.first_checkpoint,
                last_checkpoint=written.last_checkpoint,
            ),
            provenance_of(context),
        )
        self.log.info(
            "Export %s: %s events, %s bytes, sha256 %s.",
            self.export_id,
            written.events,
            written.size_bytes,
            written.digest,
        )
        return {"events": written.events, "size_bytes": written.size_bytes, "digest": written.digest}


def _checkpoints(application: ApplicationHook, audit_conn_id: str, provenance: Provenance) -> tuple[int, int]:
    clock, database = SystemClock(), application.database
    publication = checkpoint_publication(application.settings)
    signer, keys = audit_signer(audit_conn_id), audit_verifier(audit_conn_id)
    trouble: Exception
    try:
        made = make_checkpoints(database, signer, clock, keys, publication)
        strays = stray_checkpoints(database, keys, clock.now() - STRAYS_SINCE)
        for stray in strays[:MAXIMUM_FINDINGS_TOLD]:
            text = (
                f"a row with digest {stray.digest[:16]}… was added to the checkpoints and is no link of "
                "their chain: it stops nothing and is not published (run: sat log verify)"
            )
            _damaged(application, f"stray_checkpoint/{stray.digest}", text)
        return len(made), publish_checkpoints(database, publication, keys)
    except CheckpointForkedError as error:
        trouble = error
        accounts = application.store.accounts_with_batches()
        report_rollback(application.handler, application.alerts.add, accounts, error, provenance)
    except (CheckpointAheadError, UnknownAuditKeyError) as error:
        trouble = error
        _damaged(application, f"next_checkpoint/{error}", f"no checkpoint can be made: {error}")
    # A retry cannot merge two logs or repair one: a person must act.
    raise AirflowFailException(str(trouble)) from trouble


def _damaged(application: ApplicationHook, key: str, text: str) -> None:
    now = SystemClock().now()
    alert = Alert(f"log_damaged/{key}", AlertKind.LOG_DAMAGED, EVERY_ACCOUNT, text, now)
    application.alerts.add([alert])
