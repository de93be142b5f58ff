"""Drafts: upload or paste rows, map their columns, mend them and look at them; and empty files to fill in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

from sat_hook.application.column_mappings import ColumnMappings
from sat_hook.application.draft_views import (
    DraftPage,
    DraftView,
    findings_of,
    page_of,
    places_of,
    sheet_row,
    state_of,
    view_of,
)
from sat_hook.application.errors import DraftChangedError, DraftNotFoundError, DraftRefusedError
from sat_hook.application.installation import Installation, names_of
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.domain.identity import digest_of, draft_id_of
from sat_hook.pipeline.draft import Draft, PaysAgain, bad_rows_csv, change_of, draft_of
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.order_sheet import OrderSheet, SheetRow
from sat_hook.pipeline.order_template import TemplateProduct, template_csv, template_workbook
from sat_hook.pipeline.row_findings import Light, RowFinding
from sat_hook.pipeline.sheet_reading import PASTED_NAME, read_pasted, read_sheet
from sat_hook.presentation.text_tables import TableFormat
from sat_hook.store.order_drafts import OrderDrafts, StoredDraft

MAXIMUM_DRAFTS = 20
KEPT_DAYS = 7
T = TypeVar("T")


class CellEdit(NamedTuple):
    """The new text of a cell: row number and column, as a spreadsheet counts."""

    row_number: int
    place: int
    text: str


def _in_english(finding: RowFinding) -> str:
    return finding.message


@dataclass(frozen=True, slots=True)
class Drafts(Service):
    """The drafts of a person, who needs the right to submit. Nobody sees another person's drafts.

    Methods that change a draft take the version that the person saw, and raise :class:`DraftChangedError`
    when it has changed since. Every method raises :class:`DraftNotFoundError` for a draft that the person
    does not have.
    """

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
        read = reading(lambda: read_sheet(content, file_name, limits, sheet_name))
        return self._keep(read, content, file_name, account, person, pays_again)

    def paste(
        self, text: str, account: str, person: Person, *, has_header: bool = True, name: str = PASTED_NAME
    ) -> DraftView:
        """Read rows that were copied from a spreadsheet into a draft.

        :param name: what the draft and its batch are called.
        :raises DraftRefusedError: they cannot be read, or the person has too many drafts.
        """
        limits = self.installation.settings().maximum
        read = reading(lambda: read_pasted(text, limits, has_header=has_header))
        return self._keep(read, text.encode("utf-8", "replace"), name, account, person)

    def all_of(self, person: Person) -> list[DraftView]:
        """The person's drafts, the last changed first."""
        person.require(Right.SUBMIT)
        return [view_of(stored) for stored in self._drafts.of_owner(person.name)]

    def find(self, draft_id: str, person: Person) -> DraftView:
        return view_of(self.load(draft_id, person))

    def discard(self, draft_id: str, person: Person) -> None:
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
                ColumnMappings(self.installation).save(changed, save_as.strip(), person)
            return changed

        return self.change(draft_id, version, person, mapped)

    def edit_cells(self, draft_id: str, version: int, edits: Sequence[CellEdit], person: Person) -> DraftView:
        """Change cells; each change is recorded with who made it and when.

        :raises DraftRefusedError: there is no such cell, or there are too many changes.
        """
        stored, limits = self.load(draft_id, person), self.installation.settings().maximum
        rows = self._rows_numbered(stored, {edit.row_number for edit in edits})
        now = self._now()

        def changed(draft: Draft) -> Draft:
            changes = []
            for row_number, place, text in edits:
                if row_number not in rows or not 0 < place <= limits.columns:
                    raise OrderFileError(
                        "no_such_cell",
                        f"row {row_number}, column {place}: found no such cell",
                        row=row_number,
                        column=place,
                    )
                if len(text) > limits.cell_characters:
                    raise OrderFileError(
                        "too_long",
                        f"row {row_number}, column {place}: found {len(text):,} characters; expected at most "
                        f"{limits.cell_characters}",
                        row=row_number,
                        column=place,
                        found=len(text),
                        most=limits.cell_characters,
                    )
                changes.append(change_of(rows[row_number], place, text, draft, person.name, now))
            return draft.with_changes([one for one in changes if one.cell_after != one.cell_before])

        return self.change(draft_id, version, person, changed)

    def set_aside(
        self, draft_id: str, version: int, which: Sequence[int] | Light, person: Person
    ) -> DraftView:
        """Leave rows out of the file: those named, or those that the last check gave a light."""
        numbers = self._numbers(draft_id, which, person)
        return self.change(draft_id, version, person, lambda draft: draft.without_rows(numbers))

    def restore(self, draft_id: str, version: int, row_numbers: Sequence[int], person: Person) -> DraftView:
        """Take rows into the file again."""
        return self.change(draft_id, version, person, lambda draft: draft.with_rows(row_numbers))

    def rows(
        self, draft_id: str, person: Person, light: str | None = None, after: int = 0, limit: int = 100
    ) -> DraftPage:
        """Some rows of a draft, with what the last check found.

        :param light: only rows of this light, or ``left_out``.
        :param after: the index to begin at, as the page before said.
        """
        return page_of(self._drafts, self.load(draft_id, person), light, after, limit)

    def rows_with(self, draft_id: str, code: str, person: Person) -> list[int]:
        """The numbers of the rows in which the last check found a reason, without those set aside."""
        stored = self.load(draft_id, person)
        left_out = state_of(stored).rows_left_out
        found = findings_of(self._drafts, stored)
        return [
            n for n, of_row in found.items() if n not in left_out and any(one.code == code for one in of_row)
        ]

    def bad_rows_file(
        self, draft_id: str, person: Person, said: Callable[[RowFinding], str] = _in_english
    ) -> bytes:
        """The rows that cannot be paid, and those set aside, as CSV with a column that says what to fix.

        :param said: what is wrong with a row and what to do, in the person's language.
        :raises DraftRefusedError: the draft was never checked.
        """
        stored = self.load(draft_id, person)
        if stored.summary is None:
            raise DraftRefusedError("not_checked", "the draft was never checked; check it first")
        draft = state_of(stored)
        red = set(places_of(stored.lights, draft.rows, Light.RED.value, 0, draft.rows))
        rows = self.all_rows(stored)
        chosen = [
            row for place, row in enumerate(rows) if place in red or row.row_number in draft.rows_left_out
        ]
        return bad_rows_csv(draft, chosen, findings_of(self._drafts, stored), said)

    def load(self, draft_id: str, person: Person) -> StoredDraft:
        """A draft of the person, as stored."""
        person.require(Right.SUBMIT)
        stored = self._drafts.load(draft_id, person.name)
        if stored is None:
            raise DraftNotFoundError(f"there is no draft {draft_id} of user {person.name!r}")
        return stored

    def change(
        self, draft_id: str, version: int, person: Person, change: Callable[[Draft], Draft]
    ) -> DraftView:
        """Change a draft that was not submitted.

        :raises DraftRefusedError: ``change`` raised an OrderFileError.
        """
        stored = self.load(draft_id, person)
        draft = state_of(stored)
        if draft.batch_id is not None:
            raise DraftChangedError(f"the draft was submitted as batch {draft.batch_id}")
        after = reading(lambda: change(draft))
        if after != draft or stored.version != version:
            document = after.model_dump_json()
            if self._drafts.change(draft_id, person.name, version, document) is None:
                raise DraftChangedError("the draft was changed in the meantime; look at it again")
        return self.find(draft_id, person)

    def all_rows(self, stored: StoredDraft) -> list[SheetRow]:
        """The rows of a draft, as uploaded."""
        return [sheet_row(number, row) for number, row in self._drafts.rows(stored.draft_id)]

    @property
    def _drafts(self) -> OrderDrafts:
        return OrderDrafts(self.database)

    def _now(self) -> datetime:
        return self.clock.now()

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
        draft = reading(
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
            draft = ColumnMappings(self.installation).applied_to(draft)
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
                most=MAXIMUM_DRAFTS,
            )
        return view_of(stored)

    def _numbers(self, draft_id: str, which: Sequence[int] | Light, person: Person) -> list[int]:
        stored = self.load(draft_id, person)
        if not isinstance(which, Light):
            return list(self._rows_numbered(stored, set(which)))
        rows = self._drafts.rows(draft_id)
        chosen = places_of(stored.lights, len(rows), which.value, 0, len(rows))
        return [rows[place][0] for place in chosen]

    def _rows_numbered(self, stored: StoredDraft, numbers: set[int]) -> dict[int, SheetRow]:
        rows = self._drafts.rows(stored.draft_id, stored.parts_with(numbers)) if numbers else []
        return {number: sheet_row(number, row) for number, row in rows if number in numbers}


