"""The demonstration's check: compares the result file, the expectations and SAT's ledger.

Pure. The result file is what the submitter gets; the ledger is what SAT charged. They are independent.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from stack.example_orders import Expectation

SUCCEEDED = "succeeded"
ALREADY_KNOWN = "already_known"
_NEVER_SENT = frozenset({"rejected", "cancelled", "refused"})


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One row of the result file. Rupiah; None where the file has no value."""

    order_id: str
    verdict: str
    state: str
    reason: str
    message: str
    request_id: str
    charged_rupiah: int | None

    @property
    def is_repeat(self) -> bool:
        """True when another row or an earlier batch had already submitted the order."""
        return self.verdict.startswith("already submitted")


def read_results(content: bytes) -> list[ResultRow]:
    """The rows of a result file (UTF-8 with BOM)."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [
        ResultRow(
            order_id=row["order_id"],
            verdict=row["sat_verdict"],
            state=row["sat_state"],
            reason=row["sat_reason"],
            message=row["sat_message"],
            request_id=row["sat_request_id"],
            charged_rupiah=int(row["sat_charged_rupiah"]) if row["sat_charged_rupiah"] else None,
        )
        for row in rows
    ]


def differences(
    results: Sequence[ResultRow], expectations: Sequence[Expectation], ledger: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """All differences, one line each; empty when everything agrees.

    :param ledger: the SAT server's view by request id (``requests`` of ``/_sandbox/ledger``).
    """
    found = []
    for row, expected in zip_longest(results, expectations):
        if row is None or expected is None:
            found.append(f"{len(results)} rows in the result file, {len(expectations)} expected")
            break
        found += _unexpected_end(row, expected)
        found += _disagreement_with_ledger(row, ledger.get(row.request_id))
    return found


def _unexpected_end(row: ResultRow, expected: Expectation) -> list[str]:
    name = expected.order_id or "(no order id)"
    if row.order_id != expected.order_id:
        return [f"{name}: the result file has {row.order_id or 'no order id'} in its place"]
    if expected.state == ALREADY_KNOWN:
        return [] if row.is_repeat else [f"{name}: {row.verdict}, expected to be known already"]
    if row.state != expected.state or row.is_repeat:
        reason = f" ({row.message or row.reason})" if row.message or row.reason else ""
        return [f"{name}: ended {row.verdict or row.state}{reason}, expected {expected.state}"]
    if expected.reason and row.reason != expected.reason:
        return [f"{name}: {row.state} because of {row.reason or 'nothing'}, expected {expected.reason}"]
    return []


def _disagreement_with_ledger(row: ResultRow, entry: Mapping[str, Any] | None) -> list[str]:
    if entry is None:
        return [f"{row.order_id}: succeeded, but SAT never heard of it"] if row.state == SUCCEEDED else []
    found = []
    if entry["charged"] > 1:
        found.append(f"{row.order_id}: SAT charged it {entry['charged']} times")
    kept_rupiah = row.charged_rupiah if row.state == SUCCEEDED else 0
    if row.state in _NEVER_SENT and entry["posted"]:
        found.append(f"{row.order_id}: {row.state}, but SAT received it")
    elif kept_rupiah != entry["net_rupiah"]:
        found.append(
            f"{row.order_id}: {row.state} for {kept_rupiah} rupiah, but SAT kept {entry['net_rupiah']}"
        )
    return found


def unaccounted(known: Collection[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Requests that SAT received during the run and that are not recorded orders.

    :param known: request ids of all recorded orders.
    :param before: the SAT server's ledger when the run began.
    :param after: the ledger when it had ended.
    """
    found = [
        f"SAT knows {request_id}, which is no recorded order"
        for request_id in after["requests"].keys() - before["requests"].keys() - set(known)
    ]
    if not after["deposit"]["conserved"]:
        found.append(f"SAT's own book does not add up: {after['deposit']['problem']}")
    return found
