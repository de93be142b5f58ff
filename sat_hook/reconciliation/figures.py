"""The figures of a closed day that every form of its report shows. Rupiah."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sat_hook.domain.breaks import BreakCategory
from sat_hook.domain.order import OrderState
from sat_hook.reconciliation.day_figures import TOTALLED, DayFigures, OrderGroup
from sat_hook.reconciliation.model import AGE_BANDS, Break, DayClose

BANDS: tuple[str, ...] = tuple(name for _, name in AGE_BANDS)


class OrderLine(NamedTuple):
    """Orders of a product and a state, or of all products, with their totals by the names of TOTALLED."""

    product_code: str
    state: str
    orders: int
    totals: Mapping[str, int]


def by_product_and_state(groups: Iterable[OrderGroup]) -> list[OrderLine]:
    """One line per product and state that occurs, by product code, then by stage of life."""
    return _counted(groups, lambda group: (group.product_code, group.state))


def by_state(groups: Iterable[OrderGroup]) -> list[OrderLine]:
    """One line per state that occurs, by stage of life (the order of OrderState)."""
    return _counted(groups, lambda group: ("", group.state))


def _counted(groups: Iterable[OrderGroup], key: Callable[[OrderGroup], tuple[str, str]]) -> list[OrderLine]:
    found: dict[tuple[str, str], list[OrderGroup]] = {}
    for group in groups:
        found.setdefault(key(group), []).append(group)
    life = {state.value: place for place, state in enumerate(OrderState)}
    return [
        OrderLine(
            product,
            state,
            sum(group.orders for group in alike),
            {name: sum(group.total(name) for group in alike) for name in TOTALLED},
        )
        for (product, state), alike in sorted(found.items(), key=lambda item: (item[0][0], life[item[0][1]]))
    ]


def carried_on(breaks: Sequence[Break]) -> tuple[Break, ...]:
    """The breaks that stay in the books: neither resolved nor written off."""
    return tuple(item for item in breaks if not item.state.is_final)


@dataclass(frozen=True, slots=True)
class Aged:
    """Carried-forward breaks of one category and age band.

    :param net_rupiah: the sum of their signed amounts.
    :param gross_rupiah: the sum of their sizes, so that a surplus cannot hide a shortage.
    """

    category: BreakCategory
    band: str
    breaks: int
    net_rupiah: int
    gross_rupiah: int


def ageing(close: DayClose | DayFigures) -> tuple[Aged, ...]:
    """Every category in every age band, including zeros; categories in their order, from young to old."""
    held: dict[tuple[BreakCategory, str], list[int]] = {}
    for item in carried_on(close.breaks):
        held.setdefault((item.category, item.age_band(close.day)), []).append(item.amount_rupiah)
    return tuple(
        Aged(category, band, len(amounts), sum(amounts), sum(map(abs, amounts)))
        for category in BreakCategory
        for band in BANDS
        for amounts in (held.get((category, band), []),)
    )


@dataclass(frozen=True, slots=True)
class Headline:
    """The most important figures of a day.

    :param unexplained_rupiah: of the saldo equation; None when the deposit was not observed at both ends.
    :param failed_controls: totals that must agree and do not.
    """

    orders: int
    open_breaks: int
    gross_rupiah: int
    unexplained_rupiah: int | None
    failed_controls: int
    matches_not_made: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing in the day needs a person."""
        return not (
            self.open_breaks or self.unexplained_rupiah or self.failed_controls or self.matches_not_made
        ) and (self.unexplained_rupiah is not None)


def headline(close: DayClose | DayFigures) -> Headline:
    carried = carried_on(close.breaks)
    return Headline(
        orders=close.order_count,
        open_breaks=len(close.open_breaks),
        gross_rupiah=sum(abs(item.amount_rupiah) for item in carried),
        unexplained_rupiah=close.saldo.unexplained_rupiah if close.saldo else None,
        failed_controls=sum(1 for control in close.controls if not control.agrees),
        matches_not_made=sum(1 for match in close.matches if not match.was_made),
    )
