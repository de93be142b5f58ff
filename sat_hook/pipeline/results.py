"""Results: the submitter's rows, each with its verdict.

They are made from the log as of a position. The same position gives the same bytes at any later time, even
when the orders have changed since.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sat_hook.commands.handler import CommandHandler, load_batch
from sat_hook.domain.batch import Batch, BatchState
from sat_hook.domain.batch_events import (
    BatchCompleted,
    BatchResultsWritten,
    RowSetAside,
    RowsTakenIn,
    RowVerdict,
)
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance, StreamId, StreamKind
from sat_hook.domain.identity import digest_of
from sat_hook.domain.order import Order, OrderState
from sat_hook.pipeline.batch_summary import BatchSummary, summarise
from sat_hook.pipeline.order_columns import RESULT_COLUMNS
from sat_hook.pipeline.result_rows import CURRENT_FORM, GivenRows, LoggedRows, ResultForm, SubmittedRows
from sat_hook.pipeline.withdrawal import finish_withdrawal
from sat_hook.presentation.spreadsheet_csv import SpreadsheetWriter
from sat_hook.store.as_of import StateTally, StoreAsOf, as_of_now
from sat_hook.store.errors import SpoolFileGoneError
from sat_hook.store.event_store import BatchReader, OrderSlice, each_order
from sat_hook.store.spool import Spool, SpoolReader

VERDICTS: dict[OrderState, str] = {
    OrderState.RECEIVED: "not sent yet",
    OrderState.QUOTED: "not sent yet",
    OrderState.HELD: "held: waits for a person",
    OrderState.REJECTED: "not sent",
    OrderState.CANCELLED: "not sent",
    OrderState.SUBMITTING: "in flight",
    OrderState.PENDING: "in flight",
    OrderState.UNKNOWN: "unknown: may have been charged",
    OrderState.ESCALATED: "unknown: may have been charged",
    OrderState.SUCCEEDED: "paid",
    OrderState.FAILED: "failed",
    OrderState.REVERSED: "reversed: was paid, then failed",
}
MAXIMUM_STEM_BYTES = 100
_NOT_READ = ("not read yet", *("" for _ in RESULT_COLUMNS[1:]))


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A rendered result file: UTF-8 CSV with BOM.

    :param position: the log position that it was rendered at.
    :param summary: the batch's summary as of the same position.
    :param uri: where the file is stored, if it is.
    :param notice: a notice for people about how it was made, if any.
    """

    name: str
    content: bytes
    rows: int
    digest: str
    position: int
    summary: BatchSummary
    uri: str | None = None
    notice: str | None = None


def complete(handler: CommandHandler, batch_id: str, provenance: Provenance) -> BatchSummary:
    """Record the batch as completed when nothing is left to do; return its state.

    An interrupted withdrawal is finished first: other steps do not run for a refused batch.
    """
    finish_withdrawal(handler, load_batch(handler.store, batch_id), provenance)
    summary = summarise(handler.store, batch_id)
    if summary.is_complete and not summary.batch.state.is_final:
        completed = BatchCompleted(counts=summary.orders_by_state, charged_rupiah=summary.charged_rupiah)
        batch, _ = handler.apply_to_batch(batch_id, Record(completed), provenance)
        return replace(summary, batch=batch)
    return summary


def write_results(
    handler: CommandHandler, submitted: Spool, results: Spool, batch_id: str, provenance: Provenance
) -> ResultFile:
    """Render the result file, store it in ``results``, and record its place and log position.

    The same results are recorded once.
    """
    file = render_results(as_of_now(handler.store), submitted, batch_id)
    uri = results.write(f"results/{batch_id}/{file.name}", file.content)
    written = BatchResultsWritten(
        uri=uri,
        digest=file.digest,
        rows=file.rows,
        position=file.position,
        counts=file.summary.orders_by_state,
        charged_rupiah=file.summary.charged_rupiah,
    )
    handler.apply_to_batch(batch_id, Record(written), provenance)
    return replace(file, uri=uri)


