"""The maker of a batch decides nothing that needs another person, through whichever door they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from sat_hook.application.bulk_decisions import BulkDecisions, Chosen
from sat_hook.application.decision_acts import BulkAct
from sat_hook.application.decision_worker import DecisionWorker
from sat_hook.application.decisions import Decisions
from sat_hook.application.errors import OwnBatchError
from sat_hook.application.rights import Person, Right
from sat_hook.domain.event_record import Event, Provenance
from sat_hook.domain.order import OrderState
from sat_hook.pipeline.held_orders import HeldDecision
from sat_hook.pipeline.overrides import Resolution
from sat_hook.store.database import Database
from sat_hook.store.event_store import Change
from sat_hook.store.order_lists import OrderFilter
from sat_hook.store.postgres import PostgresEventStore
from stack.databases import ApplicationDatabase
from tests.console_server import console_server
from tests.integration.web.test_who_did_what import GIVEN_UP, HELD, INTENT, LOST, ORDER, QUOTED
from tests.orders import ACCOUNT, BATCH, received, submitted
from tests.unit.cli.running import Run
from tests.web_host import FakeAccounts, FakeHost, FakeUser

BY_MIA = Provenance("user:mia", "plugin:submit")
MIA, CARL = (Person(name, frozenset(Right)) for name in ("mia", "carl"))
REASON = {"reason": "checked with the shop"}
WAITING, UNCLEAR = ORDER[2], ORDER[4]
DECIDED = {
    f"orders/{WAITING}/release": {},
    f"batches/{BATCH}/release": {},
    f"orders/{UNCLEAR}/resolve": {"as": "failed"},
}


@pytest.fixture
def host(database: ApplicationDatabase, tmp_path: Path) -> Iterator[FakeHost]:
    """Mia, who may do everything, has submitted a batch with a held and an escalated order; Carl has not."""
    with closing(Database(database.writer_dsn)) as opened:
        store, now = PostgresEventStore(opened), datetime.now(UTC)

        def order(number: int, *events: Event) -> Change:
            return Change.of_order(ORDER[number], None, (received(number), *events), now)

        changes = [submitted(), order(2, QUOTED, HELD), order(4, QUOTED, INTENT, LOST, GIVEN_UP)]
        assert store.append(changes, BY_MIA, now) == frozenset()
        made = FakeHost(FakeUser("mia"), FakeUser("carl"), store=store, folder=tmp_path)
        made.accounts = FakeAccounts({"sat_default": ACCOUNT})
        yield made


def states(host: FakeHost) -> dict[str, OrderState]:
    """How both orders stand."""
    return {key: order.state for key, order in host.store().load_orders([WAITING, UNCLEAR]).items()}


UNDECIDED = {WAITING: OrderState.HELD, UNCLEAR: OrderState.ESCALATED}

ACTS: dict[str, Callable[[Decisions, Person], object]] = {
    "release": lambda d, p: d.decide_held_order(WAITING, HeldDecision.RELEASE, "checked", p),
    "release a batch": lambda d, p: d.decide_held_batch(BATCH, HeldDecision.RELEASE, None, "checked", p),
    **{
        resolution: lambda d, p, as_=resolution: d.resolve(UNCLEAR, as_, "checked", p)
        for resolution in Resolution
    },
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("name", ["mia", "MIA ", "ｍｉａ"])
def test_a_maker_releases_and_resolves_nothing_of_their_own(host: FakeHost, act: str, name: str) -> None:
    """However the name is written, and with every right; another person may."""
    decisions, maker = Decisions(host), Person(name, frozenset(Right))
    with pytest.raises(OwnBatchError, match="expected another person"):
        ACTS[act](decisions, maker)
    assert states(host) == UNDECIDED
    ACTS[act](decisions, CARL)
    assert states(host) != UNDECIDED


def test_a_maker_ends_what_was_not_sent(host: FakeHost) -> None:
    """That pays nothing, so it needs no second person."""
    Decisions(host).decide_held_order(WAITING, HeldDecision.CANCEL, "a mistake", MIA)
    assert states(host)[WAITING] is OrderState.CANCELLED


@pytest.mark.parametrize("act", [BulkAct.RELEASE, BulkAct.SUCCEEDED, BulkAct.FAILED, BulkAct.RESEND])
def test_a_decision_in_bulk_leaves_out_the_maker_s_orders(host: FakeHost, act: BulkAct) -> None:
    """The preview says so, and so does the result; for another person the same orders are decided."""
    bulk = BulkDecisions(host, DecisionWorker(host))
    chosen = Chosen(which=OrderFilter(batch_id=BATCH))

    def decided(person: Person, digest: str) -> tuple[int, dict[str, int]]:
        decision_id = bulk.begin(act, chosen, digest, "checked with the shop", person)
        found = bulk.find(decision_id, person, wait_seconds=30)
        return found.standing.done, dict(found.standing.undone_by_code)

    preview = bulk.preview(act, chosen, MIA)
    assert (preview.orders, preview.undone_by_code) == (0, {"own_batch": 2})
    assert decided(MIA, preview.digest) == (0, {"own_batch": 2})
    assert states(host) == UNDECIDED
    other = bulk.preview(act, chosen, CARL)
    assert (other.orders, decided(CARL, other.digest)[0]) == (1, 1)


@pytest.mark.parametrize("path", DECIDED)
async def test_the_api_and_the_console_refuse_the_maker(host: FakeHost, path: str) -> None:
    """403, with the reason; Carl decides the same."""
    with console_server(host) as address:
        async with httpx.AsyncClient() as client:
            mia, carl = ({"authorization": f"Bearer {user}"} for user in ("mia", "carl"))
            body: dict[str, Any] = {**REASON, **DECIDED[path]}
            reply = await client.post(f"{address}/v1/{path}", json=body, headers=mia)
            assert (reply.status_code, reply.json()["type"]) == (403, "own_batch")
            if path.startswith("orders"):
                form = {**REASON, "resolution": "failed"}
                page = await client.post(f"{address}/console/{path}", data=form, headers=mia)
                assert page.status_code == 403, page.text
            assert states(host) == UNDECIDED
            reply = await client.post(f"{address}/v1/{path}", json=body, headers=carl)
            assert reply.status_code == 200, reply.text


async def test_the_page_of_an_order_offers_the_maker_what_is_left(host: FakeHost) -> None:
    """Cancelling and asking SAT; it says who decides the rest."""
    with console_server(host) as address:
        async with httpx.AsyncClient(headers={"accept-language": "en"}) as client:
            for user, is_maker in (("mia", True), ("carl", False)):
                token = {"authorization": f"Bearer {user}"}
                held = (await client.get(f"{address}/console/orders/{WAITING}", headers=token)).text
                unclear = (await client.get(f"{address}/console/orders/{UNCLEAR}", headers=token)).text
                assert ('data-dialog="cancel"' in held, 'data-dialog="recheck"' in unclear) == (True, True)
                assert ('data-dialog="release"' in held) is not is_maker
                assert ('data-dialog="not-paid"' in unclear) is not is_maker
                for page in (held, unclear):
                    assert ("You submitted this batch: another person decides" in page) is is_maker


def test_the_command_tells_the_maker(host: FakeHost, run: Run) -> None:
    """In one line; Carl's release counts."""
    with console_server(host) as address:
        for user, code in (("mia", 2), ("carl", 0)):
            env = {"SAT_AIRFLOW_URL": address.removesuffix("/sat"), "SAT_AIRFLOW_TOKEN": user}
            for words in (
                ("order", "release", WAITING),
                ("order", "resolve", UNCLEAR, "--as", "succeeded"),
            ):
                ran = run(*words, "--reason", "checked with the shop", env=env)
                assert ran.code == code, (words, ran.err)
                assert ("expected another person" in ran.err) is (user == "mia")
    assert states(host) == {WAITING: OrderState.QUOTED, UNCLEAR: OrderState.SUCCEEDED}
