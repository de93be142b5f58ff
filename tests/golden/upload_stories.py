"""Stories of uploads that people mended, and of batches that start later."""

from __future__ import annotations

from datetime import UTC, datetime

from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch_events import (
    BatchPaysAgain,
    BatchStartPlanned,
    CellChange,
    ColumnMeaning,
    OrderFileMended,
    Preparation,
)
from sat_hook.domain.identity import digest_of
from sat_hook.pipeline.file_submission import submit_file
from tests.golden.stories import MAKER, ONE, always, pay, prepare, send_and_finish, story
from tests.orders import ACCOUNT
from tests.pipeline import Line

WHEN = datetime(2026, 11, 30, 1, 30, tzinfo=UTC)


@story("An upload with a mended cell and a row left out, to be paid later")
def file_mended(line: Line) -> None:
    """What is paid is the mended file; the log says who changed what."""
    upload = ONE.replace("081200000001", "81200000001") + "INV-2,50k-simpti,081200000002\n"
    mended = OrderFileMended(
        upload_name="pesanan.xlsx",
        upload_format="xlsx",
        upload_digest=digest_of(upload.encode()),
        upload_bytes=len(upload),
        columns=(ColumnMeaning(title="Ponsel", column="client_number"),),
        cell_changes=(
            CellChange(
                row_number=2,
                place=3,
                column="client_number",
                cell_before="81200000001",
                cell_after="081200000001",
                changed_by="mia",
                changed_at=WHEN,
            ),
        ),
        left_out="3",
    )
    pay_file(line, "pesanan.xlsx", ONE, mended, BatchStartPlanned(starts_at=WHEN))


@story(
    "A batch that pays a failed order of an earlier batch again",
    faults=always("fails", times=1, code="S02", detail="Product is not available"),
)
def failed_order_paid_again(line: Line) -> None:
    """The new order has an id of its own; the new batch names the earlier one."""
    earlier = pay(line)
    again = ONE.replace("INV-1,", "INV-1-R1,")
    pay_file(line, "orders-again.csv", again, BatchPaysAgain(earlier_batch_id=earlier))


def pay_file(line: Line, name: str, content: str, *preparations: Preparation) -> None:
    """Submit a person's file with what was done to it before, and pay it."""
    submitted = submit_file(
        line.store,
        line.spool,
        SystemClock(),
        account=ACCOUNT,
        reference=None,
        file_name=name,
        content=content.encode(),
        provenance=MAKER,
        preparations=preparations,
    )
    batch_id = submitted.submission.batch_id
    prepare(line, batch_id)
    send_and_finish(line, batch_id)
