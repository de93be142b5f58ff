"""Keeps the closes of partitions as files, so that tasks can compute them, and a close can read them.

A file is named after all that decides what is in it, and the same partition always gives the same contents.
So a task that is repeated, or that runs twice at once, replaces a file with an equal one.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from sat_hook.domain.business_day import BusinessDay
from sat_hook.domain.partitions import Partition
from sat_hook.reconciliation.day_orders import PartInFile, arrays_of
from sat_hook.reconciliation.partition_close import PartitionClose
from sat_hook.store.errors import SpoolError
from sat_hook.store.spool import NamedSpool

FORMAT = 1
"""Changes with the members of a file. Files of another format are not read."""
_CLOSE, _ORDERS = "close", "orders"
_STORED = TypeAdapter(PartitionClose)


@dataclass(frozen=True, slots=True)
class KeptPartitions:
    """The partitions of one close of a day.

    :param position: of the log, up to which they are computed.
    """

    spool: NamedSpool
    account: str
    day: BusinessDay
    position: int

    def keep(self, partition: Partition, close: PartitionClose, orders: pd.DataFrame) -> str:
        """Keep the close of a partition; return its URI."""
        content = np.frombuffer(_STORED.dump_json(close), dtype="uint8")
        arrays: dict[str, Any] = {_CLOSE: content, _ORDERS: np.array([len(orders)]), **arrays_of(orders)}
        file = io.BytesIO()
        np.savez(file, **arrays)
        return self.spool.write(self._name(partition), file.getvalue())

    def load(self, partition: Partition, folder: Path) -> tuple[PartitionClose, PartInFile] | None:
        """Read what is kept of a partition; None when there is nothing that can be read.

        :param folder: gets a copy of the file, of which single columns are read later.
        """
        path = folder / f"{partition.number}.npz"
        try:
            with self.spool.open(self.spool.uri_of(self._name(partition))) as kept, path.open("wb") as file:
                shutil.copyfileobj(kept, file)
            with np.load(path, allow_pickle=False) as arrays:
                close = _STORED.validate_json(arrays[_CLOSE].tobytes())
                return close, PartInFile(path, int(arrays[_ORDERS][0]))
        except (SpoolError, OSError, ValueError, KeyError, ValidationError):
            return None

    def remove(self, count: int) -> None:
        """Remove what is kept of so many partitions, when the report of the close is written."""
        for partition in Partition.all_of(count):
            self.spool.remove(self._name(partition))

    def _name(self, partition: Partition) -> str:
        cut_offs = f"{self.day.cut_off_minutes}_{self.day.opens_minutes}"
        return (
            f"reconciliation/{self.account}/{self.day.day}/{self.position}/partitions/"
            f"{cut_offs}-{FORMAT}-{partition.number}-of-{partition.count}.npz"
        )