def render_results(
    past: StoreAsOf, spool: SpoolReader, batch_id: str, form: ResultForm = CURRENT_FORM
) -> ResultFile:
    """The result file as of a log position: a function of the log up to there and the spooled bytes.

    When the spooled file is gone, the rows are those of the log, and the result's ``notice`` says so.

    :raises BatchNotFoundError: when there was no such batch then.
    :raises SpoolError: when the submitted bytes cannot be read or have changed.
    """
    batch = load_batch(past, batch_id)
    tally = StateTally()
    out = io.StringIO(newline="")
    rows = 0
    notice = None
    if batch.state is BatchState.REFUSED and batch.orders == 0:
        writer = SpreadsheetWriter(out, as_text=form.as_text)
        writer.row(("sat_verdict", "sat_reason", "sat_message"))
        writer.row(("not sent: the batch was refused", batch.refusal_code, batch.refusal_message))
        rows = 1
    else:
        aside = {item.row_number: item for item in rows_set_aside(past, batch_id)}
        given: GivenRows
        try:
            given = SubmittedRows(spool, batch, form)
        except SpoolFileGoneError:
            given = LoggedRows(past, batch, list(aside.values()))
        notice = given.notice
        writer = SpreadsheetWriter(out, given.delimiter, form.as_text)
        writer.row((*given.header, *RESULT_COLUMNS))
        for cells, verdict in _judged(past, batch, given, aside, tally):
            writer.row((*cells, *verdict))
            rows += 1
    content = out.getvalue().encode("utf-8-sig")
    # A file name may have 255 bytes, including the spool's draft name and the suffix.
    stem = batch.file_name.rsplit(".", 1)[0].encode("utf-8")[:MAXIMUM_STEM_BYTES].decode("utf-8", "ignore")
    summary = BatchSummary(batch, tuple(tally.counts))
    return ResultFile(
        f"{stem}.results.csv", content, rows, digest_of(content), past.position, summary, notice=notice
    )


def rows_set_aside(store: BatchReader, batch_id: str) -> Iterator[RowSetAside]:
    """Every row of the batch that became no order of it."""
    for recorded in store.read_stream(StreamId(StreamKind.BATCH, batch_id)):
        if recorded.type_name == RowsTakenIn.__name__:
            event = recorded.event
            assert isinstance(event, RowsTakenIn)
            yield from event.set_aside


def _judged(
    past: StoreAsOf, batch: Batch, given: GivenRows, aside: Mapping[int, RowSetAside], tally: StateTally
) -> Iterator[tuple[Sequence[str], tuple[str, ...]]]:
    known_ids = [item.known_request_id for item in aside.values() if item.known_request_id]
    known = past.load_orders(known_ids) if known_ids else {}
    orders = _counted(each_order(past, OrderSlice(batch.batch_id)), tally)
    order = next(orders, None)
    moved: dict[int, tuple[str, ...]] | None = None
    for number, cells in given.rows():
        while order is not None and order.row_number < number:
            order = next(orders, None)
        if order is not None and order.row_number == number:
            reason, detail = order.reason_code or "", order.reason_detail or ""
            yield cells, _of_order(VERDICTS[order.state], order, reason, detail)
        elif (item := aside.get(number)) is not None:
            yield cells, _of_row_set_aside(item, known.get(item.known_request_id or ""))
        elif batch.state is BatchState.REFUSED:
            yield cells, _of_unread(batch)
        else:
            if moved is None and batch.state is not BatchState.SUBMITTED:
                moved = dict(_rejected_here(past, batch.batch_id))
            yield cells, (moved or {}).get(number) or _NOT_READ


def _rejected_here(past: StoreAsOf, batch_id: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The verdicts of rows whose orders a later batch received again."""
    for order in past.moved_on(batch_id):
        for earlier in order.rejected_before:
            if earlier.batch_id == batch_id:
                again = f"submitted again as row {order.row_number} of batch {order.batch_id}"
                message = f"{earlier.reason_detail}; {again}"
                told = ("rejected", earlier.reason_code, message, order.request_id, "", "0", "")
                yield earlier.row_number, (VERDICTS[OrderState.REJECTED], *told)


def _counted(orders: Iterator[Order], tally: StateTally) -> Iterator[Order]:
    for order in orders:
        tally.add(order)
        yield order


def _of_order(verdict: str, order: Order, code: str, message: str) -> tuple[str, ...]:
    # Empty where SAT signed an invalid price: the charge is unknown.
    charged = order.charged_rupiah if order.state is OrderState.SUCCEEDED else None
    if order.state in (OrderState.FAILED, OrderState.REJECTED, OrderState.CANCELLED):
        charged = 0
    return (
        verdict,
        order.state.value,
        code,
        message,
        order.request_id,
        _number(order.quote_rupiah),
        _number(charged),
        order.fulfilled_at.isoformat() if order.fulfilled_at else "",
    )


def _of_unread(batch: Batch) -> tuple[str, ...]:
    """A row of a batch that was withdrawn before all of it was read."""
    return ("not sent", "", batch.refusal_code or "", batch.refusal_message or "", "", "", "0", "")


def _of_row_set_aside(item: RowSetAside, known: Order | None) -> tuple[str, ...]:
    if item.verdict is RowVerdict.ALREADY_KNOWN and known is not None:
        # Verdict and state are those of the row's order; the reason is the row's own.
        verdict = f"already submitted: {VERDICTS[known.state]}"
        return _of_order(verdict, known, item.code, item.message)
    return ("not sent", item.verdict.value, item.code, item.message, "", "", "0", "")


def _number(amount: int | None) -> str:
    return "" if amount is None else str(amount)
