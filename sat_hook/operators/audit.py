"""Checkpoints, the verification of the log, and evidence packs, as operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sat_hook.application.log_audit import LogAudit
from sat_hook.domain.event_record import Provenance
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
from sat_hook.operators.run_context import asked_by, failing_for_good, provenance_of


class SATAuditOperator(DatabaseOperator):
    """Base of all that work on the log.

    :param audit_conn_id: the connection with the audit key; its extra names older public keys.
    """

    ui_color = "#e9e6f5"

    def __init__(self, *, audit_conn_id: str = AUDIT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.audit_conn_id = audit_conn_id

    def audit(self, provenance: Provenance) -> LogAudit:
        """The log, with the key and the place of publication."""
        application = self.application
        return LogAudit(
            application.store,
            application.handler,
            application.alerts,
            audit_verifier(self.audit_conn_id),
            checkpoint_publication(application.settings),
            provenance,
        )


class SATCheckpointOperator(SATAuditOperator):
    """Sign new events of the log, and publish unpublished checkpoints. Two runs at once are harmless."""

    component = "sat audit"

    def execute(self, context: Context) -> dict[str, int]:
        """Run one round; return its counts."""
        with failing_for_good():
            audit = self.audit(provenance_of(context))
            made, published = audit.checkpoint(audit_signer(self.audit_conn_id))
        self.log.info("Made %s checkpoints, published %s.", made, published)
        return {"made": made, "published": published}


class SATVerifyLogOperator(SATAuditOperator):
    """Verify the log as ``sat log verify`` does, and raise alerts for its findings.

    Damage fails the task on every run until a person resolves it, and raises one alert. Stopped checkpoints
    and signatures that could not be checked raise an alert each day without failing the task, because no
    damage was found.

    :param everything: verify all that was ever recorded; else what is newer than the last verification that
        found nothing (templated).
    """

    template_fields: Sequence[str] = ("everything",)
    component = "sat verify"

    def __init__(self, *, everything: bool | str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.everything = everything

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify the log, record that in it, and return what was verified."""
        with failing_for_good():
            sat_keys, keyless = sat_status_keys(accounts_of_installation(), self.audit_conn_id)
            audit = self.audit(asked_by(context))
            verified = audit.verify(sat_keys, keyless, everything=self.is_everything)
        return {
            "events": verified.events,
            "from_checkpoint": verified.chain.first_checkpoint,
            "checkpoints": verified.chain.checkpoints,
            "published": verified.published_number,
        }

    @property
    def is_everything(self) -> bool:
        """Whether this run verifies everything."""
        return str(self.everything).lower() == "true"


class SATVerifyPartsOperator(SATAuditOperator):
    """Go on with verifying everything that was ever recorded, for a share of the time between two runs.

    Damage fails the run that finds it and raises alerts; the next run goes on after it.

    :param core_share: the share of a processor core, more than 0 and at most 1 (templated).
    :param interval_seconds: the time between two runs.
    """

    template_fields: Sequence[str] = ("core_share",)
    component = "sat verify"

    def __init__(
        self, *, core_share: float | str = 0.1, interval_seconds: float = 600, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.core_share = core_share
        self.interval_seconds = interval_seconds

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify for a while; return how far it has come."""
        share = float(self.core_share)
        if not 0 < share <= 1:
            raise AirflowFailException(f"core_share: found {share}, expected more than 0 and at most 1")
        with failing_for_good():
            sat_keys, _ = sat_status_keys(accounts_of_installation(), self.audit_conn_id)
            signer = audit_signer(self.audit_conn_id)
            audit = self.audit(provenance_of(context))
            progress = audit.verify_parts(sat_keys, signer, share * self.interval_seconds)
        if progress is None:
            return {}
        return {"checkpoints": progress.checkpoints, "position": progress.covered_position}


class SATExportOperator(SATAuditOperator):
    """Write a requested evidence pack, and store it beside the result files.

    The log holds the requester, the period, and whether to include personal data. A repeated run writes the
    same pack.

    :param export_id: what the request's route returned (templated).
    """

    template_fields: Sequence[str] = ("export_id",)
    component = "sat export"

    def __init__(self, *, export_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export_id = export_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the pack; return its size and digest."""
        settings = self.application.settings
        with failing_for_good():
            written = self.audit(provenance_of(context)).write_pack(
                self.export_id,
                audit_signer(self.audit_conn_id),
                exports_folder(settings),
                partial(keep_export, settings),
            )
        self.log.info(
            "Export %s: %s events, %s bytes, sha256 %s.",
            self.export_id,
            written.events,
            written.size_bytes,
            written.digest,
        )
        return {"events": written.events, "size_bytes": written.size_bytes, "digest": written.digest}
