"""The table of checkpoints, and the leaves that they are made over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import groupby, starmap
from typing import Any, NamedTuple

from sat_hook.domain.checkpoint import Checkpoint
from sat_hook.store.database import OneTransaction
from sat_hook.store.statements import Statements, queries, run, streamed

PAGE = 500

WithPrevious = tuple[Checkpoint, Checkpoint | None]
"""A stored checkpoint, and the stored one that it names as the one before it."""


class Leaf(NamedTuple):
    """What a checkpoint covers of one event."""

    position: int
    recorded_at: datetime
    digest: str


class CheckpointTable(Statements, room="checkpoints"):
    """Checkpoints as they are stored; any of them may be forged. A number may have several rows.

    Every method may raise StoreUnavailableError.
    """

    @contextmanager
    def locked(self) -> Iterator[CheckpointTable]:
        """For making checkpoints: one transaction of one process at a time, committed at the block's end."""
        with self._database.transaction() as connection:
            self._sql.lock_checkpoints(connection)
            yield CheckpointTable(OneTransaction(connection))

    def keep(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint, unless it is stored already."""
        self._run(self._sql.keep_checkpoint, **asdict(checkpoint))

    def newest_number(self) -> int:
        """The highest number; 0 when there is none."""
        return int(self._run(self._sql.newest_number))

    def newest_position(self) -> int:
        """The highest position of the log, settled or not; 0 when the log is empty."""
        return int(run(self._database, queries("events").newest_position))

    def full_verification(self) -> tuple[str, str, str] | None:
        """How far the verification of everything has come: text, id of the key, signature."""
        rows = self._run(self._sql.full_verification)
        return rows[0] if rows else None

    def keep_full_verification(self, progress: str, key_id: str, signature: str) -> None:
        self._run(self._sql.keep_full_verification, progress=progress, key_id=key_id, signature=signature)

    def covering(self, position: int) -> Checkpoint | None:
        """The checkpoint over a position, if there is one already."""
        rows = self._run(self._sql.covering_checkpoint, position=position)
        return Checkpoint(*rows[0]) if rows else None

    def at(self, number: int) -> list[Checkpoint]:
        """The rows of a number: one checkpoint, unless another row was inserted."""
        statement = self._sql.checkpoints_between
        rows = run(self._database, statement, first_number=number, last_number=number)
        return [Checkpoint(*row) for row in rows]

    def after(self, number: int) -> Iterator[tuple[int, list[Checkpoint]]]:
        """The numbers after a number with their rows, page by page."""
        while rows := self._run(self._sql.checkpoints_after, number=number, limit=PAGE):
            for number, of_number in groupby(rows, key=lambda row: int(row[0])):
                yield number, [Checkpoint(*row[1:]) for row in of_number]

    def newest(self) -> Iterator[WithPrevious]:
        """All rows from the highest number down, page by page."""
        statement, before = self._sql.newest_checkpoints, {"number": 2**63 - 1, "digest": ""}
        while rows := run(self._database, statement, **before, limit=PAGE):
            yield from _with_previous(rows)
            before = {"number": rows[-1][0], "digest": rows[-1][2]}

    def since(self, moment: datetime) -> list[WithPrevious]:
        """The rows that were added since then, by number."""
        return list(_with_previous(self._run(self._sql.checkpoints_since, since=moment)))

    def each(self, first_number: int, last_number: int) -> Iterator[Checkpoint]:
        """The rows of a range of numbers."""
        return self._each("checkpoints_between", first_number=first_number, last_number=last_number)

    def of_period(self, recorded_from: datetime, recorded_before: datetime) -> Iterator[Checkpoint]:
        """The rows that claim events recorded in a period, by number."""
        return self._each(
            "checkpoints_of_period", recorded_from=recorded_from, recorded_before=recorded_before
        )

    def leaves(
        self,
        first_position: int | None,
        last_position: int | None = None,
        *,
        limit: int | None = None,
        any_time: bool = False,
    ) -> Iterator[Leaf]:
        """What checkpoints cover of the events of a range, by position.

        :param any_time: see :func:`~sat_hook.store.statements.streamed`.
        """
        rows = self._streamed(
            "leaves",
            any_time=any_time,
            first_position=first_position,
            last_position=last_position,
            limit=limit,
        )
        return starmap(Leaf, rows)

    def _each(self, query: str, **arguments: Any) -> Iterator[Checkpoint]:
        return starmap(Checkpoint, self._streamed(query, **arguments))

    def _streamed(self, query: str, **arguments: Any) -> Iterator[Any]:
        with self._database.transaction() as connection:
            yield from streamed(connection, getattr(self._sql, query), **arguments)


def _with_previous(rows: Iterable[Sequence[Any]]) -> Iterator[WithPrevious]:
    for row in rows:
        yield Checkpoint(*row[1:5]), Checkpoint(*row[5:9]) if row[5] is not None else None
