"""The conditions of one seed: its batches, and the rate of each fault, drawn separately for every seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.scenario import Scenario, scenario_of
from sat_hook.domain.guards import GuardRules

MISTYPED = "no-such-product"
HEADER = "order_id,product_code,client_number,amount_rupiah,max_rupiah\n"
PREPAID = ("50k-simpati", "25k-xl", "kode-voucher-google-100k")
BILLS = ("pln-postpaid", "speedy-indihome")
WITHDRAWN = "voucher-game-50k"
FAILING_NUMBER = "2121212"

# 17:00 UTC is midnight in Jakarta (WIB), where the business day changes.
MIDNIGHT_WIB = datetime(2026, 11, 2, 17, 0, tzinfo=UTC)

SHORTEST_STORM_SECONDS = 60.0
LONGEST_STORM_SECONDS = 360.0
SMALL_ROWS = 4
# A clock that runs badly, was never set, or is read in another zone, for example Jakarta's (7 hours).
WRONG_CLOCKS_SECONDS = (-25_200.0, -600.0, -15.0, 15.0, 600.0, 25_200.0)
SMALL_STORM_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Weather:
    """The rates of one seed. All but ``scenario`` affect our own side: processes, sockets, database."""

    start: datetime
    storm_seconds: float
    scenario: Scenario
    refused_connection: float = 0.0
    slow_connection: float = 0.0
    kill: float = 0.0
    freeze: float = 0.0
    run_twice: float = 0.0
    store_trouble: float = 0.0
    stale_read: float = 0.0
    callback_unreachable: float = 0.0
    skew_seconds: float = 0.0
    wrong_clock: float = 0.0
    wrong_clock_seconds: float = 0.0
    ask_again: bool = False
    pause: bool = False
    top_up_late: bool = False
    rules: GuardRules = field(default_factory=GuardRules)
    approval_over_rupiah: int | None = None
    approve_held: bool = False
    connection_is_loose: bool = False
    """Whether runs and the connection ask for none of the account's rules, which apply all the same."""
    answer_badly: float = 0.0
    release_held: float = 0.5
    operator: float = 0.5
    withdraw: float = 0.0

    @property
    def second_approval_over_rupiah(self) -> int | None:
        """The amount above which two people must approve: in half of the seeds every approval needs two."""
        return self.approval_over_rupiah if self.release_held < 0.5 else None

    @property
    def leaves_out(self) -> bool:
        """Whether approvers leave an order out of what they are asked for."""
        return self.operator < 0.3

    wrong_account: float = 0.0
    marked_successful: float = 0.0
    restored: bool = False
    """Whether a person restores an older backup by mistake, and sends its orders."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One file, and its division into chunks."""

    reference: str
    content: bytes
    chunk_rows: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a seed decides before anything runs."""

    seed: int
    weather: Weather
    batches: tuple[Batch, ...] = field(default_factory=tuple)


def draw_plan(seed: int) -> Plan:
    """Return the plan of a seed. The same seed always gives the same plan."""
    # Mixed, because neighbouring seeds of random.Random give related first draws.
    chance = random.Random(seed * 0x9E3779B97F4A7C15 + 0x1F123BB5)
    # Drawn separately, so that the seed's other weather does not change.
    apart = random.Random(seed ^ 0x10053)
    weather = replace(
        draw_weather(chance),
        connection_is_loose=apart.random() < 0.3,
        wrong_account=0.3 * apart.random() if apart.random() < 0.1 else 0.0,
        marked_successful=apart.random() if apart.random() < 0.1 else 0.0,
        restored=apart.random() < 0.08,
    )
    return Plan(seed, weather, draw_batches(chance))


def draw_small_plan(seed: int) -> Plan:
    """Return the seed's plan cut to what a real database does in a moment: one small batch, a short storm."""
    plan = draw_plan(seed)
    first = plan.batches[0]
    rows = first.content.decode().splitlines(keepends=True)
    small = Batch(first.reference, "".join(rows[: 1 + SMALL_ROWS]).encode(), 2)
    seconds = min(plan.weather.storm_seconds, SMALL_STORM_SECONDS)
    return Plan(seed, replace(plan.weather, storm_seconds=seconds), (small,))


def draw_batches(chance: random.Random) -> tuple[Batch, ...]:
    """Return one batch of 3 to 8 orders, sometimes with a second one that repeats an order of the first."""
    rows = [_row(chance, number) for number in range(1, chance.randint(3, 8) + 1)]
    if chance.random() < 0.1:
        rows.append(rows[0])
    if chance.random() < 0.2:
        # The same business under another order id: for the guard, or for a person who releases it.
        rows.append(rows[0].replace("O-1,", "O-11,"))
    first = Batch("first", (HEADER + "".join(rows)).encode(), chance.choice((2, 3, 8)))
    if chance.random() < 0.75:
        return (first,)
    more = [_row(chance, number) for number in range(21, 21 + chance.randint(1, 3))]
    if chance.random() < 0.5:
        more.append(rows[0])
    if chance.random() < 0.3:
        more.append(rows[0].replace("O-1,", "O-31,"))
    # Rows that failed in the first batch, corrected under the same ids.
    more += [row.replace(MISTYPED, PREPAID[0]) for row in rows[1:] if MISTYPED in row]
    return first, Batch("second", (HEADER + "".join(more)).encode(), chance.choice((2, 8)))


