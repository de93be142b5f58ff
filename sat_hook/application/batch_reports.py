"""A batch's result file, its figures and its progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sat_hook.application.order_exports import record_export
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.account import ExportedContent, OrdersExported
from sat_hook.domain.batch import BatchState
from sat_hook.domain.identity import account_id_of
from sat_hook.domain.masking import masked_words
from sat_hook.pipeline.batch_summary import BatchSummary, summarise
from sat_hook.pipeline.funding import missing_for
from sat_hook.pipeline.progress import BatchProgress, in_short, in_words, progress_of
from sat_hook.pipeline.results import ResultFile, render_results
from sat_hook.store.as_of import as_of_now, as_of_position
from sat_hook.store.batch_lists import BatchLists
from sat_hook.store.event_store import StateCount
from sat_hook.store.funds import PostgresFunds


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFigures:
    """A batch in figures, now or as of a log position. Rupiah.

    :param reference: None for a batch without a name of its own.
    :param moved_on: orders that now belong to a later batch.
    :param for_people: orders that are held or escalated.
    :param pause_reason: why nothing is sent from its account; None while it is not paused.
    :param progress_in_words: one line with rate and estimated end; None in the past.
    :param progress_in_short: the same, without the states.
    """

    batch_id: str
    state: BatchState
    is_over: bool
    account: str
    file_name: str
    size_bytes: int
    reference: str | None
    rows: int
    orders: int
    set_aside: int
    moved_on: int
    quoted_rupiah: int | None
    paid_rupiah: int
    counts: Sequence[StateCount]
    ended: int
    unsent: int
    for_people: int
    needs_in_words: str
    refusal_code: str | None
    refusal_message: str | None
    results_uri: str | None
    results_position: int | None
    pause_reason: str | None
    progress_in_words: str | None
    progress_in_short: str | None


@dataclass(frozen=True, slots=True)
class BatchReports(Service):
    """Reads batches without changing them."""

    def results(self, batch_id: str, position: int | None, person: Person) -> ResultFile:
        """The result file as of a log position, or as of now without one. It holds no goods.

        That the person takes it is recorded first.

        :raises BatchNotFoundError: there was no such batch at that position.
        :raises UnsettledPositionError: the log is not settled up to there.
        :raises RightMissingError: the person may not see customers' numbers, which the file holds.
        """
        person.require(Right.VIEW_NUMBERS)
        store = self.store
        past = as_of_now(store) if position is None else as_of_position(store, position)
        file = render_results(past, self.installation.submissions(), batch_id)
        exported = OrdersExported(
            account=file.summary.batch.account,
            content=ExportedContent.RESULTS,
            batch_id=batch_id,
            criteria={} if position is None else {"position": str(position)},
            file_format="csv",
            rows=file.rows,
        )
        record_export(self.installation, exported, person)
        return file

    def progress(self, batch_id: str, person: Person) -> BatchProgress:
        """The batch's progress.

        :raises BatchNotFoundError: there is no such batch.
        """
        person.require(Right.VIEW)
        store = self.store
        return progress_of(store, BatchLists(store.database), SystemClock(), batch_id)

    def figures(self, batch_id: str, position: int | None, person: Person) -> BatchFigures:
        """The batch in figures as of a log position, or as of now without one.

        :raises BatchNotFoundError: there was no such batch at that position.
        :raises UnsettledPositionError: the log is not settled up to there.
        """
        if position is not None:
            person.require(Right.VIEW)
            return _figures(summarise(as_of_position(self.store, position), batch_id))
        progress = self.progress(batch_id, person)
        standing = self.store.load_account(account_id_of(progress.batch.account))
        paused = None if standing is None or not standing.is_paused else standing.pause_reason
        return _figures(progress, paused)

    def missing_rupiah(self, batch_id: str, person: Person) -> int | None:
        """How much the deposit lacks for the batch's orders without a reservation; None when not known.

        :raises BatchNotFoundError: there is no such batch.
        """
        person.require(Right.VIEW)
        store = self.store
        limits = self.installation.settings().funding
        return missing_for(PostgresFunds(store.database), store, batch_id, limits)


def _figures(summary: BatchSummary, pause_reason: str | None = None) -> BatchFigures:
    batch, progress = summary.batch, summary if isinstance(summary, BatchProgress) else None
    return BatchFigures(
        batch_id=batch.batch_id,
        state=batch.state,
        is_over=batch.state.is_final,
        account=batch.account,
        file_name=batch.file_name,
        size_bytes=batch.size_bytes,
        reference=None if batch.reference == batch.digest else batch.reference,
        rows=batch.rows,
        orders=batch.orders,
        set_aside=batch.set_aside,
        moved_on=summary.moved_on,
        quoted_rupiah=batch.total_rupiah,
        paid_rupiah=summary.charged_rupiah,
        counts=summary.counts,
        ended=summary.ended,
        unsent=summary.unsent,
        for_people=summary.for_people,
        needs_in_words=summary.needs_in_words,
        refusal_code=batch.refusal_code,
        refusal_message=masked_words(batch.refusal_message or "") or None,
        results_uri=batch.results_uri,
        results_position=batch.results_position,
        pause_reason=masked_words(pause_reason or "") or None,
        progress_in_words=None if progress is None else in_words(progress),
        progress_in_short=None if progress is None else in_short(progress),
    )
