"""The rules of an account: adopted, proposed by one person, confirmed by another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sat_hook.domain.account import AccountCommand, AccountStanding, decide_account, evolve_account
from sat_hook.domain.account_rules import (
    RIGHT_NAMES,
    RULE_NAMES,
    AccountRulesAdopted,
    AccountRulesConfirmed,
    AdoptRules,
    ConfirmRules,
    DeclineRules,
    ProposeRules,
    RuleValues,
    looser_than,
)
from sat_hook.domain.decision import Refusal
from sat_hook.domain.event_record import Event
from sat_hook.domain.guards import NO_RULES, AccountRules, GuardRules

FRESH = AccountStanding(account_id="A", account="demo")
STRICT = AccountRules(
    GuardRules(14, 50_000, 900_000, 20, 2_000_000, 100),
    500_000,
    4,
    False,
    1_000_000,
    None,
    second_approval_right="finance",
)
ROSA, CARL = "user:rosa", "user:carl"

LIMITS = st.none() | st.integers(0, 10**9)
RIGHTS = st.sampled_from((None, "approve", "finance", "finance+sign_off"))
RULES = st.builds(
    AccountRules,
    st.builds(GuardRules, st.integers(0, 365), LIMITS, LIMITS, LIMITS, LIMITS, LIMITS),
    LIMITS,
    st.none() | st.integers(0, 720),
    st.booleans(),
    LIMITS,
    LIMITS,
    RIGHTS,
    RIGHTS,
    RIGHTS,
)


class Desk:
    """An account, and everything that was decided about it."""

    def __init__(self) -> None:
        self.standing = FRESH
        self.events: list[Event] = []

    def ask(self, command: AccountCommand) -> Refusal | None:
        """Decide and fold."""
        answer = decide_account(self.standing, command)
        if isinstance(answer, Refusal):
            return answer
        for event in answer:
            self.standing = evolve_account(self.standing, event)
            self.events.append(event)
        return None

    @property
    def rules(self) -> AccountRules:
        return self.standing.rules.in_force

    def propose(self, rules: AccountRules = STRICT, actor: str = ROSA) -> int:
        """Propose; returns the proposal's number."""
        assert self.ask(ProposeRules(RuleValues.of(rules), "by contract", actor)) is None
        assert self.standing.rules.proposal is not None
        return self.standing.rules.proposal.number


@given(RULES)
def test_values_and_rules_are_the_same_thing(rules: AccountRules) -> None:
    """What is recorded whole is read whole, and asking for nothing loosens nothing."""
    assert RuleValues.of(rules).rules == rules
    assert rules.stricter(NO_RULES) == rules == NO_RULES.stricter(rules)
    assert RuleValues.model_validate_json(RuleValues.of(rules).model_dump_json()) == RuleValues.of(rules)


@given(RULES, RULES, RULES)
def test_nothing_is_stricter_than_the_stricter_of_both(
    one: AccountRules, two: AccountRules, three: AccountRules
) -> None:
    """The order does not matter, and neither of two can be loosened by the other."""
    both = one.stricter(two)
    assert both == two.stricter(one)
    assert both.stricter(one) == both
    assert one.stricter(two.stricter(three)) == both.stricter(three)


@given(RULES, RULES)
def test_what_is_looser_is_what_the_stricter_would_not_take(account: AccountRules, run: AccountRules) -> None:
    """A run is refused for exactly the rules that would not count as it names them."""
    numbers = [name for name in RULE_NAMES if name not in ("trust_callbacks", *RIGHT_NAMES)]
    asked = {name: getattr(RuleValues.of(run), name) for name in numbers}
    taken = RuleValues.of(account.stricter(run))
    looser = {name for name, value in asked.items() if value is not None and getattr(taken, name) != value}
    assert set(looser_than(account, asked)) == looser


@given(RULES, RULES, st.integers(0, 10**9))
def test_the_stricter_rules_ask_for_as_many_persons_and_rights(
    one: AccountRules, two: AccountRules, total_rupiah: int
) -> None:
    """Of two rules, the merged ones ask for the larger number of persons, and for every right of both."""
    both, tiers = one.stricter(two).approval_tiers, (one.approval_tiers, two.approval_tiers)
    assert both.persons(total_rupiah) == max(tier.persons(total_rupiah) for tier in tiers)
    for signature in (1, 2, 3):
        wanted = {right for tier in tiers for right in tier.rights_of(signature)}
        assert set(both.rights_of(signature)) == wanted


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"approval_over_rupiah": 5, "second_approval_over_rupiah": 4}, "expected at least 5"),
        ({"second_approval_over_rupiah": 9, "third_approval_over_rupiah": 8}, "expected at least 9"),
        ({"third_approval_right": "finance"}, "no third_approval_over_rupiah"),
    ],
)
def test_tiers_that_a_reader_would_misread_are_not_proposed(change: dict[str, object], found: str) -> None:
    """A higher tier has no lower amount, and a right belongs to a tier."""
    values = RuleValues.model_validate({**RuleValues.of(NO_RULES).model_dump(), **change})
    refused = Desk().ask(ProposeRules(values, "by contract", ROSA))
    assert isinstance(refused, Refusal)
    assert found in refused.detail


