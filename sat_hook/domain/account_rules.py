"""The rules of an account: what applies to everyone who pays from it, and how people change it. Pure.

Rules are events. One person proposes the complete new rules, another person confirms them, and both give a
reason. A connection or a run can only be stricter (:meth:`~sat_hook.domain.guards.AccountRules.stricter`).

Until people confirm rules, an account follows the strictest rules that its connections ever asked for. An
event *adopts* them, so removing a rule from a connection does not loosen the account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sat_hook.domain.decision import Decision, Refusal, RefusalReason, refuse
from sat_hook.domain.event_record import Event, Frozen, register
from sat_hook.domain.guards import MAXIMUM_DUPLICATE_DAYS, AccountRules, GuardRules
from sat_hook.domain.people import is_same_person, user_named

MAXIMUM_DEDUP_HORIZON_HOURS = 24 * 30

Limit = Annotated[int, Field(ge=0)] | None
RightName = Annotated[str, Field(pattern=r"^[a-z_.]+(\+[a-z_.]+)*$", max_length=200)] | None
TIERS = ("approval_over_rupiah", "second_approval_over_rupiah", "third_approval_over_rupiah")
RIGHT_NAMES = ("approval_right", "second_approval_right", "third_approval_right")


def _later_rule() -> Any:
    """A rule that earlier releases did not have. Not set, it leaves the states that they stored unchanged."""
    return Field(default=None, exclude_if=lambda value: value is None)


class RuleValues(BaseModel):
    """The complete rules of an account. Rupiah; None means no rule of that kind.

    The guards' rules, the amounts and the rights of approvals as in
    :class:`~sat_hook.domain.guards.AccountRules`.

    :param dedup_horizon_hours: how long after its first sending an order may be sent again; None means the
        deployment's setting.
    :param trust_callbacks: whether a connection may let a signed callback alone end an order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    duplicate_days: Annotated[int, Field(ge=0)]
    order_limit_rupiah: Limit
    batch_limit_rupiah: Limit
    batch_limit_orders: Limit
    day_limit_rupiah: Limit
    day_limit_orders: Limit
    approval_over_rupiah: Limit
    dedup_horizon_hours: Limit
    trust_callbacks: bool
    second_approval_over_rupiah: Limit = _later_rule()
    third_approval_over_rupiah: Limit = _later_rule()
    approval_right: RightName = _later_rule()
    second_approval_right: RightName = _later_rule()
    third_approval_right: RightName = _later_rule()

    @classmethod
    def of(cls, rules: AccountRules) -> RuleValues:
        """The values of ``rules``."""
        guards = {name: getattr(rules.guards, name) for name in GuardRules.__dataclass_fields__}
        return cls(**guards, **{name: getattr(rules, name) for name in OTHER_RULES})

    @property
    def rules(self) -> AccountRules:
        guards = {name: getattr(self, name) for name in GuardRules.__dataclass_fields__}
        return AccountRules(GuardRules(**guards), **{name: getattr(self, name) for name in OTHER_RULES})


OTHER_RULES = tuple(field.name for field in fields(AccountRules) if field.name != "guards")
RULE_NAMES = tuple(RuleValues.model_fields)


class RulesEvent(Event):
    """Base of the events about an account's rules."""

    account: str


@register
class AccountRulesAdopted(RulesEvent):
    """The rules of the account's connection apply from now on, until people confirm other rules."""

    schema_version: ClassVar[int] = 2

    connection: str
    values: RuleValues


@register
class AccountRulesProposed(RulesEvent):
    """A person proposed new rules for the account. ``proposal`` is its number within the account."""

    schema_version: ClassVar[int] = 2

    proposal: int
    values: RuleValues
    reason: str
    proposed_by: str


@register
class AccountRulesConfirmed(RulesEvent):
    """A second person confirmed a proposal: from now on these are the rules of the account."""

    schema_version: ClassVar[int] = 2

    proposal: int
    values: RuleValues
    reason: str
    proposed_by: str
    confirmed_by: str


@register
class AccountRulesDeclined(RulesEvent):
    """A proposal was closed: its proposer withdrew it, or another person declined it."""

    proposal: int
    reason: str
    declined_by: str


@register
class AccountRunStarted(RulesEvent):
    """A person started a run for the account with custom parameters."""

    run: str
    parameters: dict[str, str]


@register
class AccountRunRefused(RulesEvent):
    """A person started a run that was looser than the account's rules; the run did nothing."""

    run: str
    parameters: dict[str, str]
    reason: str


class Proposal(Frozen):
    """Rules that wait for a second person."""

    number: int
    values: RuleValues
    reason: str
    proposed_by: str


class RulesStanding(Frozen):
    """The rules of an account: None before any were adopted or confirmed."""

    values: RuleValues | None = None
    are_confirmed: bool = False
    proposal: Proposal | None = None

    @property
    def in_force(self) -> AccountRules:
        """The rules that no connection and no run can loosen. By default duplicates are held."""
        return AccountRules() if self.values is None else self.values.rules


@dataclass(frozen=True, slots=True)
class AdoptRules:
    """Apply the rules of a connection, unless people have already confirmed rules."""

    connection: str
    asked: AccountRules


@dataclass(frozen=True, slots=True)
class ProposeRules:
    """Propose new rules, as ``actor``."""

    values: RuleValues
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class ConfirmRules:
    """Confirm the proposal with that number, as ``actor``."""

    proposal: int
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class DeclineRules:
    """Decline the proposal with that number, as ``actor``."""

    proposal: int
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class RecordRun:
    """Record a run that a person started; ``refused`` says why it did nothing."""

    run: str
    parameters: Mapping[str, str]
    refused: str | None = None


