"""Asking again before a close: only about open, disputed and unsigned orders, and by GETs alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.order import OrderState
from sat_hook.domain.ports import SendWindow
from sat_hook.pipeline.status_query import ask_about
from sat_hook.protocol.exchange import WireResponse
from sat_hook.protocol.outcomes import StatusOutcome, classify_status
from sat_hook.protocol.signing import Verifier
from sat_hook.reconciliation.status_candidates import orders_to_ask
from sat_hook.store.database import Database
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.integration.audit.damage import damage
from tests.integration.reconciliation.planting import CLOSES, NOON, PRICE, SECOND, Planted, signed_text
from tests.integration.reconciliation.test_life_of_a_break import NEXT
from tests.keys import sat_pair, signer_of
from tests.orders import BY_TEST, ManualClock

PRIVATE_PEM, PUBLIC_PEM = sat_pair()
SIGNER, VERIFIER = signer_of(PRIVATE_PEM), Verifier([PUBLIC_PEM])
NOT_FOUND = {"errors": [{"code": "P02", "detail": "Transaction is not found", "status": "400"}]}


class AnsweringSAT:
    """Says Success, signed, of some orders and does not know the others."""

    def __init__(self, *succeeded: str) -> None:
        self._succeeded = succeeded
        self.asked: list[str] = []

    async def ask_status(self, request_id: str) -> StatusOutcome:
        self.asked.append(request_id)
        if request_id not in self._succeeded:
            reply = WireResponse(400, {"content-type": "application/json"}, json.dumps(NOT_FOUND).encode())
        else:
            body = signed_text(request_id, "Success", PRICE).encode()
            reply = WireResponse(200, {"signature": SIGNER.sign(body)}, body)
        return classify_status(reply, request_id, VERIFIER)

    async def place_order(self, body: bytes, request_id: str, window: SendWindow | None) -> Any:
        raise AssertionError("a reconciliation sends nothing")

    account = list_products = inquiry = place_order


@pytest.fixture
def day(database: ApplicationDatabase, tmp_path: Path) -> Iterator[Planted]:
    """An ordinary day."""
    store = PostgresEventStore(Database(database.writer_dsn, "tests"))
    with closing(store.database):
        planted = Planted(store, tmp_path, "asking")
        planted.ordinary_day()
        yield planted


async def test_signed_answers_end_what_was_open(day: Planted) -> None:
    """One answer of two proves something; who ended long ago is not asked about."""
    day.send("lost", NOON, accepted=False)
    wanted = orders_to_ask(day.keeper, day.account, NEXT)
    assert set(wanted) == {day.request_id("lost"), day.request_id("on its way")}
    sat = AnsweringSAT(day.request_id("on its way"))
    report = await ask_about(CommandHandler(day.store, day.clock), sat, wanted, BY_TEST)
    assert (report.asked, sorted(sat.asked)) == (2, sorted(wanted))
    orders = day.store.load_orders(wanted)
    assert orders[day.request_id("on its way")].state is OrderState.SUCCEEDED
    assert orders[day.request_id("lost")].state is OrderState.UNKNOWN


class SlowSAT(AnsweringSAT):
    """Takes a minute over each answer."""

    def __init__(self, clock: ManualClock, *succeeded: str) -> None:
        super().__init__(*succeeded)
        self._clock = clock

    async def ask_status(self, request_id: str) -> StatusOutcome:
        answer = await super().ask_status(request_id)
        self._clock.advance(60)
        return answer


async def test_an_answer_is_as_old_as_its_question(day: Planted) -> None:
    """A P02 that was asked for while the attempt could still arrive says nothing, however late it comes."""
    day.send("lost", day.clock.now() - 30 * SECOND, accepted=False)
    key, asked_at = day.request_id("lost"), day.clock.now()
    await ask_about(CommandHandler(day.store, day.clock), SlowSAT(day.clock), [key], BY_TEST)
    assert day.store.load_orders([key])[key].not_found_at is None
    await ask_about(CommandHandler(day.store, day.clock), SlowSAT(day.clock), [key], BY_TEST)
    assert day.store.load_orders([key])[key].not_found_at == asked_at + 60 * SECOND


def test_disputed_orders_come_first(day: Planted) -> None:
    """A break names them; what only the file knows is nothing to ask about."""
    day.settle(
        *day.usual_rows("good-1"), day.settlement_row("good-1", status="Failed"), f"S{'Q' * 31},1,Success,x,1"
    )
    day.observe(CLOSES + SECOND)
    day.close()
    first, *rest = orders_to_ask(day.keeper, day.account, NEXT)
    assert first == day.request_id("good-1")
    assert rest == [day.request_id("on its way")]
    assert orders_to_ask(day.keeper, day.account, NEXT, limit=1) == [first]


def test_orders_that_lost_their_beginning_are_a_control_break(
    day: Planted, database: ApplicationDatabase
) -> None:
    """What the report lacks is found by counting the log once more."""
    day.observe(CLOSES + SECOND)
    damage(
        database,
        f"DELETE FROM sat.events WHERE stream = 'order/{day.request_id('good-1')}' AND version = 1",
    )
    close = day.close().close
    wrong = {
        total.name: (total.in_the_log, total.in_the_report) for total in close.controls if not total.agrees
    }
    assert wrong["orders without a beginning"] == ("0", "1")
    assert wrong["orders sent for the first time"] == ("6", "5")
    assert wrong["rupiah of successes"] == (f"{3 * PRICE:,}", f"{2 * PRICE:,}")
    assert {"events of the day's orders", "digest of these events"} <= set(wrong)
    found = [item for item in close.breaks if item.category.value == "control"]
    assert len(found) == len(wrong) == 5
