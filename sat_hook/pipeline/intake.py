"""Intake: turn the spooled bytes into orders, row by row, in runs that can be repeated.

A killed intake continues after the last recorded run. Row numbers identify the orders of an interrupted run
as this batch's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sat_hook.commands.handler import CommandHandler, OrderCommandRequest, OrderCommandResult, load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_commands import CloseIntake, RefuseBatch
from sat_hook.domain.batch_events import RowSetAside, RowsTakenIn, RowVerdict
from sat_hook.domain.decision import Record, RefusalReason
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.identity import digest_of, payload_digest, request_id_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.domain.order_commands import Receive
from sat_hook.domain.order_events import OrderReceived
from sat_hook.pipeline.batch_summary import needs_in_words
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.limits import FILE_LIMITS, BadRowsPolicy, FileLimits
from sat_hook.pipeline.order_file import FileRow, OrderFile, OrderRow, RowProblem
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.store.errors import SpoolError
from sat_hook.store.event_store import Need, in_order_of_rows
from sat_hook.store.spool import Spool, SpoolReader

ROWS_A_RUN = 500


@dataclass(frozen=True, slots=True)
class IntakeReport:
    """The result of the intake; ``was_done_before`` when an earlier run had already read everything."""

    batch: Batch
    was_done_before: bool


def take_in(
    handler: CommandHandler,
    spool: Spool,
    batch_id: str,
    provenance: Provenance,
    on_bad_rows: BadRowsPolicy = BadRowsPolicy.PROCEED,
    limits: FileLimits = FILE_LIMITS,
) -> IntakeReport:
    """Read the batch's spooled bytes into orders.

    A file that is not an order file ends the batch as refused, with the reason. The whole file is read once
    before the first order exists: an order keeps its id for life, so a file that breaks off in the middle
    must not leave half of its ids behind. Both passes read the bytes whose digest was checked, so a change
    of the spooled file in between changes no order.

    :raises SpoolError: when the bytes are gone or are not those that were submitted.
    """
    batch = load_batch(handler.store, batch_id)
    if batch.state is not BatchState.SUBMITTED:
        return IntakeReport(batch, was_done_before=True)
    content = submitted_bytes(spool, batch)
    try:
        rows = check_whole(OrderFile(content, batch.file_name, limits), on_bad_rows).rows
    except OrderFileError as error:
        refuse = RefuseBatch(error.code, str(error))
        batch, _ = handler.apply_to_batch(batch_id, refuse, provenance)
        return IntakeReport(batch, was_done_before=False)
    file = OrderFile(content, batch.file_name, limits)
    while not batch.state.is_final and (run := _next_run(file, batch)):
        batch = _take_in_run(handler, batch, file.file_name, run, provenance)
    # Withdrawn in the middle: also withdraw the orders of the last run.
    finish_withdrawal(handler, batch, provenance)
    # Every counted row must have an order or a reason; otherwise the batch does not go on.
    assert batch.state.is_final or batch.orders + batch.set_aside == rows
    batch, _ = handler.apply_to_batch(batch_id, CloseIntake(), provenance)
    return IntakeReport(batch, was_done_before=False)


@dataclass(frozen=True, slots=True)
class FileFindings:
    """The number of rows of a file, and of those that cannot become orders, by reason."""

    rows: int
    needs: tuple[Need, ...]


def each_row(file: OrderFile) -> Iterator[FileRow]:
    """Every row of the file; raises OrderFileError when the whole file is refused."""
    rows = 0
    for row in file.rows():
        rows += 1
        if rows > file.limits.rows:
            raise OrderFileError(
                "too_many_rows",
                f"{file.file_name}: found more than {file.limits.rows:,} rows; expected at most that many",
                most=file.limits.rows,
            )
        yield row
    if rows == 0:
        raise OrderFileError("empty", f"{file.file_name}: found a header and no rows; expected at least one")


def check_whole(file: OrderFile, on_bad_rows: BadRowsPolicy) -> FileFindings:
    """Read the file to its end; raises OrderFileError when the whole file is refused."""
    rows, refused, first = 0, Counter[str](), ""
    for row in each_row(file):
        rows += 1
        if isinstance(row.outcome, RowProblem):
            refused[row.outcome.code] += 1
            first = first or row.outcome.message(file.file_name, row.row_number)
    needs = in_order_of_rows(Need(RowVerdict.REFUSED.value, code, number) for code, number in refused.items())
    if needs and on_bad_rows is BadRowsPolicy.REFUSE:
        raise OrderFileError("bad_row", f"{needs_in_words(rows, needs)}; the first: {first}")
    return FileFindings(rows, needs)


def submitted_bytes(spool: SpoolReader, batch: Batch) -> bytes:
    """The spooled bytes, read once and checked against the digest that was submitted.

    :raises SpoolError: when they are gone or changed.
    """
    with spool.open(batch.spool_uri) as stream:
        # One byte more than was submitted is enough to know that it is another file.
        content = stream.read(batch.size_bytes + 1)
    digest = digest_of(content)
    if digest != batch.digest:
        raise SpoolError(
            f"{batch.spool_uri}: found bytes with digest {digest[:12]}…; expected {batch.digest[:12]}…"
        )
    return content


def _next_run(file: OrderFile, batch: Batch) -> list[FileRow]:
    fresh = (row for row in file.rows() if row.row_number > batch.last_row_read)
    return list(islice(fresh, ROWS_A_RUN))


def _take_in_run(
    handler: CommandHandler, batch: Batch, file_name: str, run: list[FileRow], provenance: Provenance
) -> Batch:
    commands: dict[str, tuple[FileRow, OrderReceived]] = {}
    repeats: list[tuple[str, FileRow, OrderReceived]] = []
    set_aside: list[RowSetAside] = []
    for row in run:
        if isinstance(row.outcome, RowProblem):
            set_aside.append(_refused(row, row.outcome.code, row.outcome.message(file_name, row.row_number)))
            continue
        request_id = request_id_of(batch.account, row.outcome.order_id)
        received = received_from(batch.account, batch.batch_id, row.row_number, row.outcome)
        if request_id in commands:
            repeats.append((request_id, row, received))
            continue
        commands[request_id] = (row, received)
    resolutions = handler.apply(
        (
            OrderCommandRequest(request_id, Receive(received))
            for request_id, (_, received) in commands.items()
        ),
        provenance,
    )
    for request_id, (row, received) in commands.items():
        verdict = _verdict(row, received, resolutions[request_id], file_name)
        if verdict is not None:
            set_aside.append(verdict)
    for request_id, row, received in repeats:
        # Which order the id stands for is known only now: the run's first row may have been refused.
        set_aside.append(_repeated(row, received, resolutions[request_id], file_name))
    set_aside.sort(key=lambda item: item.row_number)
    taken = RowsTakenIn(
        first_row=batch.last_row_read + 1,
        last_row=run[-1].row_number,
        orders=len(run) - len(set_aside),
        set_aside=tuple(set_aside),
    )
    after, refusal = handler.apply_to_batch(batch.batch_id, Record(taken), provenance)
    # Overtaken: another run of this task has recorded these rows. Continue from where it stands.
    assert refusal is None or after.last_row_read >= taken.last_row or after.state.is_final
    return after


def received_from(account: str, batch_id: str, row_number: int, row: OrderRow) -> OrderReceived:
    """The event of a row that becomes an order."""
    # Twice as fast as the constructor, with the same validation.
    return OrderReceived.model_validate(
        {
            **row._asdict(),
            "account": account,
            "batch_id": batch_id,
            "row_number": row_number,
            "payload_digest": payload_digest(
                row.product_code,
                row.client_number,
                row.amount_rupiah,
                row.max_rupiah,
                row.downline_id,
                row.fields,
            ),
        }
    )


def _repeated(
    row: FileRow, received: OrderReceived, resolution: OrderCommandResult, file_name: str
) -> RowSetAside:
    """Judge a second row of the same run with the same order id against the order that has the id."""
    order = resolution.after
    assert order is not None  # a Receive either makes the order or finds it
    if order.payload_digest == received.payload_digest:
        return _known(row, order, file_name)
    return _reused(row, order.batch_id, order.row_number, received.batch_id, file_name)


def _verdict(
    row: FileRow, received: OrderReceived, resolution: OrderCommandResult, file_name: str
) -> RowSetAside | None:
    order = resolution.after
    if resolution.refusal is None or order is None or _is_own(order, received):
        return None
    return set_aside_by(row, received, order, resolution.refusal.reason, file_name)


def set_aside_by(
    row: FileRow, received: OrderReceived, order: Order, reason: RefusalReason, file_name: str
) -> RowSetAside:
    """The verdict on a row whose order id another order has.

    :param reason: why that order did not take the row in.
    """
    if reason is RefusalReason.SAME_ORDER:
        return _known(row, order, file_name)
    return _reused(row, order.batch_id, order.row_number, received.batch_id, file_name)


def _is_own(order: Order, received: OrderReceived) -> bool:
    return (order.batch_id, order.row_number) == (received.batch_id, received.row_number)


def _refused(row: FileRow, code: str, message: str) -> RowSetAside:
    return RowSetAside(
        row_number=row.row_number,
        verdict=RowVerdict.REFUSED,
        code=code,
        message=message,
        order_id=row.order_id,
    )


def _known(row: FileRow, order: Order, file_name: str) -> RowSetAside:
    # An order that ended unpaid keeps its id for life.
    again = (
        f"; it is {order.state.value}: to pay it after all, give it a new order id"
        if _is_unpaid(order)
        else ""
    )
    return RowSetAside(
        row_number=row.row_number,
        verdict=RowVerdict.ALREADY_KNOWN,
        code="already_submitted",
        message=(
            f"{file_name} row {row.row_number}: order {row.order_id!r} was already submitted as row "
            f"{order.row_number} of batch {order.batch_id}; it is not paid again{again}"
        ),
        order_id=row.order_id,
        known_request_id=order.request_id,
        known_batch_id=order.batch_id,
    )


def _is_unpaid(order: Order) -> bool:
    return order.state in (OrderState.FAILED, OrderState.CANCELLED)


def _reused(row: FileRow, batch_id: str, known_row: int, own_batch_id: str, file_name: str) -> RowSetAside:
    where = "this file" if batch_id == own_batch_id else f"batch {batch_id}"
    return _refused(
        row,
        "order_id_reused",
        f"{file_name} row {row.row_number}: found order id {row.order_id!r}, which stands for another order "
        f"in row {known_row} of {where}; expected an order id of its own",
    )
