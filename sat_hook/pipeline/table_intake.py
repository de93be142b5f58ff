"""Rows of ``order_intake`` become a spooled file, and from there on a batch like any other."""

from __future__ import annotations

import csv
import io

from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.ports import Clock
from sat_hook.domain.recorded import Provenance
from sat_hook.pipeline.limits import MAXIMUM_ROWS
from sat_hook.pipeline.order_file import FIELD_PREFIX
from sat_hook.pipeline.spool import Spool
from sat_hook.pipeline.submission import Submission, submit
from sat_hook.store.event_store import EventStore
from sat_hook.store.order_intake import IntakeRow, OrderIntake

COLUMNS = ("order_id", "product_code", "client_number", "amount_rupiah", "max_rupiah", "downline_id")


def submit_claimed_rows(
    store: EventStore,
    intake: OrderIntake,
    spool: Spool,
    clock: Clock,
    *,
    account: str,
    claim: str,
    provenance: Provenance,
) -> Submission | None:
    """Claim the rows that wait for ``account`` and submit them as one batch; None when there are none.

    :param claim: a name that every try of the same run shares, such as the run's id.
    :raises SubmissionRefusedError: when their batch reference already names another batch.
    """
    rows = intake.claim(account, claim, MAXIMUM_ROWS)
    if not rows:
        return None
    return submit(
        store,
        spool,
        clock,
        account=account,
        reference=rows[0].batch_reference or f"order_intake {claim}",
        source=BatchSource.ORDER_INTAKE,
        file_name="order_intake.csv",
        content=_as_csv(rows),
        provenance=provenance,
    )


def _as_csv(rows: list[IntakeRow]) -> bytes:
    names = sorted({name for row in rows for name in row.fields})
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow((*COLUMNS, *(FIELD_PREFIX + name for name in names)))
    for row in rows:
        # A row of blanks would be skipped as a blank line; a row that somebody filled in gets its verdict.
        cells = (
            row.order_id or "?",
            row.product_code,
            row.client_number,
            row.amount_rupiah,
            row.max_rupiah,
            row.downline_id,
        )
        writer.writerow((*cells, *(row.fields.get(name, "") for name in names)))
    return out.getvalue().encode("utf-8")