def discard_old_drafts(drafts: OrderDrafts, now: datetime) -> None:
    """Delete the drafts of all people that nobody has changed for a while."""
    drafts.discard_old(now - timedelta(days=KEPT_DAYS))


def reading(read: Callable[[], T]) -> T:
    """:raises DraftRefusedError: for what is wrong with the upload or the mapping."""
    try:
        return read()
    except OrderFileError as error:
        raise DraftRefusedError(error.code, str(error), **error.facts) from None


def order_template(
    installation: Installation, file_format: TableFormat, person: Person, account: str | None = None
) -> bytes:
    """An empty order file.

    :param account: whose catalogue gives the products of a workbook; None leaves them out.
    :raises SATError: SAT's price list cannot be read.
    """
    person.require(Right.SUBMIT)
    if file_format is TableFormat.CSV:
        return template_csv()
    return template_workbook(() if account is None else _products(installation, account))


def _products(installation: Installation, account: str) -> list[TemplateProduct]:
    """The active products by code, with their prices; bills have none."""
    connection = names_of(installation.accounts, account).connection
    with closing(installation.accounts.connect(connection, installation.store().database)) as sat:
        listed = sat.list_product()
    return sorted(
        TemplateProduct(one.code, one.name, None if one.is_inquiry else one.price_rupiah)
        for one in listed
        if one.code and one.is_active and not one.unreadable
    )
