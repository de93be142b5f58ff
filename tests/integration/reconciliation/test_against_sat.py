"""A seeded day of the whole pipeline against a SAT server with a ledger of its own, then closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sat_hook.domain.business_day import WIB, BusinessDay
from sat_hook.domain.order import OrderState
from tests.integration.reconciliation.planting import Planted, described
from tests.orders import ACCOUNT, ManualClock
from tests.pipeline import Line

EXAMPLES = Path(__file__).parents[3] / "examples"
SPENT_ELSEWHERE, TOPPED_UP = 123_456, 5_000_000
SECOND = timedelta(seconds=1)


def test_sat_s_deposit_is_explained_to_the_rupiah(line: Line, tmp_path: Path) -> None:
    """200 rows of every kind, and the deposit is what the equation expects.

    Then another party spends, and the file lacks an order, charges one too much, and has an unknown one.
    """
    now = datetime.now(UTC)
    began = now.astimezone(WIB)
    # A day that begins now: the real events of this test are inside it.
    minutes = began.hour * 60 + began.minute
    day = BusinessDay.of(now, minutes if minutes <= 720 else minutes - 1440)
    books = Planted(
        line.store, tmp_path / "kept", ACCOUNT, ManualClock(day.closes_at.astimezone(UTC) + 60 * SECOND)
    )
    books.observe(now, line.server.saldo_rupiah())

    orders = line.orders(line.run((EXAMPLES / "orders.csv").read_bytes()))
    line.server.top_up(TOPPED_UP)
    books.top_up(TOPPED_UP, datetime.now(UTC))
    books.observe(day.closes_at + SECOND, line.server.saldo_rupiah())
    succeeded = {name: order for name, order in orders.items() if order.state is OrderState.SUCCEEDED}
    rows = {
        name: f"{order.request_id},{order.charged_rupiah},Success,{order.product_code},{order.client_number}"
        for name, order in succeeded.items()
    }
    books.settle(*rows.values(), day=day.day)

    close = books.close(day).close
    assert close.breaks == ()
    assert close.saldo is not None
    assert close.saldo.unexplained_rupiah == 0
    failed = [
        order for order in orders.values() if order.state is OrderState.FAILED and order.debit_proven_at
    ]
    assert close.saldo.refunds_rupiah == sum(order.charged_rupiah or 0 for order in failed) > 0
    states = close.orders.frame.set_index("order_id")["state"]
    assert {name: str(state) for name, state in states.items()} == {
        name: order.state.value for name, order in orders.items() if order.attempt
    }
    assert close.matches[1].matched == len(succeeded) == close.matches[1].ours

    line.server.spend_elsewhere(SPENT_ELSEWHERE)
    books.observe(day.closes_at + 2 * SECOND, line.server.saldo_rupiah())
    first, second, third, *rest = rows
    dearer = succeeded[second]
    changed = rows[second].replace(f",{dearer.charged_rupiah},", f",{(dearer.charged_rupiah or 0) + 500},")
    books.settle(
        changed,
        *(rows[name] for name in (third, *rest)),
        f"S{'Q' * 31},777,Success,x,1",
        day=day.day,
        replaces=True,
        name="corrected.csv",
    )
    assert {described(item) for item in books.close(day).close.breaks} == {
        ("settlement", "existence", first, -(succeeded[first].charged_rupiah or 0)),
        ("settlement", "amount", second, 500),
        ("settlement", "existence", "", 777),
    }
    # The saldo of the day is the first look after the cut-off; what was spent then is the next day's.
    following = BusinessDay(day.day + timedelta(days=1), day.cut_off_minutes)
    books.clock.advance(86_400)
    books.observe(following.closes_at + SECOND, line.server.saldo_rupiah())
    found = [item for item in books.close(following).close.breaks if item.match.value == "saldo"]
    assert [described(item) for item in found] == [("saldo", "amount", None, -SPENT_ELSEWHERE)]