def _row(chance: random.Random, number: int) -> str:
    draw = chance.random()
    if draw < 0.55:
        product = chance.choice(PREPAID)
        return f"O-{number},{product},0812{number:03d}{chance.randrange(10**5):05d},,\n"
    if draw < 0.88:
        # Each failing order needs its own number: the same bill paid twice would be a double charge.
        fails = chance.random() < 0.1 and number in (1, 21)
        client = FAILING_NUMBER if fails and number == 1 else f"53{number:03d}{chance.randrange(10**7):07d}"
        return f"O-{number},{chance.choice(BILLS)},{client},,\n"
    if draw < 0.96:
        return f"O-{number},{WITHDRAWN},0813{number:03d}{chance.randrange(10**5):05d},,\n"
    return f"O-{number},{MISTYPED},0813{number:08d},,\n"


def draw_weather(chance: random.Random) -> Weather:
    """Draw the weather. One seed in twelve is calm except for a single kind of fault."""
    start = MIDNIGHT_WIB - timedelta(seconds=chance.uniform(0, 240))
    if chance.random() < 0.25:
        start += timedelta(hours=chance.uniform(0, 24))

    def up_to(rate: float, presence: float = 0.6) -> float:
        return chance.random() * rate if chance.random() < presence else 0.0

    return Weather(
        start=start,
        storm_seconds=chance.uniform(SHORTEST_STORM_SECONDS, LONGEST_STORM_SECONDS),
        scenario=_scenario(chance, up_to),
        refused_connection=up_to(0.15),
        slow_connection=up_to(0.1),
        kill=up_to(0.05, 0.7),
        freeze=up_to(0.03, 0.5),
        run_twice=up_to(0.3, 0.5),
        store_trouble=up_to(0.05, 0.4),
        stale_read=up_to(0.1, 0.4),
        callback_unreachable=up_to(0.3, 0.3),
        skew_seconds=up_to(4.0, 0.5),
        wrong_clock=up_to(0.4, 0.4),
        wrong_clock_seconds=chance.choice(WRONG_CLOCKS_SECONDS),
        ask_again=chance.random() < 0.4,
        pause=chance.random() < 0.15,
        top_up_late=chance.random() < 0.5,
        rules=_rules(chance),
        approval_over_rupiah=chance.choice((0, 150_000, 400_000)) if chance.random() < 0.3 else None,
        approve_held=chance.random() < 0.5,
        answer_badly=up_to(0.3, 0.5),
        release_held=chance.random(),
        operator=chance.random(),
        withdraw=0.5 if chance.random() < 0.25 else 0.0,
    )


def _rules(chance: random.Random) -> GuardRules:
    """Return limits that some orders of the seed exceed."""

    def now_and_then(*limits: int) -> int | None:
        return chance.choice(limits) if chance.random() < 0.15 else None

    return GuardRules(
        duplicate_days=7,
        order_limit_rupiah=now_and_then(60_000, 99_000),
        batch_limit_rupiah=now_and_then(150_000, 300_000),
        batch_limit_orders=now_and_then(2, 4),
        day_limit_rupiah=now_and_then(200_000, 400_000),
        day_limit_orders=now_and_then(3, 5),
    )


