"""Verifications of the log: what was verified, when, up to where and by which keys; and starting one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sat_hook.application.rights import Person, Right
from sat_hook.application.runs import Run, Runs
from sat_hook.application.service import Service
from sat_hook.audit.checkpoints import last_checkpoint
from sat_hook.audit.full_verification import Progress, progress_of
from sat_hook.audit.log_verification import LastVerified, last_verified
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.alerts import AlertKind
from sat_hook.domain.checkpoint import CheckpointText
from sat_hook.domain.errors import UnknownEventError
from sat_hook.domain.identity import user_id_of
from sat_hook.domain.people import user_named
from sat_hook.domain.verifications import LogVerified
from sat_hook.store.alerts import AlertBook, ToldAlert
from sat_hook.store.checkpoints import CheckpointTable
from sat_hook.store.log_pages import LogPages, LogSlice

VERIFICATION_DAG = "audit_verification"
FULL_VERIFICATION_DAG = "audit_full_verification"
MAXIMUM_SHOWN = 30
ALERTS_ABOUT_THE_LOG = (
    AlertKind.LOG_FORKED,
    AlertKind.LOG_DAMAGED,
    AlertKind.LOG_UNPROVEN,
    AlertKind.LOG_PARTITIONS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRow:
    """A verification that was made.

    :param position: of its event.
    :param user: who started it; None for the nightly one.
    """

    position: int
    at: datetime
    user: str | None
    verified: LogVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCover:
    """How far the log goes, and how far checkpoints cover it.

    :param last_position: of the newest event; 0 in an empty log.
    :param checkpoint: the newest checkpoint, None before the first.
    """

    last_position: int
    checkpoint: CheckpointText | None
    key_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FullStanding:
    """The verification of everything.

    :param last: the last one that ended.
    :param under_way: how far the one that is under way has come; the signature is not verified here.
    """

    last: LastVerified | None
    under_way: Progress | None


@dataclass(frozen=True, slots=True)
class Verifications(Service):
    """Reads and starts verifications."""

    def recent(self, person: Person) -> tuple[VerificationRow, ...]:
        """The last verifications, the newest first."""
        person.require(Right.AUDIT)
        return tuple(self._recent())

    def cover(self, person: Person) -> LogCover:
        """How far the log goes now, and how far checkpoints cover it."""
        person.require(Right.AUDIT)
        database = self.database
        newest = LogPages(database).newest(LogSlice(), 1)
        checkpoint = last_checkpoint(CheckpointTable(database))
        return LogCover(
            last_position=newest[0].position if newest else 0,
            checkpoint=None if checkpoint is None else checkpoint.text,
            key_id=None if checkpoint is None else checkpoint.key_id,
        )

    def full(self, person: Person) -> FullStanding:
        """When everything was verified last, and how far the next verification of everything has come."""
        person.require(Right.AUDIT)
        last = last_verified(self.database, is_everything=True)
        return FullStanding(
            last=last, under_way=progress_of(self.database, None, None if last is None else last.began_at)
        )

    def alerts(self, person: Person) -> tuple[ToldAlert, ...]:
        """The newest alerts about the log itself."""
        person.require(Right.AUDIT)
        book = AlertBook(self.database)
        return tuple(book.of_kinds(ALERTS_ABOUT_THE_LOG, MAXIMUM_SHOWN))

    def start(self, person: Person, runs: Runs, *, everything: bool) -> str:
        """Start a run of the DAG that verifies; return the run's id. Once a minute and person.

        :raises RunsError: Airflow refuses, for example because the person may not start the DAG.
        """
        person.require(Right.AUDIT)
        minute = SystemClock().now().strftime("%Y%m%dT%H%M")
        run_id = f"verify_{minute}_{user_id_of(person.name)[1:9]}"
        runs.start(VERIFICATION_DAG, run_id, {"everything": everything}, note=f"console: {person.name}")
        return run_id

    def run(self, run_id: str, person: Person, runs: Runs) -> Run | None:
        """A run that was started; None when there is none.

        :raises RunsError: Airflow refuses.
        """
        person.require(Right.AUDIT)
        return runs.find(VERIFICATION_DAG, run_id)

    def _recent(self) -> Iterator[VerificationRow]:
        which = LogSlice(types=(LogVerified.__name__,))
        for recorded in LogPages(self.database).newest(which, MAXIMUM_SHOWN):
            try:
                event = recorded.event
            except UnknownEventError:
                continue
            assert isinstance(event, LogVerified)
            yield VerificationRow(
                position=recorded.position,
                at=recorded.recorded_at,
                user=user_named(recorded.provenance.actor),
                verified=event,
            )
