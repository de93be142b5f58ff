"""Chooses the mapping that reads a settlement file: that of the folder, or one that people kept by name.

A kept mapping fits by the titles of its columns. When several fit and give different rows, none is chosen:
amounts could be read in two ways, and a person has to say which one is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sat_hook.domain.books import AccountBooks
from sat_hook.domain.settlement_mapping import SettlementMapping
from sat_hook.reconciliation.errors import SettlementRefusedError
from sat_hook.reconciliation.settlement import has_columns, read_settlement


def kept_mappings(books: AccountBooks) -> dict[str, SettlementMapping]:
    """The mappings that people kept, by name, the newest first."""
    return {name: books.mappings[name].event.mapping for name in reversed(list(books.mappings))}


@dataclass(frozen=True, slots=True)
class KnownMappings:
    """The mappings of an account.

    :param of_folder: the mapping that stands beside the files; None when there is none.
    :param kept: those kept by name, the newest first.
    """

    of_folder: SettlementMapping | None = None
    kept: Mapping[str, SettlementMapping] = field(default_factory=dict)

    def mapping_for(self, name: str, content: bytes) -> SettlementMapping:
        """The mapping of a file: that of the folder if it has the file's columns, else the kept one that has
        them, else that of the folder or the default one, which then says what is missing.

        :raises SettlementRefusedError: kept mappings read the file differently.
        """
        if self.of_folder is not None and has_columns(content, name, self.of_folder):
            return self.of_folder
        fitting = [known for known, mapping in self.kept.items() if has_columns(content, name, mapping)]
        if not fitting:
            return self.of_folder or SettlementMapping()
        newest, *others = fitting
        if not all(self._agree(name, content, newest, other) for other in others):
            raise SettlementRefusedError(
                f"{name}: found the kept mappings {', '.join(fitting)}, which read it differently; "
                "expected one: import the file in the console, or put the right mapping.json beside it"
            )
        return self.kept[newest]

    def _agree(self, name: str, content: bytes, one: str, other: str) -> bool:
        if self.kept[one] == self.kept[other]:
            return True
        first, second = (read_settlement(content, name, self.kept[known]) for known in (one, other))
        return first.frame.equals(second.frame)
