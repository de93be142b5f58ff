"""A batch's result file and progress."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.application.installation import Installation
from sat_hook.application.person import Person
from sat_hook.application.rights import Right
from sat_hook.clients.clock import SystemClock
from sat_hook.pipeline.progress import BatchProgress, progress_of
from sat_hook.pipeline.results import ResultFile, render_results
from sat_hook.store.as_of import as_of_now, as_of_position
from sat_hook.store.progress import PostgresProgress


@dataclass(frozen=True, slots=True)
class BatchReports:
    """Reads batches without changing them."""

    installation: Installation

    def results(self, batch_id: str, position: int | None, person: Person) -> ResultFile:
        """The result file as of a log position, or as of now without one. It holds no goods.

        :raises BatchNotFoundError: there was no such batch at that position.
        :raises UnsettledPositionError: the log is not settled up to there.
        :raises RightMissingError: the person may not see customers' numbers, which the file holds.
        """
        person.require(Right.VIEW_NUMBERS)
        store = self.installation.store()
        past = as_of_now(store) if position is None else as_of_position(store, position)
        return render_results(past, self.installation.submissions(), batch_id)

    def progress(self, batch_id: str, person: Person) -> BatchProgress:
        """The batch's progress.

        :raises BatchNotFoundError: there is no such batch.
        :raises RightMissingError: the person may not view batches.
        """
        person.require(Right.VIEW)
        store = self.installation.store()
        return progress_of(store, PostgresProgress(store.database), SystemClock(), batch_id)
