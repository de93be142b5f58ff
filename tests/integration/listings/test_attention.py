"""What needs a person, what deposits hold, how accounts stand, and the products of their lists."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sat_hook.application.attention import NeedKind
from sat_hook.application.batch_standing import BatchQuery, BatchStanding, StoppedBatches
from sat_hook.application.errors import RunsError
from sat_hook.application.listings import Listings
from sat_hook.application.prices import Prices
from sat_hook.application.runs import BATCH_DAG, MAXIMUM_UNDER_WAY, Run, RunState
from sat_hook.clients.settings import AccountSettings
from sat_hook.domain import order_events
from sat_hook.domain.account import PauseAccount, ResumeAccount
from sat_hook.domain.alerts import Alert, AlertKind
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.prices import ChangeKind, ListedProduct, PriceSnapshot, ProductChange, SnapshotOutcome
from sat_hook.protocol.endpoints import Environment
from sat_hook.protocol.signing import Signer, Verifier, generate_key_pair
from sat_hook.store.account_lists import AccountKeys
from sat_hook.store.alerts import AlertBook
from sat_hook.store.prices import PriceHistory
from tests.integration.listings.conftest import HELD, PRICES, SEER, SENT, Office
from tests.orders import ACCOUNT, T0
from tests.web_host import FakeRuns

OLD_KEY, NEW_KEY = generate_key_pair(), generate_key_pair()


def settings_with(ours: tuple[bytes, bytes], sats: tuple[bytes, bytes]) -> AccountSettings:
    """An account whose connection has these keys."""
    return AccountSettings(
        account=ACCOUNT,
        environment=Environment.PRODUCTION,
        client_id="c",
        client_secret="s",
        signer=Signer(ours[0]),
        verifier=Verifier([sats[1]]),
    )


BY_PAULA = Provenance("user:paula", "plugin:pause")


def test_nothing_needs_nobody(office: Office) -> None:
    """A batch on its way is not on the list, and a deposit that was never observed is short of nothing."""
    office.batch("november")
    assert office.lists.needs_you(SEER) == ()


def test_everything_that_waits_is_on_the_list(office: Office) -> None:
    """By kind and account, with how many there are, since when, and what is missing."""
    awaiting, short = office.batch("awaiting"), office.batch("short", (900_000,))
    office.ask_for_approval(awaiting)
    asked_at = office.clock.now()
    office.happen(office.order_of("awaiting", 2), HELD)
    held_at = office.clock.now()
    office.happen(office.order_of("awaiting", 3), SENT, order_events.OrderEscalated(reason="late"))
    escalated_at = office.clock.now()
    office.happen(office.order_of("awaiting", 4), HELD)
    office.observe(100_000)
    office.handler.apply_to_account(ACCOUNT, PauseAccount("the bank is closed"), BY_PAULA)
    told, untold = (
        Alert(key, AlertKind.PRICE_JUMP, ACCOUNT, "a price moved", T0) for key in ("told", "untold")
    )
    book = AlertBook(office.store.database)
    book.add([told, untold])
    book.settle_notified(["told"], T0)
    found = [
        (row.kind, row.account, row.count, row.since, row.batch_ids, row.missing_rupiah, row.code)
        for row in office.lists.needs_you(SEER)
    ]
    missing = 900_000 - (100_000 - PRICES[1])
    assert found == [
        (NeedKind.APPROVALS, ACCOUNT, 1, asked_at, (awaiting,), None, None),
        (NeedKind.HELD, ACCOUNT, 2, held_at, (), None, None),
        (NeedKind.ESCALATED, ACCOUNT, 1, escalated_at, (), None, None),
        (NeedKind.SHORT_OF_FUNDS, ACCOUNT, 1, T0 + timedelta(seconds=120), (short,), missing, None),
        (NeedKind.PAUSED, ACCOUNT, 1, office.clock.now(), (), None, None),
        (NeedKind.ALERTS, ACCOUNT, 1, T0, (), None, "price_jump"),
    ]


class SilentRuns(FakeRuns):
    """Airflow refuses to tell about runs."""

    def under_way(self, dag_id: str) -> list[Run]:
        """Refused."""
        raise RunsError(403, dag_id)


def test_a_batch_that_no_run_works_on_any_more_is_on_the_list(office: Office) -> None:
    """Its last run has ended and orders are left to send. No person has to answer it first."""
    runs = FakeRuns()

    def run_of(batch_id: str, state: RunState, run_id: str = "") -> None:
        name = run_id or f"batch_{batch_id}"
        runs.start(BATCH_DAG, name, {"batch_id": batch_id})
        runs.started[name] = runs.started[name]._replace(state=state)

    failed, released, at_work, awaiting, withdrawn, complete, never_run = map(
        office.batch, ("failed", "released", "at-work", "awaiting", "withdrawn", "complete", "never-run")
    )
    for batch_id in (failed, at_work, awaiting, withdrawn, complete):
        run_of(batch_id, RunState.FAILED)
    run_of(released, RunState.SUCCESS)
    run_of(at_work, RunState.RUNNING, "again")
    office.ask_for_approval(awaiting)
    office.withdraw(withdrawn)
    office.complete(complete)

    def lists(of: FakeRuns) -> Listings:
        return replace(office.lists, stopped=StoppedBatches(office.lists.installation, of))

    _, row = lists(runs).needs_you(SEER)
    assert (row.kind, row.count, row.batch_ids) == (NeedKind.STOPPED, 2, (failed, released))
    assert [found.file_name for found in office.lists.batches_of(row.batch_ids, SEER)] == [
        "failed.csv",
        "released.csv",
    ]
    # Every list and the batch itself say the same.
    standings = {row.batch_id: row.standing for row in lists(runs).batches(BatchQuery(), SEER).items}
    assert {key for key, standing in standings.items() if standing is BatchStanding.STOPPED} == {
        failed,
        released,
    }
    only = lists(runs).batches(BatchQuery(standing=BatchStanding.STOPPED), SEER)
    assert {row.batch_id for row in only.items} == {failed, released}
    assert lists(runs).batch(failed, SEER).row.standing is BatchStanding.STOPPED
    # The last run counts, by the log: it is another one than the first.
    office.start_run(failed)
    runs.start(BATCH_DAG, "manual__1", {})
    assert lists(runs).needs_you(SEER)[1].batch_ids == (released,)
    for waiting in range(MAXIMUM_UNDER_WAY):
        run_of(f"waiting-{waiting}", RunState.RUNNING)
    assert lists(runs).needs_you(SEER)[1].batch_ids == (released,), "hundreds may wait for an approval"
    silent = SilentRuns(runs.started)
    assert [row.kind for row in lists(silent).needs_you(SEER)] == [NeedKind.APPROVALS]
    assert never_run


def test_a_deposit_has_what_is_free_of_it_and_a_point_for_each_day(office: Office) -> None:
    """The newest look of each day counts; an account that was never observed has no numbers."""
    office.clock.advance((office.store.database_time() - T0).total_seconds())
    office.batch("november")
    office.happen(office.order_of("november", 2), SENT)
    for saldo, days_ago in ((1, 40), (300_000, 2), (250_000, 2), (200_000, 1)):
        office.clock.advance(1)
        office.observe(saldo, days_ago=days_ago)
    demo, other = sorted(office.lists.deposits(SEER), key=lambda row: row.account != ACCOUNT)
    assert (demo.account, demo.connection, demo.saldo_rupiah) == (ACCOUNT, "sat_default", 200_000)
    assert (demo.reserved_rupiah, demo.sent_rupiah, demo.free_rupiah) == (0, PRICES[0], 200_000 - PRICES[0])
    assert [point.saldo_rupiah for point in demo.days] == [250_000, 200_000]
    assert (other.account, other.saldo_rupiah, other.days) == ("another", None, ())


def test_an_account_says_whether_it_is_paused_and_why(office: Office) -> None:
    """By whom and since when, until it is resumed; and when SAT answered last."""
    office.handler.apply_to_account(ACCOUNT, PauseAccount("the bank is closed"), BY_PAULA)
    office.observe(1)
    another, demo = office.lists.accounts(SEER)
    assert (another.account, another.is_paused, another.last_answer_at) == ("another", False, None)
    assert (demo.is_paused, demo.pause_reason, demo.paused_by) == (True, "the bank is closed", "paula")
    assert (demo.paused_at, demo.last_answer_at) == (office.clock.now(), office.clock.now())
    assert demo.last_callback_at is None
    office.handler.apply_to_account(ACCOUNT, ResumeAccount("open again"), BY_PAULA)
    _, demo = office.lists.accounts(SEER)
    assert (demo.is_paused, demo.paused_at, demo.paused_by) == (False, None, None)


def test_a_key_says_since_when_it_is_in_use(office: Office) -> None:
    """The first keys that were seen may be older; one that comes later is not. A key keeps its time, and one
    that the connection has no longer is not shown.
    """
    keys = AccountKeys(office.store.database)
    first = keys.record(settings_with(OLD_KEY, OLD_KEY))
    assert [(key.use, key.is_older) for key in first] == [
        ("signs_requests", True),
        ("verifies_statuses", True),
    ]
    assert keys.record(settings_with(OLD_KEY, OLD_KEY)) == first
    ours, sats = keys.record(settings_with(NEW_KEY, OLD_KEY))
    assert (ours.is_older, ours.first_seen_at > first[0].first_seen_at) == (False, True)
    assert sats == first[1]


def test_products_are_found_by_code_name_and_operator(office: Office) -> None:
    """As they were listed last, also those that are gone; page by page."""
    first = [
        ListedProduct(f"{code}-10k", f"Pulsa {code} 10", 10_000, False, 1, operator, "pulsa")
        for code, operator in (("three", "Tri"), ("xl", "XL"), ("isat", "Indosat"))
    ]
    later = first[0]._replace(price_rupiah=10_500)

    def keep(hours: int, *changes: ProductChange) -> None:
        at = T0 + timedelta(hours=hours)
        snapshot = PriceSnapshot(
            ACCOUNT, SnapshotOutcome.COMPLETE, at, at, 30, "service:test", "test",
            listed=3, changes=len(changes), state_digest="0" * 64,
        )  # fmt: skip
        with PriceHistory(office.store.database).locked(ACCOUNT) as history:
            history.keep(snapshot, changes)

    keep(0, *(ProductChange(ChangeKind.APPEARED, None, product) for product in first))
    keep(1, ProductChange(ChangeKind.CHANGED, first[0], later))
    keep(2, ProductChange(ChangeKind.DISAPPEARED, first[1], None))
    page = office.lists.products(SEER, limit=2)
    assert [found.product.code for found in page.items] == ["isat-10k", "three-10k"]
    (last,) = office.lists.products(SEER, limit=2, cursor=page.next).items
    assert (last.product.code, last.gone_at) == ("xl-10k", T0 + timedelta(hours=2))
    assert page.items[1].product == later
    assert page.items[1].changed_at == T0 + timedelta(hours=1)
    for text, expected in (("THREE", 1), ("pulsa", 3), ("indo", 1), ("%", 0)):
        assert len(office.lists.products(SEER, text=text).items) == expected
    assert office.lists.products(SEER, account="other").items == ()
    periods = Prices(office.lists.installation).listings("sat_default", "three-10k", SEER).periods
    assert [period.product.price_rupiah for period in periods] == [10_000, 10_500]
