"""Turn rows of ``order_intake`` into a spooled file, which then becomes a batch like any other.

A claimed row belongs to its run until a batch has read it. The rows of a run that ends without a batch are
freed: at once when it fails, within the hour when it was killed (:func:`free_lost_rows`). If such a run wakes
up later, its batch finds the orders already submitted, because an order id means one order for ever.
"""

from __future__ import annotations

from contextlib import suppress

from sat_hook.domain.alerts import Alert, AlertKind, alert_line
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.business_day import business_day
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import batch_id_of, digest_of
from sat_hook.domain.ports import Clock
from sat_hook.pipeline.alerting import Tell, no_alerts
from sat_hook.pipeline.errors import SubmissionRefusedError
from sat_hook.pipeline.limits import FILE_LIMITS, ClaimLimits, FileLimits
from sat_hook.pipeline.rows_as_file import rows_as_file
from sat_hook.pipeline.submission import Submission, submit
from sat_hook.store.errors import StoreUnavailableError
from sat_hook.store.event_store import EventStore
from sat_hook.store.order_intake import OrderIntake
from sat_hook.store.spool import Spool

MAXIMUM_CLAIMS_FREED = 100


def submit_claimed_rows(
    store: EventStore,
    intake: OrderIntake,
    spool: Spool,
    clock: Clock,
    *,
    account: str,
    claim: str,
    provenance: Provenance,
    tell: Tell = no_alerts,
    limits: FileLimits = FILE_LIMITS,
) -> Submission | None:
    """Claim the rows that wait for ``account`` and submit them as one batch; None when there are none.

    After any error the rows are free for the next run. Rows that are refused together do not stop other rows
    from being submitted.

    :param claim: a name that every try of the same run shares, for example the run's id.
    :param tell: raises an alert for rows that are refused.
    :raises SubmissionRefusedError: when their batch reference already names another batch, or they are too
        large together, and no other rows wait.
    :raises SpoolError: when they cannot be spooled.
    """
    if not (rows := intake.claimed(account, claim)):
        # A run has one batch: a run whose rows were freed continues with the batch that it submitted.
        known = store.load_batch(batch_id_of(account, _reference(None, claim)))
        if known is not None:
            return Submission(known.batch_id, known.digest, known.spool_uri, is_new=False)
        rows = intake.claim(account, claim, limits.rows)
    refused: dict[str, SubmissionRefusedError] = {}
    while rows:
        reference = rows[0].batch_reference or ""
        try:
            return submit(
                store,
                spool,
                clock,
                account=account,
                reference=_reference(reference, claim),
                source=BatchSource.ORDER_INTAKE,
                file_name="order_intake.csv",
                content=rows_as_file(rows, limits),
                provenance=provenance,
                limits=limits,
            )
        except SubmissionRefusedError as error:
            tell([_refused_rows(account, reference, len(rows), error, clock)])
            intake.release(account, claim)
            refused[reference] = error
        except BaseException:
            # When the database is away they stay claimed, and are freed like those of a killed run.
            with suppress(StoreUnavailableError):
                intake.release(account, claim)
            raise
        rows = intake.claim(account, claim, limits.rows, list(refused))
    if refused:
        raise next(iter(refused.values()))
    return None


def _refused_rows(
    account: str, reference: str, rows: int, error: SubmissionRefusedError, clock: Clock
) -> Alert:
    """The alert about rows that are refused together: one per business day (WIB) and reference."""
    day = business_day(clock.now())
    named = f"with batch reference {reference!r}" if reference else "without a batch reference"
    return Alert(
        key=f"intake_rows_refused/{account}/{day}/{digest_of(reference.encode())[:16]}",
        kind=AlertKind.INTAKE_ROWS_REFUSED,
        account=account,
        text=alert_line(f"{rows:,} rows of order_intake {named} wait until they are corrected: {error}"),
        occurred_at=clock.now(),
    )


def settle_rows(intake: OrderIntake, claim: str, batch: Batch) -> None:
    """Record that the batch read the claim's rows; free the rows that became no order."""
    if _has_read(batch):
        intake.settle(batch.account, claim, batch.batch_id)
    else:
        intake.release(batch.account, claim)


def free_lost_rows(
    store: EventStore,
    intake: OrderIntake,
    account: str,
    tell: Tell,
    claims: ClaimLimits,
    limits: FileLimits,
) -> list[Alert]:
    """Free rows of runs that ended without a batch: killed, without database, or without spooled file.

    :param tell: raises the alert before a claim is freed; afterwards no trace of the claim is left.
    :returns: an alert for each claim that was freed.
    :raises StoreUnavailableError: when the database is away.
    """
    alerts = []
    for claim in intake.claims_without_batch(account, claims.lease_seconds, MAXIMUM_CLAIMS_FREED):
        rows = intake.claimed(account, claim.claimed_by)
        if not rows:
            continue
        batch = store.load_batch(batch_id_of(account, _reference(rows[0].batch_reference, claim.claimed_by)))
        if batch is not None and batch.digest == digest_of(rows_as_file(rows, limits)) and _has_read(batch):
            intake.settle(account, claim.claimed_by, batch.batch_id)
            continue
        alert = Alert(
            key=f"intake_rows_freed/{account}/{claim.claimed_by}/{claim.claimed_at:%Y%m%dT%H%M%S%f}",
            kind=AlertKind.INTAKE_ROWS_FREED,
            account=account,
            text=alert_line(
                f"{len(rows):,} rows of order_intake were claimed at {claim.claimed_at:%F %R} UTC and no "
                f"batch took them in; they are free for the next run. Claimed by {claim.claimed_by}"
            ),
            occurred_at=claim.claimed_at,
        )
        tell([alert])
        intake.release(account, claim.claimed_by)
        alerts.append(alert)
    return alerts


def _reference(given: str | None, claim: str) -> str:
    return (given or f"order_intake {claim}").strip()


def _has_read(batch: Batch) -> bool:
    """Whether the batch has a verdict for every row."""
    is_refused_whole = batch.state is BatchState.REFUSED and not batch.orders
    return batch.state is not BatchState.SUBMITTED and not is_refused_whole
