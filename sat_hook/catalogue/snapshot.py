"""One snapshot: read the price list, ask for missing products by code, and store the changes.

A list that failed, or misses too much, is stored as an attempt and changes nothing. So a partial list never
looks like disappeared products. An unreadable line is set aside with an alert: its product stays unchanged,
and the rest of the list counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sat_hook.catalogue.absence_check import Confirmation, PriceSource, confirm
from sat_hook.catalogue.errors import PriceListRefusedError
from sat_hook.catalogue.price_list import after_changes, compare, missing_from, price_list_of
from sat_hook.commands.handler import CommandHandler
from sat_hook.domain.account import PriceListChanged
from sat_hook.domain.alerts import Alert, AlertKind, unreadable_products
from sat_hook.domain.decision import Record
from sat_hook.domain.event_record import Provenance
from sat_hook.domain.ports import Clock
from sat_hook.domain.prices import (
    KnownProduct,
    ListedProduct,
    PriceSnapshot,
    ProductChange,
    SnapshotOutcome,
    changes_digest,
    percent_text,
    state_digest,
)
from sat_hook.domain.printable import printable
from sat_hook.protocol.calls import products_call
from sat_hook.protocol.errors import SATError
from sat_hook.store.alerts import AlertBook
from sat_hook.store.prices import PriceHistory

MAXIMUM_REASON_CHARACTERS = 300
CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SnapshotRules:
    """When a snapshot accepts a list, and which changes raise alerts.

    :param missing_limit_percent: a list that misses more than this share is not accepted; 100 accepts every
        list but an empty one.
    :param jump_percent: a price change of at least this much raises an alert.
    """

    missing_limit_percent: int = 10
    jump_percent: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.missing_limit_percent <= 100:
            raise ValueError(f"missing_limit_percent: found {self.missing_limit_percent}; expected 0 to 100")
        if self.jump_percent < 1:
            raise ValueError(f"jump_percent: found {self.jump_percent}; expected 1 or more")


@dataclass(frozen=True, slots=True)
class SnapshotReport:
    """The result of a snapshot."""

    snapshot: PriceSnapshot
    changes: tuple[ProductChange, ...] = ()
    jumps: int = 0


def take_snapshot(
    source: PriceSource,
    history: PriceHistory,
    clock: Clock,
    account: str,
    provenance: Provenance,
    *,
    rules: SnapshotRules | None = None,
    alerts: AlertBook | None = None,
) -> SnapshotReport:
    """Read the account's price list and store its changes.

    :param source: makes the requests, as the account.
    :param alerts: receives alerts about price jumps, in the snapshot's transaction, and about unreadable
        products.
    :raises SATError: when SAT did not return a list; the attempt is stored.
    :raises StoreUnavailableError: when the database is unavailable; nothing is stored.
    """
    rules = rules or SnapshotRules()
    attempt = _Attempt(history, clock, account, provenance, rules)
    try:
        reply = source.ask(products_call())
        attempt.heard(reply.response.body)
        listing = price_list_of(reply.value)
        if alerts is not None:
            alerts.add(unreadable_products(account, listing.unreadable, reply.began_at))
        known = history.known(account)
        # An unreadable line is still a listed product: it stays unchanged.
        missing = missing_from(known, listing.products.keys() | listing.unreadable.keys())
        unread = [code for code in listing.unreadable if code in known and known[code].is_listed]
        asked = confirm(source, missing) if listing.products else Confirmation()
    except SATError as error:
        attempt.keep(SnapshotOutcome.FAILED, f"{type(error).__name__}: {error}")
        raise
    except PriceListRefusedError as error:
        return SnapshotReport(attempt.keep(SnapshotOutcome.SUSPECT, str(error)))
    listed = {**listing.products, **asked.listed}
    still_missing = len(asked.gone) + len(asked.unconfirmed)
    counts = replace(
        attempt.snapshot,
        asked_at=reply.began_at,
        listed=len(listed),
        missing=len(asked.gone),
        unconfirmed=len(asked.unconfirmed) + len(unread),
        contradictory=len(listing.contradictory),
    )
    attempt.snapshot = counts
    if doubt := _doubt(known, listed, still_missing, rules):
        return SnapshotReport(attempt.keep(SnapshotOutcome.SUSPECT, doubt))
    return attempt.record(listed, asked.gone, alerts)


def _doubt(
    known: Mapping[str, KnownProduct],
    listed: Mapping[str, ListedProduct],
    missing: int,
    rules: SnapshotRules,
) -> str | None:
    """Why the list is not accepted; None when it is."""
    before = sum(entry.is_listed for entry in known.values())
    if not listed:
        return f"found an empty list; expected the {before:,} products of the last one"
    # Even from the shortest list one product may go, unless the limit is zero.
    is_more_than_one = missing > 1 or (missing == 1 and rules.missing_limit_percent == 0)
    if is_more_than_one and missing * 100 > rules.missing_limit_percent * before:
        return (
            f"found {missing:,} of {before:,} products missing; "
            f"expected at most {rules.missing_limit_percent} %"
        )
    return None


class _Attempt:
    """One attempt in progress."""

    def __init__(
        self,
        history: PriceHistory,
        clock: Clock,
        account: str,
        provenance: Provenance,
        rules: SnapshotRules,
    ) -> None:
        self._history = history
        self._clock = clock
        self._provenance = provenance
        self._rules = rules
        now = clock.now()
        self.snapshot = PriceSnapshot(
            account=account,
            outcome=SnapshotOutcome.FAILED,
            asked_at=now,
            ended_at=now,
            missing_limit_percent=rules.missing_limit_percent,
            actor=provenance.actor,
            cause=provenance.cause,
        )

    def heard(self, body: bytes) -> None:
        """Note that the list arrived."""
        self.snapshot = replace(self.snapshot, response_digest=hashlib.sha256(body).hexdigest())

    def keep(self, outcome: SnapshotOutcome, reason: str) -> PriceSnapshot:
        """Store the attempt, which changes nothing."""
        ended = self._ended(outcome, reason)
        return replace(ended, snapshot_id=self._history.record_attempt(ended))

    def record(
        self, listed: Mapping[str, ListedProduct], gone: set[str], alerts: AlertBook | None
    ) -> SnapshotReport:
        """Store the list's changes, unless a newer list was stored first."""
        account = self.snapshot.account
        with self._history.locked(account) as locked:
            last = locked.last_complete_at()
            if last is not None and last > self._clock.now() + CLOCK_TOLERANCE:
                # Otherwise every list until that moment would count as overtaken, without notice.
                text = f"found a list of {last:%F %T} UTC, which is yet to come; expected clocks that agree"
                doubted = self._ended(SnapshotOutcome.SUSPECT, text)
                return SnapshotReport(replace(doubted, snapshot_id=locked.keep_attempt(doubted)))
            if last is not None and self.snapshot.asked_at <= last:
                text = (
                    f"found a list asked for at {self.snapshot.asked_at:%F %T} UTC; "
                    f"expected one after {last:%F %T}"
                )
                overtaken = self._ended(SnapshotOutcome.OVERTAKEN, text)
                return SnapshotReport(replace(overtaken, snapshot_id=locked.keep_attempt(overtaken)))
            # Read again: another snapshot may have been stored between the request and this lock.
            known = locked.known()
            changes = tuple(compare(known, listed, gone))
            after = after_changes(known, changes)
            complete = replace(
                self._ended(SnapshotOutcome.COMPLETE, None),
                listed=len(after),
                changes=len(changes),
                state_digest=state_digest(after.values()),
            )
            complete = replace(complete, snapshot_id=locked.keep(complete, changes))
            assert complete.snapshot_id is not None
            assert complete.state_digest is not None
            if not changes:
                return SnapshotReport(complete)
            changed = PriceListChanged(
                account=account,
                snapshot_id=complete.snapshot_id,
                asked_at=complete.asked_at,
                listed=len(after),
                changes=len(changes),
                changes_digest=changes_digest(changes),
                state_digest=complete.state_digest,
            )
            handler = CommandHandler(locked.store, self._clock)
            handler.apply_to_account(account, Record(changed), self._provenance)
            jumps = jump_alerts(complete, changes, self._rules.jump_percent)
            if alerts is not None:
                alerts.add(jumps, connection=locked.connection)
            return SnapshotReport(complete, changes, len(jumps))

    def _ended(self, outcome: SnapshotOutcome, reason: str | None) -> PriceSnapshot:
        return replace(
            self.snapshot,
            outcome=outcome,
            reason=None if reason is None else printable(reason, MAXIMUM_REASON_CHARACTERS),
            # The wall clock may have been set back.
            ended_at=max(self._clock.now(), self.snapshot.asked_at),
        )


MAXIMUM_SHOWN_CODE_CHARACTERS = 64


def jump_alerts(snapshot: PriceSnapshot, changes: Sequence[ProductChange], jump_percent: int) -> list[Alert]:
    """An alert for each price jump, under a key that is never reused."""
    return [
        Alert(
            key=f"price_jump/{snapshot.snapshot_id}/{change.code}",
            kind=AlertKind.PRICE_JUMP,
            account=snapshot.account,
            text=f"{_shown(change.code)}: {_words(change)}",
            occurred_at=snapshot.asked_at,
            subject=_shown(change.code),
        )
        for change in changes
        if change.is_jump(jump_percent)
    ]


def _words(change: ProductChange) -> str:
    prices = change.prices_rupiah
    assert prices is not None
    before, after = prices
    texts = ["no price" if price is None else f"{price:,}" for price in prices]
    return f"{texts[0]} → {texts[1]} rupiah ({percent_text(before, after)})"


def _shown(code: str) -> str:
    """The code as one printable line. SAT's codes are printable, but the wire is untrusted."""
    return printable(code, MAXIMUM_SHOWN_CODE_CHARACTERS, "?")
