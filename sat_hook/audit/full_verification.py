"""Verifies everything that the log has, a part at a time, in rounds that go on after a restart.

How far a round has come is kept with a signature of the audit key, so a person who can change the database
cannot move it over what was changed. Nor is a round believed that began before the last one that ended.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import AwareDatetime, Field, ValidationError

from sat_hook.audit.checkpoint_verification import ChainVerified, Trust, verify_published
from sat_hook.audit.errors import AuditSignatureError
from sat_hook.audit.findings import Counted, FindingKind, Report
from sat_hook.audit.keys import AuditSigner, AuditVerifier
from sat_hook.audit.log_verification import Verification, verify_part
from sat_hook.domain.event_record import Frozen
from sat_hook.store.checkpoints import CheckpointTable
from sat_hook.store.database import Database

CHECKPOINTS_OF_A_PART = 50
BETWEEN_ROUNDS = timedelta(days=1)
"""From the end of a round to the beginning of the next."""


class Progress(Frozen):
    """How far a round has come.

    :param checkpoints: the number of the last checkpoint that was verified, up to ``covered_position``.
    """

    began_at: AwareDatetime
    checkpoints: int = 0
    covered_position: int = 0
    events: int = 0
    streams: int = 0
    statuses_checked: int | None = None
    findings: dict[FindingKind, int] = Field(default_factory=dict)

    def as_verification(self, published: int | None) -> Verification:
        """The round, when it has ended, as a verification of everything."""
        chain = ChainVerified(1, self.checkpoints, self.covered_position, 0, None, signatures_checked=True)
        return Verification(
            self.covered_position,
            self.events,
            self.streams,
            self.statuses_checked is not None,
            Counter(self.findings),
            chain,
            published,
            self.statuses_checked,
        )


def progress_of(
    database: Database, keys: AuditVerifier | None, last_began_at: datetime | None
) -> Progress | None:
    """The round that goes on; None when there is none.

    :param keys: trusted keys; None for a look at it that decides nothing.
    :param last_began_at: when the last round that ended began.
    """
    kept = CheckpointTable(database).full_verification()
    if kept is None:
        return None
    text, key_id, signature = kept
    try:
        if keys is not None:
            keys.verify(text.encode("utf-8"), signature, key_id)
        progress = Progress.model_validate_json(text)
    except (AuditSignatureError, ValidationError):
        return None
    return None if last_began_at is not None and progress.began_at <= last_began_at else progress


@dataclass(frozen=True, slots=True)
class FullVerification:
    """A round of verifying everything.

    :param trust: with the audit keys.
    """

    database: Database
    trust: Trust
    signer: AuditSigner

    def next_part(self, progress: Progress, report: Report) -> tuple[Progress, Verification | None]:
        """Verify the next part.

        :returns: how far the round has come, and the whole verification when it has ended.
        :raises PublicationError: the place of publication cannot be read.
        :raises StoreUnavailableError: the database gave up.
        """
        counted = Counted(report, Counter(progress.findings))
        part = verify_part(self.database, counted, self.trust, progress.checkpoints, CHECKPOINTS_OF_A_PART)
        if part is None:
            published = verify_published(self.database, progress.checkpoints, counted, self.trust)
            ended = progress.model_copy(update={"findings": dict(counted.counts)})
            return ended, ended.as_verification(published)
        further = Progress(
            began_at=progress.began_at,
            checkpoints=part.checkpoints,
            covered_position=part.covered_position,
            events=progress.events + part.events,
            streams=progress.streams + part.streams,
            statuses_checked=_sum(progress.statuses_checked, part.statuses_checked),
            findings=dict(counted.counts),
        )
        return further, None

    def keep(self, progress: Progress) -> None:
        """Go on from here after a restart.

        :raises StoreUnavailableError: the database gave up.
        """
        text = progress.model_dump_json()
        signature = self.signer.sign(text.encode("utf-8"))
        CheckpointTable(self.database).keep_full_verification(text, self.signer.key_id, signature)


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)
