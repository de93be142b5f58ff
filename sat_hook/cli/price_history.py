"""What the commands of ``sat prices`` share: choosing account and time, and formatting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sat_hook.cli.accounts import account_among
from sat_hook.cli.context import console, database_of, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.formatting import moment as shown_moment
from sat_hook.cli.formatting import plain
from sat_hook.cli.time_options import moment_from

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.cli.settings import CommandSettings
    from sat_hook.domain.prices import PricePeriod
    from sat_hook.store.prices import PriceHistory

Code = Annotated[str, typer.Argument(metavar="CODE", help="The product's code, for example 50k-simpati")]
Account = Annotated[
    str | None,
    typer.Option(help="Whose prices: the account's connection or name; needed if several have some"),
]
Since = Annotated[str, typer.Option(help="From when on: 2026-11-23, '2026-11-23 14:30' (WIB), or an age: 7d")]
Until = Annotated[str, typer.Option(help="Until when, likewise")]


@dataclass(frozen=True, slots=True)
class PricesContext:
    """What the commands read."""

    history: PriceHistory
    account: str
    now: datetime
    out: Console


@contextmanager
def prices_context(context: typer.Context, account: str | None) -> Iterator[PricesContext]:
    from sat_hook.clients.clock import SystemClock
    from sat_hook.store.prices import PriceHistory

    settings = settings_of(context)
    with database_of(settings) as database:
        history = PriceHistory(database)
        whose = _account_from(settings, history, account)
        yield PricesContext(history, whose, SystemClock().now(), console())


def _account_from(settings: CommandSettings, history: PriceHistory, named: str | None) -> str:
    known = history.accounts()
    if not known:
        raise CommandError.at(
            "the history of prices", "nothing", "a price list (take one: sat prices snapshot)"
        )
    return account_among(settings, named, known)


def periods_of(opened: PricesContext, code: str) -> list[PricePeriod]:
    periods = opened.history.periods(opened.account, code)
    if not periods:
        similar = opened.history.similar_codes(opened.account, code)
        hint = f" (for example {', '.join(similar)})" if similar else ""
        raise CommandError.at("CODE", repr(code), f"a product that was ever listed{hint}")
    return periods


def period_of(opened: PricesContext, since: str, until: str) -> tuple[datetime, datetime]:
    start = moment_from(since, opened.now, "--since")
    end = min(moment_from(until, opened.now, "--until"), opened.now)
    if start >= end:
        raise CommandError.at("--since", repr(since), "a time before --until, and before now")
    return start, end


def tell_gaps(opened: PricesContext, start: datetime, end: datetime) -> bool:
    """Print the times for which no list is known. Returns True when one lasts until the end."""
    from sat_hook.domain.business_day import span_text
    from sat_hook.domain.prices import gaps_between

    moments = opened.history.complete_moments(opened.account, start, end)
    gaps = gaps_between(moments, start, end)
    for first, last in gaps:
        span = span_text(last - first)
        opened.out.print(f"[yellow]no list is known[/] from {at_text(first)} to {at_text(last)} WIB ({span})")
    return not moments or bool(gaps and gaps[-1][1] == end)


def at_text(moment: datetime) -> str:
    return shown_moment(moment)[:19]


def rupiah(amount: int | None) -> str:
    from sat_hook.domain.prices import price_text

    return price_text(amount)


def count_text(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def safe(value: object) -> str:
    """Text from the network made safe for a terminal: no markup, no control characters."""
    from rich.markup import escape

    return escape(plain(value))