RulesCommand = AdoptRules | ProposeRules | ConfirmRules | DeclineRules | RecordRun


def decide_rules(account: str, version: int, standing: RulesStanding, command: RulesCommand) -> Decision:
    """The events that ``command`` appends to the account at ``version``, or why it changes nothing."""
    match command:
        case AdoptRules(connection=connection, asked=asked):
            return _adopt(account, standing, connection, asked)
        case ProposeRules():
            return _propose(account, version, standing, command)
        case ConfirmRules() | DeclineRules():
            return _answer(account, standing, command)
        case RecordRun(run=run, parameters=parameters, refused=refused):
            given = dict(parameters)
            if refused is None:
                return (AccountRunStarted(account=account, run=run, parameters=given),)
            return (AccountRunRefused(account=account, run=run, parameters=given, reason=refused),)


def evolve_rules(standing: RulesStanding, event: RulesEvent) -> RulesStanding:
    """The rules after ``event``."""
    match event:
        case AccountRulesAdopted():
            return standing.model_copy(update={"values": event.values})
        case AccountRulesProposed():
            proposal = Proposal(
                number=event.proposal,
                values=event.values,
                reason=event.reason,
                proposed_by=event.proposed_by,
            )
            return standing.model_copy(update={"proposal": proposal})
        case AccountRulesConfirmed():
            return RulesStanding(values=event.values, are_confirmed=True)
        case AccountRulesDeclined():
            return standing.model_copy(update={"proposal": None})
        case _:
            # Runs do not change rules.
            return standing


def looser_than(rules: AccountRules, asked: Mapping[str, float | None]) -> dict[str, str]:
    """The rules of a run that are looser than ``rules``, with what was expected, by rule.

    A rule that the run leaves out (None) is the account's.
    """
    values = RuleValues.of(rules)
    looser = {}
    for name, found in asked.items():
        limit = getattr(values, name)
        if found is None or limit is None:
            continue
        longest = name == "duplicate_days"
        if found < limit if longest else found > limit:
            looser[name] = f"found {found:g}; expected at {'least' if longest else 'most'} {limit}"
    return looser


def _adopt(account: str, standing: RulesStanding, connection: str, asked: AccountRules) -> Decision:
    if standing.are_confirmed:
        return refuse(RefusalReason.ALREADY_SO, "people have confirmed the rules")
    values = RuleValues.of(standing.in_force.stricter(asked))
    if values == standing.values:
        return refuse(RefusalReason.ALREADY_SO)
    return (AccountRulesAdopted(account=account, connection=connection, values=values),)


def _propose(account: str, version: int, standing: RulesStanding, command: ProposeRules) -> Decision:
    values = command.values
    if user_named(command.actor) is None:
        return _wrong(f"found {command.actor}; expected a user who proposes")
    if values.duplicate_days > MAXIMUM_DUPLICATE_DAYS:
        return _wrong(
            f"duplicate_days: found {values.duplicate_days}; expected 0 to {MAXIMUM_DUPLICATE_DAYS}"
        )
    if (values.dedup_horizon_hours or 0) > MAXIMUM_DEDUP_HORIZON_HOURS:
        return _wrong(
            f"dedup_horizon_hours: found {values.dedup_horizon_hours}; expected 0 to "
            f"{MAXIMUM_DEDUP_HORIZON_HOURS}, or none"
        )
    if refusal := _unclear_tiers(values):
        return refusal
    if standing.proposal is not None:
        waiting = standing.proposal
        return _wrong(
            f"proposal {waiting.number} of {waiting.proposed_by} waits for an answer; expected it to be "
            "confirmed or declined first"
        )
    if standing.are_confirmed and values == standing.values:
        return refuse(RefusalReason.ALREADY_SO, "these are the rules of the account")
    return (
        AccountRulesProposed(
            account=account,
            proposal=version + 1,
            values=values,
            reason=command.reason,
            proposed_by=command.actor,
        ),
    )


def _unclear_tiers(values: RuleValues) -> Refusal | None:
    """Refuse amounts and rights of approvals that cannot mean what a reader would take from them."""
    lowest, lower = 0, "0"
    for name, right in zip(TIERS, RIGHT_NAMES, strict=True):
        over = getattr(values, name)
        if over is None:
            if getattr(values, right) is not None:
                return _wrong(f"{right}: found a right, and no {name}; expected both or neither")
            continue
        if over < lowest:
            return _wrong(f"{name}: found {over}; expected at least {lowest}, the value of {lower}")
        lowest, lower = over, name
    return None


def _answer(account: str, standing: RulesStanding, command: ConfirmRules | DeclineRules) -> Decision:
    waiting = standing.proposal
    if waiting is None or waiting.number != command.proposal:
        what = "none" if waiting is None else f"proposal {waiting.number}"
        return _wrong(f"proposal {command.proposal} does not wait for an answer: found {what}")
    if user_named(command.actor) is None:
        return _wrong(f"found {command.actor}; expected a user who answers")
    if isinstance(command, DeclineRules):
        return (
            AccountRulesDeclined(
                account=account, proposal=waiting.number, reason=command.reason, declined_by=command.actor
            ),
        )
    if is_same_person(waiting.proposed_by, command.actor):
        return _wrong(
            f"proposal {waiting.number}: found its proposer ({command.actor}); expected another person to "
            "confirm it"
        )
    return (
        AccountRulesConfirmed(
            account=account,
            proposal=waiting.number,
            values=waiting.values,
            reason=command.reason,
            proposed_by=waiting.proposed_by,
            confirmed_by=command.actor,
        ),
    )


def _wrong(detail: str) -> Refusal:
    return refuse(RefusalReason.WRONG_STATE, detail)
