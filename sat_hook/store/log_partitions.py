"""The log's partitions: one for each month, made ahead (ADR 21)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sat_hook.store.statements import Statements

DEFAULT_PARTITION = "events_default"


class Partition(NamedTuple):
    """A partition of the log.

    :param is_current: whether new events go there.
    :param is_guarded: whether it has its triggers and its unique index.
    :param size_bytes: on disk, with its indexes.
    """

    name: str
    first_position: int | None
    last_position: int | None
    is_current: bool
    is_guarded: bool
    size_bytes: int
    first_recorded_at: datetime | None
    last_recorded_at: datetime | None

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, in one line; None when nothing is."""
        if not self.is_guarded:
            return (
                f"{self.name}: a trigger or the unique index of this partition is missing "
                "(make partitions with: sat db make-partitions)"
            )
        if self.name == DEFAULT_PARTITION and self.first_position is not None:
            return (
                f"{self.name}: events from position {self.first_position:,} on found no partition; nothing "
                "stopped and nothing is lost (does the DAG retention run?)"
            )
        return None


class MadeAhead(NamedTuple):
    """How many partitions were made, and whether a new month began."""

    made: int
    is_turned: bool


class LogPartitions(Statements, room="partitions"):
    """Makes and lists the log's partitions."""

    def make_ahead(self) -> MadeAhead:
        """Make the next two partitions, and let a new month begin the next one; as the role sat_writer.

        Appends and readers do not wait. Safe to repeat, and to run twice at once.
        """
        return MadeAhead(*self._run(self._sql.make_partitions_ahead)[0])

    def all(self) -> list[Partition]:
        """All partitions by name, the default one last."""
        return [Partition(*row) for row in self._run(self._sql.partitions)]

    def troubles(self) -> list[str]:
        """What is wrong with the partitions, a line for each."""
        partitions = self.all()
        troubles = [partition.trouble for partition in partitions if partition.trouble is not None]
        ranges = [partition for partition in partitions if partition.name != DEFAULT_PARTITION]
        if ranges[-1].is_current:
            troubles.append(f"{ranges[-1].name}: no partition follows this one (does the DAG retention run?)")
        return troubles
