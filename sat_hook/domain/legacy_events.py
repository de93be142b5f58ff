"""Old shapes of events. They are no longer written, but logs hold them, so they stay readable.

A class here has the name of its successor and a lower schema version.
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sat_hook.domain import account_rules, approval_events, books_events, order_events
from sat_hook.domain.event_record import Event, Frozen, register
from sat_hook.domain.settlement_mapping import NegativeForm, SettlementMapping


@register
class BatchResultsWritten(Event):
    """A result file was written from the log, at an unrecorded position. ``digest`` is its SHA-256."""

    uri: str
    digest: str
    rows: int


@register
class OrderHeld(order_events.HoldingEvent):
    """Held, with the reason's details in English only."""


class EarlierRuleValues(BaseModel):
    """The rules of an account from before approvals had tiers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    duplicate_days: int
    order_limit_rupiah: int | None
    batch_limit_rupiah: int | None
    batch_limit_orders: int | None
    day_limit_rupiah: int | None
    day_limit_orders: int | None
    approval_over_rupiah: int | None
    dedup_horizon_hours: int | None
    trust_callbacks: bool

    def current(self) -> account_rules.RuleValues:
        """The same rules in the current shape: one tier at most."""
        return account_rules.RuleValues(**dict(self))


class EarlierRulesEvent(account_rules.RulesEvent):
    """Base of the events that hold rules of the earlier shape."""

    def current(self) -> account_rules.RulesEvent:
        """The same fact in the current shape."""
        raise NotImplementedError


@register
class AccountRulesAdopted(EarlierRulesEvent):
    """The rules of the account's connection applied from then on."""

    account: str
    connection: str
    values: EarlierRuleValues

    def current(self) -> account_rules.AccountRulesAdopted:
        return account_rules.AccountRulesAdopted(**{**dict(self), "values": self.values.current()})


@register
class AccountRulesProposed(EarlierRulesEvent):
    """A person proposed new rules for the account."""

    account: str
    proposal: int
    values: EarlierRuleValues
    reason: str
    proposed_by: str

    def current(self) -> account_rules.AccountRulesProposed:
        return account_rules.AccountRulesProposed(**{**dict(self), "values": self.values.current()})


@register
class AccountRulesConfirmed(EarlierRulesEvent):
    """A second person confirmed a proposal."""

    account: str
    proposal: int
    values: EarlierRuleValues
    reason: str
    proposed_by: str
    confirmed_by: str

    def current(self) -> account_rules.AccountRulesConfirmed:
        return account_rules.AccountRulesConfirmed(**{**dict(self), "values": self.values.current()})


@register
class BatchRunStarted(Event):
    """A run of the batch started under rules of the earlier shape."""

    run: str
    connection: str
    rules: EarlierRuleValues
    parameters: dict[str, str]


@register
class ApprovalRequested(Event):
    """A person's approval was requested: that of one person. It also releases ``held`` of the orders."""

    terms: approval_events.ApprovalTerms
    held: int


@register
class ApprovalRejected(Event):
    """A person rejected the request, and gave no reason."""

    rejecter: str
    orders: int
    total_rupiah: int


class _ReadAsBefore(SettlementMapping):
    reads_as_before: ClassVar[bool] = True


class EarlierSettlementMapping(Frozen):
    """A mapping from before refunds, totals and number forms had their own members."""

    request_id: str = "request_id"
    amount_rupiah: str = "amount"
    status: str | None = "status"
    product_code: str | None = None
    client_number: str | None = None
    statuses: dict[str, str] = Field(
        default_factory=lambda: {"Success": "succeeded", "Failed": "failed", "Pending": "pending"}
    )
    thousands: str = ""
    delimiter: str = ","
    encoding: str = "utf-8-sig"
    sheet: str | None = None
    header_row: int = Field(default=1, ge=1, le=100)

    def current(self) -> SettlementMapping:
        """The current mapping that reads a file as this one did: without refunds, totals or number forms."""
        return _ReadAsBefore.model_construct(
            **dict(self),
            refund_words=(),
            negative_is_refund=False,
            footer_words=(),
            negatives=(NegativeForm.LEADING_MINUS,),
            mask_marks="",
        )


@register
class SettlementImported(books_events.BooksEvent):
    """A settlement file was stored, to be read by a mapping of an earlier shape."""

    day: date
    name: str
    uri: str
    digest: str
    size_bytes: int
    rows: int
    mapping: EarlierSettlementMapping
    replaces_earlier: bool

    def current(self) -> books_events.SettlementImported:
        """The same fact in the current shape."""
        # Its rules are newer than the fact.
        return books_events.SettlementImported.model_construct(
            **{**dict(self), "mapping": self.mapping.current()}
        )
