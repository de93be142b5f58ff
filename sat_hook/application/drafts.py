"""Drafts: upload or paste rows, map their columns, mend them, check them, and submit what is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from sat_hook.application.batch_starts import BatchStarts, RunPolicies
from sat_hook.application.draft_views import (
    DraftPage,
    DraftView,
    by_parts,
    findings_of,
    page_of,
    places_of,
    sheet_row,
    state_of,
    summary_of,
    view_of,
)
from sat_hook.application.errors import DraftChangedError, DraftNotFoundError, DraftRefusedError
from sat_hook.application.installation import Installation, names_of
from sat_hook.application.person import Person
from sat_hook.application.rights import Right
from sat_hook.application.runs import Run, Runs
from sat_hook.application.submissions import OrderUpload, Submissions
from sat_hook.clients.clock import SystemClock
from sat_hook.domain.batch_events import BatchStartPlanned
from sat_hook.domain.identity import digest_of, draft_id_of
from sat_hook.pipeline.bad_rows import bad_rows_csv
from sat_hook.pipeline.draft import Draft, DraftOptions, PaysAgain, change_of, draft_of
from sat_hook.pipeline.file_submission import submit_file
from sat_hook.pipeline.gc_tuning import gc_for_bulk_work
from sat_hook.pipeline.limits import BadRowsPolicy
from sat_hook.pipeline.order_problems import OrderFileError
from sat_hook.pipeline.order_sheet import OrderSheet, SheetRow, header_fingerprint
from sat_hook.pipeline.row_findings import Light
from sat_hook.pipeline.sheet_reading import PASTED_NAME, read_pasted, read_sheet
from sat_hook.presentation.spreadsheet_cells import first_control
from sat_hook.store.clock import shared_clock
from sat_hook.store.order_drafts import ColumnMapping, OrderDrafts, StoredDraft

MAXIMUM_DRAFTS = 20
MAXIMUM_MAPPINGS = 200
KEPT_DAYS = 7
LONGEST_WAIT_DAYS = 30
T = TypeVar("T")


class CellEdit(NamedTuple):
    """The new text of a cell: row number and column, as a spreadsheet counts."""

    row_number: int
    place: int
    text: str


class SubmittedDraft(NamedTuple):
    """The batch that a draft became, and its run, which may begin later."""

    batch_id: str
    is_new: bool
    run: Run


@dataclass(frozen=True, slots=True)
class Drafts:
    """The drafts of a person, who needs the right to submit. Nobody sees another person's drafts.

    Methods that change a draft take the version that the person saw, and raise :class:`DraftChangedError`
    when it has changed since. Every method raises :class:`DraftNotFoundError` for a draft that the person
    does not have.
    """

    installation: Installation

    def create(
        self,
        content: bytes,
        file_name: str,
        account: str,
        person: Person,
        sheet_name: str | None = None,
        *,
        pays_again: PaysAgain | None = None,
    ) -> DraftView:
        """Read an uploaded file into a draft.

        :param pays_again: the batch whose failed orders are the rows.
        :raises DraftRefusedError: it cannot be read, or the person has too many drafts.
        """
        limits = self.installation.settings().maximum
        read = _reading(lambda: read_sheet(content, file_name, limits, sheet_name))
        return self._keep(read, content, file_name, account, person, pays_again)

    def paste(self, text: str, account: str, person: Person, *, has_header: bool = True) -> DraftView:
        """Read rows that were copied from a spreadsheet into a draft.

        :raises DraftRefusedError: they cannot be read, or the person has too many drafts.
        """
        limits = self.installation.settings().maximum
        read = _reading(lambda: read_pasted(text, limits, has_header=has_header))
        return self._keep(read, text.encode("utf-8", "replace"), PASTED_NAME, account, person)

    def all_of(self, person: Person) -> list[DraftView]:
        """The person's drafts, the last changed first."""
        person.require(Right.SUBMIT)
        return [view_of(stored) for stored in self._drafts.of_owner(person.name)]

    def find(self, draft_id: str, person: Person) -> DraftView:
        """One of the person's drafts."""
        return view_of(self._load(draft_id, person))

    def discard(self, draft_id: str, person: Person) -> None:
        """Delete a draft."""
        person.require(Right.SUBMIT)
        self._drafts.discard(draft_id, person.name)

    def map_columns(
        self,
        draft_id: str,
        version: int,
        columns: Sequence[str | None],
        person: Person,
        save_as: str | None = None,
    ) -> DraftView:
        """Say which of our columns each title is.

        :param save_as: keeps the mapping for the account's later uploads with the same titles.
        :raises DraftRefusedError: it is no column, or the name cannot be one.
        """
        limits = self.installation.settings().maximum

        def mapped(draft: Draft) -> Draft:
            changed = draft.with_columns(columns, limits)
            if save_as is not None:
                self._save_mapping(changed, save_as.strip(), person)
            return changed

        return self._change(draft_id, version, person, mapped)

    def edit_cells(self, draft_id: str, version: int, edits: Sequence[CellEdit], person: Person) -> DraftView:
        """Change cells; each change is recorded with who made it and when.

        :raises DraftRefusedError: there is no such cell, or there are too many changes.
        """
        stored, limits = self._load(draft_id, person), self.installation.settings().maximum
        rows = self._rows_numbered(stored, {edit.row_number for edit in edits})
        now = self._now()

        def changed(draft: Draft) -> Draft:
            changes = []
            for row_number, place, text in edits:
                if row_number not in rows or not 0 < place <= limits.columns:
                    raise OrderFileError(
                        "no_such_cell", f"row {row_number}, column {place}: found no such cell"
                    )
                if len(text) > limits.cell_characters:
                    raise OrderFileError(
                        "too_long",
                        f"row {row_number}, column {place}: found {len(text):,} characters; expected at most "
                        f"{limits.cell_characters}",
                    )
                changes.append(change_of(rows[row_number], place, text, draft, person.name, now))
            return draft.with_changes([one for one in changes if one.cell_after != one.cell_before])

        return self._change(draft_id, version, person, changed)

    def set_aside(
        self, draft_id: str, version: int, which: Sequence[int] | Light, person: Person
    ) -> DraftView:
        """Leave rows out of the file: those named, or those that the last check gave a light."""
        numbers = self._numbers(draft_id, which, person)
        return self._change(draft_id, version, person, lambda draft: draft.without_rows(numbers))

    def restore(self, draft_id: str, version: int, row_numbers: Sequence[int], person: Person) -> DraftView:
        """Take rows into the file again."""
        return self._change(draft_id, version, person, lambda draft: draft.with_rows(row_numbers))

    def set_options(self, draft_id: str, version: int, options: DraftOptions, person: Person) -> DraftView:
        """Set the reference, the policies and the start.

        :raises DraftRefusedError: the start is not ahead, or too far ahead.
        """
        self._check_start(options.start_at)
        return self._change(
            draft_id, version, person, lambda draft: draft.model_copy(update={"options": options})
        )

    def check(self, draft_id: str, person: Person) -> DraftView:
        """Check the draft as it is, and keep the outcome. Nothing else is recorded and no id is used.

        :raises SubmissionRefusedError: it cannot become a batch, for example while a title is not mapped.
        :raises SATError: SAT's price list or the deposit cannot be read.
        """
        with gc_for_bulk_work():
            self._check(draft_id, person)
        return self.find(draft_id, person)

    def rows(
        self, draft_id: str, person: Person, light: str | None = None, after: int = 0, limit: int = 100
    ) -> DraftPage:
        """Some rows of a draft, with what the last check found.

        :param light: only rows of this light, or ``left_out``.
        :param after: the index to begin at, as the page before said.
        """
        return page_of(self._drafts, self._load(draft_id, person), light, after, limit)

    def rows_with(self, draft_id: str, code: str, person: Person) -> list[int]:
        """The numbers of the rows in which the last check found a reason, without those set aside."""
        stored = self._load(draft_id, person)
        left_out = state_of(stored).rows_left_out
        found = findings_of(self._drafts, stored)
        return [
            n for n, of_row in found.items() if n not in left_out and any(one.code == code for one in of_row)
        ]

    def bad_rows_file(self, draft_id: str, person: Person) -> bytes:
        """The rows that cannot be paid, and those set aside, as CSV with a column that says what to fix.

        :raises DraftRefusedError: the draft was never checked.
        """
        stored = self._load(draft_id, person)
        if stored.summary is None:
            raise DraftRefusedError("not_checked", "the draft was never checked; check it first")
        draft = state_of(stored)
        red = set(places_of(stored.lights, draft.rows, Light.RED.value, 0, draft.rows))
        rows = self._all_rows(stored)
        chosen = [
            row for place, row in enumerate(rows) if place in red or row.row_number in draft.rows_left_out
        ]
        return bad_rows_csv(draft, chosen, findings_of(self._drafts, stored))

    def submit(self, draft_id: str, version: int, person: Person, runs: Runs) -> SubmittedDraft:
        """Submit the draft's file, and start its run now or at its time.

        A draft that was submitted before gives the same batch. A later start is cancelled with
        :meth:`~sat_hook.application.batch_starts.BatchStarts.cancel`.

        :raises SubmissionRefusedError: the file cannot become a batch.
        :raises AccountPausedError: the account is paused.
        :raises RunsError: Airflow refuses the run. The batch is submitted; submit again to start it.
        """
        stored = self._load(draft_id, person)
        draft = state_of(stored)
        if stored.version != version:
            raise DraftChangedError("the draft was changed in the meantime; look at it again")
        options = draft.options
        if draft.batch_id is None:
            self._check_start(options.start_at)
        content = self._content(stored, draft, self._all_rows(stored))
        preparations = [] if draft.is_the_upload else [draft.mended()]
        start = [] if options.start_at is None else [BatchStartPlanned(starts_at=options.start_at)]
        installation = self.installation
        store = installation.store()
        submitted = submit_file(
            store,
            installation.submissions(),
            shared_clock(store, SystemClock()),
            account=draft.account,
            reference=options.reference,
            file_name=draft.file_name,
            content=content,
            provenance=person.by("submit"),
            on_bad_rows=options.on_bad_rows,
            limits=installation.settings().maximum,
            preparations=(*preparations, *start),
        ).submission
        run = BatchStarts(installation).start(
            submitted.batch_id,
            person,
            runs,
            RunPolicies(options.on_bad_rows, options.on_short_funds),
            note=_note(draft, stored),
            at=options.start_at,
        )
        if draft.batch_id is None:
            done = draft.model_copy(update={"batch_id": submitted.batch_id})
            self._drafts.change(draft_id, person.name, version, done.model_dump_json())
        return SubmittedDraft(submitted.batch_id, submitted.is_new, run)

    def mappings(self, account: str, person: Person) -> list[ColumnMapping]:
        """The saved mappings of an account."""
        person.require(Right.SUBMIT)
        return self._drafts.mappings(self._account(account))

    def delete_mapping(self, account: str, name: str, person: Person) -> None:
        """Delete a saved mapping of an account."""
        person.require(Right.SUBMIT)
        self._drafts.delete_mapping(self._account(account), name)

    @property
    def _drafts(self) -> OrderDrafts:
        return OrderDrafts(self.installation.store().database)

    def _now(self) -> datetime:
        return shared_clock(self.installation.store(), SystemClock()).now()

    def _account(self, named: str) -> str:
        return names_of(self.installation.accounts, named).account

    def _keep(
        self,
        read: OrderSheet,
        content: bytes,
        file_name: str,
        account: str,
        person: Person,
        pays_again: PaysAgain | None = None,
    ) -> DraftView:
        person.require(Right.SUBMIT)
        if not read.rows:
            raise DraftRefusedError(
                "empty", f"{file_name}: found a header and no rows; expected at least one"
            )
        digest, now = digest_of(content), self._now()
        draft = _reading(
            lambda: draft_of(
                read,
                account=self._account(account),
                file_name=file_name,
                digest=digest,
                size_bytes=len(content),
                pays_again=pays_again,
            )
        )
        if draft.unknown_titles:
            draft = self._with_saved_mapping(draft)
        discard_old_drafts(self._drafts, now)
        stored = self._drafts.add(
            draft_id_of(person.name, digest, now.isoformat()),
            person.name,
            draft.model_dump_json(),
            content,
            [(row.row_number, [row.cells, row.kinds]) for row in read.rows],
            MAXIMUM_DRAFTS,
        )
        if stored is None:
            raise DraftRefusedError(
                "too_many_drafts",
                f"found {MAXIMUM_DRAFTS} drafts of yours; expected fewer - submit or delete one",
            )
        return view_of(stored)

    def _with_saved_mapping(self, draft: Draft) -> Draft:
        saved = self._drafts.mapping_for(draft.account, header_fingerprint(draft.header))
        if saved is None:
            return draft
        try:
            return draft.with_columns(saved.columns).model_copy(update={"mapping": saved.name})
        except OrderFileError:
            # It was saved by a release that knew other columns.
            return draft

    def _save_mapping(self, draft: Draft, name: str, person: Person) -> None:
        columns = [column for column in draft.columns if column is not None]
        if len(columns) < len(draft.columns):
            raise OrderFileError("bad_mapping", "found a title without a column; expected one for each")
        if not 0 < len(name) <= self.installation.settings().maximum.cell_characters or first_control(name):
            raise OrderFileError("bad_mapping", "found a name that cannot be one; expected one line of text")
        saved = {one.name for one in self._drafts.mappings(draft.account)}
        if name not in saved and len(saved) >= MAXIMUM_MAPPINGS:
            raise OrderFileError("too_many_mappings", f"found {len(saved)} mappings; expected fewer")
        self._drafts.save_mapping(draft.account, name, header_fingerprint(draft.header), columns, person.name)

    def _check_start(self, start_at: datetime | None) -> None:
        if start_at is None:
            return
        now = self._now()
        if not now < start_at <= now + timedelta(days=LONGEST_WAIT_DAYS):
            raise DraftRefusedError(
                "bad_start",
                f"found a start at {start_at:%F %R %Z}; expected one within {LONGEST_WAIT_DAYS} days",
            )

    def _load(self, draft_id: str, person: Person) -> StoredDraft:
        person.require(Right.SUBMIT)
        stored = self._drafts.load(draft_id, person.name)
        if stored is None:
            raise DraftNotFoundError(f"there is no draft {draft_id} of user {person.name!r}")
        return stored

    def _change(
        self, draft_id: str, version: int, person: Person, change: Callable[[Draft], Draft]
    ) -> DraftView:
        stored = self._load(draft_id, person)
        draft = state_of(stored)
        if draft.batch_id is not None:
            raise DraftChangedError(f"the draft was submitted as batch {draft.batch_id}")
        after = _reading(lambda: change(draft))
        if after != draft or stored.version != version:
            document = after.model_dump_json()
            if self._drafts.change(draft_id, person.name, version, document) is None:
                raise DraftChangedError("the draft was changed in the meantime; look at it again")
        return self.find(draft_id, person)

    def _check(self, draft_id: str, person: Person) -> None:
        stored = self._load(draft_id, person)
        draft = state_of(stored)
        rows = self._all_rows(stored)
        content = self._content(stored, draft, rows)
        upload = OrderUpload(
            draft.account, draft.file_name, draft.options.reference, BadRowsPolicy.PROCEED, content
        )
        _, found = Submissions(self.installation).check(upload, person)
        lights, findings = by_parts(rows, draft, found)
        summary = json.dumps(summary_of(found), default=str)
        if not self._drafts.record_check(draft_id, stored.version, summary, lights, findings):
            raise DraftChangedError("the draft was changed while it was checked; check it again")

    def _numbers(self, draft_id: str, which: Sequence[int] | Light, person: Person) -> list[int]:
        stored = self._load(draft_id, person)
        if not isinstance(which, Light):
            return list(self._rows_numbered(stored, set(which)))
        rows = self._drafts.rows(draft_id)
        chosen = places_of(stored.lights, len(rows), which.value, 0, len(rows))
        return [rows[place][0] for place in chosen]

    def _rows_numbered(self, stored: StoredDraft, numbers: set[int]) -> dict[int, SheetRow]:
        rows = self._drafts.rows(stored.draft_id, stored.parts_with(numbers)) if numbers else []
        return {number: sheet_row(number, row) for number, row in rows if number in numbers}

    def _all_rows(self, stored: StoredDraft) -> list[SheetRow]:
        return [sheet_row(number, row) for number, row in self._drafts.rows(stored.draft_id)]

    def _content(self, stored: StoredDraft, draft: Draft, rows: Sequence[SheetRow]) -> bytes:
        """The order file of a draft: the upload's own bytes while nothing was changed."""
        limits = self.installation.settings().maximum
        _reading(lambda: draft.checked_columns(limits))
        if draft.is_the_upload:
            return self._drafts.upload(stored.draft_id)
        return draft.order_file(rows, limits)


def discard_old_drafts(drafts: OrderDrafts, now: datetime) -> None:
    """Delete the drafts of all people that nobody has changed for a while."""
    drafts.discard_old(now - timedelta(days=KEPT_DAYS))


def _note(draft: Draft, stored: StoredDraft) -> str:
    """The note of a run: the file, and the rows that need a person."""
    needs = (stored.summary or {}).get("needs_in_words")
    return f"{draft.file_name}: {needs}" if needs else draft.file_name


def _reading(read: Callable[[], T]) -> T:
    """:raises DraftRefusedError: for what is wrong with the upload or the mapping."""
    try:
        return read()
    except OrderFileError as error:
        raise DraftRefusedError(error.code, str(error)) from None
