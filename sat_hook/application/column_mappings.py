"""Saved mappings: which of our columns the titles of an upload are, kept by name for each account."""

from __future__ import annotations

from dataclasses import dataclass

from sat_hook.application.installation import names_of
from sat_hook.application.rights import Person, Right
from sat_hook.application.service import Service
from sat_hook.pipeline.draft import Draft
from sat_hook.pipeline.errors import OrderFileError
from sat_hook.pipeline.order_sheet import header_fingerprint
from sat_hook.presentation.spreadsheet_cells import first_control
from sat_hook.store.order_drafts import ColumnMapping, OrderDrafts

MAXIMUM_MAPPINGS = 200


@dataclass(frozen=True, slots=True)
class ColumnMappings(Service):
    """The mappings that people saved. Those of an account are for all who may submit."""

    def of_account(self, account: str, person: Person) -> list[ColumnMapping]:
        person.require(Right.SUBMIT)
        return self._store.mappings(self._account(account))

    def delete(self, account: str, name: str, person: Person) -> None:
        person.require(Right.SUBMIT)
        self._store.delete_mapping(self._account(account), name)

    def applied_to(self, draft: Draft) -> Draft:
        """The draft with the mapping that was saved last for its titles, if there is one."""
        saved = self._store.mapping_for(draft.account, header_fingerprint(draft.header))
        if saved is None:
            return draft
        try:
            return draft.with_columns(saved.columns).model_copy(update={"mapping": saved.name})
        except OrderFileError:
            # It was saved by a release that knew other columns.
            return draft

    def save(self, draft: Draft, name: str, person: Person) -> None:
        """Keep the columns of a draft for later uploads with the same titles.

        :raises OrderFileError: a title has no column, the name cannot be one, or there are too many.
        """
        columns = [column for column in draft.columns if column is not None]
        if len(columns) < len(draft.columns):
            raise OrderFileError("bad_mapping", "found a title without a column; expected one for each")
        if not 0 < len(name) <= self.installation.settings().maximum.cell_characters or first_control(name):
            raise OrderFileError("bad_mapping", "found a name that cannot be one; expected one line of text")
        saved = {one.name for one in self._store.mappings(draft.account)}
        if name not in saved and len(saved) >= MAXIMUM_MAPPINGS:
            raise OrderFileError(
                "too_many_mappings",
                f"found {len(saved)} mappings; expected fewer",
                most=MAXIMUM_MAPPINGS,
            )
        self._store.save_mapping(draft.account, name, header_fingerprint(draft.header), columns, person.name)

    @property
    def _store(self) -> OrderDrafts:
        return OrderDrafts(self.database)

    def _account(self, named: str) -> str:
        return names_of(self.installation.accounts, named).account
