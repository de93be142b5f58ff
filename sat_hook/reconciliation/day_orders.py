"""The orders of a closed day as frames, one for each partition; those that are not in use are in files."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_hook.reconciliation.model import ORDER_COLUMNS

Arrays = Mapping[str, NDArray[Any]]


class OrderPart(Protocol):
    """The orders of one partition, without the number of their breaks."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> pd.Series:
        """One of :data:`~sat_hook.reconciliation.model.ORDER_COLUMNS`."""


@dataclass(frozen=True, slots=True, eq=False)
class PartInMemory:
    """A part that is a frame."""

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str) -> pd.Series:
        column: pd.Series = self.frame[name]
        return column


@dataclass(frozen=True, slots=True, eq=False)
class PartInFile:
    """A part in a file of :func:`arrays_of`, from which single columns are read."""

    path: Path
    orders: int

    def __len__(self) -> int:
        return self.orders

    def column(self, name: str) -> pd.Series:
        with np.load(self.path, allow_pickle=False) as arrays:
            return _column_of(name, arrays)


class OwnFolder:
    """A temporary folder that is deleted with its last user."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="sat-close-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True, slots=True, eq=False)
class DayOrders:
    """One row per order that was sent, ended, or in transit in the day, ordered by request id.

    :param breaks: how many breaks name an order, by request id.
    :param folder: has the files of the parts, and goes with the last user of these orders.
    """

    parts: Sequence[OrderPart]
    breaks: Mapping[str, int] = field(default_factory=dict)
    folder: OwnFolder | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame) -> DayOrders:
        """Those of a frame, which knows the number of breaks of each."""
        named = frame.loc[frame["breaks"] != 0, ["request_id", "breaks"]]
        return cls((PartInMemory(frame),), dict(zip(named["request_id"], named["breaks"], strict=True)))

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def frame(self) -> pd.DataFrame:
        """All of them: for days that fit in memory."""
        return pd.concat(list(self.frames()), ignore_index=True).astype(ORDER_COLUMNS)

    def frames(self) -> Iterator[pd.DataFrame]:
        """One partition after the other."""
        for place in range(len(self.parts)):
            yield pd.DataFrame({name: self._column(place, name) for name in ORDER_COLUMNS})

    def column(self, name: str) -> Iterator[pd.Series]:
        """A column, one partition after the other."""
        return (self._column(place, name) for place in range(len(self.parts)))

    def sum(self, name: str) -> int:
        """The sum of a column."""
        return sum(int(column.sum()) for column in self.column(name))

    def _column(self, place: int, name: str) -> pd.Series:
        part = self.parts[place]
        if name != "breaks":
            return part.column(name)
        if not self.breaks:
            return pd.Series(0, index=pd.RangeIndex(len(part)), dtype=ORDER_COLUMNS[name])
        counts = [self.breaks.get(key, 0) for key in part.column("request_id").tolist()]
        return pd.Series(counts, index=pd.RangeIndex(len(part)), dtype=ORDER_COLUMNS[name])


def arrays_of(frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return the columns of a part as arrays for a file, without the number of breaks."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, kind in ORDER_COLUMNS.items():
        column = frame[name]
        if kind == "str":
            texts = [text.encode("utf-8", "surrogatepass") for text in column.tolist()]
            arrays[f"{name}.text"] = np.frombuffer(b"".join(texts), dtype="uint8")
            arrays[f"{name}.lengths"] = np.fromiter(map(len, texts), "int32", len(texts))
        elif kind == "category":
            words = json.dumps(column.cat.categories.tolist()).encode()
            arrays[f"{name}.words"] = np.frombuffer(words, dtype="uint8")
            arrays[f"{name}.codes"] = column.cat.codes.to_numpy().astype("int32")
        elif kind.startswith("datetime64"):
            arrays[name] = column.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype("int64")
        elif name != "breaks":
            arrays[name] = column.to_numpy()
    return arrays


def _column_of(name: str, arrays: Arrays) -> pd.Series:
    kind = ORDER_COLUMNS[name]
    if kind == "str":
        text, ends = arrays[f"{name}.text"].tobytes(), np.cumsum(arrays[f"{name}.lengths"]).tolist()
        starts = [0, *ends[:-1]]
        if text.isascii():
            whole = text.decode("ascii")
            texts = [whole[start:end] for start, end in zip(starts, ends, strict=False)]
        else:
            pieces = (text[start:end] for start, end in zip(starts, ends, strict=False))
            texts = [piece.decode("utf-8", "surrogatepass") for piece in pieces]
        return pd.Series(texts, dtype="str")
    if kind == "category":
        words = json.loads(arrays[f"{name}.words"].tobytes())
        codes = arrays[f"{name}.codes"]
        return pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(words, dtype="str")))
    if kind.startswith("datetime64"):
        return pd.Series(arrays[name].astype("datetime64[us]")).dt.tz_localize("UTC")
    return pd.Series(arrays[name], dtype=kind)
