"""The report's sections about orders: products with their margin, and states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from sat_hook.domain.order import OrderState
from sat_hook.presentation.chart_style import Meaning
from sat_hook.presentation.charts import Bar, Part, stacked_bars
from sat_hook.presentation.language import marked as _
from sat_hook.reconciliation import report_words
from sat_hook.reconciliation.figures import OrderLine, by_product_and_state, by_state
from sat_hook.reconciliation.report_parts import Cell, Chart, Opens, Section, SectionMaker, Table

MAXIMUM_BARS = 12
"""Number of products with a bar of their own."""
MAXIMUM_PRODUCTS = 200
"""Products in the table; all of them are in the workbook."""

_GROUPS: tuple[tuple[Meaning, str, frozenset[OrderState]], ...] = (
    (Meaning.SUCCEEDED, _("succeeded"), frozenset({OrderState.SUCCEEDED})),
    (
        Meaning.IN_FLIGHT,
        _("in flight or unknown"),
        frozenset({OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN, OrderState.ESCALATED}),
    ),
    (Meaning.FAILED, _("failed"), frozenset({OrderState.FAILED})),
    (Meaning.REVERSED, _("reversed"), frozenset({OrderState.REVERSED})),
    (
        Meaning.NOT_SENT,
        _("not sent"),
        frozenset(
            {
                OrderState.RECEIVED,
                OrderState.REJECTED,
                OrderState.QUOTED,
                OrderState.HELD,
                OrderState.CANCELLED,
            }
        ),
    ),
)
GROUP_OF: Mapping[str, Meaning] = {
    state.value: colour for colour, _name, states in _GROUPS for state in states
}


class OrderSections(SectionMaker):
    """What was ordered, what it cost and earned, and how it ended."""

    def products(self) -> Section:
        say = self.say
        title = say(_("Products and margin"))
        lines = by_product_and_state(self.figures.groups)
        if not lines:
            return Section("products", title, notes=(say(_("No order was sent, ended or in transit.")),))
        by_product: dict[str, list[OrderLine]] = {}
        for line in lines:
            by_product.setdefault(line.product_code, []).append(line)
        ranked = sorted(by_product.items(), key=lambda item: (-_sum(item[1], "charged_rupiah"), item[0]))
        numbers = _("Orders"), _("Paid"), _("Sales price"), _("Commission"), _("Margin")
        headings = self.headings(_("Product"), *numbers, numbers=numbers)
        rows = [self._product_row(Cell(code, Opens("orders", {"product": code})), of) for code, of in ranked]
        notes = [
            say(_("Sales price: what SAT takes for the orders that succeeded. Commission: SAT's fee for us."))
        ]
        if len(rows) > MAXIMUM_PRODUCTS:
            text = say(_("The %(shown)s largest of %(all)s products; all of them are in the workbook."))
            notes.append(text % {"shown": MAXIMUM_PRODUCTS, "all": self.wording.number(len(rows))})
        rows = [*rows[:MAXIMUM_PRODUCTS], self._product_row(Cell(say(_("Total"))), lines)]
        chart = Chart(
            self._product_chart(ranked), tuple((colour, say(name)) for colour, name, _states in _GROUPS)
        )
        return Section(
            "products", title, (chart,), (Table(headings, tuple(rows), has_total=True),), tuple(notes)
        )

    def _product_row(self, name: Cell, lines: Sequence[OrderLine]) -> tuple[Cell, ...]:
        number, rupiah = self.wording.number, self.wording.rupiah
        paid = [line for line in lines if line.state == OrderState.SUCCEEDED.value]
        price, fee = _sum(paid, "charged_rupiah"), _sum(paid, "partner_fee_rupiah")
        return (
            name,
            Cell(number(sum(line.orders for line in lines))),
            Cell(number(sum(line.orders for line in paid))),
            Cell(rupiah(price)),
            Cell(rupiah(fee)),
            Cell(self.wording.percent(fee, price)),
        )

    def _product_chart(self, ranked: Sequence[tuple[str, list[OrderLine]]]) -> Markup:
        shown = ranked if len(ranked) <= MAXIMUM_BARS else ranked[: MAXIMUM_BARS - 1]
        bars = [self._product_bar(code, lines) for code, lines in shown]
        if len(shown) < len(ranked):
            rest = [line for _, lines in ranked[len(shown) :] for line in lines]
            others = self.say(_("%(num)s others")) % {"num": self.wording.number(len(ranked) - len(shown))}
            bars.append(self._product_bar(others, rest))
        title = self.say(_("Orders per product and state, by their price"))
        return stacked_bars(title, bars, self.wording.short_rupiah)

    def _product_bar(self, label: str, lines: Sequence[OrderLine]) -> Bar:
        parts = []
        for colour, name, _states in _GROUPS:
            alike = [line for line in lines if GROUP_OF[line.state] is colour]
            price = _sum(alike, "charged_rupiah")
            what = f"{self.say(name)}: {self.wording.rupiah(price)}"
            parts.append(Part(price, colour, what, self.wording.short_rupiah(price)))
        total = self.wording.short_rupiah(_sum(lines, "charged_rupiah"))
        orders = self.wording.count("%(num)s order", "%(num)s orders", sum(line.orders for line in lines))
        return Bar(label, tuple(parts), f"{total} · {orders}")

    def states(self) -> Section | None:
        lines = by_state(self.figures.groups)
        if not lines:
            return None
        say, number, rupiah = self.say, self.wording.number, self.wording.rupiah
        numbers = (_("Orders"), _("Price"), _("Debited"), _("Refunded"), _("In transit at the close"))
        headings = self.headings(_("State"), *numbers, numbers=numbers)
        names = ("charged_rupiah", "debit_rupiah", "refund_rupiah", "in_transit_closing_rupiah")
        rows = [
            (
                Cell(say(report_words.ORDER_STATES[OrderState(line.state)])),
                Cell(number(line.orders), Opens("orders", {"state": line.state})),
                *(
                    Cell(
                        rupiah(line.totals[name]),
                        Opens("orders", {"state": line.state, "term": name}) if line.totals[name] else None,
                    )
                    for name in names
                ),
            )
            for line in lines
        ]
        rows.append(
            (
                Cell(say(_("Total"))),
                Cell(number(self.figures.order_count), Opens("orders")),
                *(Cell(rupiah(_sum(lines, name))) for name in names),
            )
        )
        return Section(
            "states", say(_("Orders by state")), tables=(Table(headings, tuple(rows), has_total=True),)
        )


def _sum(lines: Iterable[OrderLine], name: str) -> int:
    return sum(line.totals[name] for line in lines)
