"""Whatever SAT lists, hides, withdraws or garbles: the history is what was true, and nothing more."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sat_hook.audit.log_verification import verify_log
from sat_hook.audit.rebuild import compare_projections
from sat_hook.catalogue.snapshot import SnapshotRules, take_snapshot
from sat_hook.domain.prices import ListedProduct, SnapshotOutcome, state_digest
from sat_hook.protocol.errors import SATError
from sat_hook.protocol.exchange import FaultKind, TransportFault, WireResponse
from sat_hook.store.database import Database
from sat_hook.store.prices import PriceHistory
from stack.databases import ApplicationDatabase
from tests.orders import BY_TEST, T0, ManualClock
from tests.price_lists import ListingSAT, document, product

CODES = [f"p{number}" for number in range(6)]
ACCOUNTS = (f"story-{number}" for number in itertools.count(1))

step = st.one_of(
    st.tuples(st.just("price"), st.sampled_from(CODES), st.sampled_from([None, 0, 900, 1_000, 5_000])),
    st.tuples(st.just("status"), st.sampled_from(CODES), st.sampled_from([1, 2, 3, 42])),
    st.tuples(st.just("withdraw"), st.sampled_from(CODES), st.none()),
    st.tuples(st.just("offer"), st.sampled_from(CODES), st.sampled_from([1_000, 2_000])),
    st.tuples(st.just("hide"), st.sampled_from(CODES), st.none()),
    st.tuples(st.just("show all"), st.none(), st.none()),
    st.tuples(
        st.just("trouble"), st.sampled_from([0, 1]), st.sampled_from(["silence", "half", "empty", "html"])
    ),
    st.tuples(st.just("snapshot"), st.none(), st.sampled_from([0, 30, 100])),
    st.tuples(st.just("snapshot"), st.none(), st.sampled_from([0, 30, 100])),
)


@pytest.fixture(scope="module")
def owner(module_database: ApplicationDatabase) -> Iterator[Database]:
    """One database for all stories; each has an account of its own."""
    database = Database(module_database.owner_dsn)
    yield database
    database.close()


def trouble_of(kind: str, sat: ListingSAT) -> WireResponse | TransportFault:
    """An answer that is no price list, or only looks like one."""
    whole = document(sat.products)
    return {
        "silence": TransportFault(FaultKind.TIMEOUT, True, "no answer"),
        "half": WireResponse(200, {}, whole[: len(whole) // 2]),
        "empty": WireResponse(200, {}, b'{"data": []}'),
        "html": WireResponse(502, {}, b"<html>"),
    }[kind]


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(step, max_size=25), st.booleans())
def test_the_history_is_what_was_true(
    owner: Database, steps: list[tuple[str, object, object]], is_strict: bool
) -> None:
    """A believed list is what SAT knew at that moment, hidden products included; all else changes nothing."""
    account, clock = next(ACCOUNTS), ManualClock()
    sat = ListingSAT(clock, *(product(code, 1_000) for code in CODES[:4]), is_strict=is_strict)
    history = PriceHistory(owner)
    hidden: set[str] = set()
    sat.unfiltered = lambda line: line.code not in hidden
    known: dict[str, ListedProduct] = {}
    believed: list[tuple[datetime, dict[str, ListedProduct]]] = []
    pending: tuple[int, str] | None = None
    for kind, what, value in [*steps, ("show all", None, None), ("snapshot", None, 100)]:
        clock.advance(60)
        if kind == "trouble":
            pending = (int(what), str(value))  # type: ignore[call-overload]
        elif kind == "hide":
            hidden.add(str(what))
        elif kind == "show all":
            hidden.clear()
        elif kind == "snapshot":
            if pending is not None:
                at, trouble = len(sat.questions) + pending[0], pending[1]
                sat.trouble[at] = trouble_of(trouble, sat)
            was_empty = pending is not None and pending[1] == "empty"
            limit = int(value)  # type: ignore[call-overload]
            with suppress(SATError):
                report = take_snapshot(
                    sat, history, clock, account, BY_TEST, rules=SnapshotRules(missing_limit_percent=limit)
                )
                if report.snapshot.outcome is SnapshotOutcome.COMPLETE:
                    # A product that SAT offers and we do not know yet may be hidden from us.
                    unseen = {c for c in hidden if c not in known}
                    known = {line.code: line for line in sat.products if line.code not in unseen}
                    listed = history.listed_at(account, report.snapshot.asked_at)
                    if report.snapshot.unconfirmed:
                        # The question by name was answered with an empty list: what is unconfirmed stays.
                        assert was_empty
                        assert set(listed) >= set(known)
                    else:
                        assert listed == known
                    known = listed
                    believed.append((report.snapshot.asked_at, listed))
                    assert report.snapshot.state_digest == state_digest(listed.values())
            sat.trouble.clear()
            pending = None
            assert history.listed_at(account, clock.now()) == (believed[-1][1] if believed else {})
        else:
            change(sat, kind, str(what), value)
    for moment, listed in believed:
        assert history.listed_at(account, moment) == listed
    assert (
        len(history.snapshots(account, T0, T0 + timedelta(days=1)))
        == sum(k == "snapshot" for k, *_ in steps) + 1
    )


def change(sat: ListingSAT, kind: str, code: str, value: object) -> None:
    """What becomes of one product at SAT."""
    lines = {line.code: line for line in sat.products}
    if kind == "withdraw":
        lines.pop(code, None)
    elif kind == "offer":
        lines.setdefault(code, product(code, int(value)))  # type: ignore[call-overload]
    elif code in lines and kind == "price":
        lines[code] = lines[code]._replace(price_rupiah=value)
    elif code in lines:
        lines[code] = lines[code]._replace(status=value)
    sat.products = list(lines.values())


def test_all_stories_together_are_whole(owner: Database) -> None:
    """After them the derived tables agree with the evidence, and the evidence with the log."""
    found: list[str] = []
    compare_projections(owner, lambda finding: found.append(str(finding)))
    verify_log(owner, lambda finding: found.append(str(finding)))
    assert found == []
