"""Keeps settlement files in memory while a day is closed. Those near the day are read before the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

from sat_hook.domain.books import AccountBooks, PostedSettlement
from sat_hook.domain.partitions import WHOLE, Partition
from sat_hook.domain.settlement_mapping import RowKind
from sat_hook.reconciliation.errors import SettlementLostError, SettlementRefusedError
from sat_hook.reconciliation.settlement import Keep, load_settlement
from sat_hook.reconciliation.settlement_rows import SettlementRows
from sat_hook.store.errors import SpoolError


class SettlementCache:
    """The files of one computation, or their rows of one partition."""

    def __init__(self, keep: Keep, partition: Partition = WHOLE) -> None:
        self._keep = keep
        self._partition = partition
        self._rows: dict[int, SettlementRows] = {}
        self._refunds: dict[int, SettlementRows] = {}

    def put(self, files: Iterable[PostedSettlement]) -> None:
        """Read files that are certainly needed.

        :raises SettlementLostError: a file can no longer be read.
        """
        for posted in files:
            self.rows(posted)

    def rows(self, posted: PostedSettlement) -> SettlementRows:
        """Return the rows of a file, read once.

        :raises SettlementLostError: it can no longer be read.
        """
        # The same bytes may have been read by two mappings.
        place = posted.posted.position
        if place not in self._rows:
            self._rows[place] = self.passing(posted)
        return self._rows[place]

    def refunds(self, posted: PostedSettlement) -> SettlementRows:
        """Return the refunds of a file, read once. Its other rows are not kept in memory.

        :raises SettlementLostError: it can no longer be read.
        """
        place = posted.posted.position
        if place not in self._refunds:
            table = self.passing(posted)
            frame = table.frame[table.frame["kind"] == RowKind.REFUND.value].reset_index(drop=True)
            self._refunds[place] = replace(table, frame=frame, samples={})
        return self._refunds[place]

    def passing(self, posted: PostedSettlement) -> SettlementRows:
        """Return the rows of a file without keeping it in memory.

        :raises SettlementLostError: it can no longer be read.
        """
        if posted.posted.position in self._rows:
            return self._rows[posted.posted.position]
        try:
            return load_settlement(self._keep, posted.event, self._partition)
        except (SettlementRefusedError, SpoolError) as error:
            raise SettlementLostError(posted.event, str(error)) from error


def files_near(books: AccountBooks, day: date) -> list[PostedSettlement]:
    """Return the files that every close of a day reads: its own, its neighbours', and late ones."""
    late = [
        certified
        for certified, certificate in books.certified.items()
        if any(
            posted.posted.position > books.told_up_to(certificate)
            for posted in books.settlements_of(certified)
        )
    ]
    days = dict.fromkeys((day, day - timedelta(days=1), day + timedelta(days=1), *late))
    return [posted for one in days for posted in books.settlements_of(one)]
