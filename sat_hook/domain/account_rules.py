"""The rules of an account: what applies to everyone who pays from it, and how people change it. Pure.

Rules are events. One person proposes the complete new rules, another person confirms them, and both give a
reason. A connection or a run can only be stricter (:meth:`~sat_hook.domain.guards.AccountRules.stricter`).

Until people confirm rules, an account follows the strictest rules that its connections ever asked for. An
event *adopts* them, so removing a rule from a connection does not loosen the account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sat_hook.domain.decision import Decision, Refusal, RefusalReason
from sat_hook.domain.event import Event, register
from sat_hook.domain.guards import MAXIMUM_DUPLICATE_DAYS, AccountRules, GuardRules
from sat_hook.domain.people import is_same_person, user_named

MAXIMUM_DEDUP_HORIZON_HOURS = 24 * 30

Limit = Annotated[int, Field(ge=0)] | None


class RuleValues(BaseModel):
    """The complete rules of an account. Rupiah; None means no rule of that kind.

    The guards' rules and ``approval_over_rupiah`` as in :class:`~sat_hook.domain.guards.AccountRules`.

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

    @classmethod
    def of(cls, rules: AccountRules) -> RuleValues:
        """The values of ``rules``."""
        guards = {name: getattr(rules.guards, name) for name in GuardRules.__dataclass_fields__}
        return cls(
            **guards,
            approval_over_rupiah=rules.approval_over_rupiah,
            dedup_horizon_hours=rules.dedup_horizon_hours,
            trust_callbacks=rules.trust_callbacks,
        )

    @property
    def rules(self) -> AccountRules:
        """The values as rules."""
        guards = {name: getattr(self, name) for name in GuardRules.__dataclass_fields__}
        return AccountRules(
            GuardRules(**guards),
            self.approval_over_rupiah,
            self.dedup_horizon_hours,
            self.trust_callbacks,
        )


RULE_NAMES = tuple(RuleValues.model_fields)


class RulesEvent(Event):
    """Base of the events about an account's rules."""

    account: str


@register
class AccountRulesAdopted(RulesEvent):
    """The rules of the account's connection apply from now on, until people confirm other rules."""

    connection: str
    values: RuleValues


@register
class AccountRulesProposed(RulesEvent):
    """A person proposed new rules for the account. ``proposal`` is its number within the account."""

    proposal: int
    values: RuleValues
    reason: str
    proposed_by: str


@register
class AccountRulesConfirmed(RulesEvent):
    """A second person confirmed a proposal: from now on these are the rules of the account."""

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


class Proposal(BaseModel):
    """Rules that wait for a second person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    values: RuleValues
    reason: str
    proposed_by: str


class RulesStanding(BaseModel):
    """The rules of an account: None before any were adopted or confirmed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        return Refusal(reason=RefusalReason.ALREADY_SO, detail="people have confirmed the rules")
    values = RuleValues.of(standing.in_force.stricter(asked))
    if values == standing.values:
        return Refusal(reason=RefusalReason.ALREADY_SO)
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
    if standing.proposal is not None:
        waiting = standing.proposal
        return _wrong(
            f"proposal {waiting.number} of {waiting.proposed_by} waits for an answer; expected it to be "
            "confirmed or declined first"
        )
    if standing.are_confirmed and values == standing.values:
        return Refusal(reason=RefusalReason.ALREADY_SO, detail="these are the rules of the account")
    return (
        AccountRulesProposed(
            account=account,
            proposal=version + 1,
            values=values,
            reason=command.reason,
            proposed_by=command.actor,
        ),
    )


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
    return Refusal(reason=RefusalReason.WRONG_STATE, detail=detail)
