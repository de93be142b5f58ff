"""Drafts of order files in the database: operational state, for one owner each. Rows are kept in parts."""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import connection as Connection

from sat_hook.domain.grouping import grouped
from sat_hook.store.statements import Statements

ROWS_OF_A_PART = 1_000


@dataclass(frozen=True, slots=True)
class StoredDraft:
    """A draft as stored.

    :param document: its state, as JSON.
    :param first_rows: the number of the first row of each part; empty in a list of drafts.
    :param checked_version: the version that was last checked; ``summary`` and ``lights`` are of that check.
    """

    draft_id: str
    version: int
    created_at: datetime
    changed_at: datetime
    document: dict[str, Any]
    first_rows: tuple[int, ...] = ()
    checked_version: int | None = None
    summary: dict[str, Any] | None = None
    lights: bytes = b""

    def parts_with(self, row_numbers: Iterable[int]) -> list[int]:
        """The parts that hold these rows, if they exist."""
        places = {bisect_right(self.first_rows, number) - 1 for number in row_numbers}
        return sorted(place for place in places if place >= 0)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """A saved mapping of titles: a column of ours for each."""

    name: str
    fingerprint: str
    columns: tuple[str, ...]
    saved_by: str
    saved_at: datetime


class OrderDrafts(Statements, room="drafts"):
    """The tables ``sat.order_drafts``, ``…_parts`` and ``…_mappings``."""

    def add(
        self,
        draft_id: str,
        owner: str,
        document: str,
        upload: bytes,
        rows: Sequence[tuple[int, Any]],
        most: int,
    ) -> StoredDraft | None:
        """Keep a draft with its upload and its rows; None when the owner has ``most`` already.

        :param rows: a row number and a JSON value each, in order.
        """
        parts = list(grouped(rows, ROWS_OF_A_PART))
        first_rows = [part[0][0] for part in parts]
        with self._database.transaction() as connection:
            added = self._sql.add_draft(
                connection,
                draft_id=draft_id,
                owner=owner,
                document=document,
                first_rows=first_rows,
                most=most,
            )
            if added is None:
                return None
            self._add_parts(connection, draft_id, "upload", [zlib.compress(upload, 1)])
            self._add_parts(connection, draft_id, "rows", map(_packed, parts))
        created_at, changed_at = added
        return StoredDraft(draft_id, 1, created_at, changed_at, json.loads(document), tuple(first_rows))

    def load(self, draft_id: str, owner: str) -> StoredDraft | None:
        """A draft of its owner; None for any other."""
        row = self._run(self._sql.load_draft, draft_id=draft_id, owner=owner)
        if row is None:
            return None
        version, created, changed, document, first_rows, checked, summary, lights = row
        return StoredDraft(
            draft_id,
            version,
            created,
            changed,
            document,
            tuple(first_rows),
            checked,
            summary,
            bytes(lights or b""),
        )

    def of_owner(self, owner: str) -> list[StoredDraft]:
        """The drafts of an owner, the last changed first, without their rows."""
        rows = self._run(self._sql.drafts_of, owner=owner)
        return [
            StoredDraft(*state, checked_version=checked, summary=summary)  # type: ignore[misc]
            for *state, checked, summary in rows
        ]

    def change(self, draft_id: str, owner: str, version: int, document: str) -> tuple[int, datetime] | None:
        """Store a new state of a draft; None when it is not at this version any more."""
        changed = self._run(
            self._sql.change_draft,
            draft_id=draft_id,
            owner=owner,
            version=version,
            document=document,
        )
        return None if changed is None else (changed[0], changed[1])

    def upload(self, draft_id: str) -> bytes:
        ((content,),) = self._run(self._sql.parts_of, draft_id=draft_id, kind="upload", parts=None)
        return zlib.decompress(bytes(content))

    def rows(self, draft_id: str, parts: Sequence[int] | None = None) -> list[tuple[int, Any]]:
        """The rows of some parts, or of all, in order."""
        return self._parts(draft_id, "rows", parts)

    def findings(self, draft_id: str, parts: Sequence[int] | None = None) -> list[tuple[int, Any]]:
        """The findings of the last check, in the parts of their rows."""
        return self._parts(draft_id, "findings", parts)

    def record_check(
        self,
        draft_id: str,
        version: int,
        summary: str,
        lights: bytes,
        findings: Iterable[Sequence[tuple[int, Any]]],
    ) -> bool:
        """Keep the outcome of a check; False when the draft has changed since.

        :param findings: for each part of rows, a row number and a JSON value each.
        """
        with self._database.transaction() as connection:
            kept = self._sql.record_check(
                connection, draft_id=draft_id, version=version, summary=summary, lights=lights
            )
            if kept is None:
                return False
            self._sql.delete_parts(connection, draft_id=draft_id, kind="findings")
            self._add_parts(connection, draft_id, "findings", map(_packed, findings))
        return True

    def discard(self, draft_id: str, owner: str) -> None:
        self._run(self._sql.delete_draft, draft_id=draft_id, owner=owner)

    def discard_old(self, before: datetime) -> None:
        """Delete the drafts of all owners that were last changed before a moment."""
        self._run(self._sql.delete_old_drafts, before=before)

    def save_mapping(
        self, account: str, name: str, fingerprint: str, columns: Sequence[str], saved_by: str
    ) -> None:
        self._run(
            self._sql.save_mapping,
            account=account,
            name=name,
            fingerprint=fingerprint,
            columns=list(columns),
            saved_by=saved_by,
        )

    def mappings(self, account: str) -> list[ColumnMapping]:
        """The mappings of an account, by name."""
        return [_mapping(row) for row in self._run(self._sql.mappings_of, account=account)]

    def mapping_for(self, account: str, fingerprint: str) -> ColumnMapping | None:
        """The last mapping that was saved for these titles."""
        row = self._run(self._sql.mapping_for, account=account, fingerprint=fingerprint)
        return None if row is None else _mapping(row)

    def delete_mapping(self, account: str, name: str) -> None:
        self._run(self._sql.delete_mapping, account=account, name=name)

    def _add_parts(self, connection: Connection, draft_id: str, kind: str, contents: Iterable[bytes]) -> None:
        packed = list(contents)
        self._sql.add_parts(
            connection, draft_id=draft_id, kind=kind, parts=list(range(len(packed))), contents=packed
        )

    def _parts(self, draft_id: str, kind: str, parts: Sequence[int] | None) -> list[tuple[int, Any]]:
        wanted = None if parts is None else list(parts)
        found = self._run(self._sql.parts_of, draft_id=draft_id, kind=kind, parts=wanted)
        return [(number, value) for (content,) in found for number, value in _unpacked(bytes(content))]


def _mapping(row: tuple[Any, ...]) -> ColumnMapping:
    name, fingerprint, columns, saved_by, saved_at = row
    return ColumnMapping(name, fingerprint, tuple(columns), saved_by, saved_at)


def _packed(rows: Sequence[tuple[int, Any]]) -> bytes:
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode("utf-8"), 1)


def _unpacked(content: bytes) -> list[tuple[int, Any]]:
    rows: list[tuple[int, Any]] = json.loads(zlib.decompress(content))
    return rows