def _scenario(chance: random.Random, up_to: Any) -> Scenario:
    rules: list[dict[str, Any]] = []

    def add(fault: str, rate: float, **more: Any) -> None:
        if rate > 0:
            rules.append({"fault": fault, "rate": round(rate, 4), "name": _name(fault, more), **more})

    losable = ["checkout", "status", "inquiry"]
    add("request_lost", up_to(0.1, 0.3), operations=["token", "products", "account"])
    for manner in ("reset", "silence"):
        add("request_lost", up_to(0.2), manner=manner, operations=losable)
        add("response_lost", up_to(0.2), manner=manner, operations=losable)
    for when in ("before", "after"):
        status, body = chance.choice(
            ((500, "sat"), (502, "html"), (503, "html"), (504, "empty"), (429, "html"), (403, "html"))
        )
        add("error", up_to(0.1), when=when, status=status, body=body)
    add("error", up_to(0.03, 0.2), when="before", status=408, body="html", operations=["checkout"])
    add("unauthorized", up_to(0.05, 0.3), revoke=chance.random() < 0.5)
    add("token_expiry", up_to(0.2, 0.3), lifetime_seconds=chance.choice((0, 1, 5)))
    manners = (
        "truncated",
        "no_data",
        "other_id",
        "other_product",
        "other_number",
        "unknown_status",
        "not_json",
        "accepted_202",
        "redirect",
    )
    for manner in manners:
        add("garbled_reply", up_to(0.06, 0.25), manner=manner, operations=["checkout", "status"])
    for manner in ("stranger", "other_body", "garbage", "missing"):
        add("bad_signature", up_to(0.06, 0.2), manner=manner)
    for manner in ("text", "unreadable", "negative", "absurd"):
        add("other_types", up_to(0.6, 0.25), manner=manner, operations=["checkout", "status"])
    add("late_arrival", up_to(0.1, 0.25), until="p02")
    add("late_arrival", up_to(0.1, 0.25), until="resend")
    add("late_arrival", up_to(0.1, 0.25), until="seconds", seconds=round(chance.uniform(0.5, 90), 2))
    add("p03_for_lost", up_to(0.25, 0.3), first_send=chance.choice(("p03", "p03", "reset", "silence")))
    add("p02_though_charged", up_to(0.5, 0.2), for_seconds=round(chance.uniform(1, 400), 1))
    add("reject_resend", up_to(1.0, 0.35))
    add("stuck_pending", up_to(0.06, 0.15))
    add("fails", up_to(0.3, 0.4))
    add("success_then_reversed", up_to(0.1, 0.3), after_seconds=round(chance.uniform(0.5, 60), 1))
    add("failed_then_success", up_to(0.1, 0.2), after_seconds=round(chance.uniform(0.5, 60), 1))
    add("delayed_refund", up_to(0.3, 0.3), after_seconds=round(chance.uniform(1, 60), 1))
    add("callback_dropped", up_to(0.5))
    add("callback_duplicated", up_to(0.5), copies=2, gap_seconds=round(chance.uniform(0, 20), 1))
    add("callback_delayed", up_to(0.5, 0.4), seconds=0.5, to_seconds=90)
    add("callback_reordered", up_to(0.5, 0.4), hold_seconds=20)
    add("callback_forged", up_to(0.3, 0.5), **_forgery(chance))
    add("callback_misdirected", up_to(0.4, 0.3), manner=chance.choice(("other_product", "other_number")))
    add("stale_failure", up_to(0.9, 0.4))
    add("callback_before_response", up_to(0.2, 0.4))
    add("delay", up_to(0.2), side="response", distribution="exponential", seconds=4, cap_seconds=45)
    add("delay", up_to(0.1, 0.3), side="request", distribution="uniform", seconds=1, to_seconds=40)
    at_checkout = chance.choice(("charge_sent", "charge_changed", "refuse"))
    percent = chance.choice((-10, 5, 25))
    for moment in ("quote", "checkout"):
        rate = up_to(0.2, 0.3)
        add("price_change", rate, moment=moment, change_percent=percent, at_checkout=at_checkout)
    moment = chance.choice(("quote", "checkout"))
    add("product_inactive", up_to(0.1, 0.2), moment=moment, status=chance.choice((2, 3)))
    add("deposit_runs_out", up_to(0.3, 0.1), leaving_rupiah=chance.choice((0, 30_000)))
    add("foreign_spend", up_to(0.1, 0.3), rupiah=10_000)
    add("stale_saldo", up_to(0.5, 0.2), lag_seconds=60)
    return scenario_of(
        {
            "seed": chance.randrange(2**32),
            "faults": rules,
            "deposit_rupiah": 50_000_000 if chance.random() < 0.6 else chance.randrange(50_000, 800_000),
            "json_style": chance.choice(("spaced", "compact", "compact_newline", "utf8")),
            "fulfilment": {"min_seconds": 0.2, "max_seconds": chance.choice((2, 30, 200))},
            "tokens": {"lifetime_seconds": chance.choice((30, 3600)), "reissue_same": chance.random() < 0.3},
        }
    )


def _forgery(chance: random.Random) -> dict[str, Any]:
    return {
        "manner": chance.choice(("stranger", "unsigned", "tampered")),
        "status": chance.choice(("Success", "Failed")),
        "genuine": chance.random() < 0.7,
    }


def _name(fault: str, more: dict[str, Any]) -> str:
    """Return the counter's name: the fault, and what distinguishes its forms."""
    keys = ("manner", "when", "until", "first_send", "side", "moment", "status")
    parts = [str(more[key]) for key in keys if key in more]
    return ":".join([fault, *parts])


def calm(scenario: Scenario) -> Scenario:
    """Return the same SAT without any fault: orders in flight keep their story, no new fault begins."""
    return scenario.model_copy(update={"faults": ()})


CALM = Weather(
    start=MIDNIGHT_WIB - timedelta(seconds=30), storm_seconds=0.0, scenario=scenario_of({"seed": 1})
)
