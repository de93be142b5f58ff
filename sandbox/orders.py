"""One accepted order: its charge, its future, and its document (protocol 5.5, 5.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sandbox.clock import rfc3339
from sandbox.wire import JsonStyle, OrderForm, resource


class Status(StrEnum):
    """An order's status on the wire (protocol section 6)."""

    PENDING = "Pending"
    SUCCESS = "Success"
    FAILED = "Failed"


class Turn(StrEnum):
    """One event of an order after its acceptance."""

    SUCCEED = "succeed"
    FAIL = "fail"
    REFUND = "refund"
    RECLAIM = "reclaim"


@dataclass(frozen=True, slots=True)
class Step:
    """A turn and its time (POSIX seconds)."""

    at: float
    turn: Turn
    error_code: str = ""
    error_detail: str = ""


@dataclass(slots=True)
class Order:
    """One acceptance of a request id. ``generation`` counts from 1; more than one means a double charge.

    ``steps`` are its remaining turns, decided at acceptance, in order of time.
    """

    request_id: str
    generation: int
    product_code: str
    client_number: str
    downline_id: str | None
    reference: str
    fields: Sequence[Mapping[str, str]] | None
    charged_rupiah: int
    partner_fee_rupiah: int
    accepted_at: float
    sequence: int
    steps: list[Step]
    status: Status = Status.PENDING
    error_code: str = ""
    error_detail: str = ""
    fulfilled_at: float | None = None
    goods: Mapping[str, Any] = field(default_factory=dict, repr=False)
    refunds: int = 0
    reclaims: int = 0
    sealed: tuple[JsonStyle, bytes, str] | None = field(default=None, repr=False)
    """The last sent document and its signature, cached: signing is by far the slowest part of a status."""

    @property
    def net_rupiah(self) -> int:
        """What the partner has paid for it up to now."""
        return self.charged_rupiah * (1 - self.refunds + self.reclaims)

    @property
    def is_paid(self) -> bool:
        """Whether its charge stands (even if the price is 0)."""
        return self.refunds == self.reclaims

    def document(self) -> dict[str, Any]:
        """The order document. Pending and Failed carry the checkout's subset only (protocol 5.5, 5.6)."""
        attributes: dict[str, Any] = {
            "client_number": self.client_number,
            "error_code": self.error_code,
            "error_detail": self.error_detail,
            "fields": self.fields,
            "fulfilled_at": None if self.fulfilled_at is None else rfc3339(self.fulfilled_at),
            "partner_fee": self.partner_fee_rupiah,
            "product_code": self.product_code,
            "sales_price": self.charged_rupiah,
            "serial_number": "",
            "status": self.status.value,
        }
        if self.status is Status.SUCCESS:
            attributes |= self.goods
        return {"data": resource("order", self.request_id, attributes)}

    def to_record(self) -> dict[str, Any]:
        """The acceptance as plain data, for the journal."""
        return {
            "request_id": self.request_id,
            "generation": self.generation,
            "product_code": self.product_code,
            "client_number": self.client_number,
            "downline_id": self.downline_id,
            "reference": self.reference,
            "fields": self.fields,
            "charged_rupiah": self.charged_rupiah,
            "partner_fee_rupiah": self.partner_fee_rupiah,
            "accepted_at": self.accepted_at,
            "sequence": self.sequence,
            "steps": [[step.at, step.turn.value, step.error_code, step.error_detail] for step in self.steps],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Order:
        """Restore an acceptance from the journal."""
        members = {name: value for name, value in record.items() if name not in ("kind", "at", "steps")}
        steps = [Step(at, Turn(turn), code, detail) for at, turn, code, detail in record["steps"]]
        return cls(**members, steps=steps)


def accept(
    form: OrderForm,
    *,
    generation: int,
    sequence: int,
    charged_rupiah: int,
    partner_fee_rupiah: int,
    now: float,
    steps: list[Step],
) -> Order:
    """Make a new order from the partner's form."""
    assert form.identifier is not None
    return Order(
        request_id=form.identifier,
        generation=generation,
        product_code=form.product_code,
        client_number=form.client_number,
        downline_id=form.downline_id,
        reference=form.reference,
        fields=form.fields,
        charged_rupiah=charged_rupiah,
        partner_fee_rupiah=partner_fee_rupiah,
        accepted_at=now,
        sequence=sequence,
        steps=steps,
    )


ABOUT_ANOTHER = ("other_product", "other_number")
OTHER_PRODUCTS = ("25k-xl", "50k-simpati")


def misdirect(attributes: dict[str, Any], manner: str) -> None:
    """Change a document to another product or client number under the same id."""
    if manner == "other_product":
        first, second = OTHER_PRODUCTS
        attributes["product_code"] = second if attributes["product_code"] == first else first
    else:
        number = attributes["client_number"]
        attributes["client_number"] = f"{number[:-1]}{'1' if number.endswith('0') else '0'}"
