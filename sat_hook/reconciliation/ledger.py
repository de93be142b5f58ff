"""Our ledger of a day: one frame with every order that moved, as the log has it at a position.

Each event of a sent order has left a row with the order's standing after it
(:mod:`sat_hook.domain.order_movements`). For each order, the ledger takes the last row before each cut and
adds up the day's events. It interprets no event. Amounts are int64 rupiah throughout.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from sat_hook.domain.order import OrderState
from sat_hook.domain.order_movements import EndProof
from sat_hook.store.days import DayReader

UNSENT = "unsent"
SKEW = timedelta(hours=1)
"""Maximum clock skew between hosts that record one order's events."""

_STATES = (UNSENT, *(state.value for state in OrderState))
IN_TRANSIT = tuple(
    _STATES.index(state.value)
    for state in (OrderState.SUBMITTING, OrderState.PENDING, OrderState.UNKNOWN, OrderState.ESCALATED)
)
_ENDED = tuple(_STATES.index(state.value) for state in OrderState if state.is_signed_end)
_SUCCEEDED = _STATES.index(OrderState.SUCCEEDED.value)
_NEVER_SENT = tuple(_STATES.index(state.value) for state in OrderState if state.was_never_sent)
_GIVEN_BACK = (_STATES.index(OrderState.FAILED.value), _STATES.index(OrderState.REVERSED.value))


@dataclass(frozen=True, slots=True)
class Span:
    """The span that a ledger covers.

    :param opens_at: the start cut-off of the day; ``closes_at`` is the end cut-off.
    :param opening_at: the moment of the opening observation of the deposit, ``closing_at`` that of the
        closing one; the cut-offs if there is no observation.
    :param position: events after it are not read.
    :param before: the position at which the last earlier day was closed; 0 for the first.
    :param follows: whether that was the day directly before. The opening is then its closing, as known then.
    """

    opens_at: datetime
    closes_at: datetime
    opening_at: datetime
    closing_at: datetime
    position: int
    before: int
    follows: bool = False

    @property
    def opening_position(self) -> int:
        """The log position up to which the opening is read."""
        return self.before if self.follows else self.position

    @property
    def ends_at(self) -> datetime:
        """Orders sent from this moment on belong to a later day."""
        return max(self.closes_at, self.closing_at)

    @property
    def since(self) -> datetime:
        """The moment from which events are read in bulk."""
        return min(self.opens_at, self.opening_at) - SKEW


@dataclass(frozen=True, slots=True)
class Tally:
    """The totals of a day's events, however they are counted: number, sum, digest, first sendings."""

    events: int = 0
    mark: int = 0
    rupiah: int = 0
    sendings: int = 0

    def plus(self, other: Tally) -> Tally:
        """This tally with another part."""
        return Tally(
            self.events + other.events,
            self.mark ^ other.mark,
            self.rupiah + other.rupiah,
            self.sendings + other.sendings,
        )

    def without(self, other: Tally) -> Tally:
        """This tally without a part of it."""
        return Tally(
            self.events - other.events,
            self.mark ^ other.mark,
            self.rupiah - other.rupiah,
            self.sendings - other.sendings,
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """An account's orders in a span, the totals of other accounts, and orders without a beginning.

    :param rows: see :func:`_rows_of`.
    """

    rows: pd.DataFrame
    foreign: Tally
    lost: tuple[str, ...]


def read_ledger(reader: DayReader, span: Span) -> Ledger:
    """Return every order of the account that was sent, moved or in transit within the span."""
    moves = _by_order(reader.movements_since(span.since), span)
    came = moves["sent_us"] >= _microseconds(span.since)
    # Orders that were sent earlier, or that only waited, are read from their beginning.
    waiting = reader.waiting(span.ends_at)
    earlier = {*moves.loc[~came, "request_id"], *(waiting - set(moves["request_id"]))}
    parts = [moves[came], *(_by_order(group, span) for group in reader.movements_of(earlier))]
    del moves
    moves = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    del parts
    received = reader.beginnings_since(span.since)
    places = _places(moves, received)
    if absent := moves.loc[places < 0, "request_id"].tolist():
        received = pd.concat([received, reader.beginnings_of(absent)], ignore_index=True)
        places = _places(moves, received)
    return _of_account(moves, received, places, reader.account, span)


def _places(moves: pd.DataFrame, received: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.intp]]:
    """For each movement, the row of its order's beginning; -1 if there is none.

    :raises pandas.errors.InvalidIndexError: an order began twice.
    """
    places = pd.Index(received["request_id"]).get_indexer(pd.Index(moves["request_id"]))
    return np.asarray(places, dtype=np.intp)


def ledger_of(reader: DayReader, span: Span, request_ids: Collection[str]) -> pd.DataFrame:
    """Return the ledger's rows of these orders, whenever they moved, without those unknown to the account."""
    moves = [_by_order(group, span) for group in reader.movements_of(request_ids)]
    joined = pd.concat(moves, ignore_index=True).merge(
        reader.beginnings_of(request_ids), on="request_id", how="inner", validate="one_to_one"
    )
    return _rows_of(joined[joined["account"] == reader.account], span)


