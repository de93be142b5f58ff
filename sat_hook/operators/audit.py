"""Checkpoints and evidence packs, as operators."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.audit.checkpoints import CheckpointForkedError, make_checkpoints, publish_checkpoints
from sat_hook.audit.exports import load_export, record_written, requested_by
from sat_hook.audit.keys import AuditSigner
from sat_hook.audit.pack import PackWriter
from sat_hook.clients.system import SystemClock
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.export import ExportWritten
from sat_hook.hooks.application import DEFAULT_CONNECTION, ApplicationHook
from sat_hook.hooks.audit import AUDIT_CONNECTION, audit_signer, checkpoint_publication
from sat_hook.hooks.spool import exports_folder, keep_export
from sat_hook.operators.runs import provenance_of
from sat_hook.pipeline.alerting import raise_alerts
from sat_hook.pipeline.trouble import PipelineError

EVERY_ACCOUNT = "*"


class SATCheckpointOperator(BaseOperator):
    """Sign what is new in the log, and publish what is not published yet. Twice at once does no harm.

    :param db_conn_id: the application database's connection.
    :param audit_conn_id: the connection with the audit key.
    """

    ui_color = "#e9e6f5"

    def __init__(
        self, *, db_conn_id: str = DEFAULT_CONNECTION, audit_conn_id: str = AUDIT_CONNECTION, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.db_conn_id = db_conn_id
        self.audit_conn_id = audit_conn_id

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002
        """One round; returns its counts."""
        application = ApplicationHook(self.db_conn_id, "sat audit")
        made, published = _checkpoints(application, audit_signer(self.audit_conn_id))
        self.log.info("Made %s checkpoints, published %s.", made, published)
        return {"made": made, "published": published}


class SATExportOperator(BaseOperator):
    """Write the evidence pack that somebody asked for, and keep it where result files are kept.

    Who asked, for which period, and whether with personal data, stands in the log; this only does it. Run
    again it writes the same pack.

    :param export_id: what the request's route returned (templated).
    :param db_conn_id: the application database's connection.
    :param audit_conn_id: the connection with the audit key.
    """

    template_fields: Sequence[str] = ("export_id",)
    ui_color = "#e9e6f5"

    def __init__(
        self,
        *,
        export_id: str,
        db_conn_id: str = DEFAULT_CONNECTION,
        audit_conn_id: str = AUDIT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.export_id = export_id
        self.db_conn_id = db_conn_id
        self.audit_conn_id = audit_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Write it; returns its size and digest."""
        application, signer = ApplicationHook(self.db_conn_id, "sat export"), audit_signer(self.audit_conn_id)
        try:
            export = load_export(application.store, self.export_id)
        except PipelineError as error:
            raise AirflowFailException(f"{error}; ask for one with: sat audit export") from error
        # Everything of the period is settled and covered before it is read.
        _checkpoints(application, signer)
        asker = requested_by(application.store, self.export_id)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=exports_folder()) as folder:
            path = Path(folder) / f"{self.export_id}.zip"
            written = PackWriter(application.database, export, asker, signer).write(path)
            uri = keep_export(path)
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


def _checkpoints(application: ApplicationHook, signer: AuditSigner) -> tuple[int, int]:
    clock = SystemClock()
    made = make_checkpoints(application.database, signer, clock)
    try:
        return len(made), publish_checkpoints(application.database, checkpoint_publication())
    except CheckpointForkedError as error:
        fork = Alert(
            key=f"log_forked/{error.number}",
            kind=AlertKind.LOG_FORKED,
            account=EVERY_ACCOUNT,
            text=f"checkpoint {error.number} was published with other contents: altered, or an older backup?",
            occurred_at=clock.now(),
            subject=f"checkpoint {error.number}",
        )
        raise_alerts(application.alerts, [fork])
        # No retry makes two logs one: people have to look.
        raise AirflowFailException(str(error)) from error
