"""Checks and submits drafts: a draft's rows become an order file, and that a batch with a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sat_hook.application.batch_starts import BatchStarts, RunPolicies
from sat_hook.application.draft_views import DraftView, by_parts, state_of, summary_of
from sat_hook.application.drafts import Drafts, reading
from sat_hook.application.errors import DraftChangedError, DraftRefusedError
from sat_hook.application.rights import Person
from sat_hook.application.runs import Run, Runs
from sat_hook.application.service import Service
from sat_hook.application.submissions import OrderUpload, Submissions
from sat_hook.domain.batch_events import BatchPaysAgain, BatchStartPlanned, Preparation
from sat_hook.pipeline.draft import Draft, DraftOptions
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.pipeline.order_sheet import SheetRow
from sat_hook.store.order_drafts import OrderDrafts, StoredDraft

LONGEST_WAIT_DAYS = 30


class SubmittedDraft(NamedTuple):
    """The batch that a draft became, and its run, which may begin later."""

    batch_id: str
    is_new: bool
    run: Run


@dataclass(frozen=True, slots=True)
class DraftSubmissions(Service):
    """Says how drafts are paid, checks them and submits them.

    The person needs the right to submit. Every method raises
    :class:`~sat_hook.application.errors.DraftNotFoundError` for a draft that the person does not have.
    """

    def set_options(self, draft_id: str, version: int, options: DraftOptions, person: Person) -> DraftView:
        """Set the reference, the policies and the start.

        :raises DraftRefusedError: the start is not ahead, or too far ahead.
        """
        self._check_start(options.start_at)
        return self._mine.change(
            draft_id, version, person, lambda draft: draft.model_copy(update={"options": options})
        )

    def check(self, draft_id: str, person: Person) -> DraftView:
        """Check the draft as it is, and keep the outcome. Nothing else is recorded and no id is used.

        :raises SubmissionRefusedError: it cannot become a batch, for example while a title is not mapped.
        :raises SATError: SAT's price list or the deposit cannot be read.
        """
        with gc_for_bulk_work():
            self._check(draft_id, person)
        return self._mine.find(draft_id, person)

    def submit(self, draft_id: str, version: int, person: Person, runs: Runs) -> SubmittedDraft:
        """Submit the draft's file, and start its run now or at its time.

        A draft that was submitted before gives the same batch. A later start is cancelled with
        :meth:`~sat_hook.application.batch_starts.BatchStarts.cancel`.

        :raises SubmissionRefusedError: the file cannot become a batch.
        :raises AccountPausedError: the account is paused.
        :raises RunsError: Airflow refuses the run. The batch is submitted; submit again to start it.
        """
        stored = self._mine.load(draft_id, person)
        draft = state_of(stored)
        if stored.version != version:
            raise DraftChangedError("the draft was changed in the meantime; look at it again")
        options = draft.options
        if draft.batch_id is None:
            self._check_start(options.start_at)
        content = self._content(stored, draft, self._mine.all_rows(stored))
        preparations: list[Preparation] = [] if draft.is_the_upload else [draft.mended()]
        if options.start_at is not None:
            preparations.append(BatchStartPlanned(starts_at=options.start_at))
        if draft.pays_again is not None:
            preparations.append(BatchPaysAgain(earlier_batch_id=draft.pays_again.batch_id))
        upload = OrderUpload(draft.account, draft.file_name, options.reference, options.on_bad_rows, content)
        _, found = Submissions(self.installation).submit(upload, person, tuple(preparations))
        submitted = found.submission
        begun = BatchStarts(self.installation).start(
            submitted.batch_id,
            person,
            runs,
            RunPolicies(options.on_bad_rows, options.on_short_funds).asked(),
            note=(stored.summary or {}).get("needs_in_words") or "",
            at=options.start_at,
        )
        if draft.batch_id is None:
            done = draft.model_copy(update={"batch_id": submitted.batch_id})
            self._store.change(draft_id, person.name, version, done.model_dump_json())
        return SubmittedDraft(submitted.batch_id, submitted.is_new, begun.run)

    @property
    def _mine(self) -> Drafts:
        return Drafts(self.installation)

    @property
    def _store(self) -> OrderDrafts:
        return OrderDrafts(self.database)

    def _check_start(self, start_at: datetime | None) -> None:
        if start_at is None:
            return
        now = self.clock.now()
        if not now < start_at <= now + timedelta(days=LONGEST_WAIT_DAYS):
            raise DraftRefusedError(
                "bad_start",
                f"found a start at {start_at:%F %R %Z}; expected one within {LONGEST_WAIT_DAYS} days",
                days=LONGEST_WAIT_DAYS,
            )

    def _check(self, draft_id: str, person: Person) -> None:
        stored = self._mine.load(draft_id, person)
        draft = state_of(stored)
        rows = self._mine.all_rows(stored)
        content = self._content(stored, draft, rows)
        upload = OrderUpload(
            draft.account, draft.file_name, draft.options.reference, BadRowsPolicy.PROCEED, content
        )
        _, found = Submissions(self.installation).check(upload, person)
        lights, findings = by_parts(rows, draft, found)
        summary = json.dumps(summary_of(found), default=str)
        if not self._store.record_check(draft_id, stored.version, summary, lights, findings):
            raise DraftChangedError("the draft was changed while it was checked; check it again")

    def _content(self, stored: StoredDraft, draft: Draft, rows: Sequence[SheetRow]) -> bytes:
        """The order file of a draft: the upload's own bytes while nothing was changed."""
        limits = self.installation.settings().maximum
        reading(lambda: draft.checked_columns(limits))
        if draft.is_the_upload:
            return self._store.upload(stored.draft_id)
        return draft.order_file(rows, limits)