def _of_account(
    moves: pd.DataFrame,
    received: pd.DataFrame,
    places: np.ndarray[Any, np.dtype[np.intp]],
    account: str,
    span: Span,
) -> Ledger:
    lost = tuple(sorted(moves.loc[places < 0, "request_id"]))
    began = received.drop(columns="request_id").take(places[places >= 0]).reset_index(drop=True)
    joined = pd.concat([moves[places >= 0].reset_index(drop=True), began], axis=1)
    del moves, received, began
    is_ours = joined["account"] == account
    others = joined[~is_ours]
    sent_us = others["sent_us"]
    foreign = Tally(
        events=int(others["day_events"].sum()),
        mark=int(np.bitwise_xor.reduce(others["day_mark"].to_numpy())),
        rupiah=int(others["day_rupiah"].sum()),
        sendings=int(
            ((sent_us >= _microseconds(span.opens_at)) & (sent_us < _microseconds(span.closes_at))).sum()
        ),
    )
    ours = joined[is_ours]
    del joined, others
    rows = _rows_of(ours, span)
    return Ledger(rows[_belongs(rows, span)].reset_index(drop=True), foreign, lost)


def _by_order(movements: pd.DataFrame, span: Span) -> pd.DataFrame:
    """One row per order: its standing now and at each cut, and the totals of its events of the day."""
    if not movements["position"].is_monotonic_increasing:
        movements = movements.sort_values("position", ignore_index=True)
    orders, request_ids = pd.factorize(movements["request_id"])
    size = len(request_ids)
    position, occurred = movements["position"].to_numpy(), movements["occurred_us"].to_numpy()
    states = np.array([_STATES.index(name) for name in movements["state"].cat.categories], dtype="int8")
    state = states[movements["state"].cat.codes.to_numpy()]
    # A remark is about an order and does not move it.
    moves = movements["is_remark"].to_numpy() == 0

    def last(chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.intp]]:
        """The place of each order's last row among the chosen ones; -1 if there is none."""
        places = np.flatnonzero(chosen)
        found = np.full(size, -1)
        # Rows are ordered by position. Of several values for one place, the last one remains.
        found[orders[places]] = places
        return found

    def state_at(chosen: np.ndarray[Any, np.dtype[np.bool_]]) -> np.ndarray[Any, np.dtype[np.int8]]:
        places = last(moves & chosen)
        return np.where(places < 0, 0, state[places]).astype("int8")

    def gathered(operation: np.ufunc, start: int, values: Any, chosen: Any) -> Any:
        found = np.full(size, start, dtype="int64")
        operation.at(found, orders[chosen], values[chosen])
        return found

    now = last(np.ones(len(orders), dtype=bool))
    before = last(position <= span.before)
    charged = movements["charged_rupiah"].to_numpy()
    is_in_day = (occurred >= _microseconds(span.opens_at)) & (occurred < _microseconds(span.closes_at))
    ends = moves & np.isin(state, _ENDED)
    far = np.iinfo("int64").max
    ended = gathered(np.minimum, far, occurred, ends)
    standing = movements.take(now)
    contradictions = gathered(np.add, 0, movements["contradicts"].to_numpy(), slice(None))
    return pd.DataFrame(
        {
            "request_id": request_ids,
            "state": state[now],
            "opening_state": state_at(
                (position <= span.opening_position) & (occurred < _microseconds(span.opening_at))
            ),
            "closing_state": state_at(occurred < _microseconds(span.closing_at)),
            "before_state": state_at(position <= span.before),
            "price": standing["quote_rupiah"].to_numpy(),
            "charge": charged[now],
            "before_charge": np.where(before < 0, -1, charged[before]),
            "admin_fee_rupiah": standing["admin_fee_rupiah"].to_numpy(),
            "partner_fee_rupiah": standing["partner_fee_rupiah"].to_numpy(),
            "was_debited": standing["is_debited"].to_numpy() == 1,
            "end_proof": pd.Categorical(standing["end_proof"], categories=list(EndProof)),
            "contradicted": (contradictions > 0) | (standing["is_doubted"].to_numpy() == 1),
            "mismatched": standing["is_mismatched"].to_numpy() == 1,
            "sent_us": standing["sent_us"].to_numpy(),
            "ended_us": np.where(ended == far, -1, ended),
            "moved_us": gathered(np.maximum, -1, occurred, moves),
            "last_position": position[now],
            "day_events": gathered(np.add, 0, np.ones(len(orders), dtype="int64"), is_in_day),
            "day_mark": gathered(np.bitwise_xor, 0, movements["mark"].to_numpy(), is_in_day),
            "day_rupiah": gathered(np.add, 0, movements["succeeded_rupiah"].to_numpy(), is_in_day),
        }
    )