def test_duplicates_are_held_before_there_are_rules() -> None:
    """An account without any rules holds duplicates of seven days; it limits nothing."""
    assert AccountStanding(account_id="A", account="demo").rules.in_force == AccountRules()
    assert AccountRules().guards.duplicate_days == 7


@given(st.lists(RULES, min_size=1, max_size=4))
def test_a_connection_is_never_followed_back(asked: list[AccountRules]) -> None:
    """As long as no people have confirmed rules, the strictest that connections ever asked for counts."""
    desk, strictest = Desk(), AccountRules()
    for rules in asked:
        before = len(desk.events)
        refused = desk.ask(AdoptRules("sat_default", rules))
        assert (refused is None) == (len(desk.events) == before + 1)
        strictest = strictest.stricter(rules)
        assert desk.rules == strictest
    desk.ask(AdoptRules("sat_default", NO_RULES))
    assert desk.rules == strictest


def test_one_proposes_and_another_one_confirms() -> None:
    """Until the second person has confirmed, the old rules hold; then connections add nothing to the log."""
    desk = Desk()
    desk.ask(AdoptRules("sat_default", replace(STRICT, approval_over_rupiah=0)))
    number = desk.propose(STRICT)
    assert desk.rules.approval_over_rupiah == 0
    assert desk.ask(ConfirmRules(number, "checked", CARL)) is None
    assert desk.rules == STRICT
    confirmed = desk.events[-1]
    assert isinstance(confirmed, AccountRulesConfirmed)
    assert (confirmed.proposed_by, confirmed.confirmed_by, confirmed.values.rules) == (ROSA, CARL, STRICT)
    assert isinstance(desk.ask(AdoptRules("sat_default", AccountRules(approval_over_rupiah=0))), Refusal)
    assert desk.rules == STRICT
    assert [type(event) for event in desk.events].count(AccountRulesAdopted) == 1


@pytest.mark.parametrize("name", ["rosa", "ROSA", "ｒｏｓａ", " rosa", "ro\u200bsa"])
def test_nobody_confirms_their_own_proposal(name: str) -> None:
    """However the name is written; declining one's own is allowed."""
    desk = Desk()
    number = desk.propose()
    refused = desk.ask(ConfirmRules(number, "me again", f"user:{name}"))
    assert isinstance(refused, Refusal)
    assert "expected another person" in refused.detail
    assert desk.rules == AccountRules()
    assert desk.ask(DeclineRules(number, "a slip", f"user:{name}")) is None
    assert desk.standing.rules.proposal is None
    assert isinstance(desk.ask(ConfirmRules(number, "too late", CARL)), Refusal)


def test_services_change_no_rules() -> None:
    """A task, a schedule or a program without a user neither proposes nor answers."""
    desk = Desk()
    service = "service:airflow"
    assert isinstance(desk.ask(ProposeRules(RuleValues.of(STRICT), "why", service)), Refusal)
    number = desk.propose()
    for command in (ConfirmRules(number, "why", service), DeclineRules(number, "why", service)):
        assert isinstance(desk.ask(command), Refusal)


def test_one_proposal_waits_at_a_time() -> None:
    """An answer is about the proposal that was shown, never about one that took its place."""
    desk = Desk()
    number = desk.propose()
    other = replace(STRICT, approval_over_rupiah=None)
    assert isinstance(desk.ask(ProposeRules(RuleValues.of(other), "looser", ROSA)), Refusal)
    assert isinstance(desk.ask(ConfirmRules(number + 1, "checked", CARL)), Refusal)
    desk.ask(DeclineRules(number, "no", CARL))
    second = desk.propose(other)
    assert second > number
    assert isinstance(desk.ask(ConfirmRules(number, "the first", CARL)), Refusal)
    assert desk.ask(ConfirmRules(second, "the second", CARL)) is None
    assert isinstance(desk.ask(ProposeRules(RuleValues.of(other), "the same", ROSA)), Refusal)


@pytest.mark.parametrize(
    "change",
    [
        {"duplicate_days": None},
        {"duplicate_days": "7"},
        {"duplicate_days": -1},
        {"order_limit_rupiah": 1.0},
        {"order_limit_rupiah": True},
        {"approval_over_rupiah": "0"},
        {"day_limit_orders": float("nan")},
        {"trust_callbacks": 1},
        {"trust_callbacks": "true"},
        {"order_limit": 5},
        {"approval_right": 5},
        {"approval_right": "finance, audit"},
    ],
)
def test_a_value_of_another_kind_is_no_rule(change: dict[str, object]) -> None:
    """Texts, floats, truths and names that are none are refused: a limit is never guessed."""
    with pytest.raises(ValidationError):
        RuleValues.model_validate({**RuleValues.of(STRICT).model_dump(), **change})
