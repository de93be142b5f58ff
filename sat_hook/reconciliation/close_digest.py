"""The digest of a closed day, which people sign. Two digests are equal exactly when the results are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
from pydantic import BaseModel

from sat_hook.reconciliation.model import DayClose


def digest_of_close(close: DayClose) -> str:
    """Return the SHA-256 (hex) over everything in ``close``, including its orders.

    It depends only on values, not on how a release of pandas stores them.
    """
    digest = hashlib.sha256()
    rest = {field.name: getattr(close, field.name) for field in fields(close) if field.name != "orders"}
    text = json.dumps(rest, default=_plain, ensure_ascii=False, separators=(",", ":"))
    digest.update(text.encode("utf-8"))
    for name in close.orders.columns:
        digest.update(f"\x1e{name}\x1f".encode())
        _update(digest, close.orders[name])
    return digest.hexdigest()


def _update(digest: hashlib._Hash, column: pd.Series) -> None:
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        names = sorted(str(name) for name in used.cat.categories)
        digest.update("\x1f".join(names).encode("utf-8"))
        codes = used.cat.set_categories(names).cat.codes
        digest.update(codes.to_numpy().astype("<i4").tobytes())
    elif isinstance(column.dtype, pd.DatetimeTZDtype):
        moments = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        digest.update(moments.astype("<i8").tobytes())
    elif np.issubdtype(np.dtype(getattr(column.dtype, "type", object)), np.integer) or column.dtype == bool:
        digest.update(column.to_numpy().astype("<i8").tobytes())
    else:
        digest.update("\x1f".join(column.tolist()).encode("utf-8", "surrogatepass"))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
        # Members added later must not change the digest of a result without them.
        late = [field.name for field in fields(value) if field.metadata.get("absent_when_none")]
        return {name: member for name, member in members.items() if member is not None or name not in late}
    raise TypeError(type(value).__name__)