def _rows_of(read: pd.DataFrame, span: Span) -> pd.DataFrame:
    """Return the ledger's rows, ordered by request id.

    Besides the columns of :data:`~sat_hook.reconciliation.model.ORDER_COLUMNS` up to
    ``in_transit_closing_rupiah``: ``before_state``, ``before_rupiah`` (as of the day before), ``end_proof``
    (an :class:`EndProof`), ``contradicted``, ``mismatched``, ``is_uncertain_at_close``, ``client_mark`` (60
    bits of the MD5 of the client number), and the totals of the order's events of the day: ``day_events``,
    ``day_mark``, ``day_rupiah``.
    """
    read = read.sort_values("request_id", ignore_index=True)
    state, opening, closing = (read[name].to_numpy() for name in ("state", "opening_state", "closing_state"))
    was_debited = read["was_debited"]
    charged = read["charge"].where(read["charge"] >= 0, read["price"])
    # Orders that were never sent or were refused at once took no money.
    is_free = np.isin(state, _NEVER_SENT) | ((state == _GIVEN_BACK[0]) & ~was_debited)
    charged = charged.where(~is_free, 0)
    booked = charged.where(charged != 0, read["price"])
    in_transit = [np.isin(states, IN_TRANSIT) for states in (opening, closing)]
    has_succeeded = (closing == _SUCCEEDED) & (opening != _SUCCEEDED)
    was_given_back = np.isin(closing, _GIVEN_BACK) & ~np.isin(opening, _GIVEN_BACK) & was_debited
    passed = was_given_back & (opening != _SUCCEEDED)  # taken and given back between the two observations
    valued_before = read["before_charge"].where(read["before_charge"] >= 0, read["price"])
    closing_us = int(span.closing_at.timestamp() * 1_000_000)
    return pd.DataFrame(
        {
            "request_id": read["request_id"],
            "order_id": read["order_id"],
            "batch_id": read["batch_id"].astype("category"),
            "row_number": read["row_number"],
            "product_code": read["product_code"].astype("category"),
            "client_number": read["client_number"],
            "state": _as_category(state),
            "state_at_close": _as_category(closing),
            "sent_at": _moments(read["sent_us"]),
            "ended_at": _moments(read["ended_us"].where(~_is_open(state), -1)),
            "is_sent_in_day": (read["sent_us"] >= _microseconds(span.opens_at))
            & (read["sent_us"] < _microseconds(span.closes_at)),
            "quote_rupiah": read["price"],
            "charged_rupiah": charged,
            "admin_fee_rupiah": read["admin_fee_rupiah"],
            "partner_fee_rupiah": read["partner_fee_rupiah"],
            "debit_rupiah": booked.where(has_succeeded | passed, 0),
            "refund_rupiah": booked.where(was_given_back, 0),
            "in_transit_opening_rupiah": (valued_before if span.follows else booked).where(in_transit[0], 0),
            "in_transit_closing_rupiah": booked.where(in_transit[1], 0),
            "last_position": read["last_position"],
            "before_state": _as_category(read["before_state"].to_numpy()),
            "before_rupiah": valued_before,
            "end_proof": read["end_proof"],
            "contradicted": read["contradicted"],
            "mismatched": read["mismatched"],
            "is_uncertain_at_close": in_transit[1]
            | ((read["sent_us"] - closing_us).abs() < _DRIFT_US)
            | ((read["moved_us"] - closing_us).abs() < _DRIFT_US),
            "client_mark": read["client_mark"],
            "day_events": read["day_events"],
            "day_mark": read["day_mark"],
            "day_rupiah": read["day_rupiah"],
        }
    )


def _belongs(rows: pd.DataFrame, span: Span) -> pd.Series[bool]:
    """Select a day's orders: sent, ended or changed in it; in transit or moved between the observations."""
    is_sent = rows["sent_at"] < pd.Timestamp(span.ends_at)
    is_money = rows[list(_TERMS)].ne(0).any(axis=1)
    has_changed = (rows["before_state"] != rows["state"]) & (rows["before_state"] != UNSENT)
    return (is_sent & (is_money | has_changed)) | (rows["day_events"] > 0)


_TERMS = ("debit_rupiah", "refund_rupiah", "in_transit_opening_rupiah", "in_transit_closing_rupiah")
_DRIFT_US = 60 * 1_000_000


def _is_open(states: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isin(states, (*IN_TRANSIT, *_NEVER_SENT, 0))


def _as_category(states: np.ndarray[Any, Any]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(states.astype("int64"), categories=pd.Index(_STATES))


def _moments(microseconds: pd.Series[int]) -> pd.Series[pd.Timestamp]:
    values = microseconds.to_numpy().astype("int64")
    moments = values.astype("datetime64[us]")
    moments[values < 0] = np.datetime64("NaT", "us")
    return pd.Series(moments, index=microseconds.index).dt.tz_localize("UTC")


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
