"""The scheduled work on the log: make checkpoints, verify the log, write evidence packs."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sat_hook.application.rollback import report_rollback
from sat_hook.audit.alerts import (
    EVERY_ACCOUNT,
    MAXIMUM_FINDINGS_TOLD,
    LogTrouble,
    backdated_events,
    lateness,
    unchecked_statuses,
)
from sat_hook.audit.checkpoint_verification import Trust
from sat_hook.audit.checkpoints import make_checkpoints, publish_checkpoints, stray_checkpoints
from sat_hook.audit.errors import (
    CheckpointAheadError,
    CheckpointForkedError,
    LogDamagedError,
    UnknownAuditKeyError,
)
from sat_hook.audit.exports import load_export, record_written, requested_by
from sat_hook.audit.findings import Finding, Report
from sat_hook.audit.full_verification import BETWEEN_ROUNDS, FullVerification, Progress, progress_of
from sat_hook.audit.keys import AuditSigner, AuditVerifier
from sat_hook.audit.log_verification import Verification, last_verified, record_verification, verify_log
from sat_hook.audit.pack import PackWriter
from sat_hook.audit.publication import Publication
from sat_hook.audit.signed_statuses import SATKeys
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.export import ExportWritten
from sat_hook.store.alerts import AlertBook
from sat_hook.store.postgres import PostgresEventStore

MAXIMUM_FINDINGS_LOGGED = 1_000
STRAYS_SINCE = timedelta(hours=2)
"""How far back a run looks for rows that are not checkpoints. The nightly verification checks all rows."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogAudit:
    """Signs and verifies the log of one event store.

    :param keys: the audit key, and older ones.
    :param publication: where checkpoints are published.
    """

    store: PostgresEventStore
    handler: CommandHandler
    alerts: AlertBook
    keys: AuditVerifier
    publication: Publication
    provenance: Provenance

    def checkpoint(self, signer: AuditSigner) -> tuple[int, int]:
        """Sign new events and publish unpublished checkpoints; return how many were made and published.

        :raises CheckpointForkedError: there are two logs. An alert says so, and every account is paused.
        :raises CheckpointAheadError: events are missing. An alert says so.
        :raises UnknownAuditKeyError: no checkpoint has a known signature. An alert says so.
        """
        database, clock = self.store.database, self.handler.clock
        try:
            made = make_checkpoints(database, signer, clock, self.keys, self.publication)
            strays = stray_checkpoints(database, self.keys, clock.now() - STRAYS_SINCE)
            for stray in strays[:MAXIMUM_FINDINGS_TOLD]:
                self._damaged(
                    f"stray_checkpoint/{stray.digest}",
                    f"a row with digest {stray.digest[:16]}… was added to the checkpoints and is no link of "
                    "their chain: it stops nothing and is not published (run: sat log verify)",
                )
            return len(made), publish_checkpoints(database, self.publication, self.keys)
        except CheckpointForkedError as error:
            accounts = self.store.accounts_with_batches()
            report_rollback(self.handler, self.alerts.add, accounts, error, self.provenance)
            raise
        except (CheckpointAheadError, UnknownAuditKeyError) as error:
            self._damaged(f"next_checkpoint/{error}", f"no checkpoint can be made: {error}")
            raise

    def verify(self, sat_keys: SATKeys, keyless: Sequence[str], *, everything: bool) -> Verification:
        """Verify the log, record that in it, and raise alerts for what was found.

        :param keyless: the connections without a key of SAT's.
        :param everything: verify all that was ever recorded; else what is newer than the last checkpoint of
            the last verification that found nothing.
        :raises LogDamagedError: the log is damaged.
        """
        now = self.handler.clock.now()
        trust = Trust(self.keys, self.publication, sat_keys=sat_keys)
        findings, report = _told_and_logged(now)
        before = None if everything else last_verified(self.store.database, is_clean=True)
        checkpoint = 0 if before is None else before.checkpoints
        verified = verify_log(self.store.database, report, trust, after_checkpoint=checkpoint)
        unproven = [
            *lateness(self.store.database, verified, now),
            *unchecked_statuses(verified, keyless, now),
            *backdated_events(verified, now),
        ]
        for alert in unproven:
            _log.warning("%s", alert.text)
        self.alerts.add([*findings.alerts(), *unproven])
        record_verification(self.handler, verified, trust, now, self.provenance, is_everything=everything)
        chain = verified.chain
        scope = f"{verified.events:,} events from checkpoint {chain.first_checkpoint:,} on"
        if not verified.is_clean:
            raise LogDamagedError(f"{findings.found:,} problems in {scope}; run: sat log verify")
        _log.info("The log is whole: %s, %s checkpoints.", scope, chain.checkpoints)
        _log.info("Signed statuses held against SAT's keys: %s.", verified.statuses_checked)
        return verified

    def verify_parts(self, sat_keys: SATKeys, signer: AuditSigner, budget_seconds: float) -> Progress | None:
        """Go on with verifying everything, part after part, for some seconds: at least one part.

        A round that ends is recorded in the log. The next one begins a day later.

        :returns: how far the round has come; None when none is due.
        :raises LogDamagedError: the log is damaged. Alerts say so, and the next call goes on after it.
        """
        now, database = self.handler.clock.now(), self.store.database
        trust = Trust(self.keys, self.publication, sat_keys=sat_keys)
        full = FullVerification(database, trust, signer)
        last = last_verified(database, is_everything=True)
        progress = progress_of(database, self.keys, None if last is None else last.began_at)
        if progress is None:
            if last is not None and now - last.ended_at < BETWEEN_ROUNDS:
                return None
            progress = Progress(began_at=now)
        findings, report = _told_and_logged(now)
        clock, began = self.handler.clock, progress.began_at
        until = clock.boottime_seconds() + budget_seconds
        while True:
            progress, verified = full.next_part(progress, report)
            # People are told before it goes on: what is kept is not looked at again in this round.
            self.alerts.add(findings.alerts())
            if verified is not None:
                record_verification(self.handler, verified, trust, began, self.provenance, is_everything=True)
                break
            full.keep(progress)
            if clock.boottime_seconds() >= until:
                break
        _log.info("Verified up to checkpoint %s of everything.", progress.checkpoints)
        if findings.found:
            raise LogDamagedError(f"{findings.found:,} problems in older events; run: sat log verify")
        return progress

    def write_pack(
        self, export_id: str, signer: AuditSigner, folder: Path | None, keep: Callable[[Path], str]
    ) -> ExportWritten:
        """Write a requested evidence pack; a repeated run writes the same one.

        :param folder: where it is written first; None for the system's temporary folder.
        :param keep: stores a written pack and returns its URI.
        :raises ExportNotFoundError: there is no such export.
        """
        export = load_export(self.store, export_id)
        # All events of the period are settled and covered by checkpoints before they are read.
        self.checkpoint(signer)
        asker = requested_by(self.store, export_id)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=folder) as drafts:
            path = Path(drafts) / f"{export_id}.zip"
            pack = PackWriter(self.store.database, export, asker, signer, self.keys).write(path)
            uri = keep(path)
        written = ExportWritten(
            uri=uri,
            digest=pack.digest,
            size_bytes=pack.size_bytes,
            events=pack.events,
            first_checkpoint=pack.first_checkpoint,
            last_checkpoint=pack.last_checkpoint,
        )
        record_written(self.store, self.handler.clock, export_id, written, self.provenance)
        return written

    def _damaged(self, key: str, text: str) -> None:
        now = self.handler.clock.now()
        self.alerts.add([Alert(f"log_damaged/{key}", AlertKind.LOG_DAMAGED, EVERY_ACCOUNT, text, now)])


def _told_and_logged(now: datetime) -> tuple[LogTrouble, Report]:
    findings = LogTrouble(now)

    def report(finding: Finding) -> None:
        findings(finding)
        if findings.found <= MAXIMUM_FINDINGS_LOGGED:
            _log.error("%s", finding)

    return findings, report
