"""What the commands of ``sat prices`` share: choosing account and time, and formatting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from sat_hook.cli.context import airflow_of, console, settings_of
from sat_hook.cli.errors import CommandError
from sat_hook.cli.formatting import moment as shown_moment
from sat_hook.cli.formatting import plain
from sat_hook.cli.options import moment_from

if TYPE_CHECKING:
    from rich.console import Console

    from sat_hook.cli.airflow_api import AirflowApi

T = TypeVar("T")

Code = Annotated[str, typer.Argument(metavar="CODE", help="The product's code, for example 50k-simpati")]
Account = Annotated[
    str | None,
    typer.Option(help="Whose prices: the account's connection or name; needed if several have some"),
]
Since = Annotated[str, typer.Option(help="From when on: 2026-11-23, '2026-11-23 14:30' (WIB), or an age: 7d")]
Until = Annotated[str, typer.Option(help="Until when, likewise")]


@dataclass(frozen=True, slots=True)
class PricesContext:
    """What the commands read, and where they print."""

    api: AirflowApi
    account: str | None
    now: datetime
    out: Console

    def period(self, since: str, until: str) -> Period:
        """A period as a person typed it, up to now.

        :raises CommandError: it is not a period.
        """
        start = moment_from(since, self.now, "--since")
        end = min(moment_from(until, self.now, "--until"), self.now)
        if start >= end:
            raise CommandError.at("--since", repr(since), "a time before --until, and before now")
        return Period(start, end, self.account)

    def read(self, *place: str, **query: str | None) -> dict[str, Any]:
        """What the plugin answers about the account's prices."""
        return self.api.read(*place, account=self.account, **query)

    def tell_gaps(self, period: Period) -> bool:
        """Print the times for which no list is known. Returns True when one lasts until the end."""
        from sat_hook.domain.business_day import span_text

        lists = self.api.read("price-records", "lists", **period.query)
        gaps = read_as(list[Period], lists["gaps"])
        for gap in gaps:
            span = span_text(gap.until - gap.since)
            times = f"from {at_text(gap.since)} to {at_text(gap.until)} WIB"
            self.out.print(f"[yellow]no list is known[/] {times} ({span})")
        return lists["last_list_at"] is None or bool(gaps and gaps[-1].until == period.until)


@dataclass(frozen=True, slots=True)
class Period:
    """A period of an account's prices."""

    since: datetime
    until: datetime
    account: str | None = None

    @property
    def query(self) -> Mapping[str, str | None]:
        """What a route is told of it."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "account": self.account,
        }


@contextmanager
def prices_context(context: typer.Context, account: str | None) -> Iterator[PricesContext]:
    with airflow_of(settings_of(context)) as api:
        yield PricesContext(api, account, datetime.now(UTC), console())


def read_as(kind: type[T], found: object) -> T:
    """What the plugin answered, as a type of the domain."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(found)


def at_text(moment: datetime | str) -> str:
    return shown_moment(datetime.fromisoformat(moment) if isinstance(moment, str) else moment)[:19]


def rupiah(amount: int | None) -> str:
    from sat_hook.domain.prices import price_text

    return price_text(amount)


def count_text(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def safe(value: object) -> str:
    """Text from the network made safe for a terminal: no markup, no control characters."""
    from rich.markup import escape

    return escape(plain(value))
