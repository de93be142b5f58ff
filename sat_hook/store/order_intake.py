"""The table ``order_intake``: people fill in rows, and one run at a time claims them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sat_hook.store.statements import Statements


@dataclass(frozen=True, slots=True)
class IntakeRow:
    """One row as entered: all text, not validated yet."""

    batch_reference: str | None
    order_id: str
    product_code: str
    client_number: str
    amount_rupiah: str
    max_rupiah: str
    downline_id: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that a run claimed, and when."""

    claimed_by: str
    claimed_at: datetime


class OrderIntake(Statements, room="intake"):
    """Claims and reads rows of ``sat.order_intake``."""

    def claim(
        self, account: str, claimed_by: str, limit: int, passed_over: Sequence[str] = ()
    ) -> list[IntakeRow]:
        """The rows of this claim. Claims unclaimed rows first if the claim has none yet.

        A claim with rows never takes more, so a run gets the same rows at every try.

        :param passed_over: batch references whose rows are not claimed; ``""`` for rows without one.
        """
        with self._database.transaction() as connection:
            rows = list(self._sql.claimed_rows(connection, account=account, claimed_by=claimed_by))
            if not rows:
                self._sql.claim_rows(
                    connection,
                    account=account,
                    claimed_by=claimed_by,
                    limit=limit,
                    passed_over=list(passed_over),
                )
                rows = list(self._sql.claimed_rows(connection, account=account, claimed_by=claimed_by))
        return _intake_rows(rows)

    def claimed(self, account: str, claimed_by: str) -> list[IntakeRow]:
        """The rows of this claim; claims nothing."""
        rows = self._run(self._sql.claimed_rows, account=account, claimed_by=claimed_by)
        return _intake_rows(rows)

    def settle(self, account: str, claimed_by: str, batch_id: str) -> None:
        """Record which batch received the claim's rows."""
        chosen = {"account": account, "claimed_by": claimed_by, "batch_id": batch_id}
        self._run(self._sql.settle_rows, **chosen)

    def release(self, account: str, claimed_by: str) -> None:
        """Release the claim's rows for another run, except rows that a batch has received."""
        self._run(self._sql.release_rows, account=account, claimed_by=claimed_by)

    def claims_without_batch(self, account: str, older_than_seconds: float, limit: int) -> list[Claim]:
        """Claims without a batch yet, the oldest first."""
        chosen = {"account": account, "seconds": older_than_seconds, "limit": limit}
        return [Claim(*row) for row in self._run(self._sql.claims_without_batch, **chosen)]


def _intake_rows(rows: Iterable[Sequence[Any]]) -> list[IntakeRow]:
    return [
        IntakeRow(
            reference,
            order_id or "",
            product_code or "",
            client_number or "",
            amount or "",
            maximum or "",
            downline_id or "",
            {str(name): str(value) for name, value in fields.items()},
        )
        for reference, order_id, product_code, client_number, amount, maximum, downline_id, fields in rows
    ]
