"""The table ``order_intake``: rows that people fill in, claimed by one run at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sat_hook.store.database import Database
from sat_hook.store.sql_files import queries


@dataclass(frozen=True, slots=True)
class IntakeRow:
    """One row as it was filled in; everything is text, nothing is checked yet."""

    batch_reference: str | None
    order_id: str
    product_code: str
    client_number: str
    amount_rupiah: str
    max_rupiah: str
    downline_id: str
    fields: Mapping[str, str]


class OrderIntake:
    """Claims and reads rows of ``sat.order_intake``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._intake = queries("intake")

    def claim(self, account: str, claimed_by: str, limit: int) -> list[IntakeRow]:
        """The rows of this claim; claims unclaimed ones first when the claim has none yet.

        A claim that has rows never takes more: the same run gets the same rows at every try.
        """
        with self._database.transaction() as connection:
            rows = list(self._intake.claimed_rows(connection, account=account, claimed_by=claimed_by))
            if not rows:
                self._intake.claim_rows(connection, account=account, claimed_by=claimed_by, limit=limit)
                rows = list(self._intake.claimed_rows(connection, account=account, claimed_by=claimed_by))
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

    def release(self, account: str, claimed_by: str) -> None:
        """Give the claim's rows back, so that another run may claim them once they are mended."""
        with self._database.transaction() as connection:
            self._intake.release_rows(connection, account=account, claimed_by=claimed_by)
