"""Rows of ``order_intake`` become a spooled file, and from there on a batch like any other."""

from __future__ import annotations

import csv
import io

from sat_hook.domain.batch_events import BatchSource
from sat_hook.domain.ports import Clock
from sat_hook.domain.recorded import Provenance
from sat_hook.pipeline.cells import MAXIMUM_SHOWN_CHARACTERS
from sat_hook.pipeline.limits import MAXIMUM_CELL_CHARACTERS, MAXIMUM_COLUMNS, MAXIMUM_ROWS
from sat_hook.pipeline.order_columns import INTAKE_ERROR, field_name_problem
from sat_hook.pipeline.order_problems import FIELD_PREFIX
from sat_hook.pipeline.spool import Spool
from sat_hook.pipeline.submission import Submission, submit
from sat_hook.pipeline.trouble import SubmissionRefusedError
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
    :raises SubmissionRefusedError: when their batch reference already names another batch, or they are too
        large together; the rows are released then.
    """
    rows = intake.claim(account, claim, MAXIMUM_ROWS)
    if not rows:
        return None
    try:
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
    except SubmissionRefusedError:
        intake.release(account, claim)
        raise


class _Quoted(csv.excel):
    """Every cell in quotes."""

    quoting = csv.QUOTE_ALL


def _as_csv(rows: list[IntakeRow]) -> bytes:
    """The rows as a file whose header can always be read: what a row does wrong becomes its own error."""
    names, errors = _field_names(rows)
    titles = [*COLUMNS, *(FIELD_PREFIX + name for name in names), *([INTAKE_ERROR] if errors else [])]
    out = io.StringIO(newline="")
    # A semicolon in a name must not be taken for the file's separator.
    dialect = _Quoted if any(";" in name for name in names) else csv.excel
    csv.writer(out, dialect).writerow(titles)
    writer = csv.writer(out, lineterminator="\r\n")
    for place, row in enumerate(rows):
        # A row of blanks would be skipped as a blank line; a row that somebody filled in gets its verdict.
        cells = [
            row.order_id or "?",
            row.product_code,
            row.client_number,
            row.amount_rupiah,
            row.max_rupiah,
            row.downline_id,
            *(row.fields.get(name, "") for name in names),
            *([errors.get(place, "")] if errors else []),
        ]
        # One character too many is enough for the row to be refused as too long.
        writer.writerow([cell[: MAXIMUM_CELL_CHARACTERS + 1] for cell in cells])
    return out.getvalue().encode("utf-8")


def _field_names(rows: list[IntakeRow]) -> tuple[list[str], dict[int, str]]:
    """The columns that the rows' fields need, and by the place of a row what is wrong with its names.

    Columns are given to the rows in their order; a row whose names do not fit any more is in error.
    """
    room = MAXIMUM_COLUMNS - len(COLUMNS) - 1
    names: set[str] = set()
    errors: dict[int, str] = {}
    for place, row in enumerate(rows):
        bad = next((name for name in row.fields if field_name_problem(name)), None)
        if bad is not None:
            errors[place] = ascii(bad[:MAXIMUM_SHOWN_CHARACTERS])
        elif len(names | row.fields.keys()) > room:
            errors[place] = f"{len(row.fields)} names"
        else:
            names |= row.fields.keys()
    return sorted(names), errors
